//! Alerts to a webhook, signed as the Standard Webhooks specification says.

use super::{
    About,
    courier::{Courier, Message},
    target::{Address, Target},
};
use crate::{
    clock::Timestamp,
    core::{
        alerts::{
            change::{AlertChange, AlertSink},
            view::AlertDetail,
        },
        deliveries::{Delivered, Loss},
        random::random_hex,
    },
    error::BuildError,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Client, Method, RequestBuilder, header};
use serde::Serialize;
use sha2::Sha256;
use std::{sync::Arc, time::Duration};
use tokio::{
    select,
    sync::mpsc::{Receiver, Sender, channel},
};

/// Messages that wait; what comes beyond is dropped and counted.
const QUEUE: usize = 64;
/// Of all that fires, a message tells so many.
const MOST_FIRING: usize = 256;
/// For how long a message is tried.
pub(super) const GIVE_UP: Duration = Duration::from_secs(600);

/// Where changes of alerts are posted to, as JSON.
///
/// ```
/// use aimux_otel::{PerformanceMonitor, Webhook};
///
/// # fn main() -> Result<(), aimux_otel::BuildError> {
/// let webhook = Webhook::new("http://127.0.0.1:9000/hooks/gateway")
///     .secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
///     .header("X-Team", "inference");
/// let monitor = PerformanceMonitor::builder()
///     .service_name("gateway")
///     .alert_webhook(webhook)
///     .build()?;
/// # drop(monitor); Ok(()) }
/// ```
///
/// A message has the form that the [Standard Webhooks specification][1] asks for:
///
/// ```json
/// {
///   "type": "alerts.changed",
///   "timestamp": "2026-11-24T12:00:00.000Z",
///   "data": {
///     "version": 1,
///     "service": "gateway",
///     "instance": "host:4711",
///     "changes": [{"rule": "…", "state": "firing", "…": "…"}],
///     "firing_count": 1,
///     "firing": [{"rule": "…", "…": "…"}]
///   }
/// }
/// ```
///
/// `changes` are [`AlertChange`]s in the order in which they happened, `firing` the
/// [`AlertDetail`]s of all that fires then, the 256 worst at the most. The header `webhook-id` is
/// the same for each attempt at one message: who gets it twice can tell. `webhook-timestamp` is
/// that of the attempt, in Unix seconds.
///
/// An attempt may take 10 s. It is repeated after 408, 429, 5xx and where there was no answer,
/// with pauses from half a second to half a minute or as the `Retry-After` of the answer says, for
/// ten minutes; then, and after any other answer but a success, the message is given up. Redirects
/// are not followed. Up to 64 messages wait for their turn. What is given up is counted, with its
/// reason, in [`MonitorHealth::pushes`](crate::MonitorHealth).
///
/// [1]: https://www.standardwebhooks.com
#[derive(Clone)]
pub struct Webhook {
    address: Address,
    secret: Option<String>,
}

impl Webhook {
    /// Posts to that URL. For `https://` enable the feature `tls`. Credentials in it are sent as
    /// basic authentication.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            address: Address::new(url),
            secret: None,
        }
    }

    /// Signs each message: `webhook-signature` is `v1,` and the Base64 of the HMAC-SHA256 of
    /// `<webhook-id>.<webhook-timestamp>.<body>`.
    ///
    /// The key is what follows `whsec_`, decoded from Base64, as the libraries of the
    /// specification want it; or the bytes of a secret that does not begin so. The specification
    /// asks for 24 to 64 bytes.
    #[must_use]
    pub fn secret(mut self, secret: impl Into<String>) -> Self {
        self.secret = Some(secret.into());
        self
    }

    /// Sends a header along, such as `Authorization`. May be called for many.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.address.header(name, value);
        self
    }

    pub(super) fn check(&self) -> Result<(Target, Option<Key>), BuildError> {
        let target = self.address.check("alert_webhook")?;
        let key = self.secret.as_deref().map(Key::new).transpose()?;
        Ok((target, key))
    }
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook")
            .field("address", &self.address)
            .field("signed", &self.secret.is_some())
            .finish()
    }
}

/// What messages are signed with.
#[derive(Clone)]
pub(super) struct Key(Hmac<Sha256>);

impl Key {
    fn new(secret: &str) -> Result<Self, BuildError> {
        let wrong = |found: &str| BuildError::Setting {
            setting: "alert_webhook secret",
            found: found.to_owned(),
            allowed: "`whsec_` and Base64, or any other text".to_owned(),
        };
        let key = match secret.strip_prefix("whsec_") {
            None => secret.as_bytes().to_vec(),
            Some(encoded) => BASE64_STANDARD
                .decode(encoded)
                .map_err(|_| wrong("`whsec_` and no Base64"))?,
        };
        if key.is_empty() {
            return Err(wrong("empty"));
        }
        let mac = Hmac::new_from_slice(&key).map_err(|_| wrong("of another length"))?;
        Ok(Self(mac))
    }

    /// The value of `webhook-signature`.
    fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> String {
        let mut mac = self.0.clone();
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        let signature = mac.finalize().into_bytes();
        format!("v1,{}", BASE64_STANDARD.encode(signature))
    }
}

/// Changes that are to be told.
pub(super) struct News {
    changes: Vec<AlertChange>,
    firing_count: usize,
    firing: Vec<AlertDetail>,
    at: Timestamp,
}

/// Takes what the tick tells, and never waits.
pub(super) struct Sink {
    queue: Sender<News>,
    counts: Arc<Delivered>,
}

/// Posts what comes through the queue, one message after the other.
pub(super) struct Poster {
    news: Receiver<News>,
    key: Option<Key>,
}

/// The two ends of a queue of messages.
pub(super) fn queue(counts: Arc<Delivered>, key: Option<Key>) -> (Sink, Poster) {
    let (queue, news) = channel(QUEUE);
    (Sink { queue, counts }, Poster { news, key })
}

impl AlertSink for Sink {
    fn changed(&self, changes: &[AlertChange], firing: &[AlertDetail], now: Timestamp) {
        if changes.is_empty() {
            return;
        }
        self.counts.offer(1);
        let Ok(place) = self.queue.try_reserve() else {
            self.counts.lose(1, Loss::QueueFull);
            return;
        };
        place.send(News {
            changes: changes.to_vec(),
            firing_count: firing.len(),
            firing: firing.iter().take(MOST_FIRING).cloned().collect(),
            at: now,
        });
    }
}

impl Poster {
    /// Posts until the monitor is told to stop and nothing waits.
    pub(super) async fn run(mut self, courier: Courier, about: Arc<About>) {
        loop {
            let next = select! {
                biased;
                next = self.news.recv() => next,
                () = courier.stopping() => self.news.try_recv().ok(),
            };
            let Some(next) = next else {
                return;
            };
            let Some(mut message) = Posted::new(&next, self.key.clone(), &about) else {
                courier.counts.lose(1, Loss::NotRendered);
                continue;
            };
            match courier.deliver(&mut message).await {
                Ok(()) => courier.counts.send(1, courier.clock.now()),
                Err(loss) => courier.counts.lose(1, loss),
            }
        }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: String,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    version: u8,
    service: &'a str,
    instance: &'a str,
    changes: &'a [AlertChange],
    firing_count: usize,
    firing: &'a [AlertDetail],
}

/// One message, the same in all attempts but for the time and the signature.
struct Posted {
    id: String,
    body: Bytes,
    key: Option<Key>,
}

impl Posted {
    fn new(news: &News, key: Option<Key>, about: &About) -> Option<Self> {
        let body = Body {
            kind: "alerts.changed",
            timestamp: news.at.rfc3339(),
            data: Data {
                version: 1,
                service: &about.service,
                instance: &about.instance,
                changes: &news.changes,
                firing_count: news.firing_count,
                firing: &news.firing,
            },
        };
        Some(Self {
            id: format!("msg_{}", random_hex()),
            body: serde_json::to_vec(&body).ok()?.into(),
            key,
        })
    }
}

impl Message for Posted {
    fn request(&mut self, client: &Client, target: &Target, now: Timestamp) -> RequestBuilder {
        let timestamp = now.as_unix_nanos() / 1_000_000_000;
        let request = target
            .request(client, Method::POST, target.url())
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", &self.id)
            .header("webhook-timestamp", timestamp)
            .body(self.body.clone());
        match &self.key {
            None => request,
            Some(key) => {
                let signature = key.sign(&self.id, timestamp, &self.body);
                request.header("webhook-signature", signature)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_specification() {
        // The example of the specification's reference libraries.
        let key = Key::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        let signature = key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_is_bytes_of_base64_or_of_itself() {
        let sign = |secret| Key::new(secret).unwrap().sign("a", 1, b"b");
        assert_eq!(sign("whsec_c2VjcmV0"), sign("secret"));
        for secret in ["", "whsec_", "whsec_*canary*"] {
            let Err(error) = Key::new(secret) else {
                panic!("{secret} passed");
            };
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }

    #[test]
    fn what_does_not_fit_into_the_queue_is_counted() {
        let counts = Arc::new(Delivered::new("webhook".to_owned()));
        let (sink, poster) = queue(Arc::clone(&counts), None);
        let news = poster.news;
        let now = Timestamp::EPOCH;
        sink.changed(&[], &[], now);
        assert_eq!(news.len(), 0, "no change is no news");
        let change = crate::core::testing::change("a");
        for _ in 0..QUEUE + 3 {
            sink.changed(std::slice::from_ref(&change), &[], now);
        }
        assert_eq!(news.len(), QUEUE);
        assert_eq!(counts.dropped(Loss::QueueFull), 3);
    }
}
