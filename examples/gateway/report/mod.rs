//! What is shown and written: the live table, the exact percentiles, the summary.

pub(crate) mod recorded;
pub(crate) mod samples;
pub(crate) mod screen;
pub(crate) mod summary;
mod table;
