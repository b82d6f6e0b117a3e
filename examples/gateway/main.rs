//! A small AI gateway, measured by `aimux-otel`: `cargo run --release --example gateway`.
//!
//! Clients speak OpenAI's or Anthropic's dialect to it, three providers answer behind it, and both
//! come with it: it drives itself over HTTP until Ctrl-C. This file is the whole wiring; then read
//! `proxy/`, where the instrumented functions are, and `proxy/attempt.rs` first.

mod args;
mod catalog;
mod chat;
mod clock;
mod dialect;
mod dice;
mod error;
mod play;
mod proxy;
mod report;
mod server;
mod traffic;
mod upstream;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use aimux_otel::PerformanceMonitor;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use args::{Command, Options};
use dialect::Dialect;
use error::GatewayError;
use play::SIGNAL;
use report::recorded::Recorded;
use report::screen;
use report::summary::{self, SummaryFile};
use traffic::Plan;

fn main() -> ExitCode {
    let result = match args::read() {
        Ok(Command::Help) => {
            screen::print(args::HELP);
            Ok(())
        }
        Ok(Command::Run(options)) => run(&options),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}

fn run(options: &Options) -> Result<(), GatewayError> {
    let plan = Plan::new(&options.source, options.seed)?;
    let file = options
        .json
        .as_deref()
        .map(SummaryFile::create)
        .transpose()?;

    // The monitor, and its layer under the subscriber: from here on, spans are measured.
    let recorded = Arc::new(Recorded::default());
    let monitor = monitor(options, Arc::clone(&recorded))?;
    tracing_subscriber::registry().with(monitor.layer()).init();

    // The providers, the gateway and its clients, until the end.
    let runtime = tokio::runtime::Runtime::new().map_err(GatewayError::Runtime)?;
    let (run, server) = runtime.block_on(play::play(options, plan, &monitor))?;
    let tell = || {
        monitor.collect();
        summary::tell(&run, &recorded, &monitor, file)
    };
    if options.hold && run.ended_by != SIGNAL {
        tell()?;
        runtime.block_on(play::interrupted());
        runtime.block_on(server.stop());
        runtime.shutdown_timeout(Duration::from_secs(1));
    } else {
        // What is cut off now is counted as cancelled before the summary is made.
        runtime.block_on(server.stop());
        runtime.shutdown_timeout(Duration::from_secs(1));
        tell()?;
    }
    if let Err(error) = monitor.shutdown(Duration::from_secs(5)) {
        // Such as a collector that is not there: the run itself went well.
        eprintln!("gateway: {error}");
    }
    Ok(())
}

/// What is configured is in every view from the start, with zeros before its first request.
fn monitor(options: &Options, recorded: Arc<Recorded>) -> Result<PerformanceMonitor, GatewayError> {
    let monitor_error = |source| GatewayError::Monitor {
        address: options.monitor_listen,
        source,
    };
    let prices = catalog::prices().map_err(|error| monitor_error(error.into()))?;
    let mut builder = PerformanceMonitor::builder()
        .service_name("gateway")
        .price_table(prices)
        .collection_interval(Duration::from_secs(1))
        .recommended_alerts()
        .serve(options.monitor_listen);
    if options.json.is_some() {
        builder = builder.on_event(move |event| recorded.take(event));
    }
    for provider in &catalog::PROVIDERS {
        builder = builder.provider(
            provider.name,
            provider.models.iter().map(|model| model.name),
        );
    }
    for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
        builder = builder.endpoint(dialect.endpoint());
    }
    builder
        .endpoint(proxy::MODELS)
        .endpoint(proxy::HEALTH)
        .build()
        .map_err(monitor_error)
}
