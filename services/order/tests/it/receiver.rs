//! A receiver of webhooks: keeps what it gets, checks signatures with another maker's library, and answers as it is told.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};
use serde_json::Value;
use tokio::sync::Semaphore;

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Received {
    pub(crate) fn id(&self) -> &str {
        self.headers["webhook-id"].to_str().unwrap()
    }

    pub(crate) fn event(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The event's type.
    pub(crate) fn kind(&self) -> String {
        self.event()["type"].as_str().unwrap().to_owned()
    }

    /// Whether another maker's library signs it with this secret as it is signed. Its own check would want the time of the
    /// machine, and the clock of the rig has a time of its own.
    pub(crate) fn is_signed_by(&self, secret: &str) -> bool {
        let theirs = standardwebhooks::Webhook::new(secret).unwrap();
        let header = |name: &str| self.headers[name].to_str().unwrap();
        let at = header("webhook-timestamp").parse().unwrap();
        let expected = theirs.sign(self.id(), at, self.body.as_bytes()).unwrap();
        header("webhook-signature")
            .split(' ')
            .any(|one| one == expected)
    }
}

#[derive(Default)]
struct Told {
    received: Vec<Received>,
    /// Next answers by path; then 200.
    answers: HashMap<String, VecDeque<u16>>,
    /// Answers of a path wait for a permit.
    gates: HashMap<String, Arc<Semaphore>>,
}

#[derive(Clone)]
pub(crate) struct Receiver {
    told: Arc<Mutex<Told>>,
    port: u16,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self {
            told: Arc::default(),
            port: listener.local_addr().unwrap().port(),
        };
        let routes = Router::new().fallback(receive).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        receiver
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The next answers of a path; after them 200 again.
    pub(crate) fn answer(&self, path: &str, statuses: &[u16]) {
        let mut told = self.told.lock().unwrap();
        let answers = told.answers.entry(path.to_owned()).or_default();
        answers.extend(statuses);
    }

    /// Answers of a path wait for a permit from now on.
    pub(crate) fn gate(&self, path: &str) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        let mut told = self.told.lock().unwrap();
        told.gates.insert(path.to_owned(), Arc::clone(&gate));
        gate
    }

    /// What came to a path.
    pub(crate) fn received(&self, path: &str) -> Vec<Received> {
        let told = self.told.lock().unwrap();
        let all = told.received.iter().filter(|one| one.path == path);
        all.cloned().collect()
    }
}

async fn receive(
    State(receiver): State<Receiver>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().to_owned();
    let (status, gate) = {
        let mut told = receiver.told.lock().unwrap();
        told.received.push(Received {
            path: path.clone(),
            headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        });
        let status = told.answers.get_mut(&path).and_then(VecDeque::pop_front);
        (status.unwrap_or(200), told.gates.get(&path).cloned())
    };
    if let Some(gate) = gate {
        gate.acquire().await.unwrap().forget();
    }
    let status = StatusCode::from_u16(status).unwrap();
    let elsewhere = receiver.url("/elsewhere");
    (
        status,
        [("location", elsewhere)],
        format!("{path} says {status}"),
    )
        .into_response()
}
