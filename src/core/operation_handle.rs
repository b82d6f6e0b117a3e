//! A hold on an operation that somebody else keeps and ends.

use super::recorder::Recorder;
use std::sync::Arc;

/// A hold on an open operation, by which a call to a provider is told to belong to it.
///
/// It does not keep the operation open: a call that ends after its operation is still recorded,
/// as one that belongs to none.
#[derive(Debug, Clone)]
pub struct OperationHandle {
    pub(crate) recorder: Arc<Recorder>,
    /// Its number among the open operations; `None` if there was no room for it.
    pub(crate) key: Option<u64>,
}
