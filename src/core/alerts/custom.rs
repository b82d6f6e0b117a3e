//! Rules that are closures of the host.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::clock::Timestamp;
use crate::core::alerts::rule::{Severity, is_name};
use crate::core::labels::is_unprintable;
use crate::core::memory::MemoryMetrics;
use crate::core::snapshot::Snapshot;
use crate::core::views::{
    self, ComponentsView, EndpointsView, ProvidersView, RealTimeView, ViewError,
};
use crate::core::window::Window;
use crate::error::OutOfRange;

/// So many custom rules at the most.
const MAX_RULES: usize = 64;
/// One closure finds so much at once; more is left out.
const MAX_FINDINGS: usize = 64;
/// A message is cut to this, in bytes.
const MAX_MESSAGE_BYTES: usize = 512;
/// The name of what it is about is cut to this, in bytes.
const MAX_SCOPE_BYTES: usize = 128;

/// What a custom rule looks at: the views as of the collection that was just made.
#[derive(Debug)]
pub struct AlertContext<'a> {
    snapshot: &'a Snapshot,
}

impl<'a> AlertContext<'a> {
    pub(super) const fn new(snapshot: &'a Snapshot) -> Self {
        Self { snapshot }
    }

    /// What each provider did over `window`.
    ///
    /// # Errors
    /// A window longer than the retention, or of no length.
    pub fn providers(&self, window: Window) -> Result<ProvidersView, ViewError> {
        views::providers(self.snapshot, window, None)
    }

    /// What each endpoint did over `window`.
    ///
    /// # Errors
    /// A window longer than the retention, or of no length.
    pub fn endpoints(&self, window: Window) -> Result<EndpointsView, ViewError> {
        views::endpoints(self.snapshot, window, None)
    }

    /// What each component did over `window`.
    ///
    /// # Errors
    /// A window longer than the retention, or of no length.
    pub fn components(&self, window: Window) -> Result<ComponentsView, ViewError> {
        views::components(self.snapshot, window)
    }

    /// Providers and endpoints over `window`, and the newest events. Its alerts are empty, as they
    /// are being found.
    ///
    /// # Errors
    /// A window longer than the retention, or of no length.
    pub fn real_time(&self, window: Window) -> Result<RealTimeView, ViewError> {
        views::real_time(self.snapshot, window)
    }

    /// The memory of the process.
    #[must_use]
    pub const fn memory(&self) -> &MemoryMetrics {
        &self.snapshot.memory
    }

    /// When the collection was made.
    #[must_use]
    pub const fn collected_at(&self) -> Timestamp {
        self.snapshot.collected_at
    }
}

type Find = dyn Fn(&AlertContext<'_>) -> Vec<(String, String)> + Send + Sync;

/// A rule that is a closure.
pub(crate) struct CustomRule {
    pub(crate) id: String,
    pub(crate) severity: Severity,
    find: Box<Find>,
}

/// Something that is the case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) scope: String,
    pub(super) message: String,
}

impl CustomRule {
    pub(crate) fn new<I, S, M>(
        id: String,
        severity: Severity,
        find: impl Fn(&AlertContext<'_>) -> I + Send + Sync + 'static,
    ) -> Self
    where
        I: IntoIterator<Item = (S, M)>,
        S: Into<String>,
        M: Into<String>,
    {
        let find = move |context: &AlertContext<'_>| {
            // One more than there may be, so that it can be told that some were left out.
            let found = find(context).into_iter().take(MAX_FINDINGS + 1);
            let owned = found.map(|(scope, message)| (scope.into(), message.into()));
            owned.collect()
        };
        Self {
            id,
            severity,
            find: Box::new(find),
        }
    }

    /// What is the case, fit to be shown, and how many were left out; `None` if it panicked.
    pub(super) fn look(&self, context: &AlertContext<'_>) -> Option<(Vec<Finding>, usize)> {
        let mut found = catch_unwind(AssertUnwindSafe(|| (self.find)(context))).ok()?;
        let left_out = found.len().saturating_sub(MAX_FINDINGS);
        found.truncate(MAX_FINDINGS);
        let fit = found.iter().map(|(scope, message)| Finding {
            scope: shown(scope, MAX_SCOPE_BYTES),
            message: shown(message, MAX_MESSAGE_BYTES),
        });
        Some((fit.collect(), left_out))
    }
}

/// Whether these rules may be together.
pub(crate) fn check_custom(rules: &[CustomRule]) -> Result<(), OutOfRange> {
    let wrong = |found: String, allowed: String| OutOfRange {
        setting: "custom_alert",
        found,
        allowed,
    };
    if rules.len() > MAX_RULES {
        let allowed = format!("at most {MAX_RULES} rules");
        return Err(wrong(rules.len().to_string(), allowed));
    }
    let mut ids = BTreeSet::new();
    let unfit = rules
        .iter()
        .find(|rule| !is_name(&rule.id) || !ids.insert(&rule.id));
    match unfit {
        Some(rule) => {
            let allowed = "an id of its own, of 1 to 128 printable characters";
            Err(wrong(format!("{:?}", rule.id), allowed.to_owned()))
        }
        None => Ok(()),
    }
}

impl std::fmt::Debug for CustomRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CustomRule")
            .field("id", &self.id)
            .field("severity", &self.severity)
            .finish_non_exhaustive()
    }
}

/// `text` as it may be shown: cut to a length, without what drives a terminal.
fn shown(text: &str, bytes: usize) -> String {
    let end = text.floor_char_boundary(bytes);
    let cut = text.get(..end).unwrap_or_default();
    cut.chars().filter(|c| !is_unprintable(*c)).collect()
}
