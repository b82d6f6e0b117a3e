//! Bulk requests: in pieces, and of what was not taken only that again.

use crate::{
    clock::Timestamp,
    core::deliveries::{Delivered, Loss},
    edge::push::{courier::Message, retry::Answer, target::Target},
};
use reqwest::{Client, Method, RequestBuilder, header};
use serde::Deserialize;
use std::{sync::Arc, time::Duration};

/// The largest request, unless a single document is larger.
const MOST_BYTES: usize = 5_000_000;
/// The most documents in one.
const MOST_DOCUMENTS: usize = 5_000;

/// Documents that are to be created.
pub(super) struct Bulk {
    data_stream: String,
    /// Those that are neither taken nor given up, each with its action.
    left: Vec<String>,
    /// How many of these were in the last request.
    asked: usize,
    /// How many may be.
    most: usize,
    counts: Arc<Delivered>,
    now: Timestamp,
}

impl Bulk {
    pub(super) fn new(data_stream: String, documents: Vec<String>, counts: Arc<Delivered>) -> Self {
        Self {
            data_stream,
            left: documents,
            asked: 0,
            most: MOST_DOCUMENTS,
            counts,
            now: Timestamp::EPOCH,
        }
    }

    /// How many are neither taken nor given up.
    pub(super) fn left(&self) -> u64 {
        self.left.len() as u64
    }

    /// Goes through what became of each.
    fn judge(&mut self, statuses: &[u16], pause: Option<Duration>) -> Answer {
        let (mut taken, mut refused, mut busy) = (0, 0, false);
        let mut statuses = statuses.iter();
        self.left.retain(|_| match statuses.next() {
            // Not in this request.
            None => true,
            // It is there: a conflict is with itself, after an answer that was lost.
            Some(200..=299 | 409) => {
                taken += 1;
                false
            }
            Some(429 | 500..) => {
                busy = true;
                true
            }
            Some(_) => {
                refused += 1;
                false
            }
        });
        if taken > 0 {
            self.counts.send(taken, self.now);
        }
        self.counts.lose(refused, Loss::Refused);
        match busy {
            true => Answer::Status(429, pause),
            false => self.rest(),
        }
    }

    /// The answer as far as it is about what was in the request: the rest follows at once.
    fn rest(&self) -> Answer {
        match self.left.is_empty() {
            true => Answer::Status(200, None),
            false => Answer::Differently,
        }
    }

    /// The server finds the request too large.
    fn halve(&mut self) -> Answer {
        if self.asked > 1 {
            self.most = self.asked.div_ceil(2);
            return Answer::Differently;
        }
        if !self.left.is_empty() {
            self.left.remove(0);
            self.counts.lose(1, Loss::TooLarge);
        }
        self.rest()
    }
}

impl Message for Bulk {
    const MOST_READ: usize = 4 << 20;

    fn request(&mut self, client: &Client, target: &Target, now: Timestamp) -> RequestBuilder {
        self.now = now;
        let mut body = String::new();
        self.asked = 0;
        for document in self.left.iter().take(self.most) {
            let full = body.len().saturating_add(document.len()) > MOST_BYTES;
            if full && self.asked > 0 {
                break;
            }
            body.push_str(document);
            self.asked = self.asked.saturating_add(1);
        }
        let mut url = target.below([self.data_stream.as_str(), "_bulk"]);
        url.query_pairs_mut()
            .append_pair("require_data_stream", "true")
            .append_pair("filter_path", "errors,items.*.status");
        target
            .request(client, Method::POST, url)
            .header(header::CONTENT_TYPE, "application/x-ndjson")
            .body(body)
    }

    fn answered(&mut self, status: u16, pause: Option<Duration>, body: Option<&[u8]>) -> Answer {
        match status {
            200..=299 => match body.and_then(statuses) {
                Some(statuses) if statuses.len() == self.asked => self.judge(&statuses, pause),
                _ => Answer::Unreadable,
            },
            413 => self.halve(),
            _ => Answer::Status(status, pause),
        }
    }
}

/// The status of each item, in the order of the request.
fn statuses(body: &[u8]) -> Option<Vec<u16>> {
    #[derive(Deserialize)]
    struct Answered {
        items: Vec<Item>,
    }
    #[derive(Deserialize)]
    struct Item {
        create: Created,
    }
    #[derive(Deserialize)]
    struct Created {
        status: u16,
    }
    let answered: Answered = serde_json::from_slice(body).ok()?;
    let status = |item: Item| item.create.status;
    Some(answered.items.into_iter().map(status).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(documents: usize) -> (Bulk, Arc<Delivered>) {
        let counts = Arc::new(Delivered::new("elasticsearch".to_owned()));
        let documents = (0..documents).map(|number| format!("{{}}\n{number}\n"));
        let bulk = Bulk::new(
            "metrics-a-b".to_owned(),
            documents.collect(),
            Arc::clone(&counts),
        );
        (bulk, counts)
    }

    fn answer(statuses: &[u16]) -> String {
        let items = statuses.iter().map(|status| {
            serde_json::json!({ "create": { "status": status, "error": { "type": "x" } } })
        });
        let items: Vec<_> = items.collect();
        serde_json::json!({ "errors": true, "items": items }).to_string()
    }

    fn answered(bulk: &mut Bulk, asked: usize, statuses: &[u16]) -> Answer {
        bulk.asked = asked;
        bulk.answered(200, None, Some(answer(statuses).as_bytes()))
    }

    #[test]
    fn only_what_was_not_taken_is_sent_again() {
        let (mut bulk, counts) = bulk(6);
        let again = answered(&mut bulk, 6, &[201, 429, 409, 400, 503, 404]);
        assert_eq!(again, Answer::Status(429, None));
        assert_eq!(bulk.left, ["{}\n1\n", "{}\n4\n"]);
        assert_eq!((counts.sent(), counts.dropped(Loss::Refused)), (2, 2));
        let done = answered(&mut bulk, 2, &[201, 201]);
        assert_eq!(done, Answer::Status(200, None));
        assert_eq!((counts.sent(), bulk.left()), (4, 0));
    }

    #[test]
    fn the_rest_follows_at_once() {
        let (mut bulk, _) = bulk(3);
        assert_eq!(answered(&mut bulk, 2, &[201, 201]), Answer::Differently);
        assert_eq!(bulk.left, ["{}\n2\n"]);
    }

    #[test]
    fn an_answer_about_another_number_of_items_makes_no_sense() {
        let (mut bulk, counts) = bulk(2);
        assert_eq!(answered(&mut bulk, 2, &[201]), Answer::Unreadable);
        for body in [Some(&b"<html>"[..]), Some(b"{\"items\":[{}]}"), None] {
            bulk.asked = 2;
            assert_eq!(bulk.answered(200, None, body), Answer::Unreadable);
        }
        assert_eq!((bulk.left(), counts.sent()), (2, 0));
    }

    #[test]
    fn what_is_too_large_is_halved_down_to_one_document() {
        let (mut bulk, counts) = bulk(5);
        let mut most = Vec::new();
        while bulk.left() > 0 {
            bulk.asked = bulk.most.min(bulk.left.len());
            bulk.answered(413, None, None);
            most.push(bulk.most);
        }
        assert_eq!(most, [3, 2, 1, 1, 1, 1, 1, 1]);
        assert_eq!(counts.dropped(Loss::TooLarge), 5);
    }
}
