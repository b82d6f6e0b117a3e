//! Alerts to an Alertmanager, in the manner of Prometheus: all that fires, again and again, and
//! what has ended until it is taken.

use super::{
    About,
    courier::{Courier, Message},
    target::{Address, Target},
};
use crate::{
    clock::Timestamp,
    core::{
        alerts::{
            change::{AlertChange, AlertSink},
            view::AlertDetail,
        },
        deliveries::Loss,
    },
    error::BuildError,
};
use reqwest::{Client, Method, RequestBuilder, header};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{select, sync::Notify, time::sleep};

/// An alert that is not sent again within so many times the interval is over, to Alertmanager.
const INTERVALS: u32 = 4;
/// Alerts that have ended and were not taken yet; beyond, the oldest is left to expire.
const MOST_RESOLVED: usize = 1_024;

/// An Alertmanager that is told what fires, at `/api/v2/alerts`.
///
/// ```
/// use aimux_otel::{Alertmanager, PerformanceMonitor};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), aimux_otel::BuildError> {
/// let alertmanager = Alertmanager::new("http://127.0.0.1:9093")
///     .label("cluster", "eu-1")
///     .resend(Duration::from_secs(30));
/// let monitor = PerformanceMonitor::builder().alertmanager(alertmanager).build()?;
/// # drop(monitor); Ok(()) }
/// ```
///
/// All alerts that fire are posted when one begins or ends, and every `resend` while there are
/// any, each with `endsAt` four times `resend` ahead: so they end by themselves if the monitor does.
/// One that has ended is posted with its end until the Alertmanager took it. Labels are those of
/// the alert (`rule`, `metric`, `severity`, and `provider`, `model` or `endpoint`), `alertname`
/// (the metric, or the rule of a closure), `service`, `instance` (`host:pid`, so that two of
/// your replicas are two alerts), and those set with [`label`](Self::label), which win. What the
/// closure of a custom rule said it is about is in `exported_instance`.
/// Annotations are `summary`, `description`, `value` and `threshold`.
///
/// A post is tried until the next one is due. What is given up is counted, with its reason, in
/// [`MonitorHealth::pushes`](crate::MonitorHealth); nothing is lost by it as long as a later one
/// arrives. The members of a cluster do not pass alerts on to each other: add them all.
#[derive(Clone)]
pub struct Alertmanager {
    address: Address,
    labels: BTreeMap<String, String>,
    generator_url: Option<String>,
    resend: Duration,
}

impl Alertmanager {
    /// Tells the Alertmanager at that URL, the one of its web interface. For `https://` enable the
    /// feature `tls`. Credentials in it are sent as basic authentication.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            address: Address::new(url),
            labels: BTreeMap::new(),
            generator_url: None,
            resend: Duration::from_secs(60),
        }
    }

    /// A label on every alert. May be called for many.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }

    /// Where alerts link to, such as the address of the monitor as your people reach it; nowhere
    /// by default.
    #[must_use]
    pub fn generator_url(mut self, url: impl Into<String>) -> Self {
        self.generator_url = Some(url.into());
        self
    }

    /// Time between two posts while alerts fire: a minute by default, from a second to an hour.
    #[must_use]
    pub const fn resend(mut self, interval: Duration) -> Self {
        self.resend = interval;
        self
    }

    /// Sends a header along, such as `Authorization`. May be called for many.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.address.header(name, value);
        self
    }

    pub(super) const fn interval(&self) -> Duration {
        self.resend
    }

    pub(super) fn check(&self) -> Result<Target, BuildError> {
        super::check_interval("alertmanager resend", self.resend)?;
        for name in self.labels.keys() {
            super::check_label("alertmanager label", name)?;
        }
        self.address.check("alertmanager")
    }
}

impl std::fmt::Debug for Alertmanager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Alertmanager")
            .field("address", &self.address)
            .field("labels", &self.labels)
            .field("resend", &self.resend)
            .finish_non_exhaustive()
    }
}

/// What tells one alert from another.
type Identity = BTreeMap<String, String>;

/// What the Alertmanager is to know.
#[derive(Debug, Default)]
struct Board {
    firing: BTreeMap<Identity, AlertDetail>,
    /// With the time at which it ended.
    resolved: BTreeMap<Identity, (AlertDetail, Timestamp)>,
}

impl Board {
    /// What fires now is `firing`; whether an alert has begun or ended.
    fn update(&mut self, firing: &[AlertDetail], now: Timestamp) -> bool {
        let entry = |detail: &AlertDetail| (detail.labels.clone(), detail.clone());
        let firing: BTreeMap<Identity, AlertDetail> = firing.iter().map(entry).collect();
        let begun = firing.keys().any(|one| !self.firing.contains_key(one));
        let before = std::mem::replace(&mut self.firing, firing);
        let mut ended = false;
        for (identity, detail) in before {
            if !self.firing.contains_key(&identity) {
                ended = true;
                self.resolved.insert(identity, (detail, now));
            }
        }
        // What fires again has not ended.
        let firing = &self.firing;
        self.resolved
            .retain(|identity, _| !firing.contains_key(identity));
        while self.resolved.len() > MOST_RESOLVED {
            let oldest = self.resolved.iter().min_by_key(|(_, (_, at))| *at);
            let Some(oldest) = oldest.map(|(identity, _)| identity.clone()) else {
                break;
            };
            self.resolved.remove(&oldest);
        }
        begun || ended
    }

    fn is_empty(&self) -> bool {
        self.firing.is_empty() && self.resolved.is_empty()
    }

    /// The Alertmanager knows these ends now.
    fn forget(&mut self, taken: &BTreeMap<Identity, Timestamp>) {
        self.resolved
            .retain(|identity, (_, at)| taken.get(identity) != Some(at));
    }
}

/// Takes what the tick tells, and never waits.
#[derive(Debug, Default)]
pub(super) struct Sink {
    board: Mutex<Board>,
    changed: Notify,
}

impl Sink {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AlertSink for Sink {
    fn changed(&self, _: &[AlertChange], firing: &[AlertDetail], now: Timestamp) {
        if self.board().update(firing, now) {
            self.changed.notify_one();
        }
    }
}

/// Posts what is to be known: on each change, and every interval as long as there is anything.
pub(super) async fn run(
    courier: Courier,
    settings: Alertmanager,
    about: Arc<About>,
    sink: Arc<Sink>,
) {
    let resend = settings.resend;
    let mut news = Post {
        settings,
        about,
        sink,
        ends: BTreeMap::new(),
    };
    loop {
        let stopping = select! {
            // A change that was told before the end is told.
            biased;
            () = news.sink.changed.notified() => false,
            () = courier.stopping() => true,
            () = sleep(resend) => false,
        };
        if stopping && news.sink.board().resolved.is_empty() {
            return;
        }
        if news.sink.board().is_empty() {
            continue;
        }
        courier.counts.offer(1);
        match courier.deliver(&mut news).await {
            Ok(()) => {
                news.sink.board().forget(&news.ends);
                courier.counts.send(1, courier.clock.now());
            }
            Err(loss) => {
                courier.counts.lose(1, loss);
                if stopping || loss == Loss::Shutdown {
                    return;
                }
            }
        }
    }
}

/// One alert, as the API wants it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Alert<'a> {
    labels: BTreeMap<&'a str, &'a str>,
    annotations: BTreeMap<&'static str, String>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL", skip_serializing_if = "Option::is_none")]
    generator_url: Option<&'a str>,
}

/// A post: whatever is to be known when the attempt begins.
struct Post {
    settings: Alertmanager,
    about: Arc<About>,
    sink: Arc<Sink>,
    /// The ends that the last attempt told.
    ends: BTreeMap<Identity, Timestamp>,
}

impl Post {
    fn alert<'a>(&'a self, detail: &'a AlertDetail, ends_at: Timestamp) -> Alert<'a> {
        let name = match &*detail.metric {
            "custom" => &detail.rule,
            metric => metric,
        };
        let mut labels = BTreeMap::from([
            ("alertname", name),
            ("service", &self.about.service),
            ("instance", &self.about.instance),
        ]);
        let own = detail.labels.iter().map(|(name, value)| match &**name {
            // As Prometheus does where a label of its own has the name.
            "instance" => ("exported_instance", &**value),
            name => (name, &**value),
        });
        labels.extend(own);
        let set = self.settings.labels.iter();
        labels.extend(set.map(|(name, value)| (&**name, &**value)));
        let mut annotations = BTreeMap::from([
            ("summary", detail.message.clone()),
            (
                "description",
                format!("{}: {}", detail.scope, detail.message),
            ),
        ]);
        let number = |value: Option<f64>| value.map(|value| value.to_string());
        annotations.extend(number(detail.value).map(|value| ("value", value)));
        annotations.extend(number(detail.threshold).map(|value| ("threshold", value)));
        let since = (detail.since * 1e9) as u64;
        Alert {
            labels,
            annotations,
            starts_at: Timestamp::from_unix_nanos(since).rfc3339(),
            ends_at: ends_at.rfc3339(),
            generator_url: self.settings.generator_url.as_deref(),
        }
    }
}

impl Message for Post {
    fn request(&mut self, client: &Client, target: &Target, now: Timestamp) -> RequestBuilder {
        let sink = Arc::clone(&self.sink);
        let board = sink.board();
        let ends = board.resolved.iter();
        self.ends = ends.map(|(one, (_, at))| (one.clone(), *at)).collect();
        let lasts = self.settings.resend.saturating_mul(INTERVALS);
        let until = now.after(lasts);
        let firing = board
            .firing
            .values()
            .map(|detail| self.alert(detail, until));
        let resolved = board.resolved.values();
        let resolved = resolved.map(|(detail, at)| self.alert(detail, *at));
        let alerts: Vec<Alert<'_>> = firing.chain(resolved).collect();
        // Texts and numbers as texts: there is nothing that could fail.
        let body = serde_json::to_vec(&alerts).unwrap_or_default();
        target
            .request(client, Method::POST, target.below(["api", "v2", "alerts"]))
            .header(header::CONTENT_TYPE, "application/json")
            .body(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::testing::firing;

    const LATER: Timestamp = Timestamp::from_unix_nanos(7);

    #[test]
    fn what_fires_no_more_has_ended_until_that_is_known() {
        let mut board = Board::default();
        let (a, b) = (firing("a"), firing("b"));
        assert!(board.update(&[a.clone(), b.clone()], Timestamp::EPOCH));
        assert!(!board.update(&[b.clone(), a.clone()], Timestamp::EPOCH));
        assert!(board.update(std::slice::from_ref(&b), LATER));
        assert_eq!(board.resolved[&a.labels], (a.clone(), LATER));
        // An end at another time is another end.
        board.forget(&BTreeMap::from([(a.labels.clone(), Timestamp::EPOCH)]));
        assert_eq!(board.resolved.len(), 1);
        board.forget(&BTreeMap::from([(a.labels.clone(), LATER)]));
        assert!(board.resolved.is_empty() && !board.is_empty());
        assert!(board.update(&[], LATER));
        board.forget(&BTreeMap::from([(b.labels, LATER)]));
        assert!(board.is_empty());
    }

    #[test]
    fn what_fires_again_has_not_ended() {
        let mut board = Board::default();
        let a = firing("a");
        board.update(std::slice::from_ref(&a), Timestamp::EPOCH);
        board.update(&[], LATER);
        assert!(board.update(std::slice::from_ref(&a), LATER));
        assert!(board.resolved.is_empty());
    }

    #[test]
    fn ends_that_nobody_takes_are_bounded() {
        let mut board = Board::default();
        for number in 0..2 * MOST_RESOLVED as u64 {
            let now = Timestamp::from_unix_nanos(number);
            board.update(&[firing(&number.to_string())], now);
        }
        assert_eq!(board.resolved.len(), MOST_RESOLVED);
        let oldest = board.resolved.values().map(|(_, at)| at.as_unix_nanos());
        assert_eq!(oldest.min(), Some(MOST_RESOLVED as u64));
    }
}
