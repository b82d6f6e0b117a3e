//! Which callsites are ours: decided once for each, by the names of their fields.

use super::field::{Field, Meaning, recognise, recognise_in_event};
use crate::{
    config::Config,
    names::{CALL_TARGET, HTTP_OPERATION, HTTP_TARGET, LOG_TARGET},
};
use std::{
    collections::HashSet,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};
use tracing_core::{Level, Metadata};

/// At most this many callsites are measured in one process.
const MAX_CALLSITES: usize = 1_024;
const CELLS: usize = MAX_CALLSITES * 2;

/// Callsites of others that are remembered, and how many cells one of them may be in.
const FOREIGN_CELLS: usize = 4_096;
const FOREIGN_STEPS: usize = 8;

/// The place of a callsite in the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct CallsiteNumber(u16);

/// What to do at one callsite.
#[derive(Debug)]
pub(super) struct Callsite {
    pub(super) fields: Box<[Option<Field>]>,
    pub(super) kind: CallsiteKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallsiteKind {
    /// A span that may be an operation, an attempt or component work.
    Span {
        /// It has a field for a component.
        component: bool,
        /// It has a field for an endpoint.
        endpoint: bool,
    },
    /// The HTTP layer's own span, a link to the operation that it keeps.
    HttpSpan,
    /// An `aimux.event`.
    Signal,
    /// An event at `ERROR` with an `error` field.
    Error,
}

/// Where a callsite lies, and what to do at it.
type Registered = Box<(usize, Callsite)>;

/// The measured callsites. Only ever grows, by cells that are written once.
#[derive(Debug)]
pub(super) struct Callsites {
    /// By the address; most stay empty, so they are small.
    cells: Box<[OnceLock<Registered>]>,
    /// The addresses of callsites that are not ours; 0 where there is none.
    foreign: Box<[AtomicUsize]>,
    adding: Mutex<Added>,
    refused: AtomicU64,
    error_events: bool,
    disabled: bool,
}

#[derive(Debug, Default)]
struct Added {
    count: usize,
    /// Where spans stand that are not ours.
    foreign_spans: HashSet<(&'static str, u32)>,
}

impl Callsites {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            cells: std::iter::repeat_with(OnceLock::new).take(CELLS).collect(),
            foreign: std::iter::repeat_with(AtomicUsize::default)
                .take(FOREIGN_CELLS)
                .collect(),
            adding: Mutex::new(Added::default()),
            refused: AtomicU64::new(0),
            error_events: config.error_events,
            disabled: config.disabled,
        }
    }

    /// What to do at the callsite of `metadata`, and its number; `None` if it is not ours.
    #[inline]
    pub(super) fn get(&self, metadata: &Metadata<'_>) -> Option<(CallsiteNumber, &Callsite)> {
        let address = address(metadata);
        let mut at = start(address);
        while let Some(of_one) = self.cells.get(at)?.get() {
            let (taken, callsite) = &**of_one;
            if *taken == address {
                return Some((CallsiteNumber(at as u16), callsite));
            }
            at = (at + 1) % CELLS;
        }
        None
    }

    /// What to do at the callsite with this number.
    #[inline]
    pub(super) fn at(&self, CallsiteNumber(number): CallsiteNumber) -> Option<&Callsite> {
        let (_, callsite) = &**self.cells.get(usize::from(number))?.get()?;
        Some(callsite)
    }

    /// Whether a callsite is ours, also while another thread is still registering it: `tracing`
    /// asks for each span then, and what is answered now decides whether the span exists.
    pub(super) fn is_ours(&self, metadata: &Metadata<'_>) -> bool {
        if self.get(metadata).is_some() {
            return true;
        }
        !self.disabled && !self.is_foreign(metadata) && self.seems_ours(metadata)
    }

    /// As [`get`](Self::get), for a span or an event that exists: if its callsite was not
    /// registered yet, it is now.
    #[inline]
    pub(super) fn get_or_register(
        &self,
        metadata: &'static Metadata<'static>,
    ) -> Option<(CallsiteNumber, &Callsite)> {
        if let Some(found) = self.get(metadata) {
            return Some(found);
        }
        if self.is_foreign(metadata) || !self.register(metadata) {
            return None;
        }
        self.get(metadata)
    }

    fn is_foreign(&self, metadata: &Metadata<'_>) -> bool {
        let address = address(metadata);
        self.foreign_cells(address)
            .any(|cell| cell.load(Ordering::Relaxed) == address)
    }

    /// Remembers a callsite of others, unless there is no room: then it is looked at again.
    fn remember_foreign(&self, metadata: &Metadata<'_>) {
        let address = address(metadata);
        for cell in self.foreign_cells(address) {
            let was = cell.compare_exchange(0, address, Ordering::Relaxed, Ordering::Relaxed);
            if was.is_ok() || was == Err(address) {
                return;
            }
        }
    }

    fn foreign_cells(&self, address: usize) -> impl Iterator<Item = &AtomicUsize> {
        let first = mixed(address) % FOREIGN_CELLS;
        let cells = self.foreign.iter().cycle().skip(first);
        cells.take(FOREIGN_STEPS)
    }

    /// Whether the names of its fields may make it ours.
    fn seems_ours(&self, metadata: &Metadata<'_>) -> bool {
        let mut names = metadata.fields().iter().map(|field| field.name());
        if metadata.is_span() {
            return match metadata.target() {
                HTTP_TARGET => true,
                CALL_TARGET => false,
                _ => names.any(makes_ours),
            };
        }
        if metadata.target() == LOG_TARGET {
            return false;
        }
        names.any(|name| name == "aimux.event" || self.error_events && name == "error")
    }

    /// Decides about a callsite when it is first reached, or again for another subscriber;
    /// whether it is ours.
    pub(super) fn register(&self, metadata: &'static Metadata<'static>) -> bool {
        if self.disabled || self.get(metadata).is_some() {
            return !self.disabled;
        }
        let mut added = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(callsite) = self.decide(metadata, &mut added) else {
            self.remember_foreign(metadata);
            return false;
        };
        if added.count >= MAX_CALLSITES {
            self.refused.fetch_add(1, Ordering::Relaxed);
            self.remember_foreign(metadata);
            return false;
        }
        let address = address(metadata);
        let mut at = start(address);
        let mut entry = Box::new((address, callsite));
        while let Some(cell) = self.cells.get(at) {
            match cell.set(entry) {
                Ok(()) => {
                    added.count += 1;
                    return true;
                }
                // The same callsite may have been registered by another thread meanwhile.
                Err(_) if cell.get().is_some_and(|of_one| of_one.0 == address) => return true,
                Err(back) => entry = back,
            }
            at = (at + 1) % CELLS;
        }
        false
    }

    /// Whether the event at this callsite tells of a span that is not measured: what
    /// `#[instrument(err)]` emits stands where the function's span does, and says nothing about
    /// a measured span around it. Asked late, as the callsites of an older function come to a
    /// newer subscriber in any order.
    pub(super) fn is_of_foreign_span(&self, metadata: &Metadata<'_>) -> bool {
        let added = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let place = metadata.file().zip(metadata.line());
        place.is_some_and(|place| added.foreign_spans.contains(&place))
    }

    fn decide(&self, metadata: &'static Metadata<'static>, added: &mut Added) -> Option<Callsite> {
        if metadata.is_span() {
            let callsite = span_callsite(metadata);
            if callsite.is_none() {
                let place = metadata.file().zip(metadata.line());
                added.foreign_spans.extend(place);
            }
            return callsite;
        }
        // What the monitor says of itself is never measured.
        if metadata.target() == LOG_TARGET {
            return None;
        }
        if metadata.fields().iter().any(|f| f.name() == "aimux.event") {
            let mut fields = fields_of(metadata, recognise_in_event);
            mark_contested(&mut fields);
            return Some(Callsite {
                fields,
                kind: CallsiteKind::Signal,
            });
        }
        let is_error = self.error_events
            && *metadata.level() == Level::ERROR
            && metadata.fields().iter().any(|f| f.name() == "error");
        is_error.then(|| Callsite {
            fields: Box::default(),
            kind: CallsiteKind::Error,
        })
    }
}

fn span_callsite(metadata: &'static Metadata<'static>) -> Option<Callsite> {
    // The guard that it stands for measures the call.
    if metadata.target() == CALL_TARGET {
        return None;
    }
    if metadata.target() == HTTP_TARGET {
        let link = |name: &str| {
            (name == HTTP_OPERATION).then_some(Field {
                meaning: Meaning::HttpOperation,
                alias: false,
                contested: false,
            })
        };
        return Some(Callsite {
            fields: fields_of(metadata, link),
            kind: CallsiteKind::HttpSpan,
        });
    }
    let mut fields = fields_of(metadata, recognise);
    let has = |meaning| fields.iter().flatten().any(|f| f.meaning == meaning);
    let (component, endpoint) = (has(Meaning::Component), has(Meaning::Endpoint));
    let ours = component || endpoint || has(Meaning::Provider) || has(Meaning::Model);
    if component {
        // Beside `component`, the short `operation` is the component's.
        for field in fields.iter_mut().flatten() {
            if field.alias && field.meaning == Meaning::Operation {
                field.meaning = Meaning::ComponentOperation;
            }
        }
    }
    mark_contested(&mut fields);
    ours.then_some(Callsite {
        fields,
        kind: CallsiteKind::Span {
            component,
            endpoint,
        },
    })
}

fn fields_of(
    metadata: &Metadata<'_>,
    recognise: impl Fn(&str) -> Option<Field>,
) -> Box<[Option<Field>]> {
    let names = metadata.fields().iter();
    names.map(|field| recognise(field.name())).collect()
}

/// Marks what is told by a name of the conventions and by an alias, of which one gives way.
fn mark_contested(fields: &mut [Option<Field>]) {
    let told_by = |alias| {
        let fields = fields.iter().flatten().filter(|f| f.alias == alias);
        fields.fold(0, |bits, field| bits | field.meaning.bit())
    };
    let contested = told_by(true) & told_by(false);
    for field in fields.iter_mut().flatten() {
        field.contested = field.meaning.bit() & contested != 0;
    }
}

/// Callsites live as long as the process, so where one lies names it.
fn address(metadata: &Metadata<'_>) -> usize {
    std::ptr::from_ref(metadata).cast::<()>() as usize
}

#[inline]
fn start(address: usize) -> usize {
    mixed(address) % CELLS
}

/// Metadata are aligned, so the lowest bits say nothing.
#[inline]
fn mixed(address: usize) -> usize {
    (address >> 3).wrapping_mul(0x9E37_79B1)
}

/// Whether a field of this name makes a span ours.
fn makes_ours(name: &str) -> bool {
    let meaning = recognise(name).map(|field| field.meaning);
    matches!(
        meaning,
        Some(Meaning::Provider | Meaning::Model | Meaning::Endpoint | Meaning::Component)
    )
}
