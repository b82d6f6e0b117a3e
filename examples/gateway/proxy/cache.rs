//! The response cache: the same question again gets the same answer, at no cost; the monitor is
//! told what that saved.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::catalog;
use crate::chat::{Chat, Message, Reply};
use crate::clock;

const ENTRIES: usize = 512;
/// Bytes of prompt, and of answer, above which nothing is kept.
const LARGEST: usize = 64 * 1024;

/// All that the answer depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key(Arc<(String, Vec<Message>, Option<u32>)>);

impl Key {
    /// None for a request whose answers are meant to differ (a temperature above 0), or that is
    /// too large.
    pub(super) fn of(chat: &Chat) -> Option<Self> {
        let bytes: usize = chat.messages.iter().map(|message| message.text.len()).sum();
        if bytes > LARGEST || chat.temperature.is_some_and(|value| value > 0.0) {
            return None;
        }
        let parts = (chat.model.clone(), chat.messages.clone(), chat.max_tokens);
        Some(Self(Arc::new(parts)))
    }
}

pub(super) struct Cache {
    time_to_live: Duration,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    replies: HashMap<Key, Kept>,
    oldest_first: VecDeque<Key>,
}

#[derive(Clone)]
struct Kept {
    at: Instant,
    /// How long the answer took.
    took: Duration,
    reply: Reply,
}

/// A question that is being answered, and since when.
pub(super) type Asked = (Key, Instant);

impl Cache {
    pub(super) fn new(time_to_live: Duration) -> Self {
        Self {
            time_to_live,
            entries: Mutex::default(),
        }
    }

    #[tracing::instrument(skip_all, fields(component = "cache", operation = "look_up"))]
    pub(super) fn look_up(&self, key: &Key) -> Option<Reply> {
        let now = clock::now();
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = entries
            .replies
            .get(key)
            .filter(|kept| now - kept.at < self.time_to_live)
            .cloned();
        drop(entries);
        let Some(Kept { took, reply, .. }) = kept else {
            tracing::info!(aimux.event = "cache_miss");
            return None;
        };
        let from = catalog::target(&reply.model);
        tracing::info!(
            aimux.event = "cache_hit",
            provider = from.map(|target| target.provider.name),
            model = from.map(|target| target.model.name),
            cost = from.map(|target| target.model.cost(reply.usage)),
            saved_ms = took.as_secs_f64() * 1e3,
        );
        Some(reply)
    }

    /// Keeps the reply to a question, if that may be, and lets the oldest go when there are too
    /// many.
    pub(super) fn keep(&self, asked: Option<Asked>, reply: Reply) {
        let Some((key, since)) = asked.filter(|_| reply.text.len() <= LARGEST) else {
            return;
        };
        let at = clock::now();
        let took = at - since;
        let kept = Kept { at, took, reply };
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.replies.insert(key.clone(), kept).is_none() {
            entries.oldest_first.push_back(key);
        }
        if entries.oldest_first.len() > ENTRIES
            && let Some(oldest) = entries.oldest_first.pop_front()
        {
            entries.replies.remove(&oldest);
        }
    }
}
