//! What carriers tell by themselves, over HTTP.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use oms_core::Clock;
use oms_proto::shipping::v1 as pb;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::rig::{CARRIER_SECRETS, Rig, types};

const PATH: &str = "/webhooks/carriers/table_rate";
const FOREIGN: &str = "whsec_Zm9yZWlnbiBmb3JlaWduIGZvcmVpZ24gZm9yZWlnbg==";

/// A webhook, as the carrier delivers it.
#[derive(Clone)]
struct Webhook {
    path: &'static str,
    id: String,
    /// Seconds after now at which it was signed.
    signed_after: i64,
    secret: &'static str,
    body: String,
}

impl Webhook {
    fn new(id: &str, body: &Value) -> Self {
        Self {
            path: PATH,
            id: id.to_owned(),
            signed_after: 0,
            secret: CARRIER_SECRETS[0],
            body: body.to_string(),
        }
    }

    /// Delivers it; the status and the answer.
    async fn send(&self, rig: &Rig) -> (u16, Value) {
        let at = rig.clock.now().unix_timestamp() + self.signed_after;
        let theirs = standardwebhooks::Webhook::new(self.secret).unwrap();
        let signature = theirs.sign(&self.id, at, self.body.as_bytes()).unwrap();
        let request = Request::post(format!("{}{}", rig.url(), self.path))
            .header("webhook-id", &self.id)
            .header("webhook-timestamp", at)
            .header("webhook-signature", signature);
        deliver(request.body(Full::from(self.body.clone())).unwrap()).await
    }
}

async fn deliver(request: Request<Full<Bytes>>) -> (u16, Value) {
    let http = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let response = http.request(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// The event of a scan so many minutes after the start of the clock.
fn scanned(rig: &Rig, number: &str, status: &str, minutes: u64) -> Value {
    let at = rig.clock.now() + Duration::from_secs(60 * minutes);
    let at = at
        .format(&time::format_description::well_known::Rfc3339)
        .unwrap();
    json!({ "tracking_number": number, "status": status, "occurred_at": at, "description": "scanned" })
}

async fn count(rig: &Rig, query: &'static str) -> i64 {
    let mut conn = rig.conn().await;
    sqlx::query_scalar(query)
        .fetch_one(&mut conn)
        .await
        .unwrap()
}

const REPORTS: &str = "SELECT count(*) FROM tracking_events";
const CALLS: &str = "SELECT count(*) FROM idempotency WHERE principal = 'partner:table_rate'";

#[tokio::test]
async fn a_carriers_scans_ship_and_deliver_whatever_their_order() {
    let rig = Rig::start().await;
    let labeled = rig.labeled(1).await;
    let number = &labeled.packages[0].tracking_number;
    // The old secret is good as well while the carrier goes over to the new one; what comes late is history.
    for (id, status, minutes, secret, applied) in [
        ("1", "IN_TRANSIT", 1, CARRIER_SECRETS[1], true),
        ("2", "OUT_FOR_DELIVERY", 20, CARRIER_SECRETS[0], true),
        ("3", "IN_TRANSIT", 10, CARRIER_SECRETS[0], false),
        ("4", "DELIVERED", 30, CARRIER_SECRETS[1], true),
        ("5", "OUT_FOR_DELIVERY", 25, CARRIER_SECRETS[0], false),
    ] {
        let webhook = Webhook {
            secret,
            ..Webhook::new(id, &scanned(&rig, number, status, minutes))
        };
        let expected = json!({ "result": "recorded", "applied": applied });
        assert_eq!(webhook.send(&rig).await, (200, expected), "{status}");
    }
    let shipment = rig.get(&labeled.shipment_id).await;
    assert_eq!(shipment.state(), pb::ShipmentState::Delivered);
    let events = rig.events(&labeled.shipment_id, 7).await;
    let expected = [
        "ShipmentCreated",
        "LabelPurchased",
        "ShipmentShipped",
        "PackageTracked",
        "PackageTracked",
        "PackageTracked",
        "ShipmentDelivered",
    ];
    assert_eq!(types(&events), expected);
    assert!(
        events[2..]
            .iter()
            .all(|one| one.actor == "partner:table_rate")
    );
}

#[tokio::test]
async fn an_event_that_comes_again_is_recorded_once_and_another_one_under_its_id_is_refused() {
    let rig = Rig::start().await;
    let labeled = rig.labeled(1).await;
    let number = &labeled.packages[0].tracking_number;
    let first = Webhook::new("evt-1", &scanned(&rig, number, "IN_TRANSIT", 1));
    let answer = first.send(&rig).await;
    assert_eq!(answer.0, 200);
    // At the same time, and signed anew later: the same answer.
    let (again, beside) = tokio::join!(first.send(&rig), first.send(&rig));
    assert_eq!((&again, &beside), (&answer, &answer));
    rig.clock.advance(Duration::from_secs(3_600));
    assert_eq!(first.send(&rig).await, answer);
    let other = Webhook::new("evt-1", &scanned(&rig, number, "DELIVERED", 2));
    let (status, body) = other.send(&rig).await;
    assert_eq!((status, &body["error"]["code"]), (409, &json!("ID_REUSED")));
    assert_eq!(count(&rig, REPORTS).await, 1);
    let events = rig.events(&labeled.shipment_id, 4).await;
    assert_eq!(types(&events)[2..], ["ShipmentShipped", "PackageTracked"]);
}

#[tokio::test]
async fn a_description_that_looks_like_a_card_number_is_left_out() {
    let rig = Rig::start().await;
    let labeled = rig.labeled(1).await;
    let number = &labeled.packages[0].tracking_number;
    let mut body = scanned(&rig, number, "IN_TRANSIT", 1);
    body["description"] = json!("paid with 4242 4242 4242 4242 12/26");
    let expected = json!({ "result": "recorded", "applied": true });
    assert_eq!(
        Webhook::new("evt-1", &body).send(&rig).await,
        (200, expected)
    );
    let mut conn = rig.conn().await;
    let description: String = sqlx::query_scalar("SELECT description FROM tracking_events")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    assert_eq!(description, "(left out: it looks like a card number)");
}

#[tokio::test]
async fn whoever_is_not_the_carrier_learns_nothing_but_that() {
    let rig = Rig::start().await;
    let labeled = rig.labeled(1).await;
    let number = &labeled.packages[0].tracking_number;
    let good = Webhook::new("evt-1", &scanned(&rig, number, "DELIVERED", 1));
    let with = |change: &dyn Fn(&mut Webhook)| {
        let mut webhook = good.clone();
        change(&mut webhook);
        webhook
    };
    let unsigned = json!({ "error": {
        "code": "UNSIGNED",
        "message": "no carrier that is known here has signed this, or not lately",
    }});
    for (what, webhook) in [
        ("forged", with(&|one| one.secret = FOREIGN)),
        ("replayed", with(&|one| one.signed_after = -301)),
        ("of tomorrow", with(&|one| one.signed_after = 301)),
        (
            "unknown carrier",
            with(&|one| one.path = "/webhooks/carriers/nobody"),
        ),
        ("id with a dot", with(&|one| one.id = "evt.1".to_owned())),
        (
            "forged and wrong",
            with(&|one| {
                one.secret = FOREIGN;
                one.signed_after = -301;
                one.body = "{}".to_owned();
            }),
        ),
    ] {
        assert_eq!(webhook.send(&rig).await, (401, unsigned.clone()), "{what}");
    }
    let bare = Request::post(format!("{}{PATH}", rig.url()));
    let bare = bare.body(Full::from(good.body.clone())).unwrap();
    assert_eq!(deliver(bare).await, (401, unsigned));
    let huge = with(&|one| one.body = "x".repeat(65 * 1024));
    let (status, body) = huge.send(&rig).await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (413, &json!("BODY_TOO_LARGE"))
    );
    let get = Request::get(format!("{}{PATH}", rig.url()));
    let (status, _) = deliver(get.body(Full::default()).unwrap()).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED.as_u16());
    assert_eq!(
        (count(&rig, REPORTS).await, count(&rig, CALLS).await),
        (0, 0)
    );
    let shipment = rig.get(&labeled.shipment_id).await;
    assert_eq!(shipment.state(), pb::ShipmentState::Labeled);
}

#[tokio::test]
async fn the_carrier_is_told_everything_that_is_wrong_at_once() {
    let rig = Rig::start().await;
    let body = json!({ "tracking_number": 7, "status": "SOMEWHERE" });
    let (status, body) = Webhook::new(&"x".repeat(201), &body).send(&rig).await;
    assert_eq!((status, &body["error"]["code"]), (400, &json!("INVALID")));
    let violations = body["error"]["violations"].as_array().unwrap();
    let told: Vec<(&str, &str)> = violations
        .iter()
        .map(|one| {
            (
                one["field"].as_str().unwrap(),
                one["reason"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("webhook-id", "FIELD_OUT_OF_RANGE"),
        ("tracking_number", "FIELD_MALFORMED"),
        ("status", "FIELD_MALFORMED"),
        ("occurred_at", "FIELD_REQUIRED"),
    ];
    assert_eq!(told, expected);
    assert_eq!(
        (count(&rig, REPORTS).await, count(&rig, CALLS).await),
        (0, 0)
    );
}

/// The carrier has sold a label, and its answer is not here yet when the first event comes: the next delivery counts.
#[tokio::test]
async fn an_event_of_an_unknown_number_is_to_be_delivered_again() {
    let rig = Rig::start().await;
    let labeled = rig.labeled(1).await;
    let number = &labeled.packages[0].tracking_number;
    let webhook = Webhook::new("evt-1", &scanned(&rig, number, "IN_TRANSIT", 1));
    let mut conn = rig.conn().await;
    let hide = "UPDATE label_packages SET tracking_number = tracking_number || 'x'";
    sqlx::raw_sql(hide).execute(&mut conn).await.unwrap();
    let (status, body) = webhook.send(&rig).await;
    let code = &body["error"]["code"];
    assert_eq!((status, code), (404, &json!("TRACKING_NUMBER_UNKNOWN")));
    assert_eq!(
        (count(&rig, REPORTS).await, count(&rig, CALLS).await),
        (0, 0)
    );
    let show = "UPDATE label_packages SET tracking_number = rtrim(tracking_number, 'x')";
    sqlx::raw_sql(show).execute(&mut conn).await.unwrap();
    assert_eq!(webhook.send(&rig).await.0, 200);
    let shipment = rig.get(&labeled.shipment_id).await;
    assert_eq!(shipment.state(), pb::ShipmentState::Shipped);
}

#[tokio::test]
async fn while_the_database_is_away_the_carrier_is_to_try_again() {
    let rig = Rig::start().await;
    let labeled = rig.labeled(1).await;
    let number = &labeled.packages[0].tracking_number;
    let webhook = Webhook::new("evt-1", &scanned(&rig, number, "IN_TRANSIT", 1));
    let mut conn = PgConnection::connect(&oms_testkit::postgres_url().await)
        .await
        .unwrap();
    let name = rig.db.name();
    let close = [
        format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false"),
        format!(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{name}'"
        ),
    ];
    // Statements of their own: what is closed must be committed before those inside are sent away.
    for statement in close {
        let statement = sqlx::AssertSqlSafe(statement);
        sqlx::raw_sql(statement).execute(&mut conn).await.unwrap();
    }
    let (status, body) = webhook.send(&rig).await;
    assert_eq!((status, &body["error"]["code"]), (503, &json!("TRY_AGAIN")));
    let open = format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true");
    sqlx::raw_sql(sqlx::AssertSqlSafe(open))
        .execute(&mut conn)
        .await
        .unwrap();
    oms_testkit::wait_for("the service to find its database again", || async {
        match webhook.send(&rig).await {
            (200, body) if body["applied"] == true => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert_eq!(count(&rig, REPORTS).await, 1);
}
