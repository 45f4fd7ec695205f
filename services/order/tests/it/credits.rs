//! Orders paid on terms and with store credits: within the limit, once, and back again.

use futures::future::join_all;
use oms_proto::audit::v1 as audit;
use oms_proto::audit::v1::audit_service_client::AuditServiceClient;
use oms_proto::common::v1::{ErrorReason, Money};
use oms_proto::order::v1 as pb;
use oms_proto::order::v1::credit_service_client::CreditServiceClient;
use oms_proto::order::v1::{OrderState, PaymentKind};
use oms_proto::time_from_proto;
use oms_service::PeerError;
use oms_testkit::wait_for;
use sqlx::AssertSqlSafe;
use tonic::Code;
use tonic::transport::Channel;

use crate::rig::{Clients, Rig, WEB, answered, id, new_order, request, usd};

const ACME: &str = "ACME Inc.";
const CARD: &str = "GIFT-2026-0001";

fn client(clients: &Clients) -> CreditServiceClient<Channel> {
    CreditServiceClient::new(clients.channel.clone())
}

fn minor(money: Option<&Money>) -> i64 {
    money.unwrap().minor_units
}

impl Rig {
    /// Creates or changes the account [`ACME`]: 30 days to pay.
    async fn limit(&self, limit: i64) -> pb::CreditAccount {
        let request = pb::UpsertCreditAccountRequest {
            request_id: id(),
            account: Some(account(limit)),
        };
        let answer = client(&self.api).upsert_credit_account(request).await;
        answer.unwrap().into_inner().account.unwrap()
    }

    /// Authorized, owed and available of [`ACME`].
    async fn account(&self) -> (i64, i64, i64) {
        let request = pb::GetCreditAccountRequest {
            reference: ACME.to_owned(),
        };
        let answer = client(&self.api).get_credit_account(request).await;
        let account = answer.unwrap().into_inner().account.unwrap();
        (
            minor(account.authorized.as_ref()),
            minor(account.owed.as_ref()),
            minor(account.available.as_ref()),
        )
    }

    async fn pay(&self, request_id: &str, amount: i64) -> pb::CreditAccount {
        let request = pb::RecordAccountPaymentRequest {
            request_id: request_id.to_owned(),
            reference: ACME.to_owned(),
            amount: usd(amount),
        };
        let answer = client(&self.api).record_account_payment(request).await;
        answer.unwrap().into_inner().account.unwrap()
    }

    async fn issue(&self, request_id: &str, amount: i64) -> Result<pb::StoreCredit, PeerError> {
        let request = pb::IssueStoreCreditRequest {
            request_id: request_id.to_owned(),
            code: CARD.to_owned(),
            amount: usd(amount),
        };
        let answer = client(&self.api).issue_store_credit(request).await;
        answered(answer).map(|answer| answer.store_credit.unwrap())
    }

    /// Authorized, spent and available of [`CARD`].
    async fn card(&self) -> (i64, i64, i64) {
        let request = pb::GetStoreCreditRequest {
            code: CARD.to_owned(),
        };
        let answer = client(&self.api).get_store_credit(request).await;
        let credit = answer.unwrap().into_inner().store_credit.unwrap();
        (
            minor(credit.authorized.as_ref()),
            minor(credit.spent.as_ref()),
            minor(credit.available.as_ref()),
        )
    }
}

fn account(limit: i64) -> pb::CreditAccount {
    pb::CreditAccount {
        reference: ACME.to_owned(),
        credit_limit: usd(limit),
        net_days: 30,
        ..pb::CreditAccount::default()
    }
}

fn tender(provider: &str, token: &str, amount: Option<i64>) -> pb::PaymentMethod {
    pb::PaymentMethod {
        provider: provider.to_owned(),
        token: token.to_owned(),
        amount: amount.and_then(usd),
    }
}

/// Units of A on terms: one is 16.00, two are 27.00.
fn on_terms(units: i64) -> pb::NewOrder {
    pb::NewOrder {
        payment_method: Some(tender("terms", ACME, None)),
        ..new_order(&[("A", units)], "")
    }
}

fn captured(order: &pb::Order) -> i64 {
    minor(order.totals.as_ref().unwrap().captured.as_ref())
}

/// Why the only authorization of an order was refused.
async fn refusal(rig: &Rig, order: &pb::Order) -> String {
    assert_eq!(order.state(), OrderState::Rejected);
    assert_eq!(order.state_reason, "PAYMENT_DECLINED");
    let payments = rig.payments(&order.order_id).await;
    let last = payments.last().unwrap();
    assert_eq!(last.kind(), PaymentKind::Authorization);
    last.failure_code.clone()
}

#[tokio::test]
async fn an_account_is_authorized_invoiced_and_paid_within_its_limit() {
    let rig = Rig::start().await;
    rig.limit(4_000).await;
    let order = rig.place(on_terms(2)).await;
    assert_eq!(order.state(), OrderState::Confirmed);
    assert_eq!(rig.account().await, (2_700, 0, 1_300));
    let beyond = rig.place(on_terms(1)).await;
    let beyond = rig.until_done(&beyond.order_id).await;
    assert_eq!(refusal(&rig, &beyond).await, "CREDIT_LIMIT_EXCEEDED");

    let order = rig.complete(&order).await;
    assert_eq!(captured(&order), 2_700);
    assert_eq!(rig.account().await, (0, 2_700, 1_300));
    let invoices = rig.invoices(&order.order_id, 1).await;
    let time = |time| time_from_proto(time).unwrap();
    let issued = time(invoices[0].create_time.unwrap());
    let due = time(invoices[0].due_time.unwrap());
    assert_eq!(due - issued, time::Duration::days(30));

    let request_id = id();
    rig.pay(&request_id, 2_000).await;
    rig.pay(&request_id, 2_000).await;
    assert_eq!(rig.account().await, (0, 700, 3_300));
    let again = rig.place(on_terms(1)).await;
    assert_eq!(again.state(), OrderState::Confirmed);
    // What comes back is not owed any more: the customer has paid ahead.
    rig.bring_back(&order, &[2]);
    rig.until(&order.order_id, "the refund", |order| {
        order.lines[0].refunded == 2
    })
    .await;
    assert_eq!(rig.account().await, (1_600, -2_000, 4_400));
    rig.audit().await;
}

#[tokio::test]
async fn a_canceled_order_frees_its_credit_and_a_lowered_limit_stops_new_ones_only() {
    let rig = Rig::start().await;
    rig.limit(2_700).await;
    let order = rig.place(on_terms(2)).await;
    let lower = rig.limit(1_000).await;
    assert_eq!(lower.etag, "2");
    assert_eq!(rig.account().await, (2_700, 0, -1_700));
    let next = rig.place(on_terms(1)).await;
    let next = rig.until_done(&next.order_id).await;
    assert_eq!(refusal(&rig, &next).await, "CREDIT_LIMIT_EXCEEDED");
    rig.cancel(&order, &[]).await.unwrap();
    rig.until_canceled(&order.order_id, pb::CancellationState::Completed)
        .await;
    assert_eq!(rig.account().await, (0, 0, 1_000));
    rig.audit().await;
}

#[tokio::test]
async fn an_account_that_names_channels_pays_for_their_orders_alone() {
    let rig = Rig::start().await;
    rig.channel(|channel| channel.channel_id = "app".to_owned())
        .await;
    let named = |channels: &[&str]| {
        let request = pb::UpsertCreditAccountRequest {
            request_id: id(),
            account: Some(pb::CreditAccount {
                channel_ids: channels.iter().map(|one| (*one).to_owned()).collect(),
                ..account(5_000)
            }),
        };
        let mut client = client(&rig.api);
        async move { answered(client.upsert_credit_account(request).await) }
    };
    for (channels, reason) in [
        (["app", "moon"], "CHANNEL_UNKNOWN"),
        (["app", "app"], "DUPLICATE"),
    ] {
        let error = named(&channels).await.unwrap_err();
        let violation = &error.violations()[0];
        assert_eq!(
            (violation.field.as_str(), violation.reason.as_str()),
            ("account.channel_ids[1]", reason)
        );
    }
    let made = named(&["app"]).await.unwrap().account.unwrap();
    assert_eq!(made.channel_ids, ["app"]);
    let foreign = rig.place(on_terms(1)).await;
    let foreign = rig.until_done(&foreign.order_id).await;
    assert_eq!(refusal(&rig, &foreign).await, "CREDIT_UNKNOWN");
    assert_eq!(rig.account().await, (0, 0, 5_000));
    let own = pb::NewOrder {
        channel_id: "app".to_owned(),
        ..on_terms(1)
    };
    let own = rig.place(own).await;
    assert_eq!(own.state(), OrderState::Confirmed);
    // What is authorized goes its way when the account is closed to the channel.
    named(&[WEB]).await.unwrap();
    let own = rig.complete(&own).await;
    assert_eq!(captured(&own), 1_600);
    named(&[]).await.unwrap();
    let anybodys = rig.place(on_terms(1)).await;
    assert_eq!(anybodys.state(), OrderState::Confirmed);
    assert_eq!(rig.account().await, (1_600, 1_600, 1_800));
    rig.audit().await;
}

#[tokio::test]
async fn orders_at_once_on_two_replicas_never_exceed_the_limit() {
    let mut rig = Rig::start().await;
    let second = rig.another_replica().await;
    rig.limit(3 * 1_600 + 1_599).await;
    let placed = join_all((0..12).map(|number| {
        let clients = if number % 2 == 0 { &rig.api } else { &second };
        let mut orders = clients.orders.clone();
        async move {
            let request = request(on_terms(1), pb::WaitFor::Pending);
            let answer = orders.place_order(request).await;
            answer.unwrap().into_inner().order.unwrap().order_id
        }
    }))
    .await;
    let mut confirmed = 0;
    for order_id in placed {
        let order = rig.until_done(&order_id).await;
        if order.state() == OrderState::Confirmed {
            confirmed += 1;
        } else {
            assert_eq!(refusal(&rig, &order).await, "CREDIT_LIMIT_EXCEEDED");
        }
    }
    assert_eq!(confirmed, 3);
    assert_eq!(rig.account().await, (4_800, 0, 1_599));
    rig.audit().await;
}

/// What a crash between the booking and our record leaves behind: the books have it, the effect is SENT.
#[tokio::test]
async fn a_booking_whose_answer_was_lost_is_found_by_its_key_and_not_made_again() {
    let rig = Rig::start().await;
    rig.limit(5_000).await;
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    rig.peers
        .trick("Reserve", crate::peers::Trick::Wait(gate.clone()));
    let placed = rig.place_only(on_terms(1)).await;
    let payment_id = uuid::Uuid::new_v5(
        &placed.order_id.parse().unwrap(),
        b"payment/AUTHORIZATION/order",
    );
    let crash = format!(
        "INSERT INTO payments (payment_id, order_id, kind, state, amount, currency, provider, cause, actor,
             created_at, updated_at)
         VALUES ('{payment_id}', '{}', 'AUTHORIZATION', 'PENDING', 1600, 'USD', 'terms', 'order',
             'service:order', now(), now());
         INSERT INTO effects (effect_id, kind, idempotency_key, request_hash, state, provider, payment_id,
             created_at, updated_at)
         VALUES (gen_random_uuid(), 'AUTHORIZATION', '{payment_id}', '', 'SENT', 'terms', '{payment_id}', now(),
             now());
         INSERT INTO credit_entries (entry_key, book, reference, kind, amount, actor, created_at)
         VALUES ('{payment_id}', 'terms', '{ACME}', 'AUTHORIZATION', 1600, 'service:order', now());
         UPDATE credits SET authorized = 1600",
        placed.order_id
    );
    let mut conn = rig.db.connect().await;
    sqlx::raw_sql(AssertSqlSafe(crash))
        .execute(&mut conn)
        .await
        .unwrap();
    gate.add_permits(1);
    let order = rig.until_done(&placed.order_id).await;
    assert_eq!(order.state(), OrderState::Confirmed);
    assert_eq!(rig.account().await, (1_600, 0, 3_400));
    rig.audit().await;
}

#[tokio::test]
async fn a_gift_card_pays_a_part_and_a_return_goes_back_to_it() {
    let rig = Rig::start().await;
    rig.issue(&id(), 2_000).await.unwrap();
    let order = pb::NewOrder {
        payment_method: None,
        payment_methods: vec![
            tender("sandbox", "tok_approve", None),
            tender("store_credit", CARD, Some(2_000)),
        ],
        ..new_order(&[("A", 2)], "")
    };
    let order = rig.place(order).await;
    assert_eq!(rig.card().await, (2_000, 0, 0));
    let order = rig.complete(&order).await;
    assert_eq!(captured(&order), 2_700);
    assert_eq!(rig.card().await, (0, 2_000, 0));
    rig.bring_back(&order, &[1]);
    rig.until(&order.order_id, "the refund", |order| {
        order.lines[0].refunded == 1
    })
    .await;
    assert_eq!(rig.card().await, (0, 650, 1_350));
    rig.audit().await;
}

#[tokio::test]
async fn a_store_credit_that_is_not_enough_or_unknown_rejects_the_order() {
    let rig = Rig::start().await;
    rig.issue(&id(), 1_599).await.unwrap();
    let by = |code: &str| pb::NewOrder {
        payment_method: Some(tender("store_credit", code, None)),
        ..new_order(&[("A", 1)], "")
    };
    let order = rig.place(by(CARD)).await;
    let order = rig.until_done(&order.order_id).await;
    assert_eq!(refusal(&rig, &order).await, "INSUFFICIENT_CREDIT");
    assert_eq!(rig.card().await, (0, 0, 1_599));
    let order = rig.place(by("NOBODYS-CARD")).await;
    let order = rig.until_done(&order.order_id).await;
    assert_eq!(refusal(&rig, &order).await, "CREDIT_UNKNOWN");
    rig.audit().await;
}

#[tokio::test]
async fn a_store_credit_is_issued_once_and_the_database_keeps_it_from_falling_below_zero() {
    let rig = Rig::start().await;
    let request_id = id();
    let first = rig.issue(&request_id, 500).await.unwrap();
    assert_eq!(first.available, usd(500));
    rig.issue(&request_id, 500).await.unwrap();
    let error = rig.issue(&id(), 500).await.unwrap_err();
    assert_eq!(error.reason(), Some(ErrorReason::AlreadyExists));
    assert_eq!(rig.card().await, (0, 0, 500));
    let mut conn = rig.db.connect().await;
    let overspent = sqlx::query("UPDATE credits SET used = 400, authorized = 101")
        .execute(&mut conn)
        .await
        .unwrap_err();
    let constraint = overspent.as_database_error().unwrap().constraint();
    assert_eq!(constraint, Some("credits_store_credit_covered"));
    rig.audit().await;
}

/// Who reads a code may spend it, and what the audit log holds stays.
#[tokio::test]
async fn the_audit_log_does_not_hold_the_code_of_a_store_credit() {
    let rig = Rig::start().await;
    let request_id = id();
    for _ in 0..2 {
        let issued = rig.issue(&request_id, 500).await.unwrap();
        assert_eq!((issued.code.as_str(), issued.available), (CARD, usd(500)));
    }
    let log = AuditServiceClient::new(rig.api.channel.clone());
    let request = audit::ListAuditRequest {
        method: "IssueStoreCredit".to_owned(),
        ..audit::ListAuditRequest::default()
    };
    let rows = wait_for("the call to be chained", || async {
        let page = log.clone().list_audit(request.clone()).await.unwrap();
        let rows = page.into_inner().entries;
        if rows.is_empty() {
            return Err("no row".to_owned());
        }
        Ok(rows)
    })
    .await;
    assert_eq!(rows.len(), 1);
    let entry = format!(
        "SELECT count(*) FROM credit_entries WHERE kind = 'ISSUE' AND reference = '{CARD}' AND entry_key = '{}'",
        rows[0].object_id
    );
    assert_eq!(rig.count(&entry).await, 1);
    assert!(!format!("{rows:?}").contains(CARD), "{rows:?}");
    let held = format!(
        "SELECT count(*) FROM (SELECT p::text FROM audit_pending AS p UNION ALL SELECT l::text FROM audit_log AS l
             UNION ALL SELECT i::text FROM idempotency AS i) AS kept (line)
         WHERE line LIKE '%{CARD}%'"
    );
    assert_eq!(rig.count(&held).await, 0);
}

#[tokio::test]
async fn bad_input_is_refused_with_everything_at_once() {
    let rig = Rig::start().await;
    let told = |error: PeerError| -> Vec<(String, String)> {
        assert_eq!(error.code(), Code::InvalidArgument);
        let all = error.violations().iter();
        all.map(|one| (one.field.clone(), one.reason.clone()))
            .collect()
    };
    let pairs = |all: &[(&str, &str)]| -> Vec<(String, String)> {
        let owned = all.iter();
        owned
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect()
    };
    let bad = pb::UpsertCreditAccountRequest {
        request_id: "x".to_owned(),
        account: Some(pb::CreditAccount {
            reference: " ".to_owned(),
            credit_limit: usd(-1),
            net_days: 366,
            ..pb::CreditAccount::default()
        }),
    };
    let error = answered(client(&rig.api).upsert_credit_account(bad).await).unwrap_err();
    let expected = [
        ("request_id", "FIELD_MALFORMED"),
        ("account.reference", "FIELD_REQUIRED"),
        ("account.credit_limit.minor_units", "AMOUNT_NEGATIVE"),
        ("account.net_days", "FIELD_OUT_OF_RANGE"),
    ];
    assert_eq!(told(error), pairs(&expected));
    let bad = pb::IssueStoreCreditRequest {
        request_id: id(),
        code: "short".to_owned(),
        amount: Some(Money {
            currency_code: "XXY".to_owned(),
            minor_units: 0,
        }),
    };
    let error = answered(client(&rig.api).issue_store_credit(bad).await).unwrap_err();
    let expected = [
        ("code", "FIELD_MALFORMED"),
        ("amount.currency_code", "CURRENCY_UNKNOWN"),
        ("amount.minor_units", "FIELD_OUT_OF_RANGE"),
    ];
    assert_eq!(told(error), pairs(&expected));
    let unknown = pb::RecordAccountPaymentRequest {
        request_id: id(),
        reference: ACME.to_owned(),
        amount: usd(1),
    };
    let error = answered(client(&rig.api).record_account_payment(unknown).await).unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
}

#[tokio::test]
async fn an_account_keeps_its_currency_and_is_changed_by_who_read_it_last() {
    let rig = Rig::start().await;
    assert_eq!(rig.limit(1_000).await.etag, "1");
    let upsert = |change: fn(&mut pb::CreditAccount)| {
        let mut account = account(2_000);
        change(&mut account);
        let request = pb::UpsertCreditAccountRequest {
            request_id: id(),
            account: Some(account),
        };
        let mut client = client(&rig.api);
        async move { answered(client.upsert_credit_account(request).await) }
    };
    let stale = upsert(|account| account.etag = "7".to_owned()).await;
    assert_eq!(stale.unwrap_err().code(), Code::Aborted);
    let euro = upsert(|account| {
        account.credit_limit.as_mut().unwrap().currency_code = "EUR".to_owned();
    });
    let error = euro.await.unwrap_err();
    assert_eq!(error.violations()[0].reason, "CURRENCY_MIXED");
    let fresh = upsert(|account| account.etag = "1".to_owned()).await;
    assert_eq!(fresh.unwrap().account.unwrap().credit_limit, usd(2_000));
}
