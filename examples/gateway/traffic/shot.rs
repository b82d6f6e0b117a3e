//! One request of the driving client: when it is due, and what it asks.

use std::time::Duration;

use crate::chat::{Chat, Message, Role};
use crate::dialect::Dialect;

pub(super) struct Shot {
    /// Since the start, in the played world.
    pub(super) at: Duration,
    /// Names the request all the way to the provider, whose luck hangs on it.
    pub(super) id: String,
    /// Whose key is sent with it; the gateway limits the rate of each.
    pub(super) client: &'static str,
    pub(super) ask: Ask,
}

#[derive(Clone)]
pub(super) enum Ask {
    Chat(Question),
    Get(&'static str),
    /// Something that the gateway has to refuse.
    Nonsense(Dialect),
}

#[derive(Clone)]
pub(super) struct Question {
    pub(super) dialect: Dialect,
    pub(super) model: &'static str,
    pub(super) stream: bool,
    pub(super) prompt_tokens: u64,
    pub(super) answer_tokens: u64,
    /// The same topic, asked in the same way, is the same question.
    pub(super) topic: u64,
    /// The client leaves after the first token.
    pub(super) hang_up: bool,
}

impl Question {
    pub(super) fn body(&self) -> String {
        let chat = Chat {
            model: self.model.to_owned(),
            messages: vec![Message {
                role: Role::User,
                text: self.prompt(),
            }],
            max_tokens: u32::try_from(self.answer_tokens.saturating_mul(2)).ok(),
            temperature: None,
            stream: self.stream,
            include_usage: true,
        };
        self.dialect.write_request(&chat, self.model).to_string()
    }

    /// A prompt of the wanted size; the upstreams do as it says. It can't be shorter than its
    /// first sentence, which is some twelve tokens.
    fn prompt(&self) -> String {
        const FILLER: &str = "All happy requests are alike; each failed one fails in its own way. ";
        let mut prompt = format!(
            "{:x}: Write exactly {} tokens. ",
            self.topic, self.answer_tokens
        );
        let bytes = usize::try_from(self.prompt_tokens.saturating_mul(4)).unwrap_or(usize::MAX);
        let missing = bytes.saturating_sub(prompt.len());
        prompt.extend(FILLER.chars().cycle().take(missing));
        prompt
    }
}
