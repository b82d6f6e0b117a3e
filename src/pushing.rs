//! Push over HTTP: how it is asked for, and what it is wired to.

use crate::{
    PerformanceMonitor,
    builder::MonitorBuilder,
    edge::{
        otel::exposition,
        push::{About, Alertmanager, Elasticsearch, Pushgateway, Sources, Webhook},
    },
    error::PushError,
    tick::Shared,
};
use opentelemetry_sdk::Resource;
use std::{sync::Arc, time::Duration};

impl MonitorBuilder {
    /// Posts each change of an alert to a webhook. May be called for many.
    pub fn alert_webhook(mut self, webhook: Webhook) -> Self {
        self.destinations.webhooks.push(webhook);
        self
    }

    /// Tells an Alertmanager what fires. May be called for many.
    pub fn alertmanager(mut self, alertmanager: Alertmanager) -> Self {
        self.destinations.alertmanagers.push(alertmanager);
        self
    }

    /// Pushes the metrics to a Pushgateway. May be called for many.
    pub fn pushgateway(mut self, pushgateway: Pushgateway) -> Self {
        self.destinations.pushgateways.push(pushgateway);
        self
    }

    /// Pushes the metrics to Elasticsearch, as documents. May be called for many.
    pub fn elasticsearch(mut self, elasticsearch: Elasticsearch) -> Self {
        self.destinations.elasticsearches.push(elasticsearch);
        self
    }

    /// Whether webhooks, Alertmanagers, Pushgateways and Elasticsearch are reached through the proxy
    /// that `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` name. They are not by default.
    pub const fn push_through_environment_proxy(mut self, through: bool) -> Self {
        self.destinations.environment_proxy = through;
        self
    }
}

impl PerformanceMonitor {
    /// Collects, and pushes the metrics to a Pushgateway once: for a job that knows when it is
    /// done. It is tried until `deadline` has passed, and blocks for as long: from an async
    /// function, call it on a blocking thread. The pushgateway's interval does not matter.
    ///
    /// # Errors
    /// A setting out of its range, metrics that cannot be rendered, no answer, an answer that is
    /// no success, the deadline, a monitor that was shut down.
    pub fn push_to(&self, pushgateway: &Pushgateway, deadline: Duration) -> Result<(), PushError> {
        let clock = crate::clock::Clock::start();
        let end = clock.now().after(deadline);
        // After a shutdown this is no more than a look.
        self.shared().collect(deadline / 2);
        let text = exposition::render(self.prometheus_registry().gather());
        let text = text.map_err(|_| PushError::NotRendered)?;
        let left = end.since(clock.now());
        let (pushes, runtime) = self.pushes();
        pushes.push_once(runtime, pushgateway, text, left)
    }
}

/// Where what is pushed comes from.
pub(crate) fn sources(shared: &Arc<Shared>, registry: &prometheus::Registry) -> Sources {
    let (of, registry) = (Arc::clone(shared), registry.clone());
    let text = move || {
        of.fresh();
        exposition::render(registry.gather()).ok()
    };
    let of = Arc::clone(shared);
    Sources {
        text: Arc::new(text),
        newest: Arc::new(move || of.fresh()),
    }
}

/// Who pushes: the service of that resource, in this process.
pub(crate) fn about(resource: &Resource) -> About {
    let text = |(key, value): (&opentelemetry::Key, &opentelemetry::Value)| {
        (key.to_string(), value.to_string())
    };
    let attributes: Vec<(String, String)> = resource.iter().map(text).collect();
    let find = |name: &str| attributes.iter().find(|(key, _)| key == name);
    let service = find("service.name").map(|(_, value)| value.clone());
    let host = sysinfo::System::host_name().unwrap_or_else(|_| "localhost".to_owned());
    About {
        service: service.unwrap_or_default(),
        instance: format!("{host}:{}", std::process::id()),
        resource: attributes,
    }
}
