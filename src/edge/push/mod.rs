//! Push over HTTP: alerts to webhooks and Alertmanagers, metrics to Pushgateways and to
//! Elasticsearch. Nothing here is ever waited for by who records or collects.

mod alertmanager;
mod courier;
mod elasticsearch;
mod pushgateway;
mod retry;
mod target;
mod webhook;

pub use alertmanager::Alertmanager;
pub use elasticsearch::Elasticsearch;
pub use pushgateway::Pushgateway;
pub use webhook::Webhook;

pub(crate) use elasticsearch::Newest;
pub(crate) use pushgateway::Text;

use crate::{
    clock::{Clock, Timestamp},
    core::{
        alerts::change::AlertSink,
        deliveries::{Delivered, Deliveries, Loss},
    },
    error::{BuildError, PushError},
};
use courier::Courier;
use reqwest::{Client, redirect};
use retry::Retry;
use std::{
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::Duration,
};
use target::Target;
use tokio::{runtime::Handle, sync::watch, task::JoinHandle};

/// Where to push, as it was set.
#[derive(Debug, Default)]
pub(crate) struct Destinations {
    pub(crate) webhooks: Vec<Webhook>,
    pub(crate) alertmanagers: Vec<Alertmanager>,
    pub(crate) pushgateways: Vec<Pushgateway>,
    pub(crate) elasticsearches: Vec<Elasticsearch>,
    /// Whether the proxy that the environment names is used.
    pub(crate) environment_proxy: bool,
}

impl Destinations {
    /// Checks all of them.
    pub(crate) fn check(&self) -> Result<(), BuildError> {
        self.webhooks
            .iter()
            .try_for_each(|one| one.check().map(drop))?;
        let mut alertmanagers = self.alertmanagers.iter();
        alertmanagers.try_for_each(|one| one.check().map(drop))?;
        let mut pushgateways = self.pushgateways.iter();
        pushgateways.try_for_each(|one| one.check().map(drop))?;
        let mut elasticsearches = self.elasticsearches.iter();
        elasticsearches.try_for_each(|one| one.check().map(drop))
    }
}

/// Who pushes.
#[derive(Debug, Clone, Default)]
pub(crate) struct About {
    pub(crate) service: String,
    /// `host:pid`
    pub(crate) instance: String,
    /// Attributes of the OpenTelemetry resource.
    pub(crate) resource: Vec<(String, String)>,
}

/// Where what is pushed comes from.
pub(crate) struct Sources {
    pub(crate) text: Text,
    pub(crate) newest: Newest,
}

/// All that pushes, before it is started.
pub(crate) struct Prepared {
    pushes: Pushes,
    stop: courier::Stop,
    webhooks: Vec<(Courier, webhook::Poster)>,
    alertmanagers: Vec<(Courier, Alertmanager, Arc<alertmanager::Sink>)>,
    pushgateways: Vec<(Courier, Pushgateway)>,
    elasticsearches: Vec<(Courier, Elasticsearch, elasticsearch::DataStream)>,
    sinks: Vec<Arc<dyn AlertSink>>,
}

impl Prepared {
    /// Checks the destinations; nothing is sent yet.
    pub(crate) fn new(
        destinations: Destinations,
        deliveries: &Arc<Deliveries>,
    ) -> Result<Self, BuildError> {
        let (stop, stopped) = watch::channel(None);
        let pushes = Pushes {
            client: Mutex::new(None),
            environment_proxy: destinations.environment_proxy,
            clock: Clock::start(),
            deliveries: Arc::clone(deliveries),
            stop,
            read: Mutex::new(None),
            ended: Mutex::new(None),
        };
        let mut prepared = Self {
            pushes,
            stop: stopped,
            webhooks: Vec::new(),
            alertmanagers: Vec::new(),
            pushgateways: Vec::new(),
            elasticsearches: Vec::new(),
            sinks: Vec::new(),
        };
        for webhook in &destinations.webhooks {
            let (target, key) = webhook.check()?;
            let courier = prepared.courier("webhook", target, webhook::GIVE_UP)?;
            let (sink, poster) = webhook::queue(Arc::clone(&courier.counts), key);
            prepared.sinks.push(Arc::new(sink));
            prepared.webhooks.push((courier, poster));
        }
        for alertmanager in destinations.alertmanagers {
            let target = alertmanager.check()?;
            let courier = prepared.courier("alertmanager", target, alertmanager.interval())?;
            let sink = Arc::new(alertmanager::Sink::default());
            prepared.sinks.push(Arc::clone(&sink) as _);
            prepared.alertmanagers.push((courier, alertmanager, sink));
        }
        for pushgateway in destinations.pushgateways {
            let target = pushgateway.check()?;
            let courier = prepared.courier("pushgateway", target, pushgateway.every())?;
            prepared.pushgateways.push((courier, pushgateway));
        }
        for elasticsearch in destinations.elasticsearches {
            let (target, stream) = elasticsearch.check()?;
            let give_up = elasticsearch::GIVE_UP;
            let mut courier = prepared.courier("elasticsearch", target, give_up)?;
            courier.attempt = elasticsearch::ATTEMPT;
            let one = (courier, elasticsearch, stream);
            prepared.elasticsearches.push(one);
        }
        Ok(prepared)
    }

    /// Who is to be told of alerts.
    pub(crate) fn take_sinks(&mut self) -> Vec<Arc<dyn AlertSink>> {
        std::mem::take(&mut self.sinks)
    }

    /// Starts all of it on `runtime`. What is returned ends when all of it has.
    pub(crate) fn start(
        self,
        runtime: &Handle,
        about: About,
        sources: &Sources,
    ) -> (Pushes, impl Future<Output = ()> + Send + use<>) {
        let about = Arc::new(about);
        let (read, is_read) = mpsc::channel::<()>();
        let (end, has_ended) = mpsc::channel::<()>();
        let mut running: Vec<JoinHandle<()>> = Vec::new();
        let mut spawn = |body: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
            let end = end.clone();
            running.push(runtime.spawn(async move {
                let _until_then: mpsc::Sender<()> = end;
                body.await;
            }));
        };
        for (courier, poster) in self.webhooks {
            spawn(Box::pin(poster.run(courier, Arc::clone(&about))));
        }
        for (courier, settings, sink) in self.alertmanagers {
            let about = Arc::clone(&about);
            spawn(Box::pin(alertmanager::run(courier, settings, about, sink)));
        }
        for (courier, settings) in self.pushgateways {
            let text = Arc::clone(&sources.text);
            spawn(Box::pin(pushgateway::run(
                courier,
                settings,
                text,
                read.clone(),
            )));
        }
        for (courier, settings, stream) in self.elasticsearches {
            let newest = Arc::clone(&sources.newest);
            let (about, read) = (Arc::clone(&about), read.clone());
            let running = elasticsearch::run(courier, settings, stream, about, newest, read);
            spawn(Box::pin(running));
        }
        let pushes = self.pushes;
        *lock(&pushes.read) = Some(is_read);
        *lock(&pushes.ended) = Some(has_ended);
        let all = async move {
            for one in running {
                one.await.ok();
            }
        };
        (pushes, all)
    }

    fn courier(
        &self,
        kind: &str,
        target: Target,
        give_up: Duration,
    ) -> Result<Courier, BuildError> {
        let counts = self.pushes.deliveries.add(kind);
        self.pushes
            .courier(target, counts, give_up, self.stop.clone())
    }
}

/// All that pushes, while it does.
pub(crate) struct Pushes {
    /// Made when it is first needed: who pushes nothing has none.
    client: Mutex<Option<Client>>,
    environment_proxy: bool,
    clock: Clock,
    deliveries: Arc<Deliveries>,
    stop: watch::Sender<Option<Timestamp>>,
    /// Disconnected once all that is to be pushed last is read.
    read: Mutex<Option<mpsc::Receiver<()>>>,
    /// Disconnected once nothing is pushed any more.
    ended: Mutex<Option<mpsc::Receiver<()>>>,
}

impl Pushes {
    /// Has everything pushed for the last time, within `deadline`. Waits, for half of it at the
    /// most, until what is pushed is read. Only the first call counts; what is returned tells how
    /// much was lost before.
    pub(crate) fn finish(&self, deadline: Duration) -> u64 {
        let lost = self.lost();
        // What is given up is counted before the caller's time is over.
        let margin = (deadline / 10).min(Duration::from_millis(100));
        let end = self.clock.now().after(deadline.saturating_sub(margin));
        self.stop.send_if_modified(|stop| {
            let first = stop.is_none();
            if first {
                *stop = Some(end);
            }
            first
        });
        if let Some(read) = lock(&self.read).take() {
            read.recv_timeout(deadline / 2).ok();
        }
        lost
    }

    /// Waits until nothing is pushed any more; whether that was in time.
    pub(crate) fn wait(&self, wait: Duration) -> bool {
        let Some(ended) = lock(&self.ended).take() else {
            return true;
        };
        ended.recv_timeout(wait) == Err(mpsc::RecvTimeoutError::Disconnected)
    }

    /// How much was given up so far, whatever the reason.
    pub(crate) fn lost(&self) -> u64 {
        let all = self.deliveries.all();
        let dropped = |one: &Arc<Delivered>| Loss::ALL.map(|loss| one.dropped(loss));
        all.iter().flat_map(dropped).sum()
    }

    /// Pushes `text` once, within `deadline`, on `runtime`. Blocks for as long.
    pub(crate) fn push_once(
        &self,
        runtime: &Handle,
        pushgateway: &Pushgateway,
        text: String,
        deadline: Duration,
    ) -> Result<(), PushError> {
        let target = pushgateway.check().map_err(PushError::Setting)?;
        let (told, result) = mpsc::channel();
        // Not the others' stop: this is bounded by itself.
        let (stop, stopped) = watch::channel(None);
        let counts = Arc::new(Delivered::new(String::new()));
        let courier = self.courier(target, counts, deadline, stopped);
        let courier = courier.map_err(PushError::Setting)?;
        let mut message = pushgateway::Group::put(pushgateway, text);
        runtime.spawn(async move {
            let delivered = tokio::time::timeout(deadline, courier.deliver(&mut message));
            told.send(delivered.await.unwrap_or(Err(Loss::Shutdown)))
                .ok();
            drop(stop);
        });
        match result.recv_timeout(deadline) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Loss::Shutdown)) | Err(mpsc::RecvTimeoutError::Timeout) => {
                Err(PushError::Deadline { deadline })
            }
            Ok(Err(Loss::Unreachable)) => Err(PushError::Unreachable),
            Ok(Err(_)) => Err(PushError::Refused),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(PushError::Stopped),
        }
    }

    fn courier(
        &self,
        target: Target,
        counts: Arc<Delivered>,
        give_up: Duration,
        stop: courier::Stop,
    ) -> Result<Courier, BuildError> {
        let mut made = lock(&self.client);
        let client = match &*made {
            Some(client) => client.clone(),
            None => made.insert(client(self.environment_proxy)?).clone(),
        };
        Ok(Courier {
            client,
            target,
            counts,
            retry: Retry::within(give_up),
            attempt: courier::ATTEMPT,
            clock: self.clock,
            stop,
        })
    }
}

fn client(environment_proxy: bool) -> Result<Client, BuildError> {
    let builder = Client::builder()
        .user_agent(concat!("aimux-otel/", env!("CARGO_PKG_VERSION")))
        // Somewhere else is not where the secrets are for.
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .pool_max_idle_per_host(1);
    let builder = match environment_proxy {
        true => builder,
        false => builder.no_proxy(),
    };
    builder
        .build()
        .map_err(|error| BuildError::Push(Box::new(error)))
}

/// Periods are from a second to an hour.
fn check_interval(setting: &'static str, interval: Duration) -> Result<(), BuildError> {
    let (low, high) = (Duration::from_secs(1), Duration::from_secs(3_600));
    if (low..=high).contains(&interval) {
        return Ok(());
    }
    Err(BuildError::Setting {
        setting,
        found: format!("{interval:?}"),
        allowed: format!("from {low:?} to {high:?}"),
    })
}

/// Names of labels are Prometheus' own, those left out that it keeps for itself.
fn check_label(setting: &'static str, name: &str) -> Result<(), BuildError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let begins = name.starts_with(|c: char| fits(c) && !c.is_ascii_digit());
    if begins && name.chars().all(fits) && !name.starts_with("__") {
        return Ok(());
    }
    Err(BuildError::Setting {
        setting,
        found: format!("`{}`", name.escape_debug()),
        allowed: "a name of letters, digits and `_`, not `__…`".to_owned(),
    })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
