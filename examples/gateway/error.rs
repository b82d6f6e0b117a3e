//! What can keep the example from running, each with what to do about it.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use aimux_otel::{BuildError, ViewError};

use crate::args::ArgsError;
use crate::traffic::ReplayError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum GatewayError {
    #[error("{0}; see --help")]
    Args(#[from] ArgsError),
    #[error(transparent)]
    Replay(#[from] ReplayError),
    #[error("cannot write {} (--json)", path.display())]
    Json { path: PathBuf, source: io::Error },
    #[error("cannot listen on {address}; choose another address with --listen")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("cannot start the monitor (--monitor-listen {address})")]
    Monitor {
        address: SocketAddr,
        source: BuildError,
    },
    #[error("cannot start the providers on loopback")]
    Upstreams(#[source] io::Error),
    #[error("cannot set up an HTTP client")]
    Http(#[from] reqwest::Error),
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    #[error("cannot look at the run")]
    View(#[from] ViewError),
}

impl GatewayError {
    /// Says on stderr what is wrong and why. Exit code 2 is for a wrong command line.
    pub(crate) fn report(&self) -> ExitCode {
        let mut text = format!("gateway: {self}");
        let mut cause = self.source();
        while let Some(error) = cause {
            let error_text = error.to_string();
            if !text.contains(&error_text) {
                text = format!("{text}: {error_text}");
            }
            cause = error.source();
        }
        eprintln!("{text}");
        match self {
            Self::Args(_) => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }
}
