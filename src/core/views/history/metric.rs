//! What can be asked for over time, and what each of these is computed from.

use crate::core::process::MEBIBYTE;
use crate::names;

/// A figure that can be asked for over time.
///
/// Its name in a query is [`name`](Self::name), which is that of the field in the other answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum HistoryMetric {
    /// How many, failures included.
    TotalRequests,
    /// How many succeeded.
    SuccessfulRequests,
    /// How many failed.
    FailedRequests,
    /// How many failed since they took too long.
    TimeoutRequests,
    /// How many failed since there were too many.
    RateLimitedRequests,
    /// How many per second.
    RequestsPerSecond,
    /// How many per minute.
    RequestsPerMinute,
    /// How many failures per second.
    ErrorsPerSecond,
    /// How many of 100 succeeded.
    SuccessRatePercent,
    /// How many of 100 succeeded, those left out that failed by the caller's fault.
    ProviderSuccessRatePercent,
    /// How many of 100 failed.
    ErrorRatePercent,
    /// The average duration.
    AverageResponseTimeMs,
    /// The shortest duration.
    MinResponseTimeMs,
    /// The longest duration.
    MaxResponseTimeMs,
    /// Half took at most so long.
    P50ResponseTimeMs,
    /// 95 % took at most so long; also asked for as `response_time_ms`.
    P95ResponseTimeMs,
    /// 99 % took at most so long.
    P99ResponseTimeMs,
    /// 99.9 % took at most so long.
    P999ResponseTimeMs,
    /// The average time to the first token.
    AvgTimeToFirstTokenMs,
    /// Half of the first tokens took at most so long.
    P50TimeToFirstTokenMs,
    /// 95 % of the first tokens took at most so long; also asked for as `time_to_first_token_ms`.
    P95TimeToFirstTokenMs,
    /// 99 % of the first tokens took at most so long.
    P99TimeToFirstTokenMs,
    /// Tokens that went to models.
    InputTokens,
    /// Tokens that came from models.
    OutputTokens,
    /// Spending.
    TotalCost,
    /// Spending in an hour, at the pace of the point.
    CostPerHour,
    /// The average cost of a request.
    CostPerRequest,
    /// The average body of a request.
    AvgRequestSize,
    /// The average body of a response.
    AvgResponseSize,
    /// How often the response cache had the answer.
    CacheHits,
    /// How often the response cache had not.
    CacheMisses,
    /// How many of 100 times the response cache had the answer.
    CacheHitRatePercent,
    /// Rate limits that events told of.
    RateLimitHits,
    /// Timeouts that events told of.
    Timeouts,
    /// How often one provider stood in for another.
    Failovers,
    /// Resident memory over the limit that would kill the process; also asked for as
    /// `memory_pressure_percent`.
    MemoryPressure,
    /// Resident memory, in MiB.
    MemoryUsageMb,
    /// Heap in use, in MiB.
    HeapUsedMb,
    /// CPU time in percent of what the process may use.
    CpuUsagePercent,
    /// Threads of the process.
    Threads,
    /// Open file descriptors of the process.
    OpenFds,
    /// Bytes in over the network of the process's namespace, without loopback.
    ReceivedBytesPerSecond,
    /// Bytes out over the network of the process's namespace, without loopback.
    SentBytesPerSecond,
    /// Bytes that the process caused to be read from storage.
    DiskReadBytesPerSecond,
    /// Bytes that the process caused to be written to storage.
    DiskWrittenBytesPerSecond,
}

/// What a figure is computed from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Source {
    /// Durations, of whatever the scope has.
    Durations,
    FirstToken,
    Tokens(&'static str),
    Cost,
    Size(&'static str),
    Cache,
    Counter(&'static str),
    /// Readings of the process, of which one is so much.
    Gauge(&'static str, f64),
    /// A sum that the process has, of the series with these labels.
    Usage(&'static str, &'static [(&'static str, &'static str)]),
}

/// How it is computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Figure {
    Total,
    Successes,
    Failures,
    Timeouts,
    RateLimited,
    /// So many in so many seconds.
    Per(f64),
    ErrorsPerSecond,
    SuccessRate,
    ProviderSuccessRate,
    ErrorRate,
    Average,
    /// The average of a gauge.
    Level,
    Min,
    Max,
    Quantile(f64),
    Sum,
    SumPerSecond,
    SumPerHour,
    SumPerRequest,
}

/// Everything about a metric.
#[derive(Debug, Clone, Copy)]
pub(super) struct Definition {
    name: &'static str,
    unit: &'static str,
    pub(super) source: Source,
    pub(super) figure: Figure,
}

const REQUESTS: &str = "{request}";
const PERCENT: &str = "%";
const MS: &str = "ms";

const RECEIVED: [(&str, &str); 2] = [
    (names::NETWORK_CLASS, "external"),
    (names::NETWORK_DIRECTION, "receive"),
];
const SENT: [(&str, &str); 2] = [
    (names::NETWORK_CLASS, "external"),
    (names::NETWORK_DIRECTION, "transmit"),
];

impl HistoryMetric {
    /// All of them.
    pub const ALL: [Self; 45] = [
        Self::TotalRequests,
        Self::SuccessfulRequests,
        Self::FailedRequests,
        Self::TimeoutRequests,
        Self::RateLimitedRequests,
        Self::RequestsPerSecond,
        Self::RequestsPerMinute,
        Self::ErrorsPerSecond,
        Self::SuccessRatePercent,
        Self::ProviderSuccessRatePercent,
        Self::ErrorRatePercent,
        Self::AverageResponseTimeMs,
        Self::MinResponseTimeMs,
        Self::MaxResponseTimeMs,
        Self::P50ResponseTimeMs,
        Self::P95ResponseTimeMs,
        Self::P99ResponseTimeMs,
        Self::P999ResponseTimeMs,
        Self::AvgTimeToFirstTokenMs,
        Self::P50TimeToFirstTokenMs,
        Self::P95TimeToFirstTokenMs,
        Self::P99TimeToFirstTokenMs,
        Self::InputTokens,
        Self::OutputTokens,
        Self::TotalCost,
        Self::CostPerHour,
        Self::CostPerRequest,
        Self::AvgRequestSize,
        Self::AvgResponseSize,
        Self::CacheHits,
        Self::CacheMisses,
        Self::CacheHitRatePercent,
        Self::RateLimitHits,
        Self::Timeouts,
        Self::Failovers,
        Self::MemoryPressure,
        Self::MemoryUsageMb,
        Self::HeapUsedMb,
        Self::CpuUsagePercent,
        Self::Threads,
        Self::OpenFds,
        Self::ReceivedBytesPerSecond,
        Self::SentBytesPerSecond,
        Self::DiskReadBytesPerSecond,
        Self::DiskWrittenBytesPerSecond,
    ];

    /// Other names under which a metric is known: those of alert rules, and of other answers.
    pub const ALIASES: [(&str, Self); 3] = [
        ("response_time_ms", Self::P95ResponseTimeMs),
        ("memory_pressure_percent", Self::MemoryPressure),
        ("time_to_first_token_ms", Self::P95TimeToFirstTokenMs),
    ];

    /// As it is spelled in a query.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.definition().name
    }

    /// The unit, in UCUM, e.g. `ms`, `%`, `By`; money in `USD`.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        self.definition().unit
    }

    /// The metric of that name, or of that other name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let other = || Self::ALIASES.into_iter().find(|(alias, _)| *alias == name);
        let metric = Self::ALL.into_iter().find(|metric| metric.name() == name);
        metric.or_else(|| other().map(|(_, metric)| metric))
    }

    /// Whether it is of the process, and of nothing else.
    pub(super) const fn is_of_process(self) -> bool {
        matches!(
            self.definition().source,
            Source::Gauge(..) | Source::Usage(..)
        )
    }

    pub(super) const fn definition(self) -> Definition {
        use Figure as F;
        use Source as S;
        let (name, unit, source, figure) = match self {
            Self::TotalRequests => ("total_requests", REQUESTS, S::Durations, F::Total),
            Self::SuccessfulRequests => {
                ("successful_requests", REQUESTS, S::Durations, F::Successes)
            }
            Self::FailedRequests => ("failed_requests", REQUESTS, S::Durations, F::Failures),
            Self::TimeoutRequests => ("timeout_requests", REQUESTS, S::Durations, F::Timeouts),
            Self::RateLimitedRequests => (
                "rate_limited_requests",
                REQUESTS,
                S::Durations,
                F::RateLimited,
            ),
            Self::RequestsPerSecond => ("requests_per_second", "1/s", S::Durations, F::Per(1.0)),
            Self::RequestsPerMinute => ("requests_per_minute", "1/min", S::Durations, F::Per(60.0)),
            Self::ErrorsPerSecond => ("errors_per_second", "1/s", S::Durations, F::ErrorsPerSecond),
            Self::SuccessRatePercent => (
                "success_rate_percent",
                PERCENT,
                S::Durations,
                F::SuccessRate,
            ),
            Self::ProviderSuccessRatePercent => (
                "provider_success_rate_percent",
                PERCENT,
                S::Durations,
                F::ProviderSuccessRate,
            ),
            Self::ErrorRatePercent => ("error_rate_percent", PERCENT, S::Durations, F::ErrorRate),
            Self::AverageResponseTimeMs => {
                ("average_response_time_ms", MS, S::Durations, F::Average)
            }
            Self::MinResponseTimeMs => ("min_response_time_ms", MS, S::Durations, F::Min),
            Self::MaxResponseTimeMs => ("max_response_time_ms", MS, S::Durations, F::Max),
            Self::P50ResponseTimeMs => ("p50_response_time_ms", MS, S::Durations, F::Quantile(0.5)),
            Self::P95ResponseTimeMs => {
                ("p95_response_time_ms", MS, S::Durations, F::Quantile(0.95))
            }
            Self::P99ResponseTimeMs => {
                ("p99_response_time_ms", MS, S::Durations, F::Quantile(0.99))
            }
            Self::P999ResponseTimeMs => (
                "p99_9_response_time_ms",
                MS,
                S::Durations,
                F::Quantile(0.999),
            ),
            Self::AvgTimeToFirstTokenMs => {
                ("avg_time_to_first_token_ms", MS, S::FirstToken, F::Average)
            }
            Self::P50TimeToFirstTokenMs => (
                "p50_time_to_first_token_ms",
                MS,
                S::FirstToken,
                F::Quantile(0.5),
            ),
            Self::P95TimeToFirstTokenMs => (
                "p95_time_to_first_token_ms",
                MS,
                S::FirstToken,
                F::Quantile(0.95),
            ),
            Self::P99TimeToFirstTokenMs => (
                "p99_time_to_first_token_ms",
                MS,
                S::FirstToken,
                F::Quantile(0.99),
            ),
            Self::InputTokens => (
                "input_tokens",
                "{token}",
                S::Tokens(names::TOKEN_INPUT),
                F::Sum,
            ),
            Self::OutputTokens => (
                "output_tokens",
                "{token}",
                S::Tokens(names::TOKEN_OUTPUT),
                F::Sum,
            ),
            Self::TotalCost => ("total_cost", "USD", S::Cost, F::Sum),
            Self::CostPerHour => ("cost_per_hour", "USD/h", S::Cost, F::SumPerHour),
            Self::CostPerRequest => ("cost_per_request", "USD", S::Cost, F::SumPerRequest),
            Self::AvgRequestSize => (
                "avg_request_size",
                "By",
                S::Size(names::HTTP_SERVER_REQUEST_BODY_SIZE),
                F::Average,
            ),
            Self::AvgResponseSize => (
                "avg_response_size",
                "By",
                S::Size(names::HTTP_SERVER_RESPONSE_BODY_SIZE),
                F::Average,
            ),
            Self::CacheHits => ("cache_hits", "{result}", S::Cache, F::Successes),
            Self::CacheMisses => ("cache_misses", "{result}", S::Cache, F::Failures),
            Self::CacheHitRatePercent => {
                ("cache_hit_rate_percent", PERCENT, S::Cache, F::SuccessRate)
            }
            Self::RateLimitHits => (
                "rate_limit_hits",
                "{hit}",
                S::Counter(names::RATE_LIMIT_HITS),
                F::Total,
            ),
            Self::Timeouts => (
                "timeouts",
                "{timeout}",
                S::Counter(names::TIMEOUTS),
                F::Total,
            ),
            Self::Failovers => (
                "failovers",
                "{failover}",
                S::Counter(names::FAILOVERS),
                F::Total,
            ),
            Self::MemoryPressure => (
                "memory_pressure",
                PERCENT,
                S::Gauge(names::PROCESS_MEMORY_PRESSURE, 0.01),
                F::Level,
            ),
            Self::MemoryUsageMb => (
                "memory_usage_mb",
                "MiBy",
                S::Gauge(names::PROCESS_MEMORY_USAGE, MEBIBYTE),
                F::Level,
            ),
            Self::HeapUsedMb => (
                "heap_used_mb",
                "MiBy",
                S::Gauge(names::PROCESS_HEAP_USAGE, MEBIBYTE),
                F::Level,
            ),
            Self::CpuUsagePercent => (
                "cpu_usage_percent",
                PERCENT,
                S::Gauge(names::PROCESS_CPU_UTILIZATION, 0.01),
                F::Level,
            ),
            Self::Threads => (
                "threads",
                "{thread}",
                S::Gauge(names::PROCESS_THREAD_COUNT, 1.0),
                F::Level,
            ),
            Self::OpenFds => (
                "open_fds",
                "{file_descriptor}",
                S::Gauge(names::PROCESS_FILE_DESCRIPTORS, 1.0),
                F::Level,
            ),
            Self::ReceivedBytesPerSecond => (
                "received_bytes_per_second",
                "By/s",
                S::Usage(names::SYSTEM_NETWORK_IO, &RECEIVED),
                F::SumPerSecond,
            ),
            Self::SentBytesPerSecond => (
                "sent_bytes_per_second",
                "By/s",
                S::Usage(names::SYSTEM_NETWORK_IO, &SENT),
                F::SumPerSecond,
            ),
            Self::DiskReadBytesPerSecond => (
                "disk_read_bytes_per_second",
                "By/s",
                S::Usage(names::PROCESS_DISK_IO, &[(names::DISK_DIRECTION, "read")]),
                F::SumPerSecond,
            ),
            Self::DiskWrittenBytesPerSecond => (
                "disk_written_bytes_per_second",
                "By/s",
                S::Usage(names::PROCESS_DISK_IO, &[(names::DISK_DIRECTION, "write")]),
                F::SumPerSecond,
            ),
        };
        Definition {
            name,
            unit,
            source,
            figure,
        }
    }
}
