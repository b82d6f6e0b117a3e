//! The one form of a chat request and its answer that the gateway works on, whatever the dialect.

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Chat {
    pub(crate) model: String,
    pub(crate) messages: Vec<Message>,
    pub(crate) max_tokens: Option<u32>,
    pub(crate) temperature: Option<f64>,
    pub(crate) stream: bool,
    /// Whether the client wants the token usage at the end of a stream. Always so in Anthropic's
    /// dialect, on request (`stream_options.include_usage`) in OpenAI's.
    pub(crate) include_usage: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Message {
    pub(crate) role: Role,
    pub(crate) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    System,
    User,
    Assistant,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

impl Chat {
    /// The size of the prompt by this world's tokenizer: four bytes are a token.
    pub(crate) fn prompt_tokens(&self) -> u64 {
        let bytes: usize = self.messages.iter().map(|message| message.text.len()).sum();
        (bytes as u64).div_ceil(4)
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
}

/// Why a model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It had said all.
    End,
    /// It reached `max_tokens`.
    Length,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) model: String,
    pub(crate) text: String,
    pub(crate) stop: Stop,
    pub(crate) usage: Usage,
}

/// A part of a streamed answer.
#[derive(Debug, Clone)]
pub(crate) enum Piece {
    Text(String),
    End {
        stop: Stop,
        usage: Usage,
    },
    /// The other side says that it cannot go on.
    Fault(String),
}

/// An answer that is an error, in the words of whichever dialect asks.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) message: String,
    pub(crate) retry_after_seconds: Option<u64>,
}

impl Refusal {
    pub(crate) fn new(status: u16, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            retry_after_seconds: None,
        }
    }
}
