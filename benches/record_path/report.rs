//! Tables and JSON.

use serde_json::{Value, json};

use crate::candidates::{Group, Spec};
use crate::instructions::{self, Instructions};
use crate::options::Options;
use crate::timing::Times;

/// All that was measured.
pub(crate) struct Report {
    rows: Vec<Row>,
}

struct Row {
    spec: &'static Spec,
    times: Option<Times>,
    instructions: Option<Instructions>,
}

impl Report {
    pub(crate) fn new(
        chosen: &[&'static Spec],
        times: Vec<(&'static str, Times)>,
        instructions: Vec<(&'static str, Instructions)>,
    ) -> Self {
        let rows = chosen.iter().map(|&spec| Row {
            spec,
            times: find(&times, spec.name),
            instructions: find(&instructions, spec.name),
        });
        Self {
            rows: rows.collect(),
        }
    }

    /// Prints a table per group.
    pub(crate) fn print(&self) {
        for (group, title, floor, peer) in [
            (
                Group::Span,
                "a span, from its creation until it is counted",
                "registry",
                "assembled",
            ),
            (
                Group::Call,
                "a call with provider, model, duration and cost",
                "call-bound",
                "call-sdk",
            ),
            (
                Group::Tracking,
                "work of a component as a guard, and timers",
                "track-nobody",
                "call-monitor",
            ),
            (
                Group::Design,
                "ways to reach every surface, instruments in hand",
                "one-provider-inline",
                "two-providers-inline",
            ),
        ] {
            let rows: Vec<_> = self
                .rows
                .iter()
                .filter(|row| row.spec.group == group)
                .collect();
            if !rows.is_empty() {
                println!("\n{title}");
                self.print_times(&rows, floor, peer);
                self.print_instructions(&rows, floor, peer);
            }
        }
    }

    fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.spec.name == name)
    }

    fn print_times(&self, rows: &[&Row], floor: &str, peer: &str) {
        if rows.iter().all(|row| row.times.is_none()) {
            return;
        }
        println!(
            "\n{:24} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9} {:>9}",
            "ns per operation",
            "1 thread",
            "2, same",
            "2, own",
            "1 sust.",
            "2 sust.",
            "CPU",
            "× floor",
            "peer ÷"
        );
        let of = |name| self.row(name).and_then(|row| row.times);
        for row in rows {
            let Some(times) = row.times else { continue };
            println!(
                "{:24} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9} {:>9}",
                row.spec.name,
                whole(times.one_thread),
                whole(times.two_threads),
                whole(times.two_threads_distinct),
                whole(times.one_thread_sustained),
                whole(times.two_threads_sustained),
                whole(times.cpu),
                ratio(of(floor).map(|floor| times.one_thread / floor.one_thread)),
                ratio(of(peer).map(|peer| peer.one_thread / times.one_thread)),
            );
        }
        println!("(floor: {floor}; peer: {peer}; both by one thread)");
    }

    fn print_instructions(&self, rows: &[&Row], floor: &str, peer: &str) {
        if rows.iter().all(|row| row.instructions.is_none()) {
            return;
        }
        println!(
            "\n{:24} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9} {:>9} {:>9}",
            "instructions, allocations",
            "request",
            "others",
            "all",
            "allocs",
            "all al.",
            "× floor",
            "peer ÷",
            "peer ÷ all"
        );
        let of = |name| self.row(name).and_then(|row| row.instructions);
        for row in rows {
            let Some(counted) = row.instructions else {
                continue;
            };
            println!(
                "{:24} {:>8} {:>8} {:>8} {:>8.2} {:>8.2} {:>9} {:>9} {:>9}",
                row.spec.name,
                whole(counted.request),
                whole(counted.others),
                whole(counted.all()),
                counted.request_allocations,
                counted.request_allocations + counted.other_allocations,
                ratio(of(floor).map(|floor| counted.request / floor.request)),
                ratio(of(peer).map(|peer| peer.request / counted.request)),
                ratio(of(peer).map(|peer| peer.all() / counted.all())),
            );
        }
        println!("(floor: {floor}; peer: {peer}; both on the request thread but for the last)");
    }

    /// All figures, and how they were taken.
    pub(crate) fn to_json(&self, options: &Options) -> Result<String, serde_json::Error> {
        let candidates: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                json!({
                    "name": row.spec.name,
                    "what": row.spec.what,
                    "group": format!("{:?}", row.spec.group).to_lowercase(),
                    "nanoseconds": row.times.map(|times| json!({
                        "one_thread": times.one_thread,
                        "two_threads": times.two_threads,
                        "two_threads_distinct": times.two_threads_distinct,
                        "one_thread_sustained": finite(times.one_thread_sustained),
                        "two_threads_sustained": finite(times.two_threads_sustained),
                        "cpu_of_all_threads": finite(times.cpu),
                    })),
                    "instructions": row.instructions.map(|counted| json!({
                        "request_thread": counted.request,
                        "other_threads": counted.others,
                    })),
                    "allocations": row.instructions.map(|counted| json!({
                        "request_thread": counted.request_allocations,
                        "other_threads": counted.other_allocations,
                    })),
                })
            })
            .collect();
        let cpus = std::thread::available_parallelism().map_or(0, usize::from);
        serde_json::to_string_pretty(&json!({
            "cpus": cpus,
            "valgrind": instructions::valgrind_version(),
            "rounds": options.rounds,
            "operations_per_round": options.operations,
            "burst": options.burst,
            "candidates": candidates,
        }))
    }
}

fn find<T: Copy>(all: &[(&'static str, T)], name: &str) -> Option<T> {
    all.iter()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| *value)
}

fn finite(number: f64) -> Option<f64> {
    number.is_finite().then_some(number)
}

fn whole(number: f64) -> String {
    if number.is_finite() {
        format!("{number:.0}")
    } else {
        "–".to_owned()
    }
}

fn ratio(number: Option<f64>) -> String {
    match number {
        Some(number) if number.is_finite() => format!("{number:.2}"),
        _ => "–".to_owned(),
    }
}
