//! Metrics to Elasticsearch: what was added since the push before, in bulk, into a data stream.

mod bulk;
mod documents;

use super::{
    About,
    courier::Courier,
    target::{Address, Target},
};
use crate::{core::snapshot::Snapshot, error::BuildError};
use bulk::Bulk;
use documents::Documents;
use std::{sync::Arc, time::Duration};
use tokio::{task::spawn_blocking, time::sleep};

/// For how long documents are tried; meanwhile nothing is made, so they are the only ones.
pub(super) const GIVE_UP: Duration = Duration::from_secs(600);
/// What an attempt may take: some megabytes are to be stored.
pub(super) const ATTEMPT: Duration = Duration::from_secs(30);

/// The newest snapshot. It may take a moment, and blocks.
pub(crate) type Newest = Arc<dyn Fn() -> Arc<Snapshot> + Send + Sync>;

/// An Elasticsearch, and the data stream there that the metrics go to.
///
/// ```
/// use aimux_otel::{Elasticsearch, PerformanceMonitor};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), aimux_otel::BuildError> {
/// let elasticsearch = Elasticsearch::new("http://127.0.0.1:9200", "metrics-aimux.otel-default")
///     .api_key("VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWkybHAyYXhUTm1zeWFrdzl0dk5udw==")
///     .interval(Duration::from_secs(60));
/// let monitor = PerformanceMonitor::builder().elasticsearch(elasticsearch).build()?;
/// # drop(monitor); Ok(()) }
/// ```
///
/// # Documents
///
/// They have the OpenTelemetry-native form, the one of the Collector's Elasticsearch exporter in
/// its mode `otel`: Elastic [recommends][1] that schema unless existing ECS dashboards have to work
/// unchanged, and its exporter and its distribution of the Collector use it by default. Elasticsearch
/// 8.16 and newer bring the index template for `metrics-*.otel-*`, so that nothing has to be set
/// up. Each set of attributes of a metric (a provider, a model and an outcome; an endpoint, a method
/// and a status) is a document, as is the process:
///
/// ```json
/// {"create": {"dynamic_templates": {"metrics.gen_ai.client.operation.duration": "histogram"}}}
/// {"@timestamp": 1795521600000, "start_timestamp": 1795521540000, "unit": "s",
///  "data_stream": {"type": "metrics", "dataset": "aimux.otel", "namespace": "default"},
///  "resource": {"attributes": {"service.name": "gateway", "service.instance.id": "…"}},
///  "scope": {"name": "aimux-otel"},
///  "attributes": {"gen_ai.provider.name": "cerebras", "gen_ai.request.model": "llama3.1-70b"},
///  "metrics": {"gen_ai.client.operation.duration": {"values": [0.847], "counts": [12]}}}
/// ```
///
/// Each tells what was added since the push before, so documents add up; what did nothing is not
/// sent. Distributions are Elasticsearch's `histogram`, whose percentiles are as exact as ours;
/// counts and cost are gauges, as the exporter maps sums of delta temporality.
///
/// # Never twice
///
/// An item is created, never indexed over another. A data stream of that template is a time series:
/// Elasticsearch makes the id from attributes and time by itself and takes no other, so a document
/// that is sent again after a lost answer is a conflict, which counts as sent. For another data
/// stream, whose dataset does not end in `.otel`, each document has an id of ours, to the same
/// effect.
///
/// # Bounds
///
/// Up to 5 MB and 5,000 documents are one request; one that is too large for the server is halved.
/// Items that are answered with 429 or 5xx are tried again, alone, for up to ten minutes, as are whole
/// requests; until then nothing new is made, and what happens meanwhile is in the next documents.
/// What is rejected or given up is counted by document, with its reason, in
/// [`MonitorHealth::pushes`](crate::MonitorHealth).
///
/// [1]: https://www.elastic.co/docs/solutions/observability/metrics/plan-your-setup
#[derive(Clone)]
pub struct Elasticsearch {
    address: Address,
    data_stream: String,
    interval: Duration,
}

impl Elasticsearch {
    /// Pushes to the Elasticsearch at that URL, into `data_stream`, which is named
    /// `metrics-<dataset>-<namespace>`. For `https://` enable the feature `tls`. Credentials in the
    /// URL are sent as basic authentication.
    #[must_use]
    pub fn new(url: impl Into<String>, data_stream: impl Into<String>) -> Self {
        Self {
            address: Address::new(url),
            data_stream: data_stream.into(),
            interval: Duration::from_secs(60),
        }
    }

    /// Authenticates with an API key in its encoded form, the Base64 of id and key. It needs the
    /// privileges `auto_configure` and `create_doc` on the data stream.
    #[must_use]
    pub fn api_key(mut self, encoded: impl Into<String>) -> Self {
        let value = format!("ApiKey {}", encoded.into());
        self.address.header("Authorization", value);
        self
    }

    /// Time between two pushes: a minute by default, from a second to an hour.
    #[must_use]
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Sends a header along. May be called for many.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.address.header(name, value);
        self
    }

    pub(super) fn check(&self) -> Result<(Target, DataStream), BuildError> {
        super::check_interval("elasticsearch interval", self.interval)?;
        let stream = DataStream::parse(&self.data_stream);
        let stream = stream.ok_or_else(|| BuildError::Setting {
            setting: "elasticsearch data stream",
            found: format!("`{}`", self.data_stream.escape_debug()),
            allowed:
                "metrics-<dataset>-<namespace>, both of lower-case letters, digits, `.` and `_`"
                    .to_owned(),
        })?;
        Ok((self.address.check("elasticsearch")?, stream))
    }
}

impl std::fmt::Debug for Elasticsearch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Elasticsearch")
            .field("address", &self.address)
            .field("data_stream", &self.data_stream)
            .field("interval", &self.interval)
            .finish()
    }
}

/// The parts of a data stream's name, whose type is `metrics`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DataStream {
    dataset: String,
    namespace: String,
}

impl DataStream {
    /// The naming scheme is Elastic's; its characters are fewer here than they allow.
    fn parse(name: &str) -> Option<Self> {
        let (dataset, namespace) = name.strip_prefix("metrics-")?.split_once('-')?;
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '_';
        let fits = |part: &str| (1..=100).contains(&part.len()) && part.chars().all(fits);
        (fits(dataset) && fits(namespace)).then(|| Self {
            dataset: dataset.to_owned(),
            namespace: namespace.to_owned(),
        })
    }

    fn name(&self) -> String {
        format!("metrics-{}-{}", self.dataset, self.namespace)
    }

    /// Whether Elasticsearch makes the ids.
    fn is_time_series(&self) -> bool {
        self.dataset.ends_with(".otel")
    }
}

/// Pushes every interval, and when the monitor is shut down.
pub(super) async fn run<R>(
    courier: Courier,
    settings: Elasticsearch,
    stream: DataStream,
    about: Arc<About>,
    newest: Newest,
    read: R,
) {
    let mut read = Some(read);
    let mut documents = Documents::new(&stream, &about.resource);
    loop {
        tokio::select! {
            () = sleep(settings.interval) => {}
            () = courier.stopping() => {}
        }
        let stopping = courier.is_stopping();
        let newest = Arc::clone(&newest);
        let made = spawn_blocking(move || {
            let made = documents.since_last(&newest());
            (documents, made)
        });
        // A panic in there is not ours to survive with half of a state.
        let Ok((back, made)) = made.await else { return };
        documents = back;
        if stopping {
            read.take();
        }
        if !made.is_empty() {
            push(&courier, &stream, made).await;
        }
        if stopping {
            return;
        }
    }
}

async fn push(courier: &Courier, stream: &DataStream, documents: Vec<String>) {
    courier.counts.offer(documents.len() as u64);
    let counts = Arc::clone(&courier.counts);
    let mut bulk = Bulk::new(stream.name(), documents, counts);
    if let Err(loss) = courier.deliver(&mut bulk).await {
        courier.counts.lose(bulk.left(), loss);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_stream_has_three_parts() {
        let parse = |name| DataStream::parse(name).map(|stream| stream.name());
        for name in ["metrics-aimux.otel-default", "metrics-a_1-b"] {
            assert_eq!(parse(name).as_deref(), Some(name));
        }
        for name in [
            "aimux",
            "logs-a-b",
            "metrics-a",
            "metrics--b",
            "metrics-a-",
            "metrics-A-b",
            "metrics-a-b-c",
            "metrics-a/_doc-b",
            "metrics-a-b\"",
            "metrics-*-b",
        ] {
            assert_eq!(parse(name), None, "{name}");
        }
    }
}
