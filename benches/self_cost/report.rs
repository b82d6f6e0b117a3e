//! What is printed.

use crate::{figures::Figures, load::RATE};

/// In bytes; all `_mb` of the guide are of these.
const KIBIBYTE: f64 = 1_024.0;

/// What the guide promises, in bytes.
const PROMISED: f64 = 5.0 * 1_024.0 * KIBIBYTE;

/// How often an operator's tools ask: route, seconds between two times.
const ASKED: [(&str, f64); 2] = [("metrics", 15.0), ("real_time", 5.0)];

/// Prints what was found; whether it is as promised.
pub(crate) fn print(bare: &Figures, monitored: &Figures) -> bool {
    let heap = |name: &str| monitored.get(name) - bare.get("heap.all");
    println!(
        "100 pairs of provider and model, 50 endpoints, a day kept, {:.0} requests a second ({RATE} \
         wanted)\n",
        monitored.get("rate"),
    );
    let kilobytes = |name: &str, bytes: f64| println!("  {name:<54}{:>10.0} KiB", bytes / KIBIBYTE);
    println!("Memory: what is allocated beyond what the same service has without the monitor");
    kilobytes("at most between two collections", heap("heap.all"));
    let besides = heap("heap.all") - monitored.get("part.open");
    kilobytes("besides what requests in flight take", besides);
    kilobytes("right after a collection", heap("heap.least"));
    kilobytes(
        "after an operator has asked for everything",
        heap("heap.answered"),
    );
    kilobytes(
        "as the monitor itself tells it, after a collection",
        monitored.get("parts"),
    );
    for (part, bytes) in monitored.of("part.") {
        kilobytes(&format!("    {part}"), bytes);
    }
    for (name, of) in [
        ("resident, the program's own pages included", "counting"),
        ("the same after an operator has asked for everything", "all"),
    ] {
        let bytes = monitored.get(&format!("resident.{of}")) - bare.get("resident.all");
        kilobytes(name, bytes);
    }

    let percent = |name: &str, percent: f64| println!("  {name:<54}{percent:>10.3} %");
    let threads = |figures: &Figures| figures.get("cpu.request");
    let recording = threads(monitored) - threads(bare);
    let collecting = monitored.get("cpu.aimux-tick");
    println!("\nProcessor time, of one core");
    percent("recording, on the threads that serve requests", recording);
    percent("counting and collecting", collecting);
    let own = recording + collecting;
    percent("in all", own);
    percent(
        "counting and collecting, as the monitor tells it",
        monitored.get("told.cpu"),
    );
    let mut all = own;
    for (name, every) in ASKED {
        let more = monitored.get(&format!("cpu_ms.{name}")) / 1e3 / every * 100.0;
        percent(&format!("{name}, asked for every {every} s"), more);
        all += more;
    }
    percent("in all, with an operator who looks on", all);

    let once = |name: &str, of: &str| {
        let cpu = monitored.get(&format!("cpu_ms.{of}"));
        let bytes = monitored.get(&format!("bytes.{of}")) / KIBIBYTE;
        println!("  {name:<54}{cpu:>10.1} ms {bytes:>8.0} KiB");
    };
    println!("\nOnce");
    let collection = monitored.get("told.collection_ms");
    println!("  {:<54}{collection:>10.1} ms", "a collection");
    once("/metrics", "metrics");
    once("/performance/real-time", "real_time");
    once("/performance/providers?window=5m", "providers");
    once("/performance?window=24h", "day");
    println!(
        "\nA window asked for, what it covers, and by how much a percentile is off at the most"
    );
    for (window, seconds) in monitored.of("covers.") {
        let error = monitored.get(&format!("error.{window}"));
        println!("  {window:<54}{seconds:>10.0} s {error:>7.2} %");
    }
    let kept = heap("heap.all") < PROMISED;
    if !kept {
        println!("\nThat is more than the 5 MiB that are promised.");
    }
    kept
}
