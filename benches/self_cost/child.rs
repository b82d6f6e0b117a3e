//! The service that is measured, in a process of its own: with the monitor, or without.

use crate::{
    figures::Figures,
    load::Load,
    options::Pace,
    past::Past,
    traffic::Traffic,
    usage::{allocations, cpu_by_thread, live_bytes, resident},
};
use aimux_otel::{PerformanceMonitor, Timestamp, Window};
use std::{
    error::Error,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread::sleep,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tracing_subscriber::{Layer, layer::SubscriberExt};

/// A layer of the host's that wants every span, and does nothing.
struct Host;

impl<S: tracing::Subscriber> Layer<S> for Host {}

/// The service without the monitor.
pub(crate) fn bare(pace: Pace) -> Result<Figures, Box<dyn Error>> {
    let load: &'static Load = Box::leak(Box::new(Load::new()));
    let (before, (resident_before, _)) = (live_bytes(), resident());
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Host))?;
    let traffic = Traffic::start(load)?;
    let mut figures = Figures::default();
    sleep(pace.warm);
    measure(&mut figures, &traffic, pace.measured);
    figures.set("heap.all", (live_bytes() - before) as f64);
    figures.set("resident.all", resident().0 as f64 - resident_before as f64);
    traffic.stop();
    Ok(figures)
}

/// The service with the monitor.
pub(crate) fn monitored(pace: Pace) -> Result<Figures, Box<dyn Error>> {
    let load: &'static Load = Box::leak(Box::new(Load::new()));
    let past: &'static Past = Box::leak(Box::new(Past::new(load)));
    let (before, (resident_before, _)) = (live_bytes(), resident());
    let mut figures = Figures::default();

    let mut builder = PerformanceMonitor::builder().serve("127.0.0.1:0".parse()?);
    for of_one in load.pairs.chunk_by(|a, b| a.provider == b.provider) {
        let models = of_one.iter().map(|pair| pair.model);
        builder = builder.provider(of_one[0].provider, models);
    }
    for (path, _) in &load.endpoints {
        builder = builder.endpoint(*path);
    }
    let monitor = builder.build()?;
    figures.set("heap.built", (live_bytes() - before) as f64);
    let subscriber = tracing_subscriber::registry().with(Host);
    tracing::subscriber::set_global_default(subscriber.with(monitor.layer()))?;

    monitor.rehearse(past.day(now()));
    // Asks in vain for as long as the day takes to be booked.
    while monitor.health().window_bytes == 0 {
        monitor.collect();
    }
    figures.set("heap.filled", (live_bytes() - before) as f64);
    figures.set("windows.filled", monitor.health().window_bytes as f64);
    let traffic = Traffic::start(load)?;
    sleep(pace.warm);
    measure(&mut figures, &traffic, pace.measured);
    // At its most, just before a collection, and at its least, just after. A look or two may fall
    // into a collection, which takes some 10 ms and as much as it works with.
    let looks = (0..50).map(|_| {
        sleep(Duration::from_millis(100));
        live_bytes() - before
    });
    let mut looks: Vec<_> = looks.collect();
    looks.sort_unstable_by(|a, b| b.cmp(a));
    figures.set("heap.all", looks[2] as f64);
    let waited = time(|| {
        monitor.collect();
    });
    let cost = monitor.health().cost;
    for (part, bytes) in &cost.memory_by_part {
        figures.set(&format!("part.{part}"), *bytes as f64);
    }
    figures.set("parts", cost.memory_bytes as f64);
    figures.set("told.cpu", cost.cpu_percent.unwrap_or(0.0));
    figures.set("told.collection_ms", cost.last_collection_ms.unwrap_or(0.0));
    figures.set("ms.collect", waited);
    figures.set("heap.least", (live_bytes() - before) as f64);

    figures.set(
        "resident.counting",
        resident().0 as f64 - resident_before as f64,
    );

    // What an operator asks for.
    let address = monitor.local_addr().ok_or("no listener")?;
    for (name, path) in [
        ("metrics", "/metrics"),
        ("real_time", "/performance/real-time"),
        ("providers", "/performance/providers?window=5m"),
        ("day", "/performance?window=24h"),
    ] {
        // Each after a fresh collection, so that only the answer is measured.
        let (mut waited, mut cpu, mut bytes, mut allocated) = (0.0, 0.0, 0, 0);
        const TIMES: u32 = 5;
        for _ in 0..TIMES {
            sleep(Duration::from_millis(20));
            monitor.collect();
            let (cpu_before, allocated_before) = (answering(), allocations());
            waited += time(|| bytes = get(address, path).unwrap_or(0));
            cpu += answering() - cpu_before;
            allocated += allocations() - allocated_before;
        }
        let times = f64::from(TIMES);
        figures.set(&format!("ms.{name}"), waited / times);
        figures.set(&format!("cpu_ms.{name}"), cpu * 1e3 / times);
        figures.set(&format!("bytes.{name}"), bytes as f64);
        figures.set(&format!("allocations.{name}"), allocated as f64 / times);
    }
    for (name, seconds) in [
        ("1m", 60),
        ("5m", 300),
        ("1h", 3_600),
        ("6h", 21_600),
        ("12h", 43_200),
        ("24h", 86_400),
    ] {
        let asked = Window::Last(Duration::from_secs(seconds));
        let covered = monitor.providers(asked)?.coverage;
        figures.set(&format!("covers.{name}"), covered.window_seconds);
        let error = covered.quantile_error_percent.unwrap_or(0.0);
        figures.set(&format!("error.{name}"), error);
    }
    figures.set("heap.answered", (live_bytes() - before) as f64);
    let (now, peak) = resident();
    figures.set("resident.all", now as f64 - resident_before as f64);
    figures.set("resident.peak", peak as f64 - resident_before as f64);
    figures.set("windows.all", monitor.health().window_bytes as f64);
    traffic.stop();
    monitor.shutdown(Duration::from_secs(5))?;
    Ok(figures)
}

/// Processor time over `wall`, by thread.
fn measure(figures: &mut Figures, traffic: &Traffic, wall: Duration) {
    let (before, ended, start) = (cpu_by_thread(), traffic.ended(), instant());
    let allocated = allocations();
    sleep(wall);
    let seconds = start.elapsed().as_secs_f64();
    figures.set("allocations", (allocations() - allocated) as f64 / seconds);
    for (thread, cpu) in cpu_by_thread() {
        let thread = thread
            .trim_end_matches(|c: char| c.is_ascii_digit() || c == '-')
            .to_owned();
        let cpu = cpu / seconds * 100.0;
        figures.add(&format!("cpu.{thread}"), cpu);
    }
    for (thread, cpu) in before {
        let thread = thread
            .trim_end_matches(|c: char| c.is_ascii_digit() || c == '-')
            .to_owned();
        figures.add(&format!("cpu.{thread}"), -cpu / seconds * 100.0);
    }
    figures.set("rate", (traffic.ended() - ended) as f64 / seconds);
}

/// Seconds that the threads which answer have run.
fn answering() -> f64 {
    // The account of a thread is brought up to date when it leaves the processor.
    sleep(Duration::from_millis(5));
    let threads = cpu_by_thread().into_iter();
    let ours = threads.filter(|(name, _)| matches!(&**name, "aimux-io" | "aimux-answer"));
    ours.map(|(_, seconds)| seconds).sum()
}

/// Asks once on a connection of its own; how many bytes came.
fn get(address: SocketAddr, path: &str) -> std::io::Result<usize> {
    let mut stream = TcpStream::connect(address)?;
    let head = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    // Not kept: it would count as memory of the monitor.
    let mut answer = [0; 16 << 10];
    let mut bytes = 0;
    loop {
        match stream.read(&mut answer)? {
            0 => return Ok(bytes),
            more => bytes += more,
        }
    }
}

/// Milliseconds that `work` takes.
fn time(work: impl FnOnce()) -> f64 {
    let start = instant();
    work();
    start.elapsed().as_secs_f64() * 1e3
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn instant() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp::from_unix_nanos(now.map_or(0, |now| now.as_nanos() as u64))
}
