//! The live view: a table that is redrawn each second, or a line now and then where stdout is no
//! terminal.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use aimux_otel::{EndpointsView, PerformanceMonitor, ProvidersView, Window};
use tokio::time::sleep;

use super::table;
use crate::clock;
use crate::traffic::Traffic;

/// What the table is about while it runs.
const WINDOW: Duration = Duration::from_secs(60);
const HOME: &str = "\x1b[H";
const CLEAR: &str = "\x1b[2J\x1b[H";
const END_OF_LINE: &str = "\x1b[K";
const BELOW: &str = "\x1b[J";

#[derive(Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) gateway: SocketAddr,
    pub(crate) monitor: SocketAddr,
}

pub(crate) struct Screen {
    addresses: Addresses,
    started: Instant,
    terminal: bool,
}

impl Screen {
    /// Shows where to look, at once.
    pub(crate) fn new(addresses: Addresses) -> Self {
        let screen = Self {
            addresses,
            started: clock::now(),
            terminal: io::stdout().is_terminal(),
        };
        print(if screen.terminal { CLEAR } else { "" });
        print(&screen.heading());
        screen
    }

    /// Goes on until it is dropped.
    pub(crate) async fn show(self, monitor: &PerformanceMonitor, traffic: &Traffic) {
        let pause = Duration::from_secs(if self.terminal { 1 } else { 5 });
        loop {
            sleep(pause).await;
            let providers = monitor.providers(Window::Last(WINDOW));
            let endpoints = monitor.endpoints(Window::Last(WINDOW));
            let (Ok(providers), Ok(endpoints)) = (providers, endpoints) else {
                continue;
            };
            let progress = self.progress(&endpoints, traffic);
            if self.terminal {
                let title = format!("last {:.0} s", providers.coverage.window_seconds);
                let table = table::text(&title, &providers, &endpoints);
                let text = format!("{}{progress}\n\n{table}Ctrl-C ends it.\n", self.heading());
                let text = text.replace('\n', &format!("{END_OF_LINE}\n"));
                print(&format!("{HOME}{text}{BELOW}"));
            } else {
                print(&format!("{progress} {}\n", brief(&providers)));
            }
        }
    }

    fn heading(&self) -> String {
        let Addresses { gateway, monitor } = self.addresses;
        format!(
            "gateway  http://{gateway}\n\
             monitor  http://{monitor}\n\
             clients  OpenAI's base_url is http://{gateway}/v1\n         \
             Anthropic's base_url is http://{gateway}/anthropic\n\
             to open  http://{monitor}/performance/providers\n         \
             http://{monitor}/performance/endpoints\n"
        )
    }

    /// What the gateway served in the window, and what the driving client counted so far.
    fn progress(&self, endpoints: &EndpointsView, traffic: &Traffic) -> String {
        let seconds = (clock::now() - self.started).as_secs();
        let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        let all = &endpoints.aggregated;
        let per_second = table::rate(all.total_operations, endpoints.coverage.window_seconds);
        let success = table::percent(all.success_rate_percent);
        let mut out = format!(
            "{hours:02}:{minutes:02}:{seconds:02}  {per_second:.1} req/s, success {success}"
        );
        let tally = traffic.tally();
        if tally.all.sent > 0 {
            let _ = write!(
                out,
                " | client: {} sent, {} failed, {} cached",
                tally.all.sent, tally.all.failed, tally.cached,
            );
        }
        out
    }
}

/// The p95 of each provider in the window.
fn brief(providers: &ProvidersView) -> String {
    let mut out = "| p95:".to_owned();
    for (name, provider) in &providers.providers {
        let p95 = table::milliseconds(provider.p95_response_time_ms);
        let _ = write!(out, " {name} {p95}");
    }
    out
}

/// A closed pipe is no reason to end: the gateway goes on without being looked at.
pub(crate) fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
