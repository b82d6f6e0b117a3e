//! OpenTelemetry: the instruments that record, and the reader that the views are made from.

pub(crate) mod instruments;
pub(crate) mod reader;
pub(crate) mod streams;
