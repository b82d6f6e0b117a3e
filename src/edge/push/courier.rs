//! How to push: one attempt after the other, each bounded, until it is taken, refused, or there is
//! no more time.

use super::{
    retry::{Answer, Next, Retry},
    target::Target,
};
use crate::{
    clock::{Clock, Timestamp},
    core::deliveries::{Delivered, Loss},
};
use reqwest::{Client, RequestBuilder, Response, header};
use std::{
    future::pending,
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};
use tokio::{select, sync::watch, time::sleep};

/// What an attempt may take, from the look-up of the name to the end of the answer.
pub(super) const ATTEMPT: Duration = Duration::from_secs(10);

/// What is tried after the monitor was told to stop: soon, and not for long, since somebody waits.
const LAST: Retry = Retry {
    first: Duration::from_millis(500),
    most: Duration::from_secs(1),
    give_up: Duration::from_secs(3),
};

/// Of an answer that says nothing beyond its status, this is read, so that the connection can be
/// used again.
const DRAINED: usize = 16 << 10;

/// Tells all who push to do so for the last time, until that moment.
pub(super) type Stop = watch::Receiver<Option<Timestamp>>;

/// Something to push.
pub(super) trait Message {
    /// How much of an answer is read.
    const MOST_READ: usize = DRAINED;

    /// The request for an attempt that begins `now`.
    fn request(&mut self, client: &Client, target: &Target, now: Timestamp) -> RequestBuilder;

    /// What `status` means; `body` is `None` if it was too long, or broken.
    fn answered(&mut self, status: u16, pause: Option<Duration>, body: Option<&[u8]>) -> Answer {
        let _ = body;
        Answer::Status(status, pause)
    }
}

/// Brings messages to one destination.
#[derive(Debug, Clone)]
pub(super) struct Courier {
    pub(super) client: Client,
    pub(super) target: Target,
    pub(super) counts: Arc<Delivered>,
    pub(super) retry: Retry,
    /// What an attempt may take.
    pub(super) attempt: Duration,
    pub(super) clock: Clock,
    pub(super) stop: Stop,
}

impl Courier {
    /// Tries until it is done. Counts the attempts that failed, and nothing else.
    pub(super) async fn deliver(&self, message: &mut impl Message) -> Result<(), Loss> {
        select! {
            done = self.attempts(message) => done,
            () = self.time_is_up() => Err(Loss::Shutdown),
        }
    }

    /// Ends when there is nothing more to wait for but the end.
    pub(super) async fn stopping(&self) {
        let mut stop = self.stop.clone();
        // A monitor that is gone needs nothing more either.
        stop.wait_for(Option::is_some).await.ok();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stop.borrow().is_some() || self.stop.has_changed().is_err()
    }

    /// Waits for so long, or until the monitor is told to stop.
    pub(super) async fn pause(&self, pause: Duration) {
        if self.is_stopping() {
            return sleep(pause).await;
        }
        select! {
            () = sleep(pause) => {}
            () = self.stopping() => {}
        }
    }

    async fn time_is_up(&self) {
        self.stopping().await;
        let end = *self.stop.borrow();
        match end {
            Some(end) => sleep(end.since(self.clock.now())).await,
            // Whoever would tell is gone: then nobody waits, and the runtime ends.
            None => pending().await,
        }
    }

    async fn attempts(&self, message: &mut impl Message) -> Result<(), Loss> {
        let mut retry = self.retry;
        let mut began = self.clock.now();
        let mut failures = 0_u32;
        let mut stopping = false;
        loop {
            if !stopping && self.is_stopping() {
                stopping = true;
                (retry, began, failures) = (LAST, self.clock.now(), 0);
            }
            let answer = self.attempt(message).await;
            let now = self.clock.now();
            if answer == Answer::Differently {
                // It went on, and begins anew.
                (began, failures) = (now, 0);
                continue;
            }
            failures = failures.saturating_add(1);
            let spent = now.since(began);
            match retry.next(answer, failures, spent, random()) {
                Next::Done => return Ok(()),
                Next::Again(pause) => {
                    self.counts.fail();
                    self.pause(pause).await;
                }
                Next::GiveUp(loss) => {
                    self.counts.fail();
                    return Err(loss);
                }
            }
        }
    }

    async fn attempt<M: Message>(&self, message: &mut M) -> Answer {
        let now = self.clock.now();
        let request = message.request(&self.client, &self.target, now);
        let Ok(mut response) = request.timeout(self.attempt).send().await else {
            return Answer::Nothing;
        };
        let status = response.status().as_u16();
        let pause = retry_after(&response, now);
        let body = read(&mut response, M::MOST_READ).await;
        message.answered(status, pause, body.as_deref())
    }
}

/// The body, unless it is broken or longer than `most`.
async fn read(response: &mut Response, most: usize) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        if body.len().saturating_add(chunk.len()) > most {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    Some(body)
}

/// The pause that an answer asks for, in seconds or until a date (RFC 9110, 10.2.3).
fn retry_after(response: &Response, now: Timestamp) -> Option<Duration> {
    let value = response.headers().get(header::RETRY_AFTER)?;
    let value = value.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let until = until.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Timestamp::EPOCH.after(until).since(now))
}

/// From 0 up to 1.
fn random() -> f64 {
    let bits = RandomState::new().hash_one(0_u8) >> 11;
    bits as f64 / (1_u64 << 53) as f64
}
