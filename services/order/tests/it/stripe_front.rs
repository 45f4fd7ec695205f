//! localstripe, a Stripe of another maker, in a process of its own; and a front before it that does what Stripe
//! documents and localstripe lacks: it remembers what it answered to an `Idempotency-Key`, searches by metadata,
//! takes `metadata` with a capture and `off_session` with a confirmation, and refuses requests without our
//! headers. On demand it loses answers, forgets keys as Stripe does after a day, and keeps refunds on their way.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use url::form_urlencoded;

/// Our key at Stripe.
pub(crate) const API_KEY: &str = "sk_test_12345";
const INTENTS: &str = "/v1/payment_intents";

type Fields = Vec<(String, String)>;

/// How the front behaves.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    /// The first answer to every POST is lost after the work is done.
    pub(crate) loses_answers: bool,
    /// Search finds nothing yet.
    pub(crate) search_lags: bool,
    /// Keys are forgotten at once.
    pub(crate) forgets_keys: bool,
    /// Confirmations never arrive.
    pub(crate) drops_confirmations: bool,
    /// Refunds are in this state, whatever localstripe says.
    pub(crate) refunds_are: Option<&'static str>,
}

#[derive(Default)]
struct Seen {
    answers: BTreeMap<String, (Fields, u16, Value)>,
    lost: BTreeSet<String>,
    losses: usize,
    wrong: Vec<String>,
    posts: Vec<String>,
}

#[derive(Clone)]
struct Front {
    upstream: String,
    http: Client<HttpConnector, Full<Bytes>>,
    faults: Arc<Mutex<Faults>>,
    seen: Arc<Mutex<Seen>>,
}

/// A running Stripe. Both ends with it.
pub(crate) struct StripeFront {
    front: Front,
    addr: SocketAddr,
    _process: Child,
}

impl StripeFront {
    pub(crate) async fn start() -> Self {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/run_localstripe.py");
        let mut process = Command::new(python().await)
            .arg(script)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = lines.next_line().await.unwrap();
        let port = port.expect("localstripe did not start");
        let front = Front {
            upstream: format!("http://127.0.0.1:{port}"),
            http: Client::builder(TokioExecutor::new()).build_http(),
            faults: Arc::default(),
            seen: Arc::default(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let app = Router::new().fallback(handle).with_state(front.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            front,
            addr,
            _process: process,
        }
    }

    /// Configuration of the order service that reaches it.
    pub(crate) fn config(&self, webhook_secret: &str) -> String {
        let url = format!("http://{}", self.addr);
        format!(
            "[payments.stripe]\nurl = {url:?}\napi_key = {API_KEY:?}\nwebhook_secret = {webhook_secret:?}"
        )
    }

    pub(crate) fn set(&self, faults: Faults) {
        *self.front.faults.lock().unwrap() = faults;
    }

    /// What localstripe answers to a GET, without the front.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.front.send(Method::GET, path, &Fields::new()).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// The same for a POST; some of localstripe's own have an empty answer.
    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Value {
        let form: Fields = form
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let (status, body) = self.front.send(Method::POST, path, &form).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    pub(crate) async fn intents(&self) -> Vec<Value> {
        self.front.intents().await
    }

    /// Paths of POSTs that were not repeats of a known key, in their order, without ids.
    pub(crate) fn posts(&self) -> Vec<String> {
        self.front.seen.lock().unwrap().posts.clone()
    }

    /// Answers that were lost.
    pub(crate) fn losses(&self) -> usize {
        self.front.seen.lock().unwrap().losses
    }

    /// Every request had what Stripe asks for.
    pub(crate) fn assert_well_behaved(&self) {
        let wrong = self.front.seen.lock().unwrap().wrong.clone();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

/// An interpreter that has localstripe: `OMS_PYTHON_LOCALSTRIPE`, or one that `scripts/tools.sh` makes below
/// `.tools/`.
async fn python() -> PathBuf {
    if let Some(path) = std::env::var_os("OMS_PYTHON_LOCALSTRIPE") {
        return path.into();
    }
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let made = Command::new(root.join("scripts/tools.sh"))
        .arg("localstripe")
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "no localstripe: {said}");
    String::from_utf8(made.stdout).unwrap().trim().into()
}

async fn handle(State(front): State<Front>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let form: Fields = form_urlencoded::parse(&body).into_owned().collect();
    let path = parts.uri.path_and_query().unwrap().to_string();
    if let Some(wrong) = misses(&parts.method, &parts.headers) {
        let wrong = format!("{} {path}: {wrong}", parts.method);
        front.seen.lock().unwrap().wrong.push(wrong.clone());
        return answer(400, &json!({ "error": { "message": wrong } }));
    }
    if parts.method == Method::GET {
        let (status, body) = front.read(&path).await;
        return answer(status, &front.as_told(&path, body));
    }
    let key = parts.headers["idempotency-key"].to_str().unwrap();
    front.write(&path, key, form).await
}

/// What Stripe, or we, would not do without.
fn misses(method: &Method, headers: &HeaderMap) -> Option<&'static str> {
    let bearer = format!("Bearer {API_KEY}");
    if headers.get("authorization").is_none_or(|is| *is != bearer) {
        return Some("no key");
    }
    if !headers.contains_key("stripe-version") {
        return Some("no version");
    }
    let has_key = headers.contains_key("idempotency-key");
    (has_key != (*method == Method::POST)).then_some("an Idempotency-Key is for POST")
}

fn answer(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (status, body.to_string()).into_response()
}

/// An answer that breaks off.
fn lost() -> Response {
    let broken = futures::stream::iter([Err::<Bytes, _>(std::io::Error::other("lost"))]);
    Body::from_stream(broken).into_response()
}

impl Front {
    fn faults(&self) -> Faults {
        *self.faults.lock().unwrap()
    }

    async fn send(&self, method: Method, path: &str, form: &Fields) -> (u16, Value) {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.upstream))
            .header("authorization", format!("Bearer {API_KEY}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::from(body))
            .unwrap();
        let response = self.http.request(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn intents(&self) -> Vec<Value> {
        let path = format!("{INTENTS}?limit=1000");
        let (_, page) = self.send(Method::GET, &path, &Fields::new()).await;
        page["data"].as_array().unwrap().clone()
    }

    async fn read(&self, path: &str) -> (u16, Value) {
        let Some(query) = path.strip_prefix(&format!("{INTENTS}/search?")) else {
            return self.send(Method::GET, path, &Fields::new()).await;
        };
        let query: Fields = form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        let wanted = query[0].1.strip_prefix("metadata['oms_key']:'").unwrap();
        let wanted = wanted.strip_suffix('\'').unwrap();
        let mut found = self.intents().await;
        found.retain(|one| one["metadata"]["oms_key"] == wanted && !self.faults().search_lags);
        (200, json!({ "data": found, "has_more": false }))
    }

    async fn write(&self, path: &str, key: &str, form: Fields) -> Response {
        if self.faults().drops_confirmations && path.ends_with("/confirm") {
            return lost();
        }
        let known = self.seen.lock().unwrap().answers.get(key).cloned();
        let known = known.filter(|_| !self.faults().forgets_keys);
        let (status, body) = match known {
            Some((before, _, _)) if before != form => {
                let error = json!({ "error": { "type": "idempotency_error" } });
                self.seen
                    .lock()
                    .unwrap()
                    .wrong
                    .push(format!("{path}: {key} again"));
                (400, error)
            }
            Some((_, status, body)) => (status, body),
            None => {
                let (status, body) = self.carry_out(path, &form).await;
                let body = self.as_told(path, body);
                let mut seen = self.seen.lock().unwrap();
                seen.posts.push(without_ids(path));
                seen.answers
                    .insert(key.to_owned(), (form, status, body.clone()));
                (status, body)
            }
        };
        let is_first = self.seen.lock().unwrap().lost.insert(key.to_owned());
        if is_first && self.faults().loses_answers {
            self.seen.lock().unwrap().losses += 1;
            return lost();
        }
        answer(status, &body)
    }

    /// Refunds in the state that they are told to be in.
    fn as_told(&self, path: &str, mut body: Value) -> Value {
        let Some(status) = self.faults().refunds_are else {
            return body;
        };
        if !path.starts_with("/v1/refunds") {
            return body;
        }
        if let Some(page) = body.get_mut("data").and_then(Value::as_array_mut) {
            for refund in page {
                refund["status"] = json!(status);
            }
        } else {
            body["status"] = json!(status);
        }
        body
    }

    async fn carry_out(&self, path: &str, form: &Fields) -> (u16, Value) {
        let (metadata, mut rest): (Fields, Fields) = form
            .iter()
            .cloned()
            .partition(|(name, _)| path.ends_with("/capture") && name.starts_with("metadata["));
        rest.retain(|(name, _)| !path.ends_with("/confirm") || name != "off_session");
        let (status, body) = self.send(Method::POST, path, &rest).await;
        if status != 200 || metadata.is_empty() {
            return (status, body);
        }
        let intent = path.trim_end_matches("/capture");
        self.send(Method::POST, intent, &metadata).await
    }
}

fn without_ids(path: &str) -> String {
    let parts = path.split('/');
    let parts = parts.map(|part| if part.contains("pi_") { "*" } else { part });
    parts.collect::<Vec<_>>().join("/")
}
