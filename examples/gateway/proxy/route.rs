//! Routing with failover: from target to target until one answers, those that stand in in the order
//! in which the monitor ranks them.

use aimux_otel::OperationHandle;

use super::Gateway;
use super::attempt::{self, Answer, Failure};
use crate::catalog::Target;
use crate::chat::{Chat, Refusal};

impl Gateway {
    /// Asks the first target, then those that stand in. Goes on only as long as nothing was sent to the client, so
    /// a stream that breaks after its first token is not tried elsewhere.
    pub(super) async fn ask(
        &self,
        operation: &OperationHandle,
        targets: &[Target],
        chat: &Chat,
        request_id: &str,
    ) -> Result<(Target, Answer), Refusal> {
        let mut targets = self.in_order(targets).into_iter().peekable();
        let mut last = Failure::Connection;
        while let Some(target) = targets.next() {
            last = match attempt::call(self, operation, target, chat, request_id).await {
                Ok(answer) => return Ok((target, answer)),
                Err(failure) => failure,
            };
            if !last.another_may_do_better() {
                break;
            }
            if let Some(next) = targets.peek() {
                tracing::warn!(
                    aimux.event = "failover_initiated",
                    from = target.provider.name,
                    to = next.provider.name,
                    reason = last.reason(),
                );
            }
        }
        Err(last.refusal())
    }

    /// The first target, then the others as they stand now.
    fn in_order(&self, targets: &[Target]) -> Vec<Target> {
        let Some((first, others)) = targets.split_first() else {
            return Vec::new();
        };
        let names = |target: &Target| (target.provider.name, target.model.name);
        let names: Vec<_> = others.iter().map(names).collect();
        let ranking = self.monitor.rank(&names);
        let others = ranking.iter().filter_map(|at| others.get(at)).copied();
        std::iter::once(*first).chain(others).collect()
    }
}
