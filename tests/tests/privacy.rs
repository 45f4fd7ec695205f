//! Personal data shows nowhere but on what is printed: an order with a canary in every field of a person goes to cash and
//! back over five processes, and then the canaries are looked for in everything that these have written. Texts that people
//! write with an order stand in clear where they may, nowhere else, and go with the customer.

#![allow(clippy::unwrap_used, reason = "helpers of a test may panic")]

use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oms_proto::common::v1::{DocumentFormat, ErrorReason, PostalAddress};
use oms_proto::fulfillment::v1::GetPackingSlipRequest;
use oms_proto::order::v1 as o;
use oms_proto::returns::v1 as r;
use oms_proto::shipping::v1 as s;
use oms_service::PeerError;
use oms_testkit::Collector;
use oms_tests::fresh_id;
use oms_tests::nodes::Nodes;
use oms_tests::provider::connect;
use oms_tests::shop::new_order;
use oms_tests::suite::{Actor, wait_for};
use oms_tests::usd;
use sqlx::{AssertSqlSafe, PgConnection};
use tonic::Code;

/// What every canary begins with, so that one search finds all; the rest tells which field it was.
const CANARY: &str = "Quillfeather";
/// The same for texts in which people may write what they like.
const TEXT: &str = "Brambleglove";
/// Where each of them may stand, first of all where it surely does; docs/privacy.md says why.
const PLACES: [(&str, &[&str]); 7] = [
    (
        "Instructions",
        &[
            "oms_order.orders.instructions",
            "oms_order.feed.payload",
            "oms_order.outbox.payload",
            "oms_fulfillment.fulfillment_orders.instructions",
            "oms_fulfillment.feed.payload",
            "oms_fulfillment.outbox.payload",
        ],
    ),
    (
        "Field",
        &[
            "oms_order.orders.custom_fields",
            "oms_order.order_lines.custom_fields",
            "oms_order.feed.payload",
            "oms_order.outbox.payload",
        ],
    ),
    ("Gift", &["oms_order.order_lines.gift_message"]),
    ("HoldNote", &["oms_order.holds.note"]),
    ("ReleaseNote", &["oms_order.timeline.detail"]),
    ("CancelNote", &["oms_order.cancellations.note"]),
    ("RefundReason", &["oms_order.timeline.detail"]),
];
/// What an erasure does not reach of it.
const LEFT: [(&str, &[&str]); 7] = [
    (
        "Instructions",
        &[
            "oms_order.feed.payload",
            "oms_fulfillment.fulfillment_orders.instructions",
            "oms_fulfillment.feed.payload",
        ],
    ),
    ("Field", &["oms_order.feed.payload"]),
    ("Gift", &[]),
    ("HoldNote", &[]),
    ("ReleaseNote", &[]),
    ("CancelNote", &[]),
    ("RefundReason", &[]),
];
const DATABASES: [&str; 6] = [
    "oms_order",
    "oms_inventory",
    "oms_fulfillment",
    "oms_shipping",
    "oms_returns",
    "oms_sandbox_psp",
];
const SERVICES: [&str; 6] = [
    "order",
    "inventory",
    "fulfillment",
    "shipping",
    "returns",
    "sandbox-psp",
];
/// Logs as much as operators ever turn on.
const LOUD: &str = "[telemetry]\nfilter = \"debug,h2=info\"\n";

fn person(of: &str) -> PostalAddress {
    let canary = |field: &str| format!("{CANARY}{of}{field}");
    PostalAddress {
        recipient: canary("Recipient"),
        address_lines: vec![canary("Street1"), canary("Street2")],
        locality: canary("City"),
        administrative_area: canary("State"),
        postal_code: "95814".to_owned(),
        country_code: "US".to_owned(),
        phone: canary("Phone"),
        email: format!("{}@example.com", canary("Email")),
    }
}

fn given() -> o::NewOrder {
    let mut order = new_order(&[("a", 2)]);
    order.customer_id = "customer-1".to_owned();
    order.ship_to = Some(person("Ship"));
    order.bill_to = Some(person("Bill"));
    order.instructions = format!("{TEXT}Instructions: to the loading dock");
    let fields = [("engraving".to_owned(), format!("{TEXT}Field"))];
    order.custom_fields = fields.clone().into();
    for line in &mut order.lines {
        line.custom_fields = fields.clone().into();
        line.gift_message = format!("{TEXT}Gift");
    }
    order
}

/// Whether something of a person is told, or something that somebody has written.
fn is_personal(told: &str) -> bool {
    told.contains(CANARY) || told.contains(TEXT)
}

/// Every column of every table that holds this text, or these bytes, as `database.table.column`.
async fn found(postgres_url: &str, text: &str) -> anyhow::Result<Vec<String>> {
    look_for(postgres_url, text, None).await
}

async fn look_for(
    postgres_url: &str,
    text: &str,
    bytes: Option<&[u8]>,
) -> anyhow::Result<Vec<String>> {
    let mut all = Vec::new();
    for database in DATABASES {
        let mut conn = connect(postgres_url, database).await?;
        for (table, column, kind) in columns(&mut conn).await? {
            // Bytes with what is no letter as an escape: texts inside of messages stay what they are.
            let value = match kind.as_str() {
                "bytea" => format!("encode(\"{column}\", 'escape')"),
                _ => format!("\"{column}\"::text"),
            };
            let raw = match kind.as_str() {
                "bytea" => format!("position($2::bytea IN \"{column}\") > 0"),
                _ => "$2::bytea = ''".to_owned(),
            };
            let sql = format!(
                "SELECT count(*) FROM \"{table}\"
                 WHERE strpos({value}, $1) > 0 OR ($2::bytea IS NOT NULL AND {raw})"
            );
            let count: i64 = sqlx::query_scalar(AssertSqlSafe(sql))
                .bind(text)
                .bind(bytes)
                .fetch_one(&mut conn)
                .await?;
            if count > 0 {
                all.push(format!("{database}.{}.{column}", whole(&table)));
            }
        }
    }
    Ok(all)
}

/// A part of a table is the table.
fn whole(table: &str) -> &str {
    match table.rsplit_once('_') {
        Some((name, part)) if part.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => table,
    }
}

async fn columns(conn: &mut PgConnection) -> anyhow::Result<Vec<(String, String, String)>> {
    let columns = sqlx::query_as(
        "SELECT table_name::text, column_name::text, data_type::text FROM information_schema.columns
         WHERE table_schema = 'public'
             AND data_type IN ('text', 'character varying', 'character', 'bytea', 'json', 'jsonb', 'ARRAY')",
    )
    .fetch_all(conn)
    .await?;
    Ok(columns)
}

/// Takes the order to cash and back; answers it with its shipment.
async fn to_cash_and_back(actor: &Actor) -> anyhow::Result<(o::Order, s::Shipment)> {
    actor.set_up(&["a"]).await?;
    actor.receive("west", "a", 5).await?;
    let order = actor.place(given()).await?;
    hold_and_release(actor, &order).await?;
    cancel_another(actor).await?;
    let fos = actor.released(&order.order_id, 1).await?;
    let shipment = actor.fulfill(fos.first().context("one")?).await?;
    let label = label(actor, &shipment).await?.document.context("label")?;
    let label = String::from_utf8(label.content)?;
    ensure!(label.contains("QuillfeatherShipRecipient"), "{label}");
    slip(actor, &shipment).await?;
    invoice(actor, &order).await??;
    let done = actor
        .order_in(&order.order_id, o::OrderState::Completed)
        .await?;
    refund(actor, &done).await?;
    let units: Vec<_> = done
        .lines
        .iter()
        .map(|line| (line.order_line_id.clone(), line.shipped))
        .collect();
    let back = actor.request_return(&order.order_id, &units).await?;
    actor.authorize_and_label(&back.return_id).await?;
    actor.take_back(&back, r::Disposition::Restock).await?;
    actor.closed(&back.return_id).await?;
    Ok((done, shipment))
}

/// A hold with a note, and another note with its end.
async fn hold_and_release(actor: &Actor, order: &o::Order) -> anyhow::Result<()> {
    let request = o::PlaceHoldRequest {
        request_id: fresh_id(),
        order_id: order.order_id.clone(),
        reason: o::HoldReason::CustomerRequest.into(),
        blocks: vec![o::HoldBlock::Capture.into()],
        note: format!("{TEXT}HoldNote"),
        ..o::PlaceHoldRequest::default()
    };
    let placed = actor.clients.holds().place_hold(request).await?;
    let hold = placed.into_inner().hold.context("hold")?;
    let request = o::ReleaseHoldRequest {
        request_id: fresh_id(),
        hold_id: hold.hold_id,
        note: format!("{TEXT}ReleaseNote"),
    };
    actor.clients.holds().release_hold(request).await?;
    Ok(())
}

/// Another order of the same customer, which is canceled with a note.
async fn cancel_another(actor: &Actor) -> anyhow::Result<()> {
    let order_id = actor.place(given()).await?.order_id;
    actor.released(&order_id, 1).await?;
    let request = o::CancelOrderRequest {
        request_id: fresh_id(),
        order_id: order_id.clone(),
        reason: "CUSTOMER".to_owned(),
        note: format!("{TEXT}CancelNote"),
        ..o::CancelOrderRequest::default()
    };
    actor.clients.orders().cancel_order(request).await?;
    actor.order_in(&order_id, o::OrderState::Canceled).await?;
    Ok(())
}

/// An amount is paid back for a reason in somebody's own words.
async fn refund(actor: &Actor, order: &o::Order) -> anyhow::Result<()> {
    let order_id = &order.order_id;
    actor
        .order_when(order_id, "the capture", |order| {
            order.charge_status() == o::ChargeStatus::Full
        })
        .await?;
    let request = o::RefundPaymentRequest {
        request_id: fresh_id(),
        order_id: order_id.clone(),
        amount: Some(usd(100)),
        reason: format!("{TEXT}RefundReason"),
        ..o::RefundPaymentRequest::default()
    };
    actor.clients.payments().refund_payment(request).await?;
    let refunded = |order: &o::Order| {
        let totals = order.totals.as_ref();
        totals.and_then(|totals| totals.refunded.clone()) == Some(usd(100))
    };
    actor.order_when(order_id, "the refund", refunded).await?;
    Ok(())
}

/// What people have written stands in these places and in no other, and surely in the first one.
async fn stand_only_in(postgres_url: &str, places: &[(&str, &[&str])]) -> anyhow::Result<()> {
    for (text, may) in places {
        let seen = found(postgres_url, &format!("{TEXT}{text}")).await?;
        let elsewhere: Vec<&String> = seen
            .iter()
            .filter(|place| !may.contains(&place.as_str()))
            .collect();
        ensure!(elsewhere.is_empty(), "{text} stands in {elsewhere:#?}");
        let is_there = may
            .first()
            .is_none_or(|first| seen.iter().any(|place| place == first));
        ensure!(is_there, "{text} stands only in {seen:#?}");
    }
    Ok(())
}

/// Secrets of an endpoint of webhooks: the one that it was made with, and the one after it.
async fn webhook_secrets(actor: &Actor) -> anyhow::Result<[String; 2]> {
    let mut client = actor.clients.webhooks();
    // Nobody listens there: every event of the order is signed, and sent in vain.
    let request = o::CreateWebhookEndpointRequest {
        request_id: fresh_id(),
        url: "http://127.0.0.1:9/".to_owned(),
        ..o::CreateWebhookEndpointRequest::default()
    };
    let created = client.create_webhook_endpoint(request).await?.into_inner();
    let endpoint = created.endpoint.context("endpoint")?;
    let request = o::RotateWebhookSecretRequest {
        request_id: fresh_id(),
        webhook_endpoint_id: endpoint.webhook_endpoint_id,
        overlap: None,
    };
    let rotated = client.rotate_webhook_secret(request).await?.into_inner();
    Ok([created.secret, rotated.secret])
}

/// No secret stands in a database as its bytes or as any text of them, nor in a log or span.
async fn secrets_are_sealed(postgres_url: &str, secrets: &[String]) -> anyhow::Result<()> {
    // The search finds bytes where they stand in clear.
    let known = look_for(postgres_url, CANARY, Some(b"to the loading dock")).await?;
    ensure!(
        known.iter().any(|one| one == "oms_order.feed.payload"),
        "{known:#?}"
    );
    for secret in secrets {
        let text = secret.trim_start_matches("whsec_");
        let bytes = STANDARD.decode(text)?;
        let places = look_for(postgres_url, text, Some(&bytes)).await?;
        ensure!(places.is_empty(), "a secret in clear: {places:#?}");
        let hex = hex::encode(&bytes);
        let places = found(postgres_url, &hex).await?;
        ensure!(places.is_empty(), "a secret as hex: {places:#?}");
    }
    Ok(())
}

async fn label(actor: &Actor, shipment: &s::Shipment) -> Result<s::GetLabelResponse, PeerError> {
    let request = s::GetLabelRequest {
        shipment_id: shipment.shipment_id.clone(),
        package_id: String::new(),
        format: DocumentFormat::Zpl.into(),
    };
    let answer = actor.clients.shipments().get_label(request).await;
    Ok(answer.map_err(PeerError::from)?.into_inner())
}

async fn slip(actor: &Actor, shipment: &s::Shipment) -> Result<(), PeerError> {
    let request = GetPackingSlipRequest {
        pack_session_id: shipment.pack_session_id.clone(),
    };
    let answer = actor.clients.documents().get_packing_slip(request).await;
    answer.map(|_| ()).map_err(PeerError::from)
}

async fn invoice(actor: &Actor, order: &o::Order) -> anyhow::Result<Result<(), PeerError>> {
    let mut invoices = actor.clients.invoices();
    let invoice = wait_for("the invoice", || async {
        let order_id = order.order_id.clone();
        let request = o::ListInvoicesRequest { order_id };
        let all = actor.clients.invoices().list_invoices(request).await?;
        let first = all.into_inner().invoices.into_iter().next();
        Ok(first.ok_or_else(|| "no invoice".to_owned()))
    })
    .await?;
    let request = o::GetInvoiceDocumentRequest {
        invoice_id: invoice.invoice_id,
    };
    let answer = invoices.get_invoice_document(request).await;
    Ok(answer.map(|_| ()).map_err(PeerError::from))
}

/// Requests that are refused because of a person's fields or texts; answers what the refusals say.
async fn refusals(actor: &Actor) -> Vec<String> {
    let changes: [fn(&mut PostalAddress); 5] = [
        |address| address.recipient = address.recipient.repeat(10),
        |address| address.address_lines[0] = address.address_lines[0].repeat(10),
        |address| address.locality += "\u{7}",
        |address| address.email = format!("{CANARY} at home"),
        |address| address.phone += " 4242 4242 4242 4242",
    ];
    let texts: [fn(&mut o::NewOrder); 3] = [
        |order| order.instructions = TEXT.repeat(100),
        |order| order.lines[0].gift_message = TEXT.repeat(100),
        |order| {
            let value = TEXT.repeat(100);
            order.custom_fields.insert("engraving".to_owned(), value);
        },
    ];
    let mut orders = Vec::new();
    for change in changes {
        let mut order = given();
        change(order.ship_to.as_mut().unwrap());
        orders.push(order);
    }
    for change in texts {
        let mut order = given();
        change(&mut order);
        orders.push(order);
    }
    let mut told = Vec::new();
    for order in orders {
        let request = o::PlaceOrderRequest {
            request_id: fresh_id(),
            order: Some(order),
            ..o::PlaceOrderRequest::default()
        };
        let refused = actor.clients.orders().place_order(request).await;
        told.push(format!("{:?}", refused.unwrap_err()));
    }
    told
}

/// Once the customer is erased, whoever prints is told so, again and again, and nothing breaks.
async fn erase(actor: &Actor, order: &o::Order, shipment: &s::Shipment) -> anyhow::Result<()> {
    wait_for("nothing of the order to be under way", || async {
        let request = o::EraseCustomerRequest {
            request_id: fresh_id(),
            customer_id: order.customer_id.clone(),
            order_id: String::new(),
        };
        match actor.clients.privacy().erase_customer(request).await {
            Ok(_) => Ok(Ok(())),
            Err(status) => Ok(Err(format!("{status:?}"))),
        }
    })
    .await?;
    let refusals = [
        label(actor, shipment).await.map(|_| ()).unwrap_err(),
        slip(actor, shipment).await.unwrap_err(),
        invoice(actor, order).await?.unwrap_err(),
    ];
    for refused in refusals {
        ensure!(refused.code() == Code::FailedPrecondition, "{refused}");
        ensure!(
            refused.reason() == Some(ErrorReason::PersonalDataErased),
            "{refused}"
        );
    }
    actor.verify().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persons_data_shows_nowhere_but_in_print() -> anyhow::Result<()> {
    let collector = Collector::start();
    let loud = SERVICES.map(|service| (service, LOUD));
    let program = env!("CARGO_BIN_EXE_oms-node");
    let mut nodes = Nodes::with(program, Some(collector.endpoint()), &loud[..5]).await?;
    let actor = nodes.actor()?;
    let secrets = webhook_secrets(&actor).await?;
    let (order, shipment) = to_cash_and_back(&actor).await?;

    let refused = refusals(&actor).await;
    ensure!(
        !refused.iter().any(|told| is_personal(told)),
        "{refused:#?}"
    );
    // The search finds what stands there in clear, in columns, JSON and messages of events.
    let known = found(&actor.postgres_url, "to the loading dock").await?;
    for place in ["oms_order.orders.instructions", "oms_order.feed.payload"] {
        ensure!(known.iter().any(|one| one == place), "{known:#?}");
    }
    let places = found(&actor.postgres_url, CANARY).await?;
    ensure!(places.is_empty(), "personal data in clear: {places:#?}");
    stand_only_in(&actor.postgres_url, &PLACES).await?;
    secrets_are_sealed(&actor.postgres_url, &secrets).await?;

    for service in &SERVICES[..5] {
        let metrics = nodes.metrics(service).await?;
        ensure!(!metrics.is_empty() && !metrics.keys().any(|name| is_personal(name)));
    }
    erase(&actor, &order, &shipment).await?;
    let places = found(&actor.postgres_url, CANARY).await?;
    ensure!(places.is_empty(), "left by the erasure: {places:#?}");
    stand_only_in(&actor.postgres_url, &LEFT).await?;
    nodes.end()?;
    for service in SERVICES {
        let log = nodes.log(service)?;
        let is_told = |line: &&str| {
            let secret = |one: &String| line.contains(one.trim_start_matches("whsec_"));
            is_personal(line) || secrets.iter().any(secret)
        };
        let line = log.lines().find(is_told);
        ensure!(line.is_none(), "{service} has logged {line:?}");
    }
    for service in &SERVICES[..5] {
        let log = nodes.log(service)?;
        ensure!(!log.is_empty(), "a log that tells nothing proves nothing");
    }
    let spans = collector.spans();
    ensure!(spans.len() > 50, "{} spans", spans.len());
    let told = spans.iter().find(|span| {
        let span = format!("{span:?}");
        let secret = |one: &String| span.contains(one.trim_start_matches("whsec_"));
        is_personal(&span) || secrets.iter().any(secret)
    });
    ensure!(told.is_none(), "{told:#?}");
    Ok(())
}
