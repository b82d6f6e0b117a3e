//! CSV (RFC 4180): a header, then a row for each point.
//!
//! Nothing in a cell can break its row: what cannot be shown is replaced by a mark, and a cell is
//! quoted where it has to be. A spreadsheet takes a cell that begins with `=`, `+`, `-` or `@` for a
//! formula, so such a text gets an apostrophe before it; numbers do not.

use std::borrow::Cow;
use std::io::{self, Write};
use std::ops::ControlFlow;

use crate::core::aggregate::Aggregate;
use crate::core::export::points::{Point, Points};
use crate::core::export::{PART, Source, escape};
use crate::core::labels::is_unprintable;
use crate::core::rfc3339::Rfc3339;
use crate::names;

/// The columns before the attributes.
const FIRST: [&str; 6] = [
    "window_start",
    "window_end",
    "scope",
    "metric",
    "kind",
    "unit",
];

/// A column for each attribute that is recognised.
pub(crate) const ATTRIBUTES: [(&str, &str); 15] = [
    ("provider", names::GEN_AI_PROVIDER_NAME),
    ("model", names::GEN_AI_REQUEST_MODEL),
    ("operation", names::GEN_AI_OPERATION_NAME),
    ("token_type", names::GEN_AI_TOKEN_TYPE),
    ("endpoint", names::HTTP_ROUTE),
    ("method", names::HTTP_REQUEST_METHOD),
    ("status_code", names::HTTP_RESPONSE_STATUS_CODE),
    ("error_type", names::ERROR_TYPE),
    ("component", names::COMPONENT),
    ("component_operation", names::OPERATION),
    ("cache_result", names::CACHE_RESULT),
    ("failover_from", names::FAILOVER_FROM),
    ("failover_to", names::FAILOVER_TO),
    ("failover_reason", names::FAILOVER_REASON),
    ("overflow", names::METRIC_OVERFLOW),
];

/// The columns behind them. What has no column of its own is an object in the first of these.
const LAST: [&str; 9] = [
    "other_attributes",
    "count",
    "sum",
    "min",
    "max",
    "p50",
    "p95",
    "p99",
    "last",
];

/// The rows of `points`.
#[derive(Debug)]
pub(crate) struct Csv {
    points: Points,
    begun: bool,
}

impl Csv {
    pub(crate) const fn new(points: Points) -> Self {
        Self {
            points,
            begun: false,
        }
    }
}

impl Source for Csv {
    fn more(&mut self, to: &mut Vec<u8>) -> io::Result<bool> {
        if !self.begun {
            self.begun = true;
            let attributes = ATTRIBUTES.iter().map(|(column, _)| *column);
            let columns = FIRST.into_iter().chain(attributes).chain(LAST);
            to.extend_from_slice(columns.collect::<Vec<_>>().join(",").as_bytes());
            to.extend_from_slice(b"\r\n");
        }
        let enough = to.len().saturating_add(PART);
        let mut written = Ok(());
        let more = self.points.each(|point| {
            written = row(&point, to);
            if written.is_err() || to.len() >= enough {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        written.map(|()| more)
    }
}

fn row(point: &Point<'_>, to: &mut Vec<u8>) -> io::Result<()> {
    let key = point.key;
    write!(to, "{},{},", Rfc3339(point.start), Rfc3339(point.end))?;
    let unit = point.info.map_or("", |info| &*info.unit);
    for text in [&*key.scope, &*key.metric, point.kind(), unit] {
        cell(text, to);
        to.push(b',');
    }
    for (_, attribute) in ATTRIBUTES {
        cell(key.labels.get(attribute).unwrap_or_default(), to);
        to.push(b',');
    }
    let others = key.labels.iter().filter(|(name, _)| {
        let has_column = |(_, attribute): &(&str, &str)| attribute == name;
        !ATTRIBUTES.iter().any(has_column)
    });
    let others: std::collections::BTreeMap<&str, &str> = others.collect();
    if !others.is_empty() {
        let mut object = Vec::new();
        escape::json(&others, &mut object)?;
        cell(&String::from_utf8_lossy(&object), to);
    }
    to.push(b',');
    if let Some(count) = point.count() {
        write!(to, "{count}")?;
    }
    to.push(b',');
    match point.aggregate {
        Aggregate::Money(nano) => write!(to, "{}", Usd(nano))?,
        _ => write!(to, "{}", point.aggregate.sum())?,
    }
    let (min, max) = (point.aggregate.min(), point.aggregate.max());
    let quantiles = [0.5, 0.95, 0.99].map(|q| point.quantile(q));
    let numbers = [min, max].into_iter().chain(quantiles);
    for number in numbers.chain([point.last()]) {
        to.push(b',');
        if let Some(number) = number {
            write!(to, "{number}")?;
        }
    }
    to.extend_from_slice(b"\r\n");
    Ok(())
}

/// Nano-USD as USD, to the last digit.
struct Usd(i128);

impl std::fmt::Display for Usd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nano = self.0.unsigned_abs();
        let digits = format!("{:09}", nano % 1_000_000_000);
        let fraction = digits.trim_end_matches('0');
        let whole = nano / 1_000_000_000;
        if fraction.is_empty() {
            write!(f, "{sign}{whole}")
        } else {
            write!(f, "{sign}{whole}.{fraction}")
        }
    }
}

/// Appends a text as one cell.
fn cell(text: &str, to: &mut Vec<u8>) {
    let text = harmless(text);
    // Some spreadsheets part cells at a semicolon too.
    let quoted = text.contains(['"', ',', ';', ' ']);
    if quoted {
        to.push(b'"');
        to.extend_from_slice(text.replace('"', "\"\"").as_bytes());
        to.push(b'"');
    } else {
        to.extend_from_slice(text.as_bytes());
    }
}

/// What a reader finds in the cell of `text`.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    // The wide forms are formulas too, where people type them.
    let begins = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
    let formula = text.starts_with(begins) && !is_number(text);
    if !formula && !text.contains(is_unprintable) {
        return Cow::Borrowed(text);
    }
    let shown = |c| if is_unprintable(c) { '\u{FFFD}' } else { c };
    let apostrophe = formula.then_some('\'');
    Cow::Owned(
        apostrophe
            .into_iter()
            .chain(text.chars().map(shown))
            .collect(),
    )
}

/// Whether it is a decimal number with a sign, and nothing that a formula could be made of.
fn is_number(text: &str) -> bool {
    let Some(number) = text.strip_prefix(['+', '-']) else {
        return false;
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    [whole, fraction]
        .iter()
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}
