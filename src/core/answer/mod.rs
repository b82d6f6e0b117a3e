//! What an answer says of itself: a stand-in until the reader of all dialects is there.

pub(crate) mod quota;

use super::{error_type, measurement::Count};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswerForm {
    Json,
    EventStream,
    Other,
}

impl AnswerForm {
    pub(crate) fn of_content_type(value: Option<&str>) -> Self {
        match value {
            Some(v) if v.starts_with("application/json") => Self::Json,
            Some(v) if v.starts_with("text/event-stream") => Self::EventStream,
            _ => Self::Other,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) input: Count,
    pub(crate) output: Count,
    pub(crate) cache_read: Count,
    pub(crate) cache_write: Count,
    pub(crate) reasoning: Count,
}

#[derive(Debug)]
pub(crate) struct AnswerReader {
    form: AnswerForm,
    seen: Vec<u8>,
    line: usize,
}

impl AnswerReader {
    pub(crate) fn new(form: AnswerForm) -> Self {
        Self {
            form,
            seen: Vec::new(),
            line: 0,
        }
    }
    pub(crate) fn read(&mut self, bytes: &[u8]) -> u32 {
        self.seen.extend_from_slice(bytes);
        let mut chunks = 0;
        while let Some(end) = self.seen.iter().skip(self.line).position(|b| *b == b'\n') {
            let line = &self
                .seen
                .get(self.line..self.line + end)
                .unwrap_or_default();
            let text = String::from_utf8_lossy(line);
            if self.form == AnswerForm::EventStream
                && (text.contains("\"content\":") || text.contains("\"text\":"))
            {
                chunks += 1;
            }
            self.line += end + 1;
        }
        chunks
    }
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }
    fn number(&self, keys: &[&str]) -> Count {
        let text = self.text();
        for key in keys {
            if let Some(at) = text.rfind(&format!("\"{key}\":")) {
                let rest = text.get(at + key.len() + 3..).unwrap_or_default();
                let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
                if let Ok(n) = digits.parse() {
                    return Count::new(n);
                }
            }
        }
        Count::NONE
    }
    pub(crate) fn usage(&self) -> Usage {
        Usage {
            input: self.number(&["prompt_tokens", "input_tokens"]),
            output: self.number(&["completion_tokens", "output_tokens"]),
            cache_read: Count::NONE,
            cache_write: Count::NONE,
            reasoning: Count::NONE,
        }
    }
    pub(crate) fn error(&self) -> Option<&'static str> {
        let text = self.text();
        text.contains("overloaded_error")
            .then(|| error_type::canonical("overloaded"))
    }
    pub(crate) fn error_for(&self, status: u16) -> Option<&'static str> {
        if self.text().contains("insufficient_quota") {
            return Some(error_type::canonical("quota_exceeded"));
        }
        self.error().or_else(|| error_type::of_status(status))
    }
    pub(crate) fn is_complete(&self) -> bool {
        let text = self.text();
        match self.form {
            AnswerForm::EventStream => {
                text.contains("data: [DONE]") || text.contains("message_stop")
            }
            _ => false,
        }
    }
}
