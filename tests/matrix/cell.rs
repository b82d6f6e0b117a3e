//! One cell of the matrix, and what is to be measured there.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    OpenAi,
    Anthropic,
}

/// What the first provider does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Ok,
    BadRequest,
    Unauthorized,
    RateLimited,
    ServerError,
    /// It does not answer at all.
    Timeout,
    /// It stops in the middle, and keeps the connection.
    Stall,
    /// The connection ends in the middle.
    Cut,
    /// The client hangs up before the first token.
    HangUpBefore,
    /// The client hangs up after the first token.
    HangUpAfter,
    /// The error is an event in the middle of a good answer.
    ErrorInside,
}

/// What stands behind the first provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chain {
    None,
    /// Another, which answers.
    Succeeds,
    /// Another, which fails too.
    Exhausted,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Cell {
    pub(crate) dialect: Dialect,
    pub(crate) streamed: bool,
    pub(crate) fate: Fate,
    pub(crate) chain: Chain,
}

/// What is to be measured in a cell.
#[derive(Debug)]
pub(crate) struct Expected {
    /// Of the first attempt, and whose fault it is.
    pub(crate) error: Option<(&'static str, &'static str)>,
    pub(crate) attempts: u64,
    /// The status that the client sees, if it sees one.
    pub(crate) status: Option<u16>,
    pub(crate) operation_failed: bool,
    pub(crate) exhausted: bool,
    /// Input and output tokens that are known of the first attempt.
    pub(crate) tokens: Option<(u64, u64)>,
    pub(crate) first_token: bool,
}

impl Fate {
    pub(crate) const ALL: [Self; 11] = [
        Self::Ok,
        Self::BadRequest,
        Self::Unauthorized,
        Self::RateLimited,
        Self::ServerError,
        Self::Timeout,
        Self::Stall,
        Self::Cut,
        Self::HangUpBefore,
        Self::HangUpAfter,
        Self::ErrorInside,
    ];
}

impl Cell {
    /// The provider can be asked elsewhere: nothing has gone to the client yet, and it was not the
    /// client's fault.
    pub(crate) fn fails_over(self) -> bool {
        let before_the_answer = matches!(
            self.fate,
            Fate::RateLimited | Fate::ServerError | Fate::Timeout
        );
        self.chain != Chain::None && before_the_answer
    }

    pub(crate) fn expected(self) -> Expected {
        let error = match self.fate {
            Fate::Ok => None,
            Fate::BadRequest => Some(("invalid_request", "caller")),
            Fate::Unauthorized => Some(("authentication", "caller")),
            Fate::RateLimited => Some(("rate_limited", "provider")),
            Fate::ServerError => Some(("500", "provider")),
            Fate::Timeout | Fate::Stall => Some(("timeout", "provider")),
            Fate::Cut => Some(("stream_broken", "provider")),
            Fate::HangUpBefore | Fate::HangUpAfter => Some(("cancelled", "caller")),
            Fate::ErrorInside => Some(("overloaded", "provider")),
        };
        let fails_over = self.fails_over();
        let answered_by_another = fails_over && self.chain == Chain::Succeeds;
        let status = match self.fate {
            _ if answered_by_another => Some(200),
            _ if fails_over => Some(503),
            Fate::BadRequest => Some(400),
            Fate::Unauthorized => Some(401),
            Fate::RateLimited => Some(429),
            Fate::ServerError => Some(503),
            Fate::Timeout => Some(504),
            // Nothing came, and nothing went back.
            Fate::HangUpBefore if !self.streamed => None,
            _ => Some(200),
        };
        let inside = matches!(
            self.fate,
            Fate::Stall | Fate::Cut | Fate::HangUpBefore | Fate::HangUpAfter
        );
        // An error inside an answer that has begun is the provider's; the client got what it sent.
        let operation_failed = status.is_none_or(|status| status >= 400) || inside;
        // In a stream of messages, the first event tells the input already.
        let input_is_first = self.dialect == Dialect::Anthropic && self.streamed;
        Expected {
            error,
            attempts: 1 + u64::from(fails_over),
            status,
            operation_failed,
            exhausted: operation_failed
                && !answered_by_another
                && error.is_some_and(|(_, fault)| fault == "provider"),
            tokens: match self.fate {
                Fate::Ok => Some((120, 34)),
                Fate::Stall | Fate::Cut | Fate::HangUpAfter | Fate::ErrorInside
                    if input_is_first =>
                {
                    Some((120, 1))
                }
                _ => None,
            },
            first_token: self.streamed
                && matches!(
                    self.fate,
                    Fate::Ok | Fate::Stall | Fate::Cut | Fate::HangUpAfter | Fate::ErrorInside
                ),
        }
    }
}
