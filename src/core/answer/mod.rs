//! What a provider's answer says of itself, read as it passes: the tokens that it used, the error
//! that it tells of, its chunks of output, and whether it is complete.

mod document;
mod events;
mod keys;
pub(crate) mod quota;
#[cfg(test)]
mod tests;

use super::{error_type, measurement::Count};
use document::Document;
use events::EventLines;

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswerForm {
    /// One JSON document.
    Json,
    /// Server-sent events, each a JSON document.
    EventStream,
    /// Something that is not read.
    Other,
}

impl AnswerForm {
    /// By the `Content-Type`; without one nothing is read.
    pub(crate) fn of_content_type(value: Option<&str>) -> Self {
        let essence = value.and_then(|value| value.split(';').next());
        match essence.map(str::trim_ascii) {
            Some(text) if text.eq_ignore_ascii_case("text/event-stream") => Self::EventStream,
            Some(text) if is_json(text) => Self::Json,
            _ => Self::Other,
        }
    }
}

fn is_json(essence: &str) -> bool {
    let ends = |with: &str| {
        let at = essence.len().checked_sub(with.len());
        let end = at.and_then(|at| essence.get(at..));
        end.is_some_and(|end| end.eq_ignore_ascii_case(with))
    };
    ends("/json") || ends("+json")
}

/// The tokens that an answer says it used, as far as it does.
///
/// `input` holds what was read from a cache and written to one, as the OpenTelemetry conventions
/// have `gen_ai.usage.input_tokens`. Anthropic's `input_tokens` does not hold them, and they are
/// added (<https://docs.claude.com/en/docs/build-with-claude/prompt-caching>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) input: Count,
    pub(crate) output: Count,
    pub(crate) cache_read: Count,
    pub(crate) cache_write: Count,
    pub(crate) reasoning: Count,
}

/// What has been found so far.
#[derive(Debug)]
struct Found {
    input: Count,
    output: Count,
    cache_read: Count,
    cache_write: Count,
    reasoning: Count,
    /// `input` leaves the tokens of a cache out.
    input_is_uncached: bool,
    /// There is an error.
    has_error: bool,
    /// What its `type` and its `code` come to.
    error_by_type: Option<&'static str>,
    error_by_code: Option<&'static str>,
    complete: bool,
    /// Chunks of output since somebody asked.
    chunks: u32,
}

/// Reads an answer in pieces, cut anywhere. It keeps some 300 bytes, and none of the answer but
/// the beginning of one string.
#[derive(Debug)]
pub(crate) struct AnswerReader {
    form: AnswerForm,
    lines: EventLines,
    document: Document,
    found: Found,
}

impl AnswerReader {
    pub(crate) const fn new(form: AnswerForm) -> Self {
        Self {
            form,
            lines: EventLines::new(),
            document: Document::new(),
            found: Found {
                input: Count::NONE,
                output: Count::NONE,
                cache_read: Count::NONE,
                cache_write: Count::NONE,
                reasoning: Count::NONE,
                input_is_uncached: false,
                has_error: false,
                error_by_type: None,
                error_by_code: None,
                complete: false,
                chunks: 0,
            },
        }
    }

    /// Reads on; how many chunks of output became known by these bytes. A chunk is an event with
    /// some output: text, reasoning, or arguments of a call; none of what only tells a role or the
    /// usage. One JSON document has none.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> u32 {
        self.found.chunks = 0;
        match self.form {
            AnswerForm::Json => {
                self.document.read(bytes, &mut self.found);
                self.found.complete |= self.document.is_closed();
            }
            AnswerForm::EventStream => {
                self.lines.read(bytes, &mut self.document, &mut self.found);
            }
            AnswerForm::Other => {}
        }
        self.found.chunks
    }

    /// The tokens that it used; what is told later counts.
    pub(crate) fn usage(&self) -> Usage {
        let found = &self.found;
        let of_cache = || {
            let read = found.cache_read.get().unwrap_or(0);
            read.saturating_add(found.cache_write.get().unwrap_or(0))
        };
        let input = match found.input.get() {
            Some(input) if found.input_is_uncached => Count::new(input.saturating_add(of_cache())),
            _ => found.input,
        };
        Usage {
            input,
            output: found.output,
            cache_read: found.cache_read,
            cache_write: found.cache_write,
            reasoning: found.reasoning,
        }
    }

    /// The error that an answer with a good status tells of all the same, such as an event in the
    /// middle of a stream.
    pub(crate) fn error(&self) -> Option<&'static str> {
        let status = 500;
        self.found.has_error.then(|| self.error_for(status))?
    }

    /// The error of an answer with that status.
    pub(crate) fn error_for(&self, status: u16) -> Option<&'static str> {
        let found = &self.found;
        error_type::of_answer(status, found.error_by_type, found.error_by_code)
    }

    /// Whether it said that nothing of interest follows but its usage: the end of the document, or
    /// one of the events that end a stream.
    pub(crate) const fn is_complete(&self) -> bool {
        self.found.complete
    }
}
