//! The live view: a table that is redrawn each second, or a line now and then where stdout is no
//! terminal.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use aimux_otel::{PerformanceMonitor, ProvidersView, Window};
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
    pub(crate) async fn show(&self, monitor: &PerformanceMonitor, traffic: &Traffic) {
        let pause = Duration::from_secs(if self.terminal { 1 } else { 5 });
        loop {
            sleep(pause).await;
            let providers = monitor.providers(Window::Last(WINDOW));
            if self.terminal {
                let endpoints = monitor.endpoints(Window::Last(WINDOW));
                let text = format!(
                    "{}\n{}\n\nThe last {:.0} s\n{}\nCtrl-C ends it.\n",
                    self.heading(),
                    self.progress(traffic),
                    providers.window_seconds,
                    table::text(&providers, &endpoints),
                );
                let text = text.replace('\n', &format!("{END_OF_LINE}\n"));
                print(&format!("{HOME}{text}{BELOW}"));
            } else {
                print(&format!(
                    "{}  {}\n",
                    self.progress(traffic),
                    brief(&providers)
                ));
            }
        }
    }

    fn heading(&self) -> String {
        let Addresses { gateway, monitor } = self.addresses;
        format!(
            "gateway  http://{gateway}/v1/chat/completions  http://{gateway}/anthropic/v1/messages\n\
             monitor  http://{monitor}/performance  http://{monitor}/performance/providers  http://{monitor}/metrics\n"
        )
    }

    fn progress(&self, traffic: &Traffic) -> String {
        let seconds = (clock::now() - self.started).as_secs();
        let tally = traffic.tally();
        format!(
            "{:02}:{:02}:{:02}  sent {}, succeeded {}, failed {}, from the cache {}",
            seconds / 3_600,
            seconds / 60 % 60,
            seconds % 60,
            tally.all.sent,
            tally.all.succeeded,
            tally.all.failed,
            tally.cached,
        )
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
