//! What a monitor was told to do.

use crate::event_type::EventFilter;
use std::time::Duration;

/// How many values of each label are admitted beyond the configured ones.
///
/// What comes later is counted under `_OTHER`. An admitted value keeps its place for the life of
/// the monitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Providers; 32 by default.
    pub providers: usize,
    /// Models, over all providers; 256 by default.
    pub models: usize,
    /// Endpoints; 128 by default.
    pub endpoints: usize,
    /// Components; 64 by default, with four operations each on average.
    pub components: usize,
    /// Names of timers; 64 by default.
    pub timers: usize,
    /// Experiments; 32 by default, with eight variants each on average.
    pub experiments: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            providers: 32,
            models: 256,
            endpoints: 128,
            components: 64,
            timers: 64,
            experiments: 32,
        }
    }
}

/// What windows may take of memory by default, in bytes: a day of a busy gateway.
pub(crate) const WINDOW_MEMORY: usize = 1 << 20;

/// The whole configuration.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) service_name: Option<String>,
    pub(crate) providers: Vec<(String, Vec<String>)>,
    pub(crate) endpoints: Vec<String>,
    pub(crate) limits: Limits,
    pub(crate) collection_interval: Duration,
    pub(crate) retention: Duration,
    /// What the slots of the windows may take, in bytes, before they are made coarser.
    pub(crate) window_memory: usize,
    /// Spans, requests and operations open at once.
    pub(crate) max_open: usize,
    pub(crate) metadata_keys: Vec<String>,
    pub(crate) event_filter: EventFilter,
    pub(crate) recent_events: usize,
    pub(crate) preferred_scopes: Vec<String>,
    /// An `error` event makes its span a failure.
    pub(crate) error_events: bool,
    /// `OTEL_SDK_DISABLED`: nothing is recorded.
    pub(crate) disabled: bool,
    pub(crate) conventions: Conventions,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            service_name: None,
            providers: Vec::new(),
            endpoints: Vec::new(),
            limits: Limits::default(),
            collection_interval: Duration::from_secs(5),
            retention: Duration::from_secs(24 * 3_600),
            window_memory: WINDOW_MEMORY,
            max_open: 16_384,
            metadata_keys: Vec::new(),
            event_filter: EventFilter::ALL,
            recent_events: 512,
            preferred_scopes: vec![crate::names::SCOPE.to_owned()],
            error_events: true,
            disabled: false,
            conventions: Conventions::Current,
        }
    }
}

/// Which traces are exported, decided before their root span exists.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TraceSampling {
    /// All of them.
    AlwaysOn,
    /// None.
    AlwaysOff,
    /// This share of them, between 0 and 1, by trace id where there is one.
    Ratio(f64),
    /// As the caller decided; where there is none, this share.
    ParentBasedRatio(f64),
}

impl TraceSampling {
    /// Whether a root span is sampled. `remote` is the caller's decision, and the low half of its
    /// trace id.
    pub(crate) fn samples(self, remote: Option<(bool, u64)>, random: u64) -> bool {
        match (self, remote) {
            (Self::AlwaysOn, _) => true,
            (Self::AlwaysOff, _) => false,
            (Self::ParentBasedRatio(_), Some((sampled, _))) => sampled,
            // The rule of the SDK's sampler, so that all services take the same traces.
            (Self::Ratio(ratio), Some((_, trace))) => is_below(trace, ratio),
            (Self::Ratio(ratio) | Self::ParentBasedRatio(ratio), None) => is_below(random, ratio),
        }
    }
}

/// Whether the upper 63 bits of `number` are within the first `ratio` of all such numbers.
fn is_below(number: u64, ratio: f64) -> bool {
    ratio >= 1.0 || ((number >> 1) as f64) < ratio.max(0.0) * (1_u64 << 63) as f64
}

/// By which names calls to providers are told on `/metrics` and by OTLP. The views are the same
/// with each.
///
/// `docs/conventions.md` has the names side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Conventions {
    /// Those of the semantic conventions v1.41, `gen_ai.client.operation.*` and
    /// `gen_ai.client.token.usage`: the default.
    #[default]
    Current,
    /// The newer ones, `gen_ai.client.inference.*`, which are not released and may change.
    Latest,
    /// Both, for the time of a change: twice as many series.
    Both,
}

/// How OTLP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// gRPC, port 4317 by default.
    Grpc,
    /// Protobuf over HTTP, port 4318 by default.
    HttpProtobuf,
}

/// What to push, and where to.
#[derive(Debug, Clone)]
#[cfg_attr(
    not(feature = "otlp"),
    expect(dead_code, reason = "read by the exporters")
)]
pub(crate) struct OtlpSettings {
    pub(crate) metrics: bool,
    pub(crate) traces: bool,
    /// `None`: what the `OTEL_EXPORTER_OTLP_*` variables say.
    pub(crate) endpoint: Option<String>,
    pub(crate) protocol: OtlpProtocol,
    /// Between two pushes of metrics; `None`: `OTEL_METRIC_EXPORT_INTERVAL`, else a minute.
    pub(crate) interval: Option<Duration>,
    /// How long one push may take, attempts and all.
    pub(crate) metrics_timeout: Duration,
    pub(crate) traces_timeout: Duration,
    /// Spans that wait at the most.
    pub(crate) span_queue: usize,
}

/// Spans that wait at the most, if `OTEL_BSP_MAX_QUEUE_SIZE` does not say otherwise.
const SPAN_QUEUE: usize = 2_048;
/// However many it says: memory is reserved for them.
const LARGEST_SPAN_QUEUE: usize = 65_536;

/// The `OTEL_*` variables that the SDK leaves to us.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Environment {
    /// `OTEL_SDK_DISABLED`.
    pub(crate) disabled: bool,
    /// `OTEL_METRICS_EXPORTER` and `OTEL_TRACES_EXPORTER`: whether they name `otlp`, if set.
    pub(crate) metrics_exporter: Option<bool>,
    pub(crate) traces_exporter: Option<bool>,
    /// One of the `OTEL_EXPORTER_OTLP_…ENDPOINT` is set, for all, metrics or traces.
    pub(crate) endpoint: bool,
    pub(crate) metrics_endpoint: bool,
    pub(crate) traces_endpoint: bool,
    pub(crate) protocol: Option<OtlpProtocol>,
    pub(crate) sampling: Option<TraceSampling>,
    /// `OTEL_SEMCONV_STABILITY_OPT_IN`.
    pub(crate) conventions: Option<Conventions>,
    /// `OTEL_EXPORTER_OTLP_…TIMEOUT`.
    pub(crate) metrics_timeout: Option<Duration>,
    pub(crate) traces_timeout: Option<Duration>,
    /// `OTEL_BSP_MAX_QUEUE_SIZE`.
    pub(crate) span_queue: Option<usize>,
}

impl Environment {
    /// From the variables that `get` knows. What cannot be understood counts as not set.
    pub(crate) fn read(get: impl Fn(&str) -> Option<String>) -> Self {
        let get = |name: &str| {
            get(name)
                .map(|v| v.trim().to_owned())
                .filter(|v| !v.is_empty())
        };
        let otlp = |name| get(name).map(|v| v.split(',').any(|one| one.trim() == "otlp"));
        let is_set = |name| get(name).is_some();
        let ratio = get("OTEL_TRACES_SAMPLER_ARG")
            .and_then(|v| v.parse::<f64>().ok())
            .filter(|ratio| (0.0..=1.0).contains(ratio))
            .unwrap_or(1.0);
        let timeout = |signal| {
            get(signal)
                .or_else(|| get("OTEL_EXPORTER_OTLP_TIMEOUT"))
                .and_then(|ms| ms.parse().ok())
                .map(Duration::from_millis)
        };
        Self {
            disabled: get("OTEL_SDK_DISABLED").is_some_and(|v| v.eq_ignore_ascii_case("true")),
            metrics_exporter: otlp("OTEL_METRICS_EXPORTER"),
            traces_exporter: otlp("OTEL_TRACES_EXPORTER"),
            endpoint: is_set("OTEL_EXPORTER_OTLP_ENDPOINT"),
            metrics_endpoint: is_set("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"),
            traces_endpoint: is_set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
            protocol: get("OTEL_EXPORTER_OTLP_PROTOCOL").and_then(|v| match v.as_str() {
                "grpc" => Some(OtlpProtocol::Grpc),
                "http/protobuf" => Some(OtlpProtocol::HttpProtobuf),
                _ => None,
            }),
            sampling: get("OTEL_TRACES_SAMPLER").and_then(|v| match v.as_str() {
                "always_on" => Some(TraceSampling::AlwaysOn),
                "always_off" => Some(TraceSampling::AlwaysOff),
                "traceidratio" => Some(TraceSampling::Ratio(ratio)),
                "parentbased_always_on" => Some(TraceSampling::ParentBasedRatio(1.0)),
                "parentbased_always_off" => Some(TraceSampling::ParentBasedRatio(0.0)),
                "parentbased_traceidratio" => Some(TraceSampling::ParentBasedRatio(ratio)),
                _ => None,
            }),
            conventions: get("OTEL_SEMCONV_STABILITY_OPT_IN").and_then(|list| {
                let has = |wanted| list.split(',').any(|one| one.trim() == wanted);
                // Both, if somebody asks for both.
                match has("gen_ai_latest_experimental/dup") {
                    true => Some(Conventions::Both),
                    false => has("gen_ai_latest_experimental").then_some(Conventions::Latest),
                }
            }),
            metrics_timeout: timeout("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT"),
            traces_timeout: timeout("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"),
            span_queue: get("OTEL_BSP_MAX_QUEUE_SIZE").and_then(|v| v.parse().ok()),
        }
    }

    /// What to push: each signal if its exporter is named, or if an endpoint is set and no other
    /// exporter is named. `endpoint` and `protocol` were set in code, and win.
    pub(crate) fn otlp(
        &self,
        endpoint: Option<String>,
        protocol: Option<OtlpProtocol>,
        interval: Option<Duration>,
    ) -> OtlpSettings {
        let in_code = endpoint.is_some();
        let wanted = |exporter: Option<bool>, own: bool| {
            !self.disabled && (in_code || exporter.unwrap_or(self.endpoint || own))
        };
        OtlpSettings {
            metrics: wanted(self.metrics_exporter, self.metrics_endpoint),
            traces: wanted(self.traces_exporter, self.traces_endpoint),
            endpoint,
            protocol: protocol
                .or(self.protocol)
                .unwrap_or(OtlpProtocol::HttpProtobuf),
            interval,
            metrics_timeout: self.metrics_timeout.unwrap_or(OTLP_TIMEOUT),
            traces_timeout: self.traces_timeout.unwrap_or(OTLP_TIMEOUT),
            span_queue: self
                .span_queue
                .unwrap_or(SPAN_QUEUE)
                .clamp(1, LARGEST_SPAN_QUEUE),
        }
    }
}

/// How long a push may take by default, as the specification has it.
const OTLP_TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::read(|name| {
            let set = variables.iter().find(|(set, _)| *set == name);
            set.map(|(_, value)| (*value).to_owned())
        })
    }

    fn pushed(variables: &[(&str, &str)]) -> (bool, bool) {
        let otlp = environment(variables).otlp(None, None, None);
        (otlp.metrics, otlp.traces)
    }

    #[test]
    fn nothing_is_pushed_unless_asked_for() {
        assert_eq!(pushed(&[]), (false, false));
        assert_eq!(
            pushed(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]),
            (false, false)
        );
    }

    #[test]
    fn an_endpoint_or_an_exporter_asks_for_it() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318");
        assert_eq!(pushed(&[endpoint]), (true, true));
        assert_eq!(
            pushed(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]),
            (true, false)
        );
        assert_eq!(pushed(&[("OTEL_METRICS_EXPORTER", "otlp")]), (true, false));
        assert_eq!(
            pushed(&[(
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                "http://x:4318/v1/traces"
            )]),
            (false, true)
        );
        assert_eq!(
            pushed(&[endpoint, ("OTEL_SDK_DISABLED", "TRUE")]),
            (false, false)
        );
    }

    #[test]
    fn the_sampler_is_read_with_its_argument() {
        let sampling = |variables| environment(variables).sampling;
        assert_eq!(sampling(&[]), None);
        assert_eq!(
            sampling(&[
                ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
                ("OTEL_TRACES_SAMPLER_ARG", "0.25")
            ]),
            Some(TraceSampling::ParentBasedRatio(0.25))
        );
        assert_eq!(
            sampling(&[
                ("OTEL_TRACES_SAMPLER", "traceidratio"),
                ("OTEL_TRACES_SAMPLER_ARG", "7")
            ]),
            Some(TraceSampling::Ratio(1.0)),
            "an argument out of range counts as not set"
        );
    }

    #[test]
    fn the_newer_conventions_are_asked_for_in_a_list() {
        let asked = |list| environment(&[("OTEL_SEMCONV_STABILITY_OPT_IN", list)]).conventions;
        assert_eq!(asked("http"), None);
        let latest = Some(Conventions::Latest);
        assert_eq!(asked("http/dup, gen_ai_latest_experimental"), latest);
        let both = Some(Conventions::Both);
        assert_eq!(asked("gen_ai_latest_experimental/dup"), both);
    }

    #[test]
    fn a_parent_decides_where_it_is_asked() {
        let remote = |sampled| Some((sampled, 0));
        let sampling = TraceSampling::ParentBasedRatio(0.0);
        assert!(sampling.samples(remote(true), u64::MAX));
        assert!(!sampling.samples(remote(false), 0));
        assert!(!sampling.samples(None, 0));
        let half = TraceSampling::Ratio(0.5);
        assert!(half.samples(None, 0) && !half.samples(None, u64::MAX));
        assert!(TraceSampling::Ratio(1.0).samples(None, u64::MAX));
    }
}
