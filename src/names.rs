//! Every metric, attribute and scope name that the crate writes or recognises, one constant each.

/// The instrumentation scope under which this crate records.
pub(crate) const SCOPE: &str = "aimux-otel";

// Metrics of the GenAI conventions.
/// Duration of one attempt, in seconds.
pub(crate) const GEN_AI_OPERATION_DURATION: &str = "gen_ai.client.operation.duration";
/// Time from the start of an attempt to its first chunk, in seconds.
pub(crate) const GEN_AI_TIME_TO_FIRST_CHUNK: &str = "gen_ai.client.operation.time_to_first_chunk";
/// Tokens used by one attempt, split by [`GEN_AI_TOKEN_TYPE`].
pub(crate) const GEN_AI_TOKEN_USAGE: &str = "gen_ai.client.token.usage";

// Metrics of the newer GenAI conventions, which are not released: those of the second profile.
/// Duration of one inference, in seconds.
pub(crate) const INFERENCE_DURATION: &str = "gen_ai.client.inference.duration";
/// Time from the start of an inference to its first chunk, in seconds.
pub(crate) const INFERENCE_TIME_TO_FIRST_CHUNK: &str =
    "gen_ai.client.inference.time_to_first_chunk";
/// Time per chunk after the first, in seconds.
pub(crate) const INFERENCE_TIME_PER_OUTPUT_CHUNK: &str =
    "gen_ai.client.inference.time_per_output_chunk";
/// Input tokens of one inference.
pub(crate) const INFERENCE_INPUT_TOKENS: &str = "gen_ai.client.inference.operation.input_tokens";
/// Output tokens of one inference.
pub(crate) const INFERENCE_OUTPUT_TOKENS: &str = "gen_ai.client.inference.operation.output_tokens";
/// Input tokens, split by [`TOKEN_MODALITY`].
pub(crate) const INFERENCE_USAGE_INPUT: &str = "gen_ai.client.inference.usage.input_tokens";
/// Output tokens, split by [`TOKEN_MODALITY`].
pub(crate) const INFERENCE_USAGE_OUTPUT: &str = "gen_ai.client.inference.usage.output_tokens";
/// Input tokens that came from the provider's cache, split by [`TOKEN_MODALITY`].
pub(crate) const INFERENCE_USAGE_CACHE_READ: &str =
    "gen_ai.client.inference.usage.cache_read.input_tokens";
/// Input tokens that went into the provider's cache, split by [`TOKEN_MODALITY`].
pub(crate) const INFERENCE_USAGE_CACHE_WRITE: &str =
    "gen_ai.client.inference.usage.cache_write.input_tokens";
/// Output tokens that were reasoning, split by [`TOKEN_MODALITY`].
pub(crate) const INFERENCE_USAGE_REASONING: &str =
    "gen_ai.client.inference.usage.reasoning.output_tokens";

// Metrics of the HTTP conventions.
/// Duration of one operation, in seconds.
pub(crate) const HTTP_SERVER_REQUEST_DURATION: &str = "http.server.request.duration";
/// Size of a request's body, in bytes.
pub(crate) const HTTP_SERVER_REQUEST_BODY_SIZE: &str = "http.server.request.body.size";
/// Size of a response's body, in bytes.
pub(crate) const HTTP_SERVER_RESPONSE_BODY_SIZE: &str = "http.server.response.body.size";
/// Operations in flight.
pub(crate) const HTTP_SERVER_ACTIVE_REQUESTS: &str = "http.server.active_requests";

// What the conventions lack.
/// Cost of attempts, in USD.
pub(crate) const COST: &str = "aimux.cost";
/// What is summed exactly, in USD.
pub(crate) const MONEY: [&str; 3] = [COST, OPERATION_COST, CACHE_SAVED_COST];
/// Duration of one piece of component work, in seconds.
pub(crate) const COMPONENT_DURATION: &str = "aimux.component.duration";
/// Durations observed by hand, in seconds, split by [`TIMER`].
pub(crate) const TIMER_DURATION: &str = "aimux.timer.duration";
/// Duration of one try of a variant of an experiment, in seconds.
pub(crate) const EXPERIMENT_DURATION: &str = "aimux.experiment.duration";
/// Answers of the response cache, split by [`CACHE_RESULT`].
pub(crate) const CACHE_RESULTS: &str = "aimux.cache.results";
/// Rate limits hit.
pub(crate) const RATE_LIMIT_HITS: &str = "aimux.rate_limit.hits";
/// Timeouts.
pub(crate) const TIMEOUTS: &str = "aimux.timeouts";
/// Failovers, split by [`FAILOVER_FROM`], [`FAILOVER_TO`] and [`FAILOVER_REASON`].
pub(crate) const FAILOVERS: &str = "aimux.failovers";

/// Operations by how many attempts each took, [`OPERATION_ATTEMPTS`], and what came of them,
/// [`OPERATION_OUTCOME`].
pub(crate) const OPERATIONS: &str = "aimux.operations";
/// What the gateway itself took of an operation: its duration without its attempts and waits, in
/// seconds.
pub(crate) const OPERATION_OVERHEAD: &str = "aimux.operation.overhead";
/// Cost of operations: that of their attempts, in USD.
pub(crate) const OPERATION_COST: &str = "aimux.operation.cost";
/// Tokens that are part of those of [`GEN_AI_TOKEN_USAGE`], split by [`TOKEN_DETAIL`].
pub(crate) const TOKEN_DETAILS: &str = "aimux.token.details";
/// Output tokens of streamed answers.
pub(crate) const STREAMED_TOKENS: &str = "aimux.streamed.tokens";
/// Time in which these came, from the first chunk to the end, in seconds.
pub(crate) const STREAMED_TIME: &str = "aimux.streamed.time";
/// Attempts that used tokens, came without a cost, and whose model has no price.
pub(crate) const UNPRICED: &str = "aimux.cost.unpriced";
/// What answers of the response cache would have cost, in USD.
pub(crate) const CACHE_SAVED_COST: &str = "aimux.cache.saved.cost";
/// How long answers of the response cache would have taken, in seconds.
pub(crate) const CACHE_SAVED_TIME: &str = "aimux.cache.saved.time";
/// What a provider last said is left of a quota, split by [`RATE_LIMIT_RESOURCE`].
pub(crate) const RATE_LIMIT_REMAINING: &str = "aimux.rate_limit.remaining";
/// What a provider last said the quota is, split by [`RATE_LIMIT_RESOURCE`].
pub(crate) const RATE_LIMIT_LIMIT: &str = "aimux.rate_limit.limit";
/// The health of a provider and model: 1 healthy, 0.5 degraded, 0 unhealthy.
pub(crate) const PROVIDER_HEALTH: &str = "aimux.provider.health";

// Metrics of the process and the system conventions.
/// CPU time of the process, in seconds, split by [`CPU_MODE`].
pub(crate) const PROCESS_CPU_TIME: &str = "process.cpu.time";
/// CPU time of the last collection interval over the most that the process could have had.
pub(crate) const PROCESS_CPU_UTILIZATION: &str = "process.cpu.utilization";
/// Resident memory, in bytes.
pub(crate) const PROCESS_MEMORY_USAGE: &str = "process.memory.usage";
/// Virtual memory, in bytes.
pub(crate) const PROCESS_MEMORY_VIRTUAL: &str = "process.memory.virtual";
/// Page faults, split by [`PAGING_FAULT_TYPE`].
pub(crate) const PROCESS_PAGING_FAULTS: &str = "process.paging.faults";
/// Threads.
pub(crate) const PROCESS_THREAD_COUNT: &str = "process.thread.count";
/// Open file descriptors.
pub(crate) const PROCESS_FILE_DESCRIPTORS: &str = "process.unix.file_descriptor.count";
/// The age of the process, in seconds.
pub(crate) const PROCESS_UPTIME: &str = "process.uptime";
/// Bytes that the process caused to be transferred to or from storage, split by [`DISK_DIRECTION`].
pub(crate) const PROCESS_DISK_IO: &str = "process.disk.io";
/// Bytes over the network, split by [`NETWORK_DIRECTION`] and [`NETWORK_CLASS`].
pub(crate) const SYSTEM_NETWORK_IO: &str = "system.network.io";
/// The machine's memory, in bytes, split by [`SYSTEM_MEMORY_STATE`].
pub(crate) const SYSTEM_MEMORY_USAGE: &str = "system.memory.usage";
/// All of the machine's memory, in bytes.
pub(crate) const SYSTEM_MEMORY_LIMIT: &str = "system.memory.limit";

// What these conventions lack.
/// Heap in use, in bytes, with [`HEAP_SOURCE`].
pub(crate) const PROCESS_HEAP_USAGE: &str = "aimux.process.heap.usage";
/// Resident memory that would kill the process, in bytes.
pub(crate) const PROCESS_MEMORY_LIMIT: &str = "aimux.process.memory.limit";
/// Resident memory over that limit.
pub(crate) const PROCESS_MEMORY_PRESSURE: &str = "aimux.process.memory.pressure";
/// How many CPUs the process may use at once.
pub(crate) const PROCESS_CPU_LIMIT: &str = "aimux.process.cpu.limit";
/// Bytes that the process read and wrote by system calls, split by [`DISK_DIRECTION`].
pub(crate) const PROCESS_IO: &str = "aimux.process.io";
/// How many such calls, split by [`DISK_DIRECTION`].
pub(crate) const PROCESS_IO_CALLS: &str = "aimux.process.io.calls";

/// What the windows keep of the process.
pub(crate) const PROCESS: [&str; 12] = [
    PROCESS_CPU_TIME,
    PROCESS_CPU_UTILIZATION,
    PROCESS_MEMORY_USAGE,
    PROCESS_PAGING_FAULTS,
    PROCESS_THREAD_COUNT,
    PROCESS_FILE_DESCRIPTORS,
    PROCESS_DISK_IO,
    SYSTEM_NETWORK_IO,
    PROCESS_HEAP_USAGE,
    PROCESS_MEMORY_PRESSURE,
    PROCESS_IO,
    PROCESS_IO_CALLS,
];

// Attributes of the conventions.
/// `chat`, `embeddings`, …
pub(crate) const GEN_AI_OPERATION_NAME: &str = "gen_ai.operation.name";
/// The AI provider.
pub(crate) const GEN_AI_PROVIDER_NAME: &str = "gen_ai.provider.name";
/// The name that [`GEN_AI_PROVIDER_NAME`] had before.
pub(crate) const GEN_AI_SYSTEM: &str = "gen_ai.system";
/// The model asked for.
pub(crate) const GEN_AI_REQUEST_MODEL: &str = "gen_ai.request.model";
/// `input` or `output`.
pub(crate) const GEN_AI_TOKEN_TYPE: &str = "gen_ai.token.type";
/// Of what the tokens are; nobody tells us.
pub(crate) const TOKEN_MODALITY: &str = "gen_ai.token.modality";
/// What went wrong, from a closed set; absent on success.
pub(crate) const ERROR_TYPE: &str = "error.type";
/// `GET`, `POST`, …
pub(crate) const HTTP_REQUEST_METHOD: &str = "http.request.method";
/// The route template.
pub(crate) const HTTP_ROUTE: &str = "http.route";
/// The status code of the response.
pub(crate) const HTTP_RESPONSE_STATUS_CODE: &str = "http.response.status_code";
/// `user` or `system`.
pub(crate) const CPU_MODE: &str = "cpu.mode";
/// `minor` or `major`.
pub(crate) const PAGING_FAULT_TYPE: &str = "system.paging.fault.type";
/// `read` or `write`.
pub(crate) const DISK_DIRECTION: &str = "disk.io.direction";
/// `receive` or `transmit`.
pub(crate) const NETWORK_DIRECTION: &str = "network.io.direction";
/// `used`, `free`, `cached` or `buffers`.
pub(crate) const SYSTEM_MEMORY_STATE: &str = "system.memory.state";
/// Marks the series that holds what went over a limit of series.
pub(crate) const METRIC_OVERFLOW: &str = "otel.metric.overflow";

// Attributes of our own.
/// A component of the gateway.
pub(crate) const COMPONENT: &str = "aimux.component";
/// What the component did.
pub(crate) const OPERATION: &str = "aimux.operation";
/// The name of a timer.
pub(crate) const TIMER: &str = "aimux.timer";
/// An experiment: what is tried in several variants.
pub(crate) const EXPERIMENT: &str = "aimux.experiment";
/// The variant of it that was tried.
pub(crate) const VARIANT: &str = "aimux.variant";
/// `hit` or `miss`.
pub(crate) const CACHE_RESULT: &str = "aimux.cache.result";
/// The provider that was given up.
pub(crate) const FAILOVER_FROM: &str = "aimux.failover.from";
/// The provider that took over.
pub(crate) const FAILOVER_TO: &str = "aimux.failover.to";
/// Why.
pub(crate) const FAILOVER_REASON: &str = "aimux.failover.reason";
/// How many attempts an operation took: `0` to `9`, or `10+`.
pub(crate) const OPERATION_ATTEMPTS: &str = "aimux.operation.attempts";
/// `answered`, `failed`, or `exhausted` where every attempt failed by a fault that is not the
/// caller's.
pub(crate) const OPERATION_OUTCOME: &str = "aimux.operation.outcome";
/// `cache_read`, `cache_write` or `reasoning`.
pub(crate) const TOKEN_DETAIL: &str = "aimux.token.detail";
/// `requests`, `tokens`, `input_tokens` or `output_tokens`.
pub(crate) const RATE_LIMIT_RESOURCE: &str = "aimux.rate_limit.resource";
/// Whose limit it was: `provider` or `gateway`.
pub(crate) const RATE_LIMIT_BY: &str = "aimux.rate_limit.by";
/// `loopback`, or `external` for all other interfaces.
pub(crate) const NETWORK_CLASS: &str = "aimux.network.class";
/// Who tells how much heap is used: `jemalloc` or `kernel_anonymous`.
pub(crate) const HEAP_SOURCE: &str = "aimux.heap.source";

/// The target of the span that stands for a call to a provider which a guard measures.
pub(crate) const CALL_TARGET: &str = "aimux_otel::call";

/// The target of what the monitor says of itself.
pub(crate) const LOG_TARGET: &str = "aimux_otel";

/// The header by which a gateway and its client know a request; usual, and in no standard.
#[cfg(feature = "server")]
pub(crate) const X_REQUEST_ID: &str = "x-request-id";
/// The headers by which providers name a call: OpenAI's and most others', and Anthropic's.
#[cfg(feature = "server")]
pub(crate) const PROVIDER_REQUEST_IDS: [&str; 2] = [X_REQUEST_ID, "request-id"];

// The span that stands for an operation which the HTTP layer keeps.
/// Its target.
pub(crate) const HTTP_TARGET: &str = "aimux_otel::http";
/// Its field with the number of the open operation.
pub(crate) const HTTP_OPERATION: &str = "aimux.http_operation";

// Fields of spans.
/// The time to the first token, in milliseconds.
#[cfg(feature = "otlp")]
pub(crate) const TTFT_MS: &str = "ttft_ms";
/// The short and the older names of fields, and those of the conventions: what a span that is
/// exported has instead. An `operation` beside a component is the component's.
#[cfg(feature = "otlp")]
pub(crate) const SPAN_ALIASES: [(&str, &str); 18] = [
    (GEN_AI_SYSTEM, GEN_AI_PROVIDER_NAME),
    ("provider", GEN_AI_PROVIDER_NAME),
    ("model", GEN_AI_REQUEST_MODEL),
    ("operation", GEN_AI_OPERATION_NAME),
    ("endpoint", HTTP_ROUTE),
    ("method", HTTP_REQUEST_METHOD),
    ("status_code", HTTP_RESPONSE_STATUS_CODE),
    ("request_size", "http.request.body.size"),
    ("response_size", "http.response.body.size"),
    ("error_type", ERROR_TYPE),
    ("input_tokens", "gen_ai.usage.input_tokens"),
    ("output_tokens", "gen_ai.usage.output_tokens"),
    ("cache_read_tokens", "gen_ai.usage.cache_read.input_tokens"),
    (
        "cache_write_tokens",
        "gen_ai.usage.cache_creation.input_tokens",
    ),
    ("reasoning_tokens", "gen_ai.usage.reasoning.output_tokens"),
    ("cost", COST),
    (TTFT_MS, "gen_ai.response.time_to_first_chunk"),
    ("component", COMPONENT),
];

// Values.
/// Stands for every value that was not admitted, or is not known.
pub(crate) const OTHER: &str = "_OTHER";
/// What an attempt does, unless it says something else: a value of [`GEN_AI_OPERATION_NAME`].
pub(crate) const USUAL_OPERATION: &str = "chat";
/// A value of [`GEN_AI_TOKEN_TYPE`].
pub(crate) const TOKEN_INPUT: &str = "input";
/// A value of [`GEN_AI_TOKEN_TYPE`].
pub(crate) const TOKEN_OUTPUT: &str = "output";
/// The component whose work is to wait on purpose: before another attempt, or for a place.
pub(crate) const WAIT: &str = "wait";
/// A value of [`RATE_LIMIT_BY`].
pub(crate) const BY_GATEWAY: &str = "gateway";
/// A value of [`RATE_LIMIT_BY`].
pub(crate) const BY_PROVIDER: &str = "provider";
/// A value of [`OPERATION_OUTCOME`].
pub(crate) const ANSWERED: &str = "answered";
/// A value of [`OPERATION_OUTCOME`].
pub(crate) const FAILED: &str = "failed";
/// A value of [`OPERATION_OUTCOME`].
pub(crate) const EXHAUSTED: &str = "exhausted";
/// A value of [`CACHE_RESULT`].
pub(crate) const CACHE_HIT: &str = "hit";
/// A value of [`CACHE_RESULT`].
pub(crate) const CACHE_MISS: &str = "miss";

// The monitor's own health.
/// Measurements offered to the monitor.
pub(crate) const EVENTS_OFFERED: &str = "aimux.monitor.events.offered";
/// Measurements counted.
pub(crate) const EVENTS_RECORDED: &str = "aimux.monitor.events.recorded";
/// Measurements dropped, split by [`REASON`].
pub(crate) const EVENTS_DROPPED: &str = "aimux.monitor.events.dropped";
/// Series in use.
pub(crate) const SERIES: &str = "aimux.monitor.series";
/// Measurements that share a series for want of room.
pub(crate) const SERIES_REFUSED: &str = "aimux.monitor.series.refused";
/// Label values refused, split by [`LABEL_KIND`].
pub(crate) const LABELS_REFUSED: &str = "aimux.monitor.labels.refused";
/// Field values of a wrong type or range.
pub(crate) const FIELDS_UNREADABLE: &str = "aimux.monitor.fields.unreadable";
/// What the names of the metrics about what is pushed begin with.
pub(crate) const PUSHES: &str = "aimux.monitor.push.";
/// What was pushed and arrived, split by [`DESTINATION`].
#[cfg(any(feature = "push", feature = "otlp"))]
pub(crate) const PUSH_SENT: &str = "aimux.monitor.push.sent";
/// Attempts to push that failed, split by [`DESTINATION`].
#[cfg(any(feature = "push", feature = "otlp"))]
pub(crate) const PUSH_FAILURES: &str = "aimux.monitor.push.failures";
/// What was to be pushed and was given up, split by [`DESTINATION`] and [`REASON`].
#[cfg(any(feature = "push", feature = "otlp"))]
pub(crate) const PUSH_DROPPED: &str = "aimux.monitor.push.dropped";
/// Where something was pushed to: what it is, never its address.
#[cfg(any(feature = "push", feature = "otlp"))]
pub(crate) const DESTINATION: &str = "aimux.destination";
/// Memory that the monitor takes, split by [`PART`].
pub(crate) const MONITOR_MEMORY: &str = "aimux.monitor.memory";
/// Processor time of the monitor's own threads, split by [`PART`].
pub(crate) const MONITOR_CPU_TIME: &str = "aimux.monitor.cpu.time";
/// What memory or processor time is for.
pub(crate) const PART: &str = "aimux.part";
/// Why something was dropped.
pub(crate) const REASON: &str = "aimux.reason";
/// The kind of a label.
pub(crate) const LABEL_KIND: &str = "aimux.label";

// Alerts.
/// Alerts that fire, by [`ALERT_RULE`] and [`ALERT_SEVERITY`].
pub(crate) const ALERTS_ACTIVE: &str = "aimux.alerts.active";
/// Changes of state of alerts, by [`ALERT_STATE`].
pub(crate) const ALERTS_CHANGES: &str = "aimux.alerts.changes";
/// The id of a rule.
pub(crate) const ALERT_RULE: &str = "aimux.alert.rule";
/// `info`, `warning` or `critical`.
pub(crate) const ALERT_SEVERITY: &str = "aimux.alert.severity";
/// `pending`, `firing` or `resolved`.
pub(crate) const ALERT_STATE: &str = "aimux.alert.state";

/// Time per chunk after the first, in seconds.
pub(crate) const GEN_AI_TIME_PER_OUTPUT_CHUNK: &str =
    "gen_ai.client.operation.time_per_output_chunk";

/// The names whose histograms are made exponential, whoever records them.
pub(crate) const EXPONENTIAL: [&str; 16] = [
    INFERENCE_DURATION,
    INFERENCE_TIME_TO_FIRST_CHUNK,
    INFERENCE_TIME_PER_OUTPUT_CHUNK,
    INFERENCE_INPUT_TOKENS,
    INFERENCE_OUTPUT_TOKENS,
    GEN_AI_OPERATION_DURATION,
    GEN_AI_TIME_TO_FIRST_CHUNK,
    GEN_AI_TIME_PER_OUTPUT_CHUNK,
    GEN_AI_TOKEN_USAGE,
    HTTP_SERVER_REQUEST_DURATION,
    HTTP_SERVER_REQUEST_BODY_SIZE,
    HTTP_SERVER_RESPONSE_BODY_SIZE,
    COMPONENT_DURATION,
    TIMER_DURATION,
    EXPERIMENT_DURATION,
    OPERATION_OVERHEAD,
];

/// The metrics of calls to providers that both profiles have: what it is called today, which of
/// them (a value of [`GEN_AI_TOKEN_TYPE`], if any), and what the newer conventions call it.
pub(crate) const PROFILES: [(&str, Option<&str>, &str); 5] = [
    (GEN_AI_OPERATION_DURATION, None, INFERENCE_DURATION),
    (
        GEN_AI_TIME_TO_FIRST_CHUNK,
        None,
        INFERENCE_TIME_TO_FIRST_CHUNK,
    ),
    (
        GEN_AI_TIME_PER_OUTPUT_CHUNK,
        None,
        INFERENCE_TIME_PER_OUTPUT_CHUNK,
    ),
    (
        GEN_AI_TOKEN_USAGE,
        Some(TOKEN_INPUT),
        INFERENCE_INPUT_TOKENS,
    ),
    (
        GEN_AI_TOKEN_USAGE,
        Some(TOKEN_OUTPUT),
        INFERENCE_OUTPUT_TOKENS,
    ),
];
/// What only the newer conventions have: counters of tokens.
pub(crate) const USAGE: [&str; 5] = [
    INFERENCE_USAGE_INPUT,
    INFERENCE_USAGE_OUTPUT,
    INFERENCE_USAGE_CACHE_READ,
    INFERENCE_USAGE_CACHE_WRITE,
    INFERENCE_USAGE_REASONING,
];

/// The values of `gen_ai.operation.name` that are no inference: the newer conventions have no name
/// of their own for these yet.
pub(crate) const NO_INFERENCE: [&str; 5] = [
    "embeddings",
    "execute_tool",
    "create_agent",
    "invoke_agent",
    "retrieval",
];

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

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of both profiles side by side.
    fn table() -> String {
        let mut table = String::from("| today | newer |\n| --- | --- |\n");
        for (today, which, newer) in PROFILES {
            let which = which.map_or_else(String::new, |which| {
                format!(" with `{GEN_AI_TOKEN_TYPE}` = `{which}`")
            });
            table += &format!("| `{today}`{which} | `{newer}` |\n");
        }
        for newer in USAGE {
            table +=
                &format!("| – | `{newer}`, a counter, with `{TOKEN_MODALITY}` = `unknown` |\n");
        }
        let others = NO_INFERENCE.map(|name| format!("`{name}`")).join(", ");
        table += &format!(
            "\nWhat is no inference, `{GEN_AI_OPERATION_NAME}` = {others}, keeps the names of today in each.\n"
        );
        table
    }

    #[test]
    fn the_docs_have_the_names_of_both_profiles() {
        let docs = include_str!("../docs/conventions.md");
        let table = table();
        assert!(
            docs.ends_with(&table),
            "docs/conventions.md is to end with\n{table}"
        );
    }
}
