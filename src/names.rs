//! Names of metrics and attributes, one constant each.
//!
//! Sources: OpenTelemetry semantic conventions v1.41, GenAI metrics and HTTP metrics. What they
//! lack is under `aimux.`.

/// The instrumentation scope of what this crate records.
pub(crate) const SCOPE: &str = "aimux-otel";

/// Duration of one attempt, in seconds.
pub(crate) const ATTEMPT_DURATION: &str = "gen_ai.client.operation.duration";
/// Time from an attempt's start to its first chunk, in seconds.
pub(crate) const TIME_TO_FIRST_CHUNK: &str = "gen_ai.client.operation.time_to_first_chunk";
/// Time per chunk after the first, in seconds.
pub(crate) const TIME_PER_OUTPUT_CHUNK: &str = "gen_ai.client.operation.time_per_output_chunk";
/// Tokens of one attempt.
pub(crate) const TOKEN_USAGE: &str = "gen_ai.client.token.usage";
/// Duration of one operation, in seconds.
pub(crate) const REQUEST_DURATION: &str = "http.server.request.duration";
/// Operations in flight.
pub(crate) const ACTIVE_REQUESTS: &str = "http.server.active_requests";
/// Size of a request's body, in bytes.
pub(crate) const REQUEST_BODY_SIZE: &str = "http.server.request.body.size";
/// Size of a response's body, in bytes.
pub(crate) const RESPONSE_BODY_SIZE: &str = "http.server.response.body.size";
/// Cost in USD.
pub(crate) const COST: &str = "aimux.cost";
/// Duration of component work, in seconds.
pub(crate) const COMPONENT_DURATION: &str = "aimux.component.duration";
/// Look-ups in the response cache.
pub(crate) const CACHE_RESULTS: &str = "aimux.cache.results";
/// Rate limits reached.
pub(crate) const RATE_LIMIT_HITS: &str = "aimux.rate_limit.hits";
/// Timeouts that were told of by events.
pub(crate) const TIMEOUTS: &str = "aimux.timeouts";
/// Failovers.
pub(crate) const FAILOVERS: &str = "aimux.failovers";
/// Measurements offered to the monitor.
pub(crate) const EVENTS_OFFERED: &str = "aimux.monitor.events.offered";
/// Measurements counted.
pub(crate) const EVENTS_RECORDED: &str = "aimux.monitor.events.recorded";
/// Measurements dropped, by reason.
pub(crate) const EVENTS_DROPPED: &str = "aimux.monitor.events.dropped";
/// Series in use.
pub(crate) const SERIES: &str = "aimux.monitor.series";
/// Series refused, and counted under another.
pub(crate) const SERIES_REFUSED: &str = "aimux.monitor.series.refused";
/// Label values refused, by kind.
pub(crate) const LABELS_REFUSED: &str = "aimux.monitor.labels.refused";
/// Field values that could not be read.
pub(crate) const FIELDS_UNREADABLE: &str = "aimux.monitor.fields.unreadable";

/// The names whose histograms are made exponential, whoever records them.
pub(crate) const EXPONENTIAL: [&str; 8] = [
    ATTEMPT_DURATION,
    TIME_TO_FIRST_CHUNK,
    TIME_PER_OUTPUT_CHUNK,
    TOKEN_USAGE,
    REQUEST_DURATION,
    REQUEST_BODY_SIZE,
    RESPONSE_BODY_SIZE,
    COMPONENT_DURATION,
];

pub(crate) const PROVIDER: &str = "gen_ai.provider.name";
pub(crate) const MODEL: &str = "gen_ai.request.model";
pub(crate) const OPERATION_NAME: &str = "gen_ai.operation.name";
pub(crate) const TOKEN_TYPE: &str = "gen_ai.token.type";
pub(crate) const ERROR_TYPE: &str = "error.type";
pub(crate) const ROUTE: &str = "http.route";
pub(crate) const METHOD: &str = "http.request.method";
pub(crate) const STATUS_CODE: &str = "http.response.status_code";
pub(crate) const COMPONENT: &str = "aimux.component";
pub(crate) const COMPONENT_OPERATION: &str = "aimux.operation";
pub(crate) const CACHE_RESULT: &str = "aimux.cache.result";
pub(crate) const FAILOVER_FROM: &str = "aimux.failover.from";
pub(crate) const FAILOVER_TO: &str = "aimux.failover.to";
pub(crate) const FAILOVER_REASON: &str = "aimux.failover.reason";
pub(crate) const REASON: &str = "aimux.reason";
pub(crate) const LABEL_KIND: &str = "aimux.label";
pub(crate) const OVERFLOW: &str = "otel.metric.overflow";

/// The values of `gen_ai.operation.name` that the conventions list.
pub(crate) const GEN_AI_OPERATIONS: [&str; 8] = [
    "chat",
    "text_completion",
    "embeddings",
    "generate_content",
    "execute_tool",
    "create_agent",
    "invoke_agent",
    "retrieval",
];
