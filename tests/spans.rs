//! From spans to views: what `#[instrument]` and its fields come to.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use aimux_otel::{PerformanceEventType, PerformanceMonitor, ProvidersView, Window};
use std::time::Duration;
use tracing::{Span, field::Empty, info_span, instrument};
use tracing_subscriber::{Registry, layer::SubscriberExt};

fn monitor() -> PerformanceMonitor {
    let builder = PerformanceMonitor::builder().collection_interval(Duration::from_secs(3_600));
    builder.build().unwrap()
}

/// Runs `body` with a subscriber of nothing but the monitor's layer, and collects.
fn measured(monitor: &PerformanceMonitor, body: impl FnOnce()) {
    let subscriber = tracing_subscriber::registry().with(monitor.layer::<Registry>());
    tracing::subscriber::with_default(subscriber, body);
    monitor.collect();
}

fn providers(monitor: &PerformanceMonitor) -> ProvidersView {
    monitor.providers(Window::SinceStart).unwrap()
}

#[instrument(skip_all, fields(provider = "cerebras", model, status_code, cost))]
fn call(model: &str, status: u64) {
    let span = Span::current();
    span.record("model", model);
    span.record("status_code", status);
    span.record("cost", 0.0042);
}

#[test]
fn an_annotated_function_is_an_attempt() {
    let monitor = monitor();
    measured(&monitor, || {
        call("llama3.1-70b", 200);
        call("llama3.1-70b", 200);
        call("llama3.1-8b", 503);
    });
    let view = providers(&monitor);
    let cerebras = &view.providers["cerebras"];
    assert_eq!(cerebras.total_requests, 3);
    assert_eq!(cerebras.successful_requests, 2);
    assert_eq!(cerebras.failed_requests, 1);
    assert_eq!(cerebras.total_cost, 0.0126);
    assert_eq!(cerebras.model_stats.len(), 2);
    let health = monitor.health();
    assert_eq!((health.offered, health.counted), (3, 3));
}

#[test]
fn a_span_that_is_both_is_one_operation_and_one_attempt() {
    let monitor = monitor();
    measured(&monitor, || {
        let span = info_span!("both", endpoint = "/v1/chat", provider = "openai");
        drop(span);
    });
    let endpoints = monitor.endpoints(Window::SinceStart).unwrap();
    assert_eq!(endpoints.aggregated.total_operations, 1);
    assert_eq!(providers(&monitor).summary.total_requests, 1);
}

#[test]
fn a_child_that_recorded_an_attempt_replaces_that_of_its_operation() {
    let monitor = monitor();
    measured(&monitor, || {
        let operation = info_span!("operation", endpoint = "/v1/chat", provider = "openai");
        operation.in_scope(|| {
            info_span!("between").in_scope(|| {
                drop(info_span!(
                    "attempt",
                    provider = "anthropic",
                    model = "haiku"
                ));
                drop(info_span!("attempt", provider = "openai", model = "mini"));
            });
        });
    });
    let view = providers(&monitor);
    assert_eq!(view.summary.total_requests, 2);
    assert_eq!(view.providers["openai"].total_requests, 1);
    assert_eq!(
        monitor.health().counted,
        3,
        "one operation and two attempts"
    );
}

#[test]
fn spans_of_others_between_make_no_difference() {
    let monitor = monitor();
    let beside = tracing_subscriber::fmt::layer().with_writer(std::io::sink);
    let layer = monitor.layer::<Registry>();
    let subscriber = tracing_subscriber::registry().with(layer).with(beside);
    tracing::subscriber::with_default(subscriber, || {
        let operation = info_span!("operation", endpoint = "/v1/chat", provider = "openai");
        let between = operation.in_scope(|| info_span!("between"));
        // As in a task of its own: only the span between is entered.
        between.in_scope(|| info_span!("more").in_scope(|| drop(info_span!("x", model = "mini"))));
        drop(info_span!(parent: &between, "x", model = "mini"));
    });
    monitor.collect();
    assert_eq!(providers(&monitor).summary.total_requests, 2);
}

#[test]
fn a_provider_that_was_never_told_is_no_attempt() {
    let monitor = monitor();
    measured(&monitor, || {
        drop(info_span!("maybe", provider = Empty, model = Empty));
    });
    assert_eq!(monitor.health().offered, 0);
}

#[test]
fn fields_may_come_late_and_a_span_may_wander() {
    let monitor = monitor();
    measured(&monitor, || {
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        let first = info_span!("first", provider = Empty, status_code = Empty);
        let second = info_span!("second", provider = "openai");
        for _ in 0..3 {
            first.in_scope(|| second.in_scope(|| ()));
        }
        // Another thread records into one, closes both, and in the other order.
        std::thread::spawn(move || {
            let _on = tracing::dispatcher::set_default(&dispatch);
            first.record("provider", "cerebras");
            first.record("status_code", 429_u64);
            drop(first);
            drop(second);
        })
        .join()
        .unwrap();
    });
    let view = providers(&monitor);
    assert_eq!(view.providers["cerebras"].rate_limited_requests, 1);
    assert_eq!(view.providers["openai"].successful_requests, 1);
}

#[test]
fn the_conventions_name_wins_whatever_comes_last() {
    let monitor = monitor();
    measured(&monitor, || {
        let span = info_span!("call", gen_ai.provider.name = "openai", provider = Empty);
        span.record("provider", "cerebras");
        drop(span);
        let span = info_span!("call", provider = "cerebras", gen_ai.provider.name = Empty);
        span.record("gen_ai.provider.name", "openai");
        drop(span);
        drop(info_span!("call", gen_ai.system = "anthropic"));
    });
    let view = providers(&monitor);
    assert_eq!(view.providers["openai"].total_requests, 2);
    assert_eq!(view.providers["anthropic"].total_requests, 1);
    assert_eq!(view.providers_count, 2);
}

#[instrument(skip_all, err, fields(provider = "cerebras", otel.status_code, status_code))]
fn fails(record: Option<(&str, &str)>) -> Result<(), String> {
    if let Some((field, value)) = record {
        Span::current().record(field, value);
    }
    Err("the prompt was: secret".to_owned())
}

#[instrument(skip_all, err)]
fn unmeasured_that_fails() -> Result<(), String> {
    Err("handled by the caller".to_owned())
}

#[test]
fn an_error_event_directly_inside_is_a_failure() {
    let monitor = monitor();
    measured(&monitor, || {
        fails(None).unwrap_err();
        tracing::error!(error = "outside of any span");
    });
    let view = providers(&monitor);
    assert_eq!(view.providers["cerebras"].failed_requests, 1);
    let report = serde_json::to_string(&monitor.report(Window::SinceStart).unwrap()).unwrap();
    assert!(report.contains("_OTHER") && !report.contains("secret"));
}

#[test]
fn a_recorded_success_wins_over_an_error_event() {
    let monitor = monitor();
    measured(&monitor, || {
        fails(Some(("otel.status_code", "OK"))).unwrap_err();
        fails(Some(("status_code", "200"))).unwrap_err();
    });
    assert_eq!(providers(&monitor).providers["cerebras"].failed_requests, 0);
}

#[test]
fn the_error_of_an_unmeasured_function_inside_is_not_the_attempts() {
    let monitor = monitor();
    // With a layer beside that enables the inner span, and without.
    measured(&monitor, || {
        let span = info_span!("call", provider = "openai");
        span.in_scope(|| unmeasured_that_fails().unwrap_err());
    });
    let layer = monitor.layer::<Registry>();
    let beside = tracing_subscriber::fmt::layer().with_writer(std::io::sink);
    let subscriber = tracing_subscriber::registry().with(layer).with(beside);
    tracing::subscriber::with_default(subscriber, || {
        let span = info_span!("call", provider = "openai");
        span.in_scope(|| unmeasured_that_fails().unwrap_err());
    });
    monitor.collect();
    let openai = &providers(&monitor).providers["openai"];
    assert_eq!((openai.total_requests, openai.failed_requests), (2, 0));
}

#[test]
fn it_is_not_the_attempts_either_where_its_callsites_are_older_than_the_subscriber() {
    #[instrument(skip_all, err)]
    fn helper_that_fails() -> Result<(), String> {
        Err("handled by the caller".to_owned())
    }
    for _ in 0..2 {
        let monitor = monitor();
        measured(&monitor, || {
            let span = info_span!("call", provider = "openai");
            span.in_scope(|| helper_that_fails().unwrap_err());
        });
        assert_eq!(providers(&monitor).providers["openai"].failed_requests, 0);
    }
}

#[test]
fn error_events_can_be_left_out() {
    let builder = PerformanceMonitor::builder().error_events(false);
    let monitor = builder.build().unwrap();
    measured(&monitor, || {
        fails(None).unwrap_err();
    });
    assert_eq!(providers(&monitor).providers["cerebras"].failed_requests, 0);
}

#[test]
fn what_others_measure_is_left_alone() {
    let monitor = monitor();
    measured(&monitor, || {
        // What tower-http's default span carries, and what a client library's does.
        drop(info_span!(
            "request",
            method = "GET",
            uri = "/",
            version = "HTTP/1.1"
        ));
        drop(info_span!(
            "call",
            otel.kind = "client",
            endpoint = "/v1/upstream"
        ));
    });
    assert_eq!(monitor.health().offered, 0);
}

/// What a user of the crate may hand over, and must never be run in a callback.
struct Hostile;

impl std::fmt::Debug for Hostile {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("a Debug of the host was run");
    }
}

impl std::fmt::Display for Hostile {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("a Display of the host was run");
    }
}

#[test]
fn code_of_the_host_is_never_run() {
    let monitor = monitor();
    measured(&monitor, || {
        drop(info_span!("call", provider = %Hostile, model = ?Hostile, prompt = ?Hostile));
    });
    let view = providers(&monitor);
    assert_eq!(view.providers["_OTHER"].total_requests, 1);
}

#[test]
fn numbers_that_are_none_are_refused() {
    let monitor = monitor();
    measured(&monitor, || {
        drop(info_span!(
            "call",
            provider = "a",
            cost = -1.0,
            input_tokens = -5
        ));
        drop(info_span!(
            "call",
            provider = "a",
            cost = f64::NAN,
            ttft_ms = f64::INFINITY
        ));
        drop(info_span!(
            "call",
            provider = "a",
            status_code = 70_000,
            cost = true
        ));
    });
    let a = &providers(&monitor).providers["a"];
    assert_eq!((a.total_requests, a.successful_requests), (3, 3));
    assert_eq!(a.total_cost, 0.0);
}

#[test]
fn tokens_and_the_first_chunk_are_of_the_model() {
    let monitor = monitor();
    measured(&monitor, || {
        drop(info_span!(
            "call",
            provider = "openai",
            model = "mini",
            gen_ai.usage.input_tokens = 1_000,
            output_tokens = 50_u64,
            gen_ai.response.time_to_first_chunk = 0.25,
        ));
        drop(info_span!(
            "call",
            provider = "openai",
            model = "mini",
            ttft_ms = 750.0
        ));
    });
    let view = serde_json::to_value(providers(&monitor)).unwrap();
    let model = &view["providers"]["openai"]["model_stats"]["mini"];
    assert_eq!(model["input_tokens"], 1_000, "{model:#}");
    assert_eq!(model["output_tokens"], 50);
    assert_eq!(model["avg_time_to_first_token_ms"], 500.0);
}

#[test]
fn component_work_has_its_operation() {
    let monitor = monitor();
    measured(&monitor, || {
        drop(info_span!("work", component = "router", operation = "pick"));
        drop(info_span!(
            "work",
            component = "router",
            operation = "pick",
            error_type = "internal"
        ));
    });
    let view = serde_json::to_value(monitor.components(Window::SinceStart).unwrap()).unwrap();
    let router = &view["components"]["router"];
    assert_eq!(
        router["operations"]["pick"]["total_operations"], 2,
        "{view:#}"
    );
    assert_eq!(router["operations"]["pick"]["failed_operations"], 1);
    assert_eq!(monitor.health().counted, 2);
}

#[test]
fn the_component_keeps_its_operation_beside_that_of_the_model() {
    let monitor = monitor();
    measured(&monitor, || {
        drop(info_span!(
            "work",
            component = "router",
            provider = "openai",
            gen_ai.operation.name = "embeddings",
            operation = "pick"
        ));
    });
    measured(&monitor, || {
        drop(info_span!(
            "work",
            component = "router",
            aimux.operation = "pick",
            operation = "alias"
        ));
    });
    let view = monitor.components(Window::SinceStart).unwrap();
    let operations = &view.components["router"].operations;
    assert_eq!(operations.keys().collect::<Vec<_>>(), ["pick"]);
}

#[test]
fn component_work_with_a_bad_status_failed() {
    let monitor = monitor();
    measured(&monitor, || {
        drop(info_span!("work", component = "router", status_code = 500));
    });
    let view = monitor.components(Window::SinceStart).unwrap();
    assert_eq!(view.components["router"].stats.failed_operations, 1);
}

#[test]
fn a_clients_span_without_a_provider_is_not_measured_whatever_else_it_has() {
    let monitor = monitor();
    measured(&monitor, || {
        drop(info_span!("call", otel.kind = "client", model = "mini"));
        drop(info_span!("call", otel.kind = "client", component = "net"));
        drop(info_span!("call", otel.kind = "client", provider = "a"));
    });
    assert_eq!(monitor.health().offered, 1);
    assert_eq!(providers(&monitor).providers["a"].total_requests, 1);
}

#[test]
fn an_attempt_further_down_is_known_to_all_operations_above() {
    let monitor = monitor();
    measured(&monitor, || {
        let outer = info_span!("outer", endpoint = "/v1/chat", provider = "openai");
        outer.in_scope(|| {
            drop(info_span!(
                "inner",
                endpoint = "/inner",
                provider = "openai"
            ))
        });
    });
    assert_eq!(providers(&monitor).summary.total_requests, 1);
    let endpoints = monitor.endpoints(Window::SinceStart).unwrap();
    assert_eq!(endpoints.aggregated.total_operations, 2);
}

#[test]
fn a_signal_belongs_to_the_nearest_measured_span_whoevers_stand_between() {
    let monitor = monitor();
    let beside = tracing_subscriber::fmt::layer().with_writer(std::io::sink);
    let layer = monitor.layer::<Registry>();
    let subscriber = tracing_subscriber::registry().with(layer).with(beside);
    tracing::subscriber::with_default(subscriber, || {
        let call = info_span!("call", provider = "openai");
        call.in_scope(|| {
            info_span!("helper").in_scope(|| tracing::info!(aimux.event = "cache_hit"));
        });
    });
    monitor.collect();
    let cache_hit = &monitor.recent_events()[0];
    assert_eq!(cache_hit.metadata["provider"], "openai");
}

#[test]
fn signals_are_counted_where_they_happen() {
    let monitor = monitor();
    measured(&monitor, || {
        let span = info_span!("call", provider = "openai", model = "mini");
        span.in_scope(|| {
            tracing::info!(aimux.event = "cache_hit");
            tracing::info!(aimux.event = "cache_miss");
            tracing::warn!(aimux.event = "rate_limit_hit");
            tracing::warn!(
                aimux.event = "failover_initiated",
                from = "openai",
                to = "anthropic",
                reason = "timeout"
            );
            tracing::info!(aimux.event = "something_else");
        });
    });
    assert_eq!(monitor.health().counted, 5, "four signals and the attempt");
    let report = monitor.report(Window::SinceStart).unwrap();
    assert_eq!((report.cache.hits, report.cache.misses), (1, 1));
    assert_eq!(report.rate_limit_hits, 1);
    let failover = &report.failovers[0];
    assert_eq!((&*failover.from, &*failover.to), ("openai", "anthropic"));
    assert_eq!((&*failover.reason, failover.count), ("timeout", 1));
    let cache_hit = &monitor.recent_events()[0];
    assert_eq!(cache_hit.event_type, PerformanceEventType::CacheHit);
    assert_eq!(cache_hit.metadata["provider"], "openai");
}

#[test]
fn two_monitors_in_one_subscriber_stay_apart() {
    let (one, other) = (monitor(), monitor());
    let subscriber = tracing_subscriber::registry()
        .with(one.layer())
        .with(other.layer());
    tracing::subscriber::with_default(subscriber, || call("m", 200));
    one.record_provider_request("only-one", "", Duration::from_millis(5), true, "", 0.0);
    one.collect();
    other.collect();
    assert_eq!(providers(&one).summary.total_requests, 2);
    assert_eq!(providers(&other).summary.total_requests, 1);
    drop(one);
    assert_eq!(providers(&other).summary.total_requests, 1);
}

#[test]
fn other_layers_keep_what_they_want_and_per_layer_filters_do_not_blind_us() {
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::{Layer, filter::LevelFilter};

    #[derive(Clone, Default)]
    struct Names(Arc<Mutex<Vec<&'static str>>>);
    impl<S: tracing::Subscriber> Layer<S> for Names {
        fn on_new_span(
            &self,
            attributes: &tracing::span::Attributes<'_>,
            _: &tracing::span::Id,
            _: tracing_subscriber::layer::Context<'_, S>,
        ) {
            self.0.lock().unwrap().push(attributes.metadata().name());
        }
    }

    let monitor = monitor();
    let (all, warnings) = (Names::default(), Names::default());
    let subscriber = tracing_subscriber::registry()
        .with(warnings.clone().with_filter(LevelFilter::WARN))
        .with(monitor.layer())
        .with(all.clone());
    tracing::subscriber::with_default(subscriber, || {
        drop(info_span!("foreign"));
        drop(tracing::trace_span!("attempt", provider = "openai"));
        drop(tracing::warn_span!("warning"));
    });
    monitor.collect();
    assert_eq!(providers(&monitor).summary.total_requests, 1);
    assert_eq!(*all.0.lock().unwrap(), ["foreign", "attempt", "warning"]);
    assert_eq!(*warnings.0.lock().unwrap(), ["warning"]);
}

#[test]
fn a_callsite_that_is_not_ours_is_not_even_enabled() {
    let monitor = monitor();
    measured(&monitor, || {
        assert!(info_span!("foreign", some_field = 1).is_disabled());
        assert!(!info_span!("ours", provider = "openai").is_disabled());
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_annotated_future_that_moves_between_threads_is_one_attempt() {
    #[instrument(skip_all, fields(provider = "cerebras", model = "async"))]
    async fn ask(times: usize) {
        for _ in 0..times {
            tokio::task::yield_now().await;
        }
        Span::current().record("model", "told-late");
    }
    let monitor = monitor();
    let subscriber = tracing_subscriber::registry().with(monitor.layer::<Registry>());
    let dispatch = tracing::Dispatch::new(subscriber);
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            use tracing::instrument::WithSubscriber;
            tokio::spawn(ask(50).with_subscriber(dispatch.clone()))
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    monitor.collect();
    let model = &providers(&monitor).providers["cerebras"].model_stats;
    assert_eq!(model.keys().collect::<Vec<_>>(), ["told-late"]);
    assert_eq!(providers(&monitor).summary.total_requests, 20);
}

#[test]
fn spans_that_never_close_are_bounded_and_counted() {
    let builder = PerformanceMonitor::builder().max_open(128);
    let monitor = builder.build().unwrap();
    measured(&monitor, || {
        for _ in 0..1_000 {
            std::mem::forget(info_span!("leaked", provider = "openai"));
        }
    });
    let health = monitor.health();
    assert!(health.dropped["too_many_open"] >= 872, "{health:?}");
    assert_eq!(health.counted, 0);
}

#[test]
fn a_global_filter_that_blinds_us_is_warned_of_in_the_hosts_log() {
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    impl<'a> MakeWriter<'a> for Log {
        type Writer = Self;
        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    let logged = |filter: Option<&str>, attempts: usize| {
        let monitor = monitor();
        let log = Log::default();
        let subscriber = tracing_subscriber::registry()
            .with(filter.map(EnvFilter::new))
            .with(monitor.layer())
            .with(tracing_subscriber::fmt::layer().with_writer(log.clone()));
        let dispatch = tracing::Dispatch::new(subscriber);
        tracing::dispatcher::with_default(&dispatch, || {
            for _ in 0..attempts {
                call("m", 200);
            }
        });
        monitor.collect();
        let text = log.0.lock().unwrap().clone();
        String::from_utf8(text).unwrap()
    };
    let warning = "a global filter disables spans";
    assert!(logged(Some("warn"), 1).contains(warning));
    assert!(!logged(Some("info"), 0).contains(warning));
    assert!(!logged(None, 0).contains(warning));
    assert!(
        !logged(Some("spans=info"), 1).contains(warning),
        "a filter that lets our spans through blinds nobody"
    );
}

/// As many callsites as there are numbers, each a function that makes and drops one span.
macro_rules! callsites {
    ($($number:literal)*) => {
        [$(|| drop(info_span!("race", provider = "openai", number = $number))),*]
    };
}

#[test]
fn threads_that_reach_a_callsite_first_at_once_are_all_counted() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    const THREADS: usize = 2;
    let callsites: [fn(); 48] = callsites!(
        1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24
        25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48
    );
    let monitor = monitor();
    let subscriber = tracing_subscriber::registry().with(monitor.layer::<Registry>());
    let dispatch = tracing::Dispatch::new(subscriber);
    // Spins, since threads that are woken come one after the other.
    let arrived = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let _on = tracing::dispatcher::set_default(&dispatch);
                for (round, callsite) in callsites.into_iter().enumerate() {
                    arrived.fetch_add(1, Ordering::AcqRel);
                    while arrived.load(Ordering::Acquire) < (round + 1) * THREADS {
                        std::hint::spin_loop();
                    }
                    callsite();
                }
            });
        }
    });
    monitor.collect();
    let counted = providers(&monitor).summary.total_requests;
    assert_eq!(counted, (THREADS * callsites.len()) as u64);
}
