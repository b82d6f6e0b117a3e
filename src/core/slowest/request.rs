//! One request that is kept: what leads from a number to it.

use crate::{
    clock::Timestamp,
    core::{
        error_type::ErrorCode,
        labels::Label,
        measurement::{Measurement, Method},
        trace_link::TraceLink,
    },
};
use std::num::NonZeroU16;

/// An operation or an attempt that was slow, failed, or is in a trace.
#[derive(Debug, Clone)]
pub(crate) struct KeptRequest {
    pub(crate) ended: Timestamp,
    /// In nanoseconds.
    pub(crate) duration: u64,
    /// Its number among the events.
    pub(crate) number: u64,
    links: Option<Box<Links>>,
    pub(crate) provider: Label,
    pub(crate) model: Label,
    pub(crate) operation: Label,
    pub(crate) endpoint: Label,
    status: Option<NonZeroU16>,
    error: Option<ErrorCode>,
    pub(crate) method: Option<Method>,
}

/// There are thousands of these.
const _: () = assert!(size_of::<KeptRequest>() == 48);

/// By what it is known elsewhere.
#[derive(Debug, Clone, Default)]
struct Links {
    trace: Option<TraceLink>,
    event_id: Option<Box<str>>,
    request_id: Option<Box<str>>,
    provider_request_id: Option<Box<str>>,
}

impl KeptRequest {
    pub(super) fn of(number: u64, measurement: &Measurement) -> Self {
        let links = measurement.custom.as_deref().map(|custom| Links {
            trace: custom.trace.filter(TraceLink::is_one),
            event_id: (!custom.id.is_empty()).then(|| custom.id.as_str().into()),
            request_id: custom.request_id.clone(),
            provider_request_id: custom.provider_request_id.clone(),
        });
        Self {
            ended: measurement.ended,
            duration: measurement.duration,
            number,
            links: links.map(Box::new),
            provider: measurement.provider,
            model: measurement.model,
            operation: measurement.operation,
            endpoint: measurement.endpoint,
            status: measurement.status.and_then(NonZeroU16::new),
            error: measurement.error.map(ErrorCode::of),
            method: measurement.method,
        }
    }

    /// Its event's id: the one it was given, or one made of its number.
    pub(crate) fn event_id(&self) -> String {
        let given = self.links.as_ref().and_then(|l| l.event_id.as_deref());
        given.map_or_else(|| format!("evt-{}", self.number), str::to_owned)
    }

    /// By what the gateway and its client know it: what was given as that, or else the id under
    /// which it was recorded.
    pub(crate) fn request_id(&self) -> Option<&str> {
        let links = self.links.as_deref()?;
        links.request_id.as_deref().or(links.event_id.as_deref())
    }

    /// By what the provider knows it.
    pub(crate) fn provider_request_id(&self) -> Option<&str> {
        self.links.as_deref()?.provider_request_id.as_deref()
    }

    /// The span of a trace that is sampled.
    pub(crate) fn trace(&self) -> Option<TraceLink> {
        self.links.as_deref()?.trace
    }

    /// From the closed set; `None` is a success.
    pub(crate) fn error(&self) -> Option<&'static str> {
        self.error.map(ErrorCode::text)
    }

    pub(crate) fn status(&self) -> Option<u16> {
        self.status.map(NonZeroU16::get)
    }

    /// Its duration in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.duration as f64 / 1e9
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.links.as_deref().map_or(0, |links| {
            let ids = [
                &links.event_id,
                &links.request_id,
                &links.provider_request_id,
            ];
            let ids = ids.into_iter().flatten().map(|id| id.len());
            size_of::<Links>() + ids.sum::<usize>()
        })
    }
}
