//! The driving client: sends requests to the gateway over HTTP when they are due, and counts.

mod client;
mod day;
mod replay;
mod shot;
mod tally;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout};

use crate::args::Source;
use crate::clock::{self, Pace};
use client::Client;
pub(crate) use replay::ReplayError;
use shot::Shot;
pub(crate) use tally::Tally;

/// Requests under way at a time; each needs four sockets of this one process.
const AT_ONCE: u32 = 128;

/// What will be sent.
pub(crate) struct Plan {
    shots: Option<Box<dyn Iterator<Item = Shot> + Send>>,
    /// How long it takes, where that is known, in the played world.
    pub(crate) lasts: Option<Duration>,
    pub(crate) name: String,
}

impl Plan {
    pub(crate) fn new(source: &Source, seed: u64) -> Result<Self, ReplayError> {
        Ok(match source {
            Source::Nothing => Self {
                shots: None,
                lasts: None,
                name: "none".to_owned(),
            },
            Source::Day => Self {
                shots: Some(Box::new(day::Day::new(seed))),
                lasts: None,
                name: "generated".to_owned(),
            },
            Source::Replay(path) => {
                let shots = replay::read(path, seed)?;
                Self {
                    lasts: shots.last().map(|shot| shot.at),
                    name: format!("replay of {} rows", shots.len()),
                    shots: Some(Box::new(shots.into_iter())),
                }
            }
        })
    }
}

/// The driving client.
#[derive(Clone)]
pub(crate) struct Traffic {
    client: Client,
    pace: Pace,
    tally: Arc<Mutex<Tally>>,
    free: Arc<Semaphore>,
}

impl Traffic {
    pub(crate) fn new(gateway: SocketAddr, pace: Pace) -> Result<Self, reqwest::Error> {
        Ok(Self {
            client: Client::new(gateway, pace)?,
            pace,
            tally: Arc::default(),
            free: Arc::new(Semaphore::new(AT_ONCE as usize)),
        })
    }

    pub(crate) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends each request when it is due; returns when the last one is sent, and without a plan
    /// never. May be aborted at any time: what is under way goes on.
    pub(crate) async fn run(self, plan: Plan) {
        let Some(shots) = plan.shots else {
            return std::future::pending().await;
        };
        let start = Instant::from_std(clock::now());
        for shot in shots {
            let due = start + self.pace.real(shot.at);
            sleep_until(due).await;
            let Ok(place) = Arc::clone(&self.free).acquire_owned().await else {
                return;
            };
            let late = Instant::from_std(clock::now()) - due;
            let traffic = self.clone();
            tokio::spawn(async move {
                traffic.tally().sent(&shot, late);
                let outcome = traffic.client.send(&shot).await;
                traffic.tally().done(&shot, &outcome);
                drop(place);
            });
        }
    }

    /// Waits for what is under way, but no longer than the limit.
    pub(crate) async fn finish(&self, limit: Duration) {
        let _ = timeout(limit, self.free.acquire_many(AT_ONCE)).await;
    }
}
