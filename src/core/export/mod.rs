//! Exports: all that was measured, or what changed since some time, for other programs.

pub(crate) mod csv;
pub(crate) mod escape;
pub(crate) mod extent;
pub(crate) mod json;
pub(crate) mod otlp;
pub(crate) mod points;

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use crate::clock::Timestamp;
use crate::core::export::extent::Extent;
use crate::core::rfc3339::Rfc3339;

/// Bytes of a piece at the most.
const PIECE: usize = 64 << 10;

/// Bytes that a source renders at once, near enough: a piece is made of one or two.
pub(crate) const PART: usize = 32 << 10;

/// How an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ExportFormat {
    /// One JSON object: the fields of [`PerformanceReport`](crate::PerformanceReport), then
    /// `since`, `is_exact`, `recent_events`, and `points`, of which there is one for each series,
    /// or with a `since` one for each slot of time and series.
    #[default]
    Json,
    /// The Prometheus text format, as `/metrics` has it. Its numbers count from the start of the
    /// process by their nature: with a `since` those series are left out that are known not to have
    /// changed.
    Prometheus,
    /// CSV (RFC 4180) with a header and a row for each point.
    Csv,
    /// OTLP in its JSON encoding, one request to export metrics a line, as the file exporter of the
    /// OpenTelemetry Collector writes it. All that is exponential here is exponential there, and
    /// of the same buckets. With a `since` of delta temporality, else cumulative.
    Otlp,
}

impl ExportFormat {
    /// All formats.
    pub const ALL: [Self; 4] = [Self::Json, Self::Prometheus, Self::Csv, Self::Otlp];

    /// Its name, as in `?format=`: `json`, `prometheus`, `csv` or `otlp`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Prometheus => "prometheus",
            Self::Csv => "csv",
            Self::Otlp => "otlp",
        }
    }

    /// Its media type.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Otlp => "application/x-ndjson",
        }
    }

    const fn extension(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Prometheus => "prom",
            Self::Csv => "csv",
            Self::Otlp => "jsonl",
        }
    }
}

impl fmt::Display for ExportFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ExportFormat {
    type Err = ExportError;

    fn from_str(name: &str) -> Result<Self, ExportError> {
        let found = Self::ALL.into_iter().find(|format| format.name() == name);
        found.ok_or(ExportError::UnknownFormat)
    }
}

/// Why there is no export.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// No format has that name.
    #[error("there is no format of that name; there are json, prometheus, csv and otlp")]
    UnknownFormat,
    /// Nothing can have changed since a time that has not come.
    #[error("since is {}, which is in the future; it is {} now", Rfc3339(*since), Rfc3339(*now))]
    SinceInFuture {
        /// What was asked for.
        since: Timestamp,
        /// The time by the monitor's clock.
        now: Timestamp,
    },
}

/// What renders an export, part by part.
pub(crate) trait Source: Send {
    /// Appends the next part to `to`; whether there are more.
    fn more(&mut self, to: &mut Vec<u8>) -> io::Result<bool>;
}

/// An export that is rendered while it is read: whatever it is long, it holds no more than a few
/// pieces of its text, and the immutable snapshot that it tells of. (That of JSON holds the report,
/// and that of Prometheus the numbers of one scrape.)
///
/// Read it by [`Read`], as an [`Iterator`] over pieces of up to 64 KiB, or whole.
pub struct Export {
    format: ExportFormat,
    start: Timestamp,
    end: Timestamp,
    is_exact: bool,
    source: Option<Box<dyn Source>>,
    /// What is rendered and not read yet, from `at` on.
    rendered: Vec<u8>,
    at: usize,
}

impl Export {
    pub(crate) fn new(
        format: ExportFormat,
        extent: &Extent,
        started: Timestamp,
        source: impl Source + 'static,
    ) -> Self {
        Self {
            format,
            start: extent.start,
            end: extent.end,
            is_exact: extent.is_exact(started),
            source: Some(Box::new(source)),
            rendered: Vec::new(),
            at: 0,
        }
    }

    /// How it is written.
    #[must_use]
    pub const fn format(&self) -> ExportFormat {
        self.format
    }

    /// The moment after which its numbers begin.
    #[must_use]
    pub const fn window_start(&self) -> Timestamp {
        self.start
    }

    /// The moment up to which its numbers go: what to ask for as the next `since`.
    #[must_use]
    pub const fn window_end(&self) -> Timestamp {
        self.end
    }

    /// Whether the numbers begin at exactly the time asked for. They do where that was the
    /// [`window_end`](Self::window_end) of one of the last exports. Else they begin a little
    /// earlier, since what is older is kept in coarser slots of time, or later, since what is
    /// older still is not kept.
    #[must_use]
    pub const fn is_exact(&self) -> bool {
        self.is_exact
    }

    /// A name for a file to keep it in, such as `performance-20260131T083000Z.csv`.
    #[must_use]
    pub fn file_name(&self) -> String {
        let time = Rfc3339(self.end).to_string();
        let whole = time.split('.').next().unwrap_or_default();
        let time: String = whole.chars().filter(char::is_ascii_alphanumeric).collect();
        format!("performance-{time}Z.{}", self.format.extension())
    }

    /// Writes what is left of it to `to`.
    ///
    /// # Errors
    /// Those of `to`, and what [`into_string`](Self::into_string) says.
    pub fn write_to(self, to: &mut impl Write) -> io::Result<()> {
        for piece in self {
            to.write_all(&piece?)?;
        }
        Ok(())
    }

    /// What is left of it as one text.
    ///
    /// # Errors
    /// The registry has a metric that cannot be written, which only Prometheus' format meets.
    pub fn into_string(self) -> io::Result<String> {
        let mut text = Vec::new();
        self.write_to(&mut text)?;
        String::from_utf8(text).map_err(|_| io::ErrorKind::InvalidData.into())
    }

    /// Renders until there is a whole piece, or nothing more; what there is.
    fn render(&mut self) -> io::Result<&[u8]> {
        while self.rendered.len().saturating_sub(self.at) < PART {
            let Some(source) = &mut self.source else {
                break;
            };
            // No move of what is left for each piece: a report may be long.
            if self.at > 0 {
                self.rendered.drain(..self.at);
                self.at = 0;
            }
            match source.more(&mut self.rendered) {
                Ok(true) => {}
                Ok(false) => self.source = None,
                Err(error) => {
                    self.source = None;
                    self.rendered.clear();
                    return Err(error);
                }
            }
        }
        Ok(self.rendered.get(self.at..).unwrap_or_default())
    }
}

impl Iterator for Export {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<io::Result<Vec<u8>>> {
        match self.render() {
            Err(error) => Some(Err(error)),
            Ok([]) => None,
            Ok(rendered) => {
                let piece = rendered.get(..PIECE).unwrap_or(rendered).to_vec();
                self.at = self.at.saturating_add(piece.len());
                Some(Ok(piece))
            }
        }
    }
}

impl Read for Export {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let mut rendered = self.render()?;
        let read = rendered.read(to)?;
        self.at = self.at.saturating_add(read);
        Ok(read)
    }
}

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Export")
            .field("format", &self.format)
            .field("window_start", &self.start)
            .field("window_end", &self.end)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
