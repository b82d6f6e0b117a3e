//! A server on loopback that answers as it is told, and keeps what it is asked.

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, Method, Response, Uri},
};
use futures_util::stream;
use std::{
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

/// Longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// With the query.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// What a request is answered with.
pub(crate) enum Reply {
    Status(u16),
    With(u16, &'static str, String),
    Json(String),
    /// A body that has no end.
    Endless,
    Never,
}

type Script = Box<dyn Fn(&Asked, usize) -> Reply + Send + Sync>;

pub(crate) struct Server {
    pub(crate) url: String,
    state: Arc<Kept>,
    _runtime: tokio::runtime::Runtime,
}

struct Kept {
    script: Script,
    asked: Mutex<Vec<Asked>>,
    more: Condvar,
}

impl Server {
    /// `script` is given each request, and how many there were before.
    pub(crate) fn start(script: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let state = Arc::new(Kept {
            script: Box::new(script),
            asked: Mutex::default(),
            more: Condvar::new(),
        });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new()
            .fallback(answer)
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&state));
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, app).await.unwrap();
        });
        Self {
            url,
            state,
            _runtime: runtime,
        }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().unwrap().clone()
    }

    /// Waits until there were as many requests; all of them.
    pub(crate) fn wait_for(&self, requests: usize) -> Vec<Asked> {
        self.wait_until(|asked| asked.len() >= requests)
    }

    pub(crate) fn wait_until(&self, enough: impl Fn(&[Asked]) -> bool) -> Vec<Asked> {
        let asked = self.state.asked.lock().unwrap();
        let (asked, waited) = self
            .state
            .more
            .wait_timeout_while(asked, PATIENCE, |asked| !enough(asked))
            .unwrap();
        assert!(!waited.timed_out(), "only {asked:#?}");
        asked.clone()
    }
}

async fn answer(
    State(state): State<Arc<Kept>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let asked = Asked {
        method: method.to_string(),
        path: uri.to_string(),
        headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    };
    let before = {
        let mut all = state.asked.lock().unwrap();
        all.push(asked.clone());
        all.len() - 1
    };
    state.more.notify_all();
    let response = Response::builder();
    match (state.script)(&asked, before) {
        Reply::Status(status) => response.status(status).body(Body::empty()),
        Reply::With(status, header, value) => {
            let response = response.status(status).header(header, value);
            response.body(Body::empty())
        }
        Reply::Json(body) => {
            let response = response.header("content-type", "application/json");
            response.body(body.into())
        }
        Reply::Endless => {
            let chunk = Bytes::from(vec![b' '; 64 << 10]);
            let chunks = stream::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone()));
            response.body(Body::from_stream(chunks))
        }
        Reply::Never => std::future::pending().await,
    }
    .unwrap()
}
