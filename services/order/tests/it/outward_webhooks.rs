//! Webhooks to endpoints outside: what arrives, how often, and what is done about endpoints that do not take it.

use std::time::Duration;

use oms_core::Clock;
use oms_proto::common::v1::ErrorReason;
use oms_proto::order::v1 as pb;
use oms_proto::order::v1::webhook_service_client::WebhookServiceClient;
use oms_service::PeerError;
use oms_testkit::wait_for;
use tonic::transport::Channel;

use crate::privacy::{erasing, of_customer};
use crate::receiver::{Received, Receiver};
use crate::rig::{Rig, WEB, answered, id, new_order};

/// Looks often, so that tests need not wait; a receiver that is held is held for as long as the test takes.
const OFTEN: &str = "[webhooks]\npoll_ms = 20\ntimeout_ms = 120000";
const PLACED: &str = "OrderPlaced";
const CONFIRMED: &str = "OrderConfirmed";

struct Hooks {
    rig: Rig,
    receiver: Receiver,
    client: WebhookServiceClient<Channel>,
}

impl Hooks {
    async fn start() -> Self {
        Self::start_with("").await
    }

    async fn start_with(config: &str) -> Self {
        let rig = Rig::start_with(&format!("{OFTEN}\n{config}")).await;
        let client = WebhookServiceClient::new(rig.api.channel.clone());
        Self {
            rig,
            receiver: Receiver::start().await,
            client,
        }
    }

    /// An endpoint at this path of the receiver that gets these types, with its secret.
    async fn endpoint(&self, path: &str, types: &[&str]) -> (pb::WebhookEndpoint, String) {
        let created = self
            .client
            .clone()
            .create_webhook_endpoint(self.request(path, types))
            .await;
        let created = created.unwrap().into_inner();
        (created.endpoint.unwrap(), created.secret)
    }

    fn request(&self, path: &str, types: &[&str]) -> pb::CreateWebhookEndpointRequest {
        pb::CreateWebhookEndpointRequest {
            request_id: id(),
            url: self.receiver.url(path),
            event_types: types.iter().map(|one| (*one).to_owned()).collect(),
            channel_ids: vec![WEB.to_owned()],
            description: "the ERP".to_owned(),
        }
    }

    async fn get(&self, endpoint_id: &str) -> pb::WebhookEndpoint {
        let request = pb::GetWebhookEndpointRequest {
            webhook_endpoint_id: endpoint_id.to_owned(),
        };
        let answer = self.client.clone().get_webhook_endpoint(request).await;
        answer.unwrap().into_inner().endpoint.unwrap()
    }

    async fn update(
        &self,
        endpoint: pb::WebhookEndpoint,
    ) -> Result<pb::WebhookEndpoint, PeerError> {
        let request = pb::UpdateWebhookEndpointRequest {
            request_id: id(),
            endpoint: Some(endpoint),
        };
        let answer = self.client.clone().update_webhook_endpoint(request).await;
        answered(answer).map(|answer| answer.endpoint.unwrap())
    }

    async fn enable(
        &self,
        endpoint_id: &str,
        state: pb::WebhookEndpointState,
    ) -> pb::WebhookEndpoint {
        let endpoint = pb::WebhookEndpoint {
            state: state.into(),
            ..self.get(endpoint_id).await
        };
        self.update(endpoint).await.unwrap()
    }

    async fn place(&self) -> pb::Order {
        self.rig.place(new_order(&[("A", 1)], "tok_approve")).await
    }

    /// Waits for so many requests at a path; the clock goes on by this with every look.
    async fn until_received(&self, path: &str, count: usize, step: Duration) -> Vec<Received> {
        wait_for("webhooks to arrive", || async {
            self.rig.clock.advance(step);
            let received = self.receiver.received(path);
            if received.len() >= count {
                return Ok(received);
            }
            let open = "SELECT coalesce(string_agg(state || ' ' || last_error, ', '), '') FROM webhook_deliveries";
            Err(format!("{} came; {}", received.len(), self.text(open).await))
        })
        .await
    }

    async fn text(&self, query: &'static str) -> String {
        let mut conn = self.rig.db.connect().await;
        sqlx::query_scalar(query)
            .fetch_one(&mut conn)
            .await
            .unwrap()
    }

    /// Waits until the endpoint has so many deliveries in this state; answers all of them.
    async fn until(
        &self,
        endpoint_id: &str,
        state: pb::WebhookDeliveryState,
        count: usize,
    ) -> Vec<pb::WebhookDelivery> {
        wait_for("deliveries to be settled", || async {
            let all = self
                .deliveries(endpoint_id, pb::WebhookDeliveryState::Unspecified)
                .await;
            let found = all.iter().filter(|one| one.state() == state).count();
            if found == count {
                Ok(all)
            } else {
                Err(format!("{all:?}"))
            }
        })
        .await
    }

    async fn deliveries(
        &self,
        endpoint_id: &str,
        state: pb::WebhookDeliveryState,
    ) -> Vec<pb::WebhookDelivery> {
        let mut all = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = pb::ListWebhookDeliveriesRequest {
                webhook_endpoint_id: endpoint_id.to_owned(),
                state: state.into(),
                page_size: 2,
                page_token,
                ..pb::ListWebhookDeliveriesRequest::default()
            };
            let page = self.client.clone().list_webhook_deliveries(request).await;
            let page = page.unwrap().into_inner();
            all.extend(page.deliveries);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return all;
            }
        }
    }

    /// Waits until the only delivery of the endpoint has been refused so often.
    async fn until_refused(&self, endpoint_id: &str, attempts: i32) -> pb::WebhookDelivery {
        let refused = wait_for("an attempt to be refused", || async {
            let all = self
                .deliveries(endpoint_id, pb::WebhookDeliveryState::Pending)
                .await;
            let found = all.iter().find(|one| one.attempt_count == attempts);
            // While it is under way the error is still that of the attempt before.
            let known = match found {
                Some(one) => self.attempts(&one.webhook_delivery_id).await.len(),
                None => 0,
            };
            match found {
                Some(one) if i32::try_from(known) == Ok(attempts) => {
                    Ok(one.webhook_delivery_id.clone())
                }
                _ => Err(format!("{all:?}")),
            }
        })
        .await;
        // Once more: what was listed first may still have had the time at which its claim runs out.
        let all = self
            .deliveries(endpoint_id, pb::WebhookDeliveryState::Pending)
            .await;
        let mut all = all.into_iter();
        all.find(|one| one.webhook_delivery_id == refused).unwrap()
    }

    async fn attempts(&self, delivery_id: &str) -> Vec<pb::WebhookAttempt> {
        let request = pb::GetWebhookDeliveryRequest {
            webhook_delivery_id: delivery_id.to_owned(),
        };
        let answer = self.client.clone().get_webhook_delivery(request).await;
        answer.unwrap().into_inner().attempts
    }

    async fn replay(
        &self,
        endpoint_id: &str,
        selection: pb::replay_webhook_deliveries_request::Selection,
    ) -> Result<i64, PeerError> {
        let request = pb::ReplayWebhookDeliveriesRequest {
            request_id: id(),
            webhook_endpoint_id: endpoint_id.to_owned(),
            selection: Some(selection),
        };
        let answer = self.client.clone().replay_webhook_deliveries(request).await;
        answered(answer).map(|answer| answer.position_count)
    }

    /// Waits until the database counts so many.
    async fn until_count(&self, query: &str, wanted: i64) {
        wait_for("the keeper of secrets", || async {
            match self.rig.count(query).await {
                found if found == wanted => Ok(()),
                found => Err(format!("{found} of {wanted}: {query}")),
            }
        })
        .await;
    }

    /// Waits until every event of the feed has been looked at.
    async fn until_fanned_out(&self) {
        let open = "SELECT (SELECT count(*) FROM outbox) + (SELECT pos FROM feed_head)
             - coalesce((SELECT pos FROM feed_cursors WHERE consumer = 'webhooks'), 0) + (SELECT count(*) FROM webhook_replays)";
        wait_for("the feed to be read to its end", || async {
            match self.rig.count(open).await {
                0 => Ok(()),
                open => Err(format!("{open} events are open")),
            }
        })
        .await;
    }
}

fn kinds(received: &[Received]) -> Vec<String> {
    let mut kinds: Vec<String> = received.iter().map(Received::kind).collect();
    kinds.sort();
    kinds
}

#[tokio::test]
async fn every_event_that_is_asked_for_arrives_once_and_signed() {
    let hooks = Hooks::start().await;
    // Before the endpoint is there: none of its business.
    hooks.place().await;
    hooks.until_fanned_out().await;
    let (endpoint, secret) = hooks.endpoint("/erp", &[PLACED, CONFIRMED]).await;
    let endpoint_id = endpoint.webhook_endpoint_id;
    let orders = [hooks.place().await, hooks.place().await];
    hooks
        .until(&endpoint_id, pb::WebhookDeliveryState::Delivered, 4)
        .await;
    hooks.until_fanned_out().await;
    let received = hooks.receiver.received("/erp");
    assert_eq!(kinds(&received), [CONFIRMED, CONFIRMED, PLACED, PLACED]);
    for one in &received {
        assert!(one.is_signed_by(&secret));
        assert_eq!(one.headers["content-type"], "application/cloudevents+json");
        let event = one.event();
        assert_eq!(event["id"], one.id());
        assert_eq!(event["channelid"], WEB);
        let order = &event["data"]["order"];
        assert!(
            orders
                .iter()
                .any(|placed| order["orderId"] == placed.order_id.as_str())
        );
    }
    let forged = format!("whsec_{}", "A".repeat(43) + "=");
    assert!(!received[0].is_signed_by(&forged));
    let deliveries = hooks
        .deliveries(&endpoint_id, pb::WebhookDeliveryState::Delivered)
        .await;
    assert_eq!(deliveries.len(), 4);
    assert!(deliveries.is_sorted_by(|one, two| one.feed_pos > two.feed_pos));
    let attempts = hooks.attempts(&deliveries[0].webhook_delivery_id).await;
    assert_eq!(attempts.len(), 1);
    assert_eq!(
        (attempts[0].status_code, attempts[0].error.as_str()),
        (200, "")
    );
    assert_eq!(attempts[0].response_excerpt, "/erp says 200 OK");
}

#[tokio::test]
async fn the_endpoint_of_a_channel_hears_of_the_erasure_of_its_customer() {
    let hooks = Hooks::start().await;
    hooks
        .rig
        .channel(|channel| channel.channel_id = "app".to_owned())
        .await;
    let (endpoint, _) = hooks.endpoint("/web", &["CustomerErased"]).await;
    let other = pb::CreateWebhookEndpointRequest {
        channel_ids: vec!["app".to_owned()],
        ..hooks.request("/app", &["CustomerErased"])
    };
    hooks
        .client
        .clone()
        .create_webhook_endpoint(other)
        .await
        .unwrap();
    let order = hooks.rig.place(of_customer("C1")).await;
    hooks.rig.complete(&order).await;
    hooks.rig.until_done(&order.order_id).await;
    hooks.rig.erase(erasing("C1")).await.unwrap();
    let endpoint_id = endpoint.webhook_endpoint_id;
    hooks
        .until(&endpoint_id, pb::WebhookDeliveryState::Delivered, 1)
        .await;
    hooks.until_fanned_out().await;
    let received = hooks.receiver.received("/web");
    assert_eq!(received.len(), 1);
    let event = received[0].event();
    assert_eq!(event["channelid"], WEB);
    assert_eq!(event["data"]["customerId"], "C1");
    assert_eq!(event["data"]["channelId"], WEB);
    let none =
        "SELECT count(*) FROM webhook_deliveries d JOIN webhook_endpoints e USING (endpoint_id)
         WHERE e.url LIKE '%/app'";
    assert_eq!(hooks.rig.count(none).await, 0);
}

#[tokio::test]
async fn what_is_refused_is_sent_again_with_the_same_id_and_redirects_are_not_followed() {
    let hooks = Hooks::start().await;
    hooks.receiver.answer("/erp", &[500, 302, 200]);
    let (endpoint, secret) = hooks.endpoint("/erp", &[PLACED]).await;
    hooks.place().await;
    let received = hooks
        .until_received("/erp", 3, Duration::from_secs(10))
        .await;
    assert!(
        received
            .iter()
            .all(|one| one.id() == received[0].id() && one.is_signed_by(&secret))
    );
    let endpoint_id = endpoint.webhook_endpoint_id;
    let deliveries = hooks
        .until(&endpoint_id, pb::WebhookDeliveryState::Delivered, 1)
        .await;
    let attempts = hooks.attempts(&deliveries[0].webhook_delivery_id).await;
    let statuses: Vec<i32> = attempts.iter().map(|one| one.status_code).collect();
    assert_eq!(statuses, [500, 302, 200]);
    assert!(
        attempts[1].error.contains("not followed"),
        "{}",
        attempts[1].error
    );
    assert!(hooks.receiver.received("/elsewhere").is_empty());
    assert_eq!(hooks.get(&endpoint_id).await.failing_since_time, None);
}

#[tokio::test]
async fn a_crash_between_sending_and_writing_sends_again_with_the_same_id() {
    let mut hooks = Hooks::start().await;
    let gate = hooks.receiver.gate("/erp");
    let (endpoint, _) = hooks.endpoint("/erp", &[PLACED]).await;
    hooks.place().await;
    hooks.until_received("/erp", 1, Duration::ZERO).await;
    hooks.rig.kill_first().await;
    gate.add_permits(100);
    let clients = hooks.rig.another_replica().await;
    hooks.client = WebhookServiceClient::new(clients.channel);
    let received = hooks
        .until_received("/erp", 2, Duration::from_secs(5))
        .await;
    assert_eq!(received[0].id(), received[1].id());
    let endpoint_id = endpoint.webhook_endpoint_id;
    let deliveries = hooks
        .until(&endpoint_id, pb::WebhookDeliveryState::Delivered, 1)
        .await;
    assert_eq!(deliveries[0].attempt_count, 2);
}

#[tokio::test]
async fn while_a_secret_is_replaced_both_sign() {
    let hooks = Hooks::start().await;
    let (endpoint, old) = hooks.endpoint("/erp", &[PLACED]).await;
    let request = pb::RotateWebhookSecretRequest {
        request_id: id(),
        webhook_endpoint_id: endpoint.webhook_endpoint_id.clone(),
        overlap: Some(prost_types::Duration {
            seconds: 3_600,
            nanos: 0,
        }),
    };
    let rotate = || {
        let (mut client, request) = (hooks.client.clone(), request.clone());
        async move { client.rotate_webhook_secret(request).await }
    };
    let rotated = rotate().await.unwrap().into_inner();
    assert_eq!(rotate().await.unwrap().into_inner().secret, rotated.secret);
    let new = rotated.secret;
    assert_ne!(old, new);
    hooks.place().await;
    let received = hooks.until_received("/erp", 1, Duration::ZERO).await;
    assert!(received[0].is_signed_by(&old) && received[0].is_signed_by(&new));
    hooks.rig.clock.advance(Duration::from_secs(3_601));
    hooks.place().await;
    let received = hooks.until_received("/erp", 2, Duration::ZERO).await;
    assert!(!received[1].is_signed_by(&old) && received[1].is_signed_by(&new));
}

const PLAIN: &str = "SELECT count(*) FROM webhook_secrets WHERE wrapped IS NULL";

#[tokio::test]
async fn secrets_of_before_sign_as_they_are_and_are_sealed_in_the_background() {
    let mut hooks = Hooks::start().await;
    let (_, secret) = hooks.endpoint("/erp", &[PLACED]).await;
    assert_eq!(hooks.rig.count(PLAIN).await, 0);
    let as_before = "UPDATE webhook_secrets SET master_key_id = NULL, wrapped = NULL,
         sealed = '\\x00'::bytea || decode($1, 'base64')";
    let mut conn = hooks.rig.db.connect().await;
    let as_before = sqlx::query(as_before).bind(secret.trim_start_matches("whsec_"));
    as_before.execute(&mut conn).await.unwrap();
    hooks.place().await;
    let received = hooks.until_received("/erp", 1, Duration::ZERO).await;
    assert!(received[0].is_signed_by(&secret));
    // Its keeper looks at once; that of the first replica waits a minute.
    hooks.rig.another_replica().await;
    hooks.until_count(PLAIN, 0).await;
    hooks.place().await;
    let received = hooks.until_received("/erp", 2, Duration::ZERO).await;
    assert!(received[1].is_signed_by(&secret));
}

#[tokio::test]
async fn secrets_go_over_to_a_new_master_key() {
    const OLD: &str = "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    const NEW: &str = "k2:ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";
    let keys = |keys: &str| format!("[privacy]\nmaster_keys = {keys:?}\nkeeper_poll_ms = 20");
    let mut hooks = Hooks::start_with(&keys(OLD)).await;
    let (_, secret) = hooks.endpoint("/erp", &[PLACED]).await;
    let under =
        |id: &str| format!("SELECT count(*) FROM webhook_secrets WHERE master_key_id = '{id}'");
    assert_eq!(hooks.rig.count(&under("k1")).await, 1);
    hooks.rig.stop_first().await;
    hooks
        .rig
        .another_replica_with(&keys(&format!("{NEW} {OLD}")))
        .await;
    hooks.until_count(&under("k2"), 1).await;
    hooks.rig.stop_first().await;
    hooks.rig.api = hooks.rig.another_replica_with(&keys(NEW)).await;
    hooks.place().await;
    let received = hooks.until_received("/erp", 1, Duration::ZERO).await;
    assert!(received[0].is_signed_by(&secret));
}

#[tokio::test]
async fn an_endpoint_that_is_slow_or_dead_keeps_nobody_waiting() {
    let hooks = Hooks::start().await;
    let gate = hooks.receiver.gate("/slow");
    hooks.endpoint("/slow", &[]).await;
    let dead = pb::CreateWebhookEndpointRequest {
        url: "http://127.0.0.1:9/".to_owned(),
        ..hooks.request("", &[])
    };
    hooks
        .client
        .clone()
        .create_webhook_endpoint(dead)
        .await
        .unwrap();
    hooks.endpoint("/fast", &[PLACED]).await;
    for _ in 0..8 {
        hooks.place().await;
    }
    hooks.until_received("/fast", 8, Duration::ZERO).await;
    // Never more at once than are allowed.
    let slow = hooks.until_received("/slow", 4, Duration::ZERO).await;
    assert_eq!(slow.len(), 4);
    gate.add_permits(1_000);
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_disabled_and_can_be_enabled_again() {
    let hooks = Hooks::start().await;
    hooks.receiver.answer("/erp", &[410]);
    let (endpoint, _) = hooks.endpoint("/erp", &[PLACED]).await;
    let endpoint_id = endpoint.webhook_endpoint_id;
    hooks.place().await;
    hooks
        .until(&endpoint_id, pb::WebhookDeliveryState::Failed, 1)
        .await;
    let gone = hooks.get(&endpoint_id).await;
    assert_eq!(gone.state(), pb::WebhookEndpointState::Disabled);
    assert_eq!(gone.state_reason, "gone");
    let told = "SELECT count(*) FROM (SELECT event_type FROM feed UNION ALL SELECT event_type FROM outbox) AS events
         WHERE event_type = 'WebhookEndpointChanged'";
    assert_eq!(hooks.rig.count(told).await, 2);
    // Nothing is kept for it meanwhile.
    hooks.place().await;
    hooks.until_fanned_out().await;
    assert_eq!(hooks.receiver.received("/erp").len(), 1);
    let enabled = hooks
        .enable(&endpoint_id, pb::WebhookEndpointState::Enabled)
        .await;
    assert_eq!(enabled.state_reason, "");
    hooks.place().await;
    hooks
        .until(&endpoint_id, pb::WebhookDeliveryState::Delivered, 1)
        .await;
    assert_eq!(hooks.receiver.received("/erp").len(), 2);
}

#[tokio::test]
async fn an_endpoint_that_takes_nothing_for_days_is_given_up_and_disabled() {
    let hooks = Hooks::start().await;
    hooks.receiver.answer("/erp", &[503; 40]);
    let (endpoint, _) = hooks.endpoint("/erp", &[PLACED]).await;
    let endpoint_id = endpoint.webhook_endpoint_id;
    hooks.place().await;
    for attempts in 1..10 {
        let delivery = hooks.until_refused(&endpoint_id, attempts).await;
        let due = delivery.next_attempt_time.unwrap();
        let due = oms_proto::time_from_proto(due).unwrap();
        let wait = due - hooks.rig.clock.now();
        hooks.rig.clock.advance(wait.try_into().unwrap());
    }
    hooks
        .until(&endpoint_id, pb::WebhookDeliveryState::Failed, 1)
        .await;
    assert_eq!(hooks.receiver.received("/erp").len(), 10);
    assert!(hooks.get(&endpoint_id).await.failing_since_time.is_some());
    hooks.rig.clock.advance(Duration::from_hours(120));
    hooks.place().await;
    wait_for("the endpoint to be disabled", || async {
        match hooks.get(&endpoint_id).await {
            endpoint if endpoint.state_reason == "failing" => Ok(()),
            endpoint => Err(format!("{endpoint:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn what_was_missed_can_be_replayed() {
    use pb::replay_webhook_deliveries_request::Selection;
    let hooks = Hooks::start().await;
    hooks.place().await;
    hooks.place().await;
    hooks.rig.clock.advance(Duration::from_secs(60));
    let noon = hooks.rig.clock.now();
    hooks.place().await;
    hooks.until_fanned_out().await;
    let (endpoint, _) = hooks.endpoint("/erp", &[PLACED]).await;
    let endpoint_id = endpoint.webhook_endpoint_id;
    let disabled = hooks
        .enable(&endpoint_id, pb::WebhookEndpointState::Disabled)
        .await;
    let all = Selection::Range(pb::WebhookReplayRange::default());
    let error = hooks.replay(&endpoint_id, all.clone()).await.unwrap_err();
    assert_eq!(error.reason(), Some(ErrorReason::IllegalTransition));
    assert_eq!(disabled.state_reason, "manual");
    hooks
        .enable(&endpoint_id, pb::WebhookEndpointState::Enabled)
        .await;
    hooks.until_fanned_out().await;
    assert!(hooks.receiver.received("/erp").is_empty());
    let afternoon = Selection::Range(pb::WebhookReplayRange {
        start_time: Some(oms_proto::time_to_proto(noon)),
        ..pb::WebhookReplayRange::default()
    });
    assert!(hooks.replay(&endpoint_id, afternoon).await.unwrap() > 0);
    let first = hooks
        .until(&endpoint_id, pb::WebhookDeliveryState::Delivered, 1)
        .await;
    hooks.replay(&endpoint_id, all).await.unwrap();
    hooks
        .until(&endpoint_id, pb::WebhookDeliveryState::Delivered, 3)
        .await;
    hooks.until_fanned_out().await;
    hooks.until_received("/erp", 4, Duration::ZERO).await;
    let one = Selection::WebhookDeliveryId(first[0].webhook_delivery_id.clone());
    assert_eq!(hooks.replay(&endpoint_id, one).await.unwrap(), 1);
    let received = hooks.until_received("/erp", 5, Duration::ZERO).await;
    let again = received
        .iter()
        .filter(|one| one.id() == first[0].event_id)
        .count();
    assert_eq!(again, 3);
    let error = hooks
        .replay(&endpoint_id, Selection::WebhookDeliveryId(id()))
        .await;
    assert_eq!(
        error.unwrap_err().violations()[0].reason,
        "REFERENCE_UNKNOWN"
    );
}

#[tokio::test]
async fn a_repeated_call_makes_one_endpoint_and_no_other_tells_its_secret() {
    let hooks = Hooks::start().await;
    let request = hooks.request("/erp", &[]);
    let create = || {
        let (mut client, request) = (hooks.client.clone(), request.clone());
        async move { client.create_webhook_endpoint(request).await }
    };
    let first = create().await.unwrap().into_inner();
    let again = create().await.unwrap().into_inner();
    assert!(first.secret.starts_with("whsec_"));
    assert_eq!(first, again);
    let listed = hooks
        .client
        .clone()
        .list_webhook_endpoints(pb::ListWebhookEndpointsRequest::default())
        .await;
    let listed = listed.unwrap().into_inner().endpoints;
    assert_eq!(listed, [first.endpoint.clone().unwrap()]);
    let secret = first.secret.trim_start_matches("whsec_");
    let told = "SELECT count(*) FROM (SELECT payload FROM feed UNION ALL SELECT payload FROM outbox) AS events
         WHERE position(convert_to('127.0.0.1', 'UTF8') IN payload) > 0";
    assert_eq!(hooks.rig.count(told).await, 0);
    assert!(!format!("{listed:?}").contains(secret));
    let stale = pb::WebhookEndpoint {
        etag: "7".to_owned(),
        ..listed[0].clone()
    };
    assert_eq!(
        hooks.update(stale).await.unwrap_err().reason(),
        Some(ErrorReason::EtagMismatch)
    );
    let delete = pb::DeleteWebhookEndpointRequest {
        request_id: id(),
        webhook_endpoint_id: listed[0].webhook_endpoint_id.clone(),
        etag: listed[0].etag.clone(),
    };
    hooks
        .client
        .clone()
        .delete_webhook_endpoint(delete.clone())
        .await
        .unwrap();
    hooks
        .client
        .clone()
        .delete_webhook_endpoint(delete)
        .await
        .unwrap();
    let error = hooks.update(listed[0].clone()).await.unwrap_err();
    assert_eq!(error.reason(), Some(ErrorReason::NotFound));
    assert_eq!(
        hooks
            .rig
            .count("SELECT count(*) FROM webhook_secrets")
            .await,
        0
    );
}

#[tokio::test]
async fn everything_wrong_with_a_request_is_told_at_once() {
    let hooks = Hooks::start().await;
    let request = pb::CreateWebhookEndpointRequest {
        request_id: "x".to_owned(),
        url: "https://user@10.0.0.1:22/".to_owned(),
        event_types: vec![PLACED.to_owned(), "Nothing".to_owned(), PLACED.to_owned()],
        channel_ids: vec!["no channel".to_owned()],
        description: "4111 1111 1111 1111".to_owned(),
    };
    let answer = hooks.client.clone().create_webhook_endpoint(request).await;
    let error = answered(answer).unwrap_err();
    let fields: Vec<String> = error
        .violations()
        .iter()
        .map(|one| one.field.clone())
        .collect();
    let expected = [
        "request_id",
        "url",
        "url",
        "url",
        "description",
        "event_types[2]",
        "event_types[1]",
        "channel_ids[0]",
    ];
    assert_eq!(fields, expected);
    let request = pb::CreateWebhookEndpointRequest {
        channel_ids: vec!["moon".to_owned()],
        ..hooks.request("/erp", &["WebhookEndpointChanged"])
    };
    let error = answered(hooks.client.clone().create_webhook_endpoint(request).await).unwrap_err();
    assert_eq!(error.violations()[0].field, "event_types[0]");
    let request = pb::CreateWebhookEndpointRequest {
        channel_ids: vec!["moon".to_owned()],
        ..hooks.request("/erp", &[])
    };
    let error = answered(hooks.client.clone().create_webhook_endpoint(request).await).unwrap_err();
    assert_eq!(error.violations()[0].reason, "CHANNEL_UNKNOWN");
    let all = pb::ListWebhookDeliveriesRequest {
        page_size: -1,
        state: 9,
        ..pb::ListWebhookDeliveriesRequest::default()
    };
    let error = answered(hooks.client.clone().list_webhook_deliveries(all).await).unwrap_err();
    assert_eq!(error.violations().len(), 3);
}
