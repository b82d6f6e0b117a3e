//! An export as an answer: rendered piece by piece, no faster than its client reads.

use super::{
    Surface,
    problem::Problem,
    query::{Asked, Kind, MOMENT_FORMS, Parameter},
    route::Tells,
    seats::Seats,
};
use crate::{
    clock::Timestamp,
    core::{
        export::{Export, ExportError, ExportFormat, json::JsonExport},
        rfc3339::Rfc3339,
    },
    exports,
    tick::Shared,
};
use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use http_body::Frame;
use schemars::{Schema, SchemaGenerator};
use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

/// How it is to be written.
pub(crate) const FORMAT: Parameter = Parameter {
    name: "format",
    about: "How it is to be written; JSON unless it is said.",
    kind: Kind::OneOf(&["json", "prometheus", "csv", "otlp"]),
};
/// What changed since.
pub(crate) const SINCE: Parameter = Parameter {
    name: "since",
    about: "Only what changed after this time, which is not in the future: Unix seconds or RFC 3339. \
            With the end of an earlier export, which its header `aimux-window-end` tells, exactly \
            what came after that.",
    kind: Kind::Moment,
};

/// Exports that are under way at the same time; what comes beyond is refused.
const AT_ONCE: usize = 2;
/// An export whose client has not read on for so long makes room for another.
const STALLED: Duration = Duration::from_secs(30);

const WINDOW_START: HeaderName = HeaderName::from_static("aimux-window-start");
const WINDOW_END: HeaderName = HeaderName::from_static("aimux-window-end");
const WINDOW_EXACT: HeaderName = HeaderName::from_static("aimux-window-exact");

/// The exports that are under way.
#[derive(Debug)]
pub(crate) struct Exports {
    open: Mutex<Vec<Weak<Ticket>>>,
    /// One piece is rendered at a time.
    seats: Seats,
}

/// Of one export that is under way.
#[derive(Debug)]
struct Ticket {
    /// When its client last asked for more.
    asked: AtomicU64,
    /// It had to make room.
    revoked: AtomicBool,
}

impl Exports {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            open: Mutex::default(),
            seats: Seats::new(1, AT_ONCE + 1),
        })
    }

    /// A place for one more, if there is one.
    fn enter(&self, now: Timestamp) -> Option<Arc<Ticket>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|ticket| ticket.strong_count() > 0);
        if open.len() >= AT_ONCE {
            let stalled = open.iter().position(|ticket| {
                let ticket = ticket.upgrade();
                ticket.is_none_or(|ticket| now.since(ticket.asked()) > STALLED)
            })?;
            if let Some(ticket) = open.swap_remove(stalled).upgrade() {
                ticket.revoked.store(true, Ordering::Relaxed);
            }
        }
        let ticket = Arc::new(Ticket {
            asked: AtomicU64::new(now.as_unix_nanos()),
            revoked: AtomicBool::new(false),
        });
        open.push(Arc::downgrade(&ticket));
        Some(ticket)
    }
}

impl Ticket {
    fn asked(&self) -> Timestamp {
        Timestamp::from_unix_nanos(self.asked.load(Ordering::Relaxed))
    }
}

/// Answers with an export.
pub(crate) struct Exporting;

impl Tells for Exporting {
    fn tell(&self, surface: &Surface, asked: &Asked, _: &HeaderMap) -> Result<Response, Problem> {
        let format = asked.one_of(&FORMAT).unwrap_or_default();
        let format: ExportFormat = format.parse().unwrap_or_default();
        let shared = &surface.shared;
        let ticket = surface.exports.enter(shared.recorder.now());
        let ticket = ticket.ok_or_else(full)?;
        let since = asked.moment(&SINCE);
        let export = exports::begin(shared, &surface.registry, format, since).map_err(refused)?;
        let disposition = format!("attachment; filename=\"{}\"", export.file_name());
        let times = [export.window_start(), export.window_end()].map(|t| Rfc3339(t).to_string());
        let [start, end] = times;
        let texts = [
            (header::CONTENT_DISPOSITION, disposition),
            (WINDOW_START, start),
            (WINDOW_END, end),
            (WINDOW_EXACT, export.is_exact().to_string()),
        ];
        let mut response = Response::new(Body::new(Pieces {
            state: State::Idle(export),
            ticket,
            shared: Arc::clone(shared),
            exports: Arc::clone(&surface.exports),
        }));
        let headers = response.headers_mut();
        let content_type = HeaderValue::from_static(format.content_type());
        headers.insert(header::CONTENT_TYPE, content_type);
        for (name, text) in texts {
            if let Ok(value) = HeaderValue::from_str(&text) {
                headers.insert(name, value);
            }
        }
        Ok(response)
    }

    fn contents(&self, schemas: &mut SchemaGenerator) -> Vec<(&'static str, Schema)> {
        let schema = |format| match format {
            ExportFormat::Json => schemas.subschema_for::<JsonExport>(),
            _ => schemas.subschema_for::<String>(),
        };
        let schemas = ExportFormat::ALL.map(schema);
        let types = ExportFormat::ALL.map(ExportFormat::content_type);
        types.into_iter().zip(schemas).collect()
    }
}

fn full() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        format!("{AT_ONCE} exports are under way, and there are no more at once; ask again."),
    )
    .header(header::RETRY_AFTER, "5")
}

fn refused(error: ExportError) -> Problem {
    let problem = SINCE.refused(format!("Not exported: {error}."));
    problem.allowed(MOMENT_FORMS)
}

/// The body: asks for a piece when it is asked for one.
///
/// No thread waits for a client that does not read on; all that waits is the snapshot and a piece.
struct Pieces {
    state: State,
    ticket: Arc<Ticket>,
    shared: Arc<Shared>,
    exports: Arc<Exports>,
}

enum State {
    Idle(Export),
    Rendering(Pin<Box<dyn Future<Output = Option<Rendered>> + Send>>),
    Done,
}

type Rendered = (Export, Option<io::Result<Vec<u8>>>);

impl Pieces {
    fn render(&self, mut export: Export) -> State {
        let exports = Arc::clone(&self.exports);
        State::Rendering(Box::pin(async move {
            let next = move || {
                let piece = export.next();
                (export, piece)
            };
            exports.seats.run(next).await.ok()
        }))
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        let now = this.shared.recorder.now().as_unix_nanos();
        this.ticket.asked.store(now, Ordering::Relaxed);
        if this.ticket.revoked.load(Ordering::Relaxed) {
            this.state = State::Done;
            return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
        }
        loop {
            match std::mem::replace(&mut this.state, State::Done) {
                State::Done => return Poll::Ready(None),
                State::Idle(export) => this.state = this.render(export),
                State::Rendering(mut rendering) => {
                    let Poll::Ready(rendered) = rendering.as_mut().poll(context) else {
                        this.state = State::Rendering(rendering);
                        return Poll::Pending;
                    };
                    return Poll::Ready(match rendered {
                        None => Some(Err(io::ErrorKind::Interrupted.into())),
                        Some((_, None)) => None,
                        Some((_, Some(Err(error)))) => Some(Err(error)),
                        Some((export, Some(Ok(piece)))) => {
                            this.state = State::Idle(export);
                            Some(Ok(Frame::data(piece.into())))
                        }
                    });
                }
            }
        }
    }
}
