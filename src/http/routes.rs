//! All routes, in the order in which they are documented.

use super::{
    answer, config, export,
    metrics::Metrics,
    openapi, over_time,
    query::{ENDPOINT, EXPERIMENT, PROVIDER, WINDOW},
    route::{Action, Change, Json, Route, View},
};
use crate::core::configuration;
use std::marker::PhantomData;

/// The route that scrapers ask: any name may lead to it.
pub(crate) const METRICS: &str = "/metrics";

/// The table: to add a route, add it here.
pub(crate) static ROUTES: &[Route] = &[
    Route {
        path: "/performance",
        summary: "Everything at once.",
        parameters: &[WINDOW],
        action: Action::Get(&View(answer::report)),
    },
    Route {
        path: "/performance/real-time",
        summary: "The last minutes: providers, endpoints, the newest events, memory and alerts.",
        parameters: &[WINDOW],
        action: Action::Get(&View(answer::real_time)),
    },
    Route {
        path: "/performance/providers",
        summary: "What each provider and each of its models did.",
        parameters: &[WINDOW, PROVIDER],
        action: Action::Get(&View(answer::providers)),
    },
    Route {
        path: "/performance/endpoints",
        summary: "What each endpoint did.",
        parameters: &[WINDOW, ENDPOINT],
        action: Action::Get(&View(answer::endpoints)),
    },
    Route {
        path: "/performance/components",
        summary: "What each component and each of its operations did.",
        parameters: &[WINDOW],
        action: Action::Get(&View(answer::components)),
    },
    Route {
        path: "/performance/alerts",
        summary: "What is watched for and is the case.",
        parameters: &[],
        action: Action::Get(&View(answer::alerts)),
    },
    Route {
        path: "/performance/memory",
        summary: "The process's memory and how it changed, its CPU, network, input and output.",
        parameters: &[WINDOW],
        action: Action::Get(&View(answer::memory)),
    },
    Route {
        path: "/performance/experiments",
        summary: "The variants of each experiment side by side, and whether they differ by more \
                  than noise.",
        parameters: &[WINDOW, EXPERIMENT],
        action: Action::Get(&View(answer::experiments)),
    },
    Route {
        path: "/performance/history",
        summary: "One figure over time, at any step.",
        parameters: &[
            over_time::METRIC,
            over_time::SCOPE,
            over_time::WINDOW,
            over_time::STEP,
        ],
        action: Action::Get(&View(over_time::history)),
    },
    Route {
        path: "/performance/config",
        summary: "All that is in force.",
        parameters: &[],
        action: Action::Get(&Json(config::tell)),
    },
    Route {
        path: "/performance/config",
        summary: "Changes what is in force: all that is asked for, or nothing.",
        parameters: &[],
        action: Action::Post(&Change {
            change: config::change,
            asked: PhantomData::<fn(configuration::Change)>,
        }),
    },
    Route {
        path: "/performance/summary",
        summary: "How the gateway is, for a status page, and what watching it costs.",
        parameters: &[WINDOW],
        action: Action::Get(&Json(answer::summary)),
    },
    Route {
        path: "/performance/cardinality",
        summary: "Which label values are admitted, and which were refused most.",
        parameters: &[],
        action: Action::Get(&Json(answer::labels)),
    },
    Route {
        path: "/performance/slowest",
        summary: "The few slowest and the last failed requests, with their traces.",
        parameters: &[WINDOW, PROVIDER, ENDPOINT],
        action: Action::Get(&View(answer::slowest)),
    },
    Route {
        path: "/performance/export",
        summary: "All that was measured, or what changed since, for other programs.",
        parameters: &[export::FORMAT, export::SINCE],
        action: Action::Get(&export::Exporting),
    },
    Route {
        path: "/performance/openapi.json",
        summary: "This description.",
        parameters: &[],
        action: Action::Get(&Json(openapi::description)),
    },
    Route {
        path: METRICS,
        summary: "All metrics, in Prometheus' text format, or in OpenMetrics to whoever accepts that.",
        parameters: &[],
        action: Action::Get(&Metrics),
    },
];

/// The paths, each once.
pub(crate) fn paths() -> Vec<&'static str> {
    let mut paths: Vec<&str> = ROUTES.iter().map(|route| route.path).collect();
    paths.dedup();
    paths
}
