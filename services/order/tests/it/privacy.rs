//! Personal data: sealed under a key per customer, exported, erased.

use oms_order::Order;
use oms_proto::common::v1::{ErrorReason, PostalAddress};
use oms_proto::events::v1::event_feed_service_client::EventFeedServiceClient;
use oms_proto::events::v1::{GetHeadRequest, SubscribeRequest};
use oms_proto::order::v1 as pb;
use oms_proto::order::v1::order_event::Event as Told;
use oms_proto::order::v1::privacy_service_client::PrivacyServiceClient;
use oms_service::{AnyProgram, Layers, PeerError, Runtime};
use oms_testkit::wait_for;
use prost::Message;
use tonic::Code;

use crate::rig::{Rig, WEB, address, answered, id, new_order};

const OLD_KEY: &str = "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const NEW_KEY: &str = "k2:ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";
/// Puts the addresses back as they stood before they were sealed.
const AS_BEFORE: &str = "UPDATE addresses SET key_id = NULL, sealed = NULL, recipient = 'Claire Gute',
     address_lines = '{1 Main St}', locality = 'Henderson', administrative_area = 'Kentucky', postal_code = '42420',
     country_code = 'US', phone = '', email = ''";
const CLEAR: &str = "SELECT count(*) FROM addresses WHERE sealed IS NULL";

impl Rig {
    fn privacy(&self) -> PrivacyServiceClient<tonic::transport::Channel> {
        PrivacyServiceClient::new(self.api.channel.clone())
    }

    pub(crate) async fn erase(
        &self,
        request: pb::EraseCustomerRequest,
    ) -> Result<pb::EraseCustomerResponse, PeerError> {
        answered(self.privacy().erase_customer(request).await)
    }

    async fn export(&self, customer_id: &str) -> Vec<pb::CustomerOrder> {
        let mut request = pb::ExportCustomerDataRequest {
            customer_id: customer_id.to_owned(),
            page_size: 1,
            ..pb::ExportCustomerDataRequest::default()
        };
        let mut all = Vec::new();
        loop {
            let page = self.privacy().export_customer_data(request.clone()).await;
            let page = page.unwrap().into_inner();
            all.extend(page.orders);
            if page.next_page_token.is_empty() {
                return all;
            }
            request.page_token = page.next_page_token;
        }
    }

    async fn address_of(&self, order: &pb::Order) -> Result<PostalAddress, PeerError> {
        let address_id = order.destination.clone().unwrap().address_id;
        let request = pb::GetOrderAddressRequest { address_id };
        let answer = self.api.orders.clone().get_order_address(request).await;
        answered(answer).map(|answer| answer.address.unwrap())
    }

    /// Waits until the database counts so many.
    async fn until_count(&self, query: &str, wanted: i64) {
        wait_for("the keeper of personal data", || async {
            match self.count(query).await {
                found if found == wanted => Ok(()),
                found => Err(format!("{found} of {wanted}: {query}")),
            }
        })
        .await;
    }

    /// An order of a customer in a channel that has ended.
    async fn ended(&self, customer_id: &str, channel_id: &str) {
        let mut order = of_customer(customer_id);
        order.channel_id = channel_id.to_owned();
        let order = self.place(order).await;
        self.complete(&order).await;
        self.until_done(&order.order_id).await;
    }

    /// Channels whose erasures a caller hears of that is bound to this one.
    async fn heard_by(&self, channel_id: &str) -> Vec<String> {
        self.rest().await;
        let mut client = EventFeedServiceClient::new(self.api.channel.clone());
        let head = client.get_head(GetHeadRequest {}).await.unwrap();
        let head = head.into_inner().pos;
        let mut request = tonic::Request::new(SubscribeRequest {
            consumer: "acme".to_owned(),
            ..SubscribeRequest::default()
        });
        let headers = request.metadata_mut();
        headers.insert("oms-principal", "partner:acme".parse().unwrap());
        headers.insert("oms-channels", channel_id.parse().unwrap());
        let mut batches = client.subscribe(request).await.unwrap().into_inner();
        let mut heard = Vec::new();
        loop {
            let batch = batches.message().await.unwrap().unwrap();
            let events = batch.events.into_iter();
            let erased = events.filter(|event| event.r#type == "CustomerErased");
            heard.extend(erased.map(|event| event.channel_id));
            if batch.through_pos >= head {
                return heard;
            }
        }
    }

    async fn customer_erased(&self) -> Vec<(i64, pb::CustomerErased)> {
        self.rest().await;
        let mut conn = self.db.connect().await;
        let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(
            "SELECT aggregate_version, payload FROM feed WHERE aggregate_type = 'customer' ORDER BY pos",
        )
        .fetch_all(&mut conn)
        .await
        .unwrap();
        let told =
            |payload: Vec<u8>| match pb::OrderEvent::decode(payload.as_slice()).unwrap().event {
                Some(Told::CustomerErased(told)) => told,
                other => panic!("{other:?}"),
            };
        rows.into_iter()
            .map(|(version, payload)| (version, told(payload)))
            .collect()
    }
}

pub(crate) fn of_customer(customer_id: &str) -> pb::NewOrder {
    let mut order = new_order(&[("A", 1)], "tok_approve");
    order.customer_id = customer_id.to_owned();
    order
}

pub(crate) fn erasing(customer_id: &str) -> pb::EraseCustomerRequest {
    pb::EraseCustomerRequest {
        request_id: id(),
        customer_id: customer_id.to_owned(),
        order_id: String::new(),
    }
}

#[tokio::test]
async fn addresses_are_sealed_under_a_key_per_customer_or_order() {
    let rig = Rig::start().await;
    let mut orders = Vec::new();
    for customer_id in ["C1", "C1", "C2", "", ""] {
        let mut order = of_customer(customer_id);
        order.bill_to = Some(address());
        orders.push(rig.place_only(order).await);
    }
    assert_eq!(rig.count(CLEAR).await, 0);
    assert_eq!(rig.count("SELECT count(*) FROM addresses").await, 10);
    // Two customers, two orders without one.
    assert_eq!(rig.count("SELECT count(*) FROM data_keys").await, 4);
    for order in &orders {
        assert_eq!(rig.address_of(order).await.unwrap(), address());
    }
    // A sealed address opens in its own row only.
    let mut conn = rig.db.connect().await;
    let swap = "UPDATE addresses a SET sealed = b.sealed FROM addresses b
         WHERE a.key_id = b.key_id AND a.address_id <> b.address_id";
    sqlx::query(swap).execute(&mut conn).await.unwrap();
    let error = rig.address_of(&orders[0]).await.unwrap_err();
    assert_eq!(error.reason(), Some(ErrorReason::Internal));
}

#[tokio::test]
async fn rows_of_before_are_read_as_they_are_and_sealed_in_the_background() {
    let mut rig = Rig::start().await;
    let order = rig.place_only(of_customer("C1")).await;
    rig.place_only(of_customer("")).await;
    let mut conn = rig.db.connect().await;
    sqlx::query(AS_BEFORE).execute(&mut conn).await.unwrap();
    sqlx::query("DELETE FROM data_keys")
        .execute(&mut conn)
        .await
        .unwrap();
    assert_eq!(rig.address_of(&order).await.unwrap(), address());
    // Its keeper looks at once; that of the first replica waits a minute.
    rig.another_replica().await;
    rig.until_count(CLEAR, 0).await;
    assert_eq!(rig.count("SELECT count(*) FROM data_keys").await, 2);
    assert_eq!(rig.address_of(&order).await.unwrap(), address());
}

#[tokio::test]
async fn a_new_master_key_takes_over() {
    let keys = |keys: &str| format!("[privacy]\nmaster_keys = {keys:?}\nkeeper_poll_ms = 20");
    let mut rig = Rig::start_with(&keys(OLD_KEY)).await;
    let order = rig.place_only(of_customer("C1")).await;
    let under = |id: &str| format!("SELECT count(*) FROM data_keys WHERE master_key_id = '{id}'");
    assert_eq!(rig.count(&under("k1")).await, 1);
    rig.stop_first().await;
    rig.another_replica_with(&keys(&format!("{NEW_KEY} {OLD_KEY}")))
        .await;
    rig.until_count(&under("k2"), 1).await;
    rig.stop_first().await;
    rig.api = rig.another_replica_with(&keys(NEW_KEY)).await;
    assert_eq!(rig.address_of(&order).await.unwrap(), address());
}

#[tokio::test]
async fn a_customer_is_erased_when_no_order_needs_the_data_and_stays_so() {
    let rig = Rig::start().await;
    let mut given = of_customer("C1");
    given.instructions = "for Claire".to_owned();
    given.lines[0].gift_message = "Happy birthday, Claire".to_owned();
    let order = rig.place(given).await;
    let other = rig.place(of_customer("C2")).await;
    let refused = rig.erase(erasing("C1")).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(refused.reason(), Some(ErrorReason::OrdersOpen));
    assert_eq!(refused.metadata("order_ids"), Some(order.order_id.as_str()));
    rig.complete(&order).await;
    rig.until_done(&order.order_id).await;

    let exported = rig.export("C1").await;
    assert_eq!(exported.len(), 1);
    assert_eq!(exported[0].ship_to, Some(address()));
    assert_eq!(
        exported[0].order.as_ref().unwrap().instructions,
        "for Claire"
    );
    assert!(!exported[0].payments.is_empty() && !exported[0].invoices.is_empty());

    let request = erasing("C1");
    let erased = rig.erase(request.clone()).await.unwrap();
    assert_eq!(rig.erase(request).await.unwrap(), erased);
    assert_eq!(rig.erase(erasing("C1")).await.unwrap(), erased);
    let refused = rig.address_of(&order).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(refused.reason(), Some(ErrorReason::PersonalDataErased));
    let order_now = rig.get(&order.order_id).await;
    assert_eq!(
        (
            order_now.instructions,
            order_now.lines[0].gift_message.clone()
        ),
        Default::default()
    );
    assert_eq!(
        rig.actions(&order.order_id).await.last().unwrap(),
        "erase_customer"
    );
    let exported = rig.export("C1").await;
    assert!(exported[0].erased && exported[0].ship_to.is_none());
    assert_eq!(rig.address_of(&other).await.unwrap(), address());

    // Who orders again has a new key, which is erased by itself.
    let again = rig.place(of_customer("C1")).await;
    assert_eq!(rig.address_of(&again).await.unwrap(), address());
    assert_eq!(rig.export("C1").await.len(), 2);
    rig.complete(&again).await;
    rig.until_done(&again.order_id).await;
    rig.erase(erasing("C1")).await.unwrap();
    let told = rig.customer_erased().await;
    let told: Vec<_> = told
        .iter()
        .map(|(version, told)| (*version, told.customer_id.as_str()))
        .collect();
    assert_eq!(told, [(1, "C1"), (2, "C1")]);
    rig.audit().await;
}

#[tokio::test]
async fn an_export_leaves_nothing_of_a_long_timeline_out() {
    let rig = Rig::start().await;
    let order = rig.place(of_customer("C1")).await;
    rig.until_done(&order.order_id).await;
    rig.rest().await;
    let long = "WITH long AS (UPDATE orders SET timeline_sequence = timeline_sequence + 2500
             RETURNING order_id, timeline_sequence - 2500 AS before)
         INSERT INTO timeline (order_id, sequence, occurred_at, actor, action)
         SELECT order_id, before + n, now(), 'user:dev', 'update_order' FROM long, generate_series(1, 2500) AS n";
    let mut conn = rig.db.connect().await;
    sqlx::query(long).execute(&mut conn).await.unwrap();
    let exported = rig.export("C1").await;
    let entries = rig.count("SELECT timeline_sequence FROM orders").await;
    let sequences = exported[0].timeline.len();
    assert_eq!(i64::try_from(sequences), Ok(entries));
}

#[tokio::test]
async fn every_channel_of_a_customer_hears_of_the_erasure_and_no_other_does() {
    let rig = Rig::start().await;
    for channel_id in ["app", "b2b"] {
        rig.channel(|channel| channel.channel_id = channel_id.to_owned())
            .await;
    }
    for (customer_id, channel_id) in [("C1", WEB), ("C1", "app"), ("C1", WEB), ("C2", "b2b")] {
        rig.ended(customer_id, channel_id).await;
    }
    rig.erase(erasing("C1")).await.unwrap();
    let told = |told: Vec<(i64, pb::CustomerErased)>| -> Vec<(i64, String)> {
        assert!(told.iter().all(|(_, told)| told.customer_id == "C1"));
        let told = told.into_iter();
        told.map(|(version, told)| (version, told.channel_id))
            .collect()
    };
    let numbered = |channels: &[&str]| -> Vec<(i64, String)> {
        (1..)
            .zip(channels.iter().map(|one| (*one).to_owned()))
            .collect()
    };
    let first = told(rig.customer_erased().await);
    assert_eq!(first, numbered(&["app", WEB]));

    // Numbered on from what the first one told.
    rig.ended("C1", WEB).await;
    rig.erase(erasing("C1")).await.unwrap();
    let both = told(rig.customer_erased().await);
    assert_eq!(both, numbered(&["app", WEB, "app", WEB]));
    assert_eq!(rig.heard_by("app").await, ["app", "app"]);
    assert_eq!(rig.heard_by(WEB).await, [WEB, WEB]);
    assert!(rig.heard_by("b2b").await.is_empty());
}

#[tokio::test]
async fn notes_and_reasons_stand_in_no_event_or_audit_row_and_go_with_the_customer() {
    let rig = Rig::start().await;
    let order = rig.place(of_customer("C1")).await;
    let order_id = &order.order_id;
    let hold = pb::PlaceHoldRequest {
        request_id: id(),
        order_id: order_id.clone(),
        reason: pb::HoldReason::CustomerRequest.into(),
        blocks: vec![pb::HoldBlock::Capture.into()],
        note: "she is at her sister's".to_owned(),
        ..pb::PlaceHoldRequest::default()
    };
    let hold = rig.hold(hold).await.unwrap();
    assert_eq!(rig.get(order_id).await.holds[0].note, hold.note);
    rig.release_hold(&hold.hold_id).await.unwrap();
    rig.complete(&order).await;
    rig.refund(order_id, 100).await.unwrap();
    let reasons = rig.timeline(order_id).await;
    let reason = "1.00 USD: the parcel came late";
    assert!(reasons.iter().any(|entry| entry.detail == reason));
    rig.until_done(order_id).await;
    rig.rest().await;
    // As a ruling of before stands in the ledger.
    let mut conn = rig.db.connect().await;
    let ruled = "UPDATE saga_steps SET detail = 'user:dev: she called' WHERE entry = (SELECT min(entry) FROM saga_steps)";
    sqlx::query(ruled).execute(&mut conn).await.unwrap();

    let texts = "her sister|looked at|came late|she called";
    let written = format!(
        "SELECT count(*) FROM (SELECT detail FROM timeline UNION ALL SELECT note FROM holds
             UNION ALL SELECT detail FROM saga_steps) AS written (line) WHERE line ~ '{texts}'"
    );
    assert!(rig.count(&written).await >= 4);
    let told = format!(
        "SELECT count(*) FROM (SELECT encode(payload, 'escape') FROM feed
             UNION ALL SELECT reason FROM audit_pending UNION ALL SELECT reason FROM audit_log) AS told (line)
         WHERE line ~ '{texts}'"
    );
    assert_eq!(rig.count(&told).await, 0);
    rig.erase(erasing("C1")).await.unwrap();
    assert_eq!(rig.count(&written).await, 0);
}

#[tokio::test]
async fn an_order_without_a_customer_is_erased_by_itself_also_before_it_is_sealed() {
    let rig = Rig::start().await;
    let order = rig.place(new_order(&[("A", 1)], "tok_approve")).await;
    rig.complete(&order).await;
    rig.until_done(&order.order_id).await;
    let mut conn = rig.db.connect().await;
    sqlx::query(AS_BEFORE).execute(&mut conn).await.unwrap();
    sqlx::query("DELETE FROM data_keys")
        .execute(&mut conn)
        .await
        .unwrap();
    let request = pb::EraseCustomerRequest {
        request_id: id(),
        customer_id: String::new(),
        order_id: order.order_id.clone(),
    };
    rig.erase(request).await.unwrap();
    let refused = rig.address_of(&order).await.unwrap_err();
    assert_eq!(refused.reason(), Some(ErrorReason::PersonalDataErased));
    assert_eq!(rig.count(CLEAR).await, 0);
    let told = rig.customer_erased().await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].1.order_id, order.order_id);
    assert_eq!(told[0].1.channel_id, WEB);
}

#[tokio::test]
async fn what_is_kept_for_long_enough_is_erased_unless_it_is_open() {
    let rig = Rig::start_with("[privacy]\nkeeper_poll_ms = 20\nretention_days = 30").await;
    let closed = rig.place(of_customer("C1")).await;
    rig.complete(&closed).await;
    rig.until_done(&closed.order_id).await;
    let open = rig.place(of_customer("C2")).await;
    rig.until_done(&open.order_id).await;
    rig.clock
        .advance(std::time::Duration::from_secs(31 * 86_400));
    rig.until_count(
        "SELECT count(*) FROM data_keys WHERE erased_at IS NOT NULL",
        1,
    )
    .await;
    let refused = rig.address_of(&closed).await.unwrap_err();
    assert_eq!(refused.reason(), Some(ErrorReason::PersonalDataErased));
    assert_eq!(rig.address_of(&open).await.unwrap(), address());
}

#[tokio::test]
async fn requests_that_name_nobody_or_too_many_are_refused() {
    let rig = Rig::start().await;
    let mut both = erasing("C1");
    both.order_id = id();
    for request in [erasing(""), both] {
        let error = rig.erase(request).await.unwrap_err();
        assert_eq!(error.violations()[0].field, "customer_id");
    }
    let unknown = rig.erase(erasing("nobody")).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    let request = pb::ExportCustomerDataRequest {
        order_id: id(),
        ..pb::ExportCustomerDataRequest::default()
    };
    let unknown = rig
        .privacy()
        .export_customer_data(request)
        .await
        .unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
}

#[tokio::test]
async fn without_a_master_key_the_service_starts_in_development_only() {
    let rig = Rig::start().await;
    let refused = |text: String| {
        let layers = Layers::of_text(format!("[database]\nurl = {:?}\n", rig.db.url())).with(text);
        let peers = rig.peers.addrs.iter().fold(layers, |layers, (name, addr)| {
            layers.with(format!("[peers.{name}]\nurl = \"http://{addr}\""))
        });
        let ports = "listen = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"";
        async move {
            let started = Order.start(&peers.with(ports), Runtime::default()).await;
            started.map(|_| ()).unwrap_err()
        }
    };
    let error = refused(String::new()).await;
    assert!(
        matches!(error, oms_service::StartError::Config(_)),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("privacy.master_keys_file"),
        "{error}"
    );
    for (text, told) in [
        (
            "master_keys = \"k1:c2hvcnQ=\"",
            "privacy.master_keys: key 1",
        ),
        ("master_keys_file = \"/nowhere\"", "/nowhere"),
        (
            "master_keys_file = \"/x\"\nmaster_keys = \"k:x\"",
            "not besides",
        ),
        ("keeper_poll_ms = 0", "privacy.keeper_poll_ms"),
    ] {
        let error = refused(format!("[privacy]\n{text}")).await.to_string();
        assert!(
            error.contains(told) && !error.contains("c2hvcnQ"),
            "{text}: {error}"
        );
    }
}
