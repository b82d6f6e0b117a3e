//! The keys of JSON objects that matter in an answer, and what stands at the end of a path of them.

use super::{super::measurement::Count, Found};
use crate::core::error_type;

/// A step on the way to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// An element of an array.
    Item,
    /// A key that does not matter.
    Unknown,
    Arguments,
    CachedTokens,
    CacheCreationInputTokens,
    CacheReadInputTokens,
    Choices,
    Code,
    CompletionTokens,
    Content,
    Delta,
    Error,
    FinishReason,
    Function,
    InputTokens,
    InputTokensDetails,
    Message,
    OutputTokens,
    OutputTokensDetails,
    PartialJson,
    PromptCacheHitTokens,
    PromptTokens,
    Reasoning,
    ReasoningTokens,
    Refusal,
    Response,
    StopReason,
    Text,
    Thinking,
    ToolCalls,
    Type,
    Usage,
}

impl Key {
    pub(super) const fn of(text: &[u8]) -> Self {
        match text {
            b"arguments" => Self::Arguments,
            b"cached_tokens" => Self::CachedTokens,
            b"cache_creation_input_tokens" => Self::CacheCreationInputTokens,
            b"cache_read_input_tokens" => Self::CacheReadInputTokens,
            b"choices" => Self::Choices,
            b"code" => Self::Code,
            b"completion_tokens" => Self::CompletionTokens,
            b"content" => Self::Content,
            b"delta" => Self::Delta,
            b"error" => Self::Error,
            b"finish_reason" => Self::FinishReason,
            b"function" => Self::Function,
            b"input_tokens" => Self::InputTokens,
            b"input_tokens_details" | b"prompt_tokens_details" => Self::InputTokensDetails,
            b"message" => Self::Message,
            b"output_tokens" => Self::OutputTokens,
            b"output_tokens_details" | b"completion_tokens_details" => Self::OutputTokensDetails,
            b"partial_json" => Self::PartialJson,
            b"prompt_cache_hit_tokens" => Self::PromptCacheHitTokens,
            b"prompt_tokens" => Self::PromptTokens,
            b"reasoning" | b"reasoning_content" => Self::Reasoning,
            b"reasoning_tokens" => Self::ReasoningTokens,
            b"refusal" => Self::Refusal,
            b"response" => Self::Response,
            b"stop_reason" => Self::StopReason,
            b"text" => Self::Text,
            b"thinking" => Self::Thinking,
            b"tool_calls" => Self::ToolCalls,
            b"type" => Self::Type,
            b"usage" => Self::Usage,
            _ => Self::Unknown,
        }
    }
}

/// What is known of the event that is being read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    /// Its `type` is that of a piece of output.
    is_delta: bool,
    /// It has such a piece, if its `type` says so.
    has_delta: bool,
    /// It was counted.
    counted: bool,
}

impl Event {
    pub(super) const NONE: Self = Self {
        is_delta: false,
        has_delta: false,
        counted: false,
    };

    fn output(&mut self, found: &mut Found) {
        if !std::mem::replace(&mut self.counted, true) {
            found.chunks = found.chunks.saturating_add(1);
        }
    }
}

/// A string that is not empty begins at this path.
pub(super) fn string_begins(path: &[Key], event: &mut Event, found: &mut Found) {
    use Key::*;
    match path {
        [Choices, Item, Delta, Content | Reasoning | Refusal]
        | [Choices, Item, Delta, ToolCalls, Item, Function, Arguments]
        | [Choices, Item, Text]
        | [Delta, Text | Thinking | PartialJson] => event.output(found),
        // What it is a piece of, its `type` tells.
        [Delta] => {
            event.has_delta = true;
            if event.is_delta {
                event.output(found);
            }
        }
        _ => {}
    }
}

/// There is a string at this path; `None` if it is too long to be one that matters.
pub(super) fn string(path: &[Key], text: Option<&[u8]>, event: &mut Event, found: &mut Found) {
    use Key::*;
    let text = text.unwrap_or_default();
    match path {
        [Type] => match text {
            b"message_stop" | b"response.completed" | b"response.incomplete" => {
                found.complete = true;
            }
            b"error" => found.has_error = true,
            b"response.failed" => {
                found.complete = true;
                found.has_error = true;
            }
            _ if text.starts_with(b"response.") && text.ends_with(b".delta") => {
                event.is_delta = true;
                if event.has_delta {
                    event.output(found);
                }
            }
            _ => {}
        },
        [Choices, Item, FinishReason] | [StopReason] | [Delta, StopReason] => {
            found.complete = true;
        }
        [Error] => found.has_error = true,
        [Error, Type] => found.error_by_type = error_word(text),
        [Response, Error, Code] | [Error, Code] | [Code] => {
            found.error_by_code = error_word(text);
        }
        _ => {}
    }
}

fn error_word(text: &[u8]) -> Option<&'static str> {
    std::str::from_utf8(text).ok().and_then(error_type::word)
}

/// There is a whole number at this path.
pub(super) fn number(path: &[Key], number: u64, found: &mut Found) {
    use Key::*;
    let path = match path {
        [Response | Message, Usage, path @ ..] | [Usage, path @ ..] => path,
        _ => return,
    };
    if number > Count::LARGEST {
        return;
    }
    let count = Count::new(number);
    match path {
        [PromptTokens] => {
            found.input = count;
            found.input_is_uncached = false;
        }
        [InputTokens] => {
            found.input = count;
            found.input_is_uncached = true;
        }
        [OutputTokens | CompletionTokens] => found.output = count,
        [CacheReadInputTokens] => found.cache_read = count,
        [CacheCreationInputTokens] => found.cache_write = count,
        [InputTokensDetails, CachedTokens] | [PromptCacheHitTokens] => {
            // Whoever tells it so, has counted it among the input.
            found.cache_read = count;
            found.input_is_uncached = false;
        }
        [OutputTokensDetails, ReasoningTokens] => found.reasoning = count,
        _ => {}
    }
}

/// An object or an array begins at this path.
pub(super) fn container_begins(path: &[Key], found: &mut Found) {
    if let [Key::Error] | [Key::Response, Key::Error] = path {
        found.has_error = true;
    }
}
