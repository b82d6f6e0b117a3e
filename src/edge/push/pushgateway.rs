//! Metrics to a Pushgateway: the text of `/metrics`, as it is at that moment.

use super::{
    courier::{Courier, Message},
    target::{Address, Target},
};
use crate::{clock::Timestamp, core::deliveries::Loss, error::BuildError};
use base64::{Engine, prelude::BASE64_URL_SAFE};
use bytes::Bytes;
use reqwest::{Client, Method, RequestBuilder, header};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::{task::spawn_blocking, time::sleep};

/// The text format that a Pushgateway takes.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The text of all metrics now, if it can be had. It may take a moment, and blocks.
pub(crate) type Text = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// A Pushgateway, and the group of metrics there that is this monitor's.
///
/// ```
/// use aimux_otel::{PerformanceMonitor, Pushgateway};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), aimux_otel::BuildError> {
/// let pushgateway = Pushgateway::new("http://127.0.0.1:9091", "nightly-evaluation")
///     .grouping("instance", "worker/7")
///     .interval(Duration::from_secs(15));
/// let monitor = PerformanceMonitor::builder().pushgateway(pushgateway).build()?;
/// # drop(monitor); Ok(()) }
/// ```
///
/// What is pushed is what `/metrics` answers; it takes the place of all that was there under the
/// same grouping key (`PUT`). So give each process a key of its own, or they overwrite each other.
/// The Pushgateway is for jobs that end before anybody scrapes them; a service that stays is
/// better scraped.
///
/// A push is tried until the next one is due, and once more when the monitor is shut down. What is
/// given up is counted, with its reason, in [`MonitorHealth::pushes`](crate::MonitorHealth).
#[derive(Clone)]
pub struct Pushgateway {
    address: Address,
    /// The first is the job.
    grouping: Vec<(String, String)>,
    interval: Duration,
    delete: bool,
}

impl Pushgateway {
    /// Pushes to the Pushgateway at that URL, the one of its web interface, for that job. For
    /// `https://` enable the feature `tls`. Credentials in it are sent as basic authentication.
    #[must_use]
    pub fn new(url: impl Into<String>, job: impl Into<String>) -> Self {
        Self {
            address: Address::new(url),
            grouping: vec![("job".to_owned(), job.into())],
            interval: Duration::from_secs(15),
            delete: false,
        }
    }

    /// One more label of the grouping key; any value will do. May be called for many.
    #[must_use]
    pub fn grouping(mut self, label: impl Into<String>, value: impl Into<String>) -> Self {
        self.grouping.push((label.into(), value.into()));
        self
    }

    /// Time between two pushes: 15 s by default, from a second to an hour.
    #[must_use]
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Whether the group is deleted when the monitor is shut down; by default it stays, with the
    /// last values. A Pushgateway never forgets by itself.
    #[must_use]
    pub const fn delete_at_shutdown(mut self, delete: bool) -> Self {
        self.delete = delete;
        self
    }

    /// Sends a header along, such as `Authorization`. May be called for many.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.address.header(name, value);
        self
    }

    pub(super) const fn every(&self) -> Duration {
        self.interval
    }

    pub(super) fn check(&self) -> Result<Target, BuildError> {
        super::check_interval("pushgateway interval", self.interval)?;
        let wrong = |found: String, allowed: &str| BuildError::Setting {
            setting: "pushgateway grouping",
            found,
            allowed: allowed.to_owned(),
        };
        let mut seen = BTreeSet::new();
        for (name, value) in &self.grouping {
            super::check_label("pushgateway grouping", name)?;
            if !seen.insert(name) {
                return Err(wrong(format!("`{name}` twice"), "labels, each once"));
            }
            if name == "job" && value.is_empty() {
                return Err(wrong("no job".to_owned(), "a job and labels"));
            }
        }
        self.address.check("pushgateway")
    }

    /// The segments of the path that name the group.
    fn path(&self) -> Vec<String> {
        let mut path = vec!["metrics".to_owned()];
        for (name, value) in &self.grouping {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_~.:".contains(c);
            let is_plain = value.chars().all(plain) && !value.chars().all(|c| c == '.');
            if is_plain {
                path.extend([name.clone(), value.clone()]);
                continue;
            }
            // An empty segment would be lost on the way: a single `=` stands for no bytes at all.
            let encoded = match BASE64_URL_SAFE.encode(value) {
                empty if empty.is_empty() => "=".to_owned(),
                encoded => encoded,
            };
            path.extend([format!("{name}@base64"), encoded]);
        }
        path
    }
}

impl std::fmt::Debug for Pushgateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pushgateway")
            .field("address", &self.address)
            .field("grouping", &self.grouping)
            .field("interval", &self.interval)
            .field("delete_at_shutdown", &self.delete)
            .finish()
    }
}

/// Pushes every interval, and when the monitor is shut down. `read` is dropped once the last text
/// is there: what it is read from may then be shut down.
pub(super) async fn run<R>(courier: Courier, settings: Pushgateway, text: Text, read: R) {
    let mut read = Some(read);
    let mut due = courier.clock.now();
    loop {
        due = due.after(settings.interval);
        let now = courier.clock.now();
        // Not at once for each that was missed.
        due = due.max(now);
        let wait = due.since(now);
        tokio::select! {
            () = sleep(wait) => {}
            () = courier.stopping() => {}
        }
        let stopping = courier.is_stopping();
        courier.counts.offer(1);
        let rendered = spawn_blocking({
            let text = Arc::clone(&text);
            move || text()
        });
        let rendered = rendered.await.ok().flatten();
        if stopping {
            read.take();
        }
        push(&courier, &settings, rendered).await;
        if stopping {
            break;
        }
    }
    if settings.delete {
        courier.counts.offer(1);
        count(
            &courier,
            courier.deliver(&mut Group::delete(&settings)).await,
        );
    }
}

async fn push(courier: &Courier, settings: &Pushgateway, text: Option<String>) {
    let done = match text {
        None => Err(Loss::NotRendered),
        Some(text) => courier.deliver(&mut Group::put(settings, text)).await,
    };
    count(courier, done);
}

fn count(courier: &Courier, done: Result<(), Loss>) {
    match done {
        Ok(()) => courier.counts.send(1, courier.clock.now()),
        Err(loss) => courier.counts.lose(1, loss),
    }
}

/// All metrics of a group, or none.
pub(super) struct Group {
    path: Vec<String>,
    text: Option<Bytes>,
}

impl Group {
    pub(super) fn put(settings: &Pushgateway, text: String) -> Self {
        Self {
            path: settings.path(),
            text: Some(text.into()),
        }
    }

    fn delete(settings: &Pushgateway) -> Self {
        Self {
            path: settings.path(),
            text: None,
        }
    }
}

impl Message for Group {
    fn request(&mut self, client: &Client, target: &Target, _: Timestamp) -> RequestBuilder {
        let url = target.below(self.path.iter().map(String::as_str));
        match &self.text {
            None => target.request(client, Method::DELETE, url),
            Some(text) => target
                .request(client, Method::PUT, url)
                .header(header::CONTENT_TYPE, CONTENT_TYPE)
                .body(text.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(pushgateway: &Pushgateway) -> String {
        let target = pushgateway.check().unwrap();
        let path = pushgateway.path();
        target.below(path.iter().map(String::as_str)).to_string()
    }

    #[test]
    fn the_path_is_the_grouping_key() {
        let plain = Pushgateway::new("http://a:9091/", "job-1").grouping("instance", "b:8080");
        assert_eq!(
            url(&plain),
            "http://a:9091/metrics/job/job-1/instance/b:8080"
        );
        // The examples of the Pushgateway's documentation.
        let slashes =
            Pushgateway::new("http://a", "directory_cleaner").grouping("path", "/var/tmp");
        assert_eq!(
            url(&slashes),
            "http://a/metrics/job/directory_cleaner/path@base64/L3Zhci90bXA="
        );
        let empty = Pushgateway::new("http://a", "example").grouping("first_label", "");
        assert_eq!(
            url(&empty),
            "http://a/metrics/job/example/first_label@base64/="
        );
        let odd = Pushgateway::new("http://a", "..").grouping("x", "Προμηθεύς");
        assert_eq!(
            url(&odd),
            "http://a/metrics/job@base64/Li4=/x@base64/zqDPgc6_zrzOt864zrXPjc-C"
        );
    }

    #[test]
    fn a_grouping_key_that_would_be_refused_is_an_error() {
        let new = || Pushgateway::new("http://a", "job");
        for (wrong, why) in [
            (new().grouping("job", "a"), "`job` twice"),
            (new().grouping("9a", "a"), "`9a`"),
            (new().grouping("__a", "a"), "`__a`"),
            (new().grouping("a.b", "a"), "`a.b`"),
            (Pushgateway::new("http://a", ""), "no job"),
            (new().interval(Duration::ZERO), "0ns"),
        ] {
            let error = wrong.check().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
