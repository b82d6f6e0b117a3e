//! How providers stand, for those who choose among them.

use crate::{
    PerformanceMonitor,
    core::standing::{HealthState, ProviderStanding, Ranking},
};
use std::sync::Arc;
use tokio::sync::watch;

impl PerformanceMonitor {
    /// The order in which to ask `candidates`, each a provider and a model: the healthy ones first,
    /// then the unknown, the degraded and the unhealthy ones; of the same state, the faster ones
    /// first. Those nearly as fast, within some 10 %, keep the order in which they are given, which
    /// is that of your preference. A provider and model never seen is unknown.
    ///
    /// Cheap enough to be asked at each request: it allocates nothing, and waits for nobody but, for
    /// the time of one assignment, a collection. How they stand is as of the last collection. Of
    /// more than 16 candidates, those beyond keep their order behind the others.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use aimux_otel::PerformanceMonitor;
    /// use std::time::Duration;
    ///
    /// let monitor = PerformanceMonitor::builder().build()?;
    /// let second = Duration::from_secs(1);
    /// for _ in 0..20 {
    ///     monitor.record_provider_request("openai", "gpt-4o", second, false, "503", 0.0);
    ///     monitor.record_provider_request("cerebras", "llama3.1-70b", second, true, "", 0.0);
    /// }
    /// monitor.collect();
    /// let candidates = [("openai", "gpt-4o"), ("cerebras", "llama3.1-70b"), ("groq", "new")];
    /// let order: Vec<usize> = monitor.rank(&candidates).iter().collect();
    /// assert_eq!(order, [1, 2, 0]);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn rank(&self, candidates: &[(&str, &str)]) -> Ranking {
        self.shared().board.read().rank(candidates)
    }

    /// How that model of that provider stands, as of the last collection.
    #[must_use]
    pub fn health_state(&self, provider: &str, model: &str) -> HealthState {
        let board = self.shared().board.read();
        let standing = board.get(provider, model);
        standing.map_or(HealthState::Unknown, |standing| standing.state)
    }

    /// How all stand that were asked at least once, the first 200 of them, by name, as of the last
    /// collection.
    #[must_use]
    pub fn provider_health(&self) -> Arc<[ProviderStanding]> {
        Arc::clone(self.shared().board.read().all())
    }

    /// Tells when one of them has changed its state: how all stand then. Who is slow sees the latest
    /// only; nobody is waited for.
    #[must_use]
    pub fn health_changes(&self) -> watch::Receiver<Arc<[ProviderStanding]>> {
        self.shared().health_changes.subscribe()
    }
}
