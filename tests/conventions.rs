//! The profiles of the conventions: each tells by its own names, and the views are the same.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod support;

use aimux_otel::{Conventions, PerformanceMonitor, Window};
use std::{collections::BTreeMap, time::Duration};
use support::otlp::Receiver;
use tracing::info_span;
use tracing_subscriber::{Registry, layer::SubscriberExt};

const TODAY: &str = "gen_ai.client.operation.duration";
const NEWER: &str = "gen_ai.client.inference.duration";

/// Two chats, of which one fails, and an embedding.
fn traffic(monitor: &PerformanceMonitor) {
    let subscriber = tracing_subscriber::registry().with(monitor.layer::<Registry>());
    tracing::subscriber::with_default(subscriber, || {
        for status in [200_u64, 503] {
            drop(info_span!(
                "chat",
                provider = "openai",
                model = "gpt-4o",
                status_code = status,
                input_tokens = 100_u64,
                output_tokens = 20_u64,
                cache_read_tokens = 60_u64,
                reasoning_tokens = 5_u64,
                ttft_ms = 40_u64,
            ));
        }
        drop(info_span!(
            "embed",
            provider = "openai",
            model = "small",
            operation = "embeddings",
            input_tokens = 7_u64,
        ));
    });
    monitor.collect();
}

/// What a profile tells: by OTLP and on `/metrics`, and in the view.
struct Told {
    receiver: Receiver,
    exposition: BTreeMap<String, u64>,
    view: (u64, u64, u64, u64, Option<f64>),
}

async fn told(conventions: Conventions) -> Told {
    let (receiver, address) = Receiver::http().await;
    let monitor = PerformanceMonitor::builder()
        .conventions(conventions)
        .provider("openai", ["gpt-4o", "small", "unused"])
        .otlp_endpoint(format!("http://{address}"))
        .otlp_interval(Duration::from_secs(3_600))
        .build()
        .unwrap();
    traffic(&monitor);
    let exposition = exposition(&monitor);
    let view = view(&monitor);
    let shut_down = move || monitor.shutdown(Duration::from_secs(20));
    tokio::task::spawn_blocking(shut_down)
        .await
        .unwrap()
        .unwrap();
    Told {
        receiver,
        exposition,
        view,
    }
}

fn view(monitor: &PerformanceMonitor) -> (u64, u64, u64, u64, Option<f64>) {
    let providers = monitor.providers(Window::SinceStart).unwrap();
    let openai = &providers.providers["openai"];
    let model = &openai.model_stats["gpt-4o"];
    (
        openai.total_requests,
        openai.failed_requests,
        model.input_tokens,
        model.output_tokens,
        openai.first_token.p95_time_to_first_token_ms,
    )
}

/// How many each family of `/metrics` counted.
fn exposition(monitor: &PerformanceMonitor) -> BTreeMap<String, u64> {
    let families = monitor.prometheus_registry().gather();
    let of = families.iter().map(|family| {
        let counts = family.get_metric().iter().map(|metric| {
            let counter = metric.get_counter().get_value() as u64;
            metric.get_histogram().get_sample_count() + counter
        });
        (family.name().to_owned(), counts.sum())
    });
    of.collect()
}

impl Told {
    fn counts(&self, metric: &str) -> u64 {
        self.receiver.count(metric, &[])
    }

    fn sum(&self, metric: &str) -> f64 {
        self.receiver.points(metric).values().map(|p| p.sum).sum()
    }

    fn scraped(&self, family: &str) -> Option<u64> {
        self.exposition.get(family).copied()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn today_is_the_default() {
    let told = told(Conventions::Current).await;
    assert_eq!((told.counts(TODAY), told.counts(NEWER)), (3, 0));
    assert_eq!(told.counts("gen_ai.client.token.usage"), 5);
    assert_eq!(
        told.scraped("gen_ai_client_operation_duration_seconds"),
        Some(3)
    );
    let names = told.exposition.keys();
    assert!(!names.into_iter().any(|name| name.contains("inference")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newer_names_stand_alone_but_for_what_they_do_not_name() {
    let told = told(Conventions::Latest).await;
    assert_eq!(told.counts(NEWER), 2);
    assert_eq!(told.receiver.count(NEWER, &["error.type=503"]), 1);
    // What is no inference.
    let others = told.receiver.points(TODAY);
    assert_eq!(told.counts(TODAY), 1, "{others:?}");
    assert!(others.keys().all(|labels| labels.contains("embeddings")));
    assert_eq!(
        told.counts("gen_ai.client.inference.time_to_first_chunk"),
        2
    );
    let operation = "gen_ai.client.inference.operation";
    assert_eq!(told.sum(&format!("{operation}.input_tokens")), 200.0);
    assert_eq!(told.sum(&format!("{operation}.output_tokens")), 40.0);
    let usage = |name: &str| told.sum(&format!("gen_ai.client.inference.usage.{name}"));
    assert_eq!(usage("input_tokens"), 200.0);
    assert_eq!(usage("output_tokens"), 40.0);
    assert_eq!(usage("cache_read.input_tokens"), 120.0);
    assert_eq!(usage("reasoning.output_tokens"), 10.0);
    let points = told
        .receiver
        .points("gen_ai.client.inference.usage.input_tokens");
    assert!(
        points
            .keys()
            .all(|labels| labels.contains("gen_ai.token.modality=unknown"))
    );

    assert_eq!(
        told.scraped("gen_ai_client_inference_duration_seconds"),
        Some(2)
    );
    assert_eq!(
        told.scraped("gen_ai_client_operation_duration_seconds"),
        Some(1)
    );
    assert_eq!(
        told.scraped("gen_ai_client_inference_operation_input_tokens"),
        Some(2)
    );
    assert_eq!(
        told.scraped("gen_ai_client_inference_usage_input_tokens_total"),
        Some(200)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn both_are_both() {
    let told = told(Conventions::Both).await;
    assert_eq!((told.counts(TODAY), told.counts(NEWER)), (3, 2));
    assert_eq!(told.counts("gen_ai.client.token.usage"), 5);
    assert_eq!(
        told.scraped("gen_ai_client_operation_duration_seconds"),
        Some(3)
    );
    assert_eq!(
        told.scraped("gen_ai_client_inference_duration_seconds"),
        Some(2)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_views_are_the_same() {
    let today = told(Conventions::Current).await.view;
    assert_eq!(today.0, 3);
    assert_eq!(told(Conventions::Latest).await.view, today);
    assert_eq!(told(Conventions::Both).await.view, today);
}

#[test]
fn without_a_push_the_scrape_is_the_same() {
    for (conventions, newer, of_today) in [
        (Conventions::Current, None, Some(3)),
        (Conventions::Latest, Some(2), Some(1)),
        (Conventions::Both, Some(2), Some(3)),
    ] {
        let builder = PerformanceMonitor::builder().conventions(conventions);
        let monitor = builder.build().unwrap();
        traffic(&monitor);
        let scraped = exposition(&monitor);
        let of = |family: &str| scraped.get(family).copied();
        assert_eq!(of("gen_ai_client_inference_duration_seconds"), newer);
        assert_eq!(of("gen_ai_client_operation_duration_seconds"), of_today);
        assert_eq!(view(&monitor).0, 3, "{conventions:?}");
    }
}

#[test]
fn what_is_configured_is_there_from_the_start() {
    let builder = PerformanceMonitor::builder().conventions(Conventions::Latest);
    let monitor = builder.provider("openai", ["gpt-4o"]).build().unwrap();
    monitor.collect();
    let scraped = exposition(&monitor);
    assert_eq!(
        scraped.get("gen_ai_client_inference_duration_seconds"),
        Some(&0)
    );
    assert_eq!(
        scraped.get("gen_ai_client_inference_operation_input_tokens"),
        Some(&0)
    );
    assert_eq!(
        scraped.get("gen_ai_client_operation_duration_seconds"),
        None
    );
}
