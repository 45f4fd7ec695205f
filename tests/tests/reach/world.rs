//! One of everything at location `west` in channel `web`, and nothing anywhere else.

use std::collections::BTreeMap;

use anyhow::Context;
use oms_core::Clock;
use oms_proto::inventory::v1 as i;
use oms_proto::order::v1 as o;
use oms_proto::returns::v1 as r;
use oms_tests::fresh_id;
use oms_tests::shop::{barcode, new_order};
use oms_tests::suite::TestSuite;
use uuid::Uuid;

/// Where everything is.
pub(crate) const HERE: &str = "west";
/// The channel of everything.
pub(crate) const CHANNEL: &str = "web";

/// Values for the fields of requests, by the name of the field.
pub(crate) type Values = BTreeMap<&'static str, String>;

pub(crate) struct World {
    pub(crate) suite: TestSuite,
    pub(crate) values: Values,
}

impl World {
    pub(crate) async fn make() -> anyhow::Result<Self> {
        let suite = TestSuite::start().await?;
        suite.set_up(&["a"]).await?;
        suite.receive(HERE, "a", 50).await?;
        let mut values = Values::from([
            ("location_id", HERE.to_owned()),
            ("channel_id", CHANNEL.to_owned()),
            ("sku", "a".to_owned()),
            ("barcode", barcode("a")),
        ]);
        add_order(&suite, &mut values).await?;
        add_receipt(&suite, &mut values).await?;
        suite.verify().await?;
        Ok(Self { suite, values })
    }

    /// The same fields with ids that nobody has.
    pub(crate) fn nobodys(&self) -> Values {
        let other = |(name, value): (&&'static str, &String)| {
            let is_id = Uuid::try_parse(value).is_ok();
            let made_up = if is_id { fresh_id() } else { value.clone() };
            (*name, made_up)
        };
        let mut values: Values = self.values.iter().map(other).collect();
        values.insert("tracking_number", "nobodys".to_owned());
        values
    }

    /// What must not be in an answer to somebody who sees nothing of it: the ids of everything.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &str> {
        let secret = |(name, _): &(&&str, &String)| {
            !["location_id", "channel_id", "sku", "barcode", "carrier_id"].contains(*name)
        };
        self.values
            .iter()
            .filter(secret)
            .map(|(_, value)| value.as_str())
    }
}

/// An order of three units that was shipped, with a hold, an invoice, and a return that waits for its goods.
async fn add_order(suite: &TestSuite, values: &mut Values) -> anyhow::Result<()> {
    let order = suite.place(new_order(&[("a", 3)])).await?;
    let mut work = suite.released(&order.order_id, 1).await?;
    let work = work.pop().context("no fulfillment order")?;
    let list = suite.pick_list(&work).await?;
    for line in &list.lines {
        suite.scan(&list, line, line.quantity).await?;
    }
    let session = suite
        .pack(&work.fulfillment_order_id, &[(barcode("a"), 3)])
        .await?;
    let shipment = suite.labeled(&session).await?;
    suite.ship(&shipment).await?;
    let order = suite.order_when(&order.order_id, "shipped", |order| {
        order.charge_status() == o::ChargeStatus::Full
    });
    let order = order.await?;
    let line = order.lines.first().context("no line")?;
    let back = suite
        .request_return(&order.order_id, &[(line.order_line_id.clone(), 1)])
        .await?;
    let back = authorized(suite, back).await?;
    let package = shipment.packages.first().context("no package")?;
    for (name, value) in [
        ("order_id", &order.order_id),
        (
            "address_id",
            &order
                .destination
                .as_ref()
                .context("no destination")?
                .address_id,
        ),
        ("order_line_id", &line.order_line_id),
        ("fulfillment_order_id", &work.fulfillment_order_id),
        ("pick_list_id", &list.pick_list_id),
        (
            "pick_line_id",
            &list.lines.first().context("no pick line")?.pick_line_id,
        ),
        ("wave_id", &list.wave_id),
        ("pack_session_id", &session.pack_session_id),
        ("shipment_id", &shipment.shipment_id),
        ("package_id", &package.package_id),
        ("carrier_id", &shipment.carrier_id),
        ("tracking_number", &package.tracking_number),
        ("return_id", &back.return_id),
        (
            "return_line_id",
            &back.lines.first().context("no return line")?.return_line_id,
        ),
        ("hold_id", &hold(suite, &order.order_id).await?),
        ("invoice_id", &invoice(suite, &order.order_id).await?),
    ] {
        values.insert(name, value.clone());
    }
    Ok(())
}

/// Goods that are expected.
async fn add_receipt(suite: &TestSuite, values: &mut Values) -> anyhow::Result<()> {
    let receipt = i::ExpectedReceipt {
        reference: "PURCHASE-1".to_owned(),
        sku: "a".to_owned(),
        location_id: HERE.to_owned(),
        quantity: 5,
        expect_time: Some(oms_proto::time_to_proto(oms_core::SystemClock.now())),
        ..Default::default()
    };
    values.insert("reference", receipt.reference.clone());
    let request = i::UpsertExpectedReceiptRequest {
        request_id: fresh_id(),
        receipt: Some(receipt),
    };
    suite
        .clients
        .supply()
        .upsert_expected_receipt(request)
        .await?;
    Ok(())
}

async fn authorized(suite: &TestSuite, back: r::Return) -> anyhow::Result<r::Return> {
    let request = r::AuthorizeReturnRequest {
        request_id: fresh_id(),
        return_id: back.return_id,
        ..Default::default()
    };
    let answer = suite.clients.returns().authorize_return(request).await?;
    answer.into_inner().return_order.context("no return")
}

async fn hold(suite: &TestSuite, order_id: &str) -> anyhow::Result<String> {
    let request = o::PlaceHoldRequest {
        request_id: fresh_id(),
        order_id: order_id.to_owned(),
        reason: o::HoldReason::Manual.into(),
        blocks: vec![o::HoldBlock::Capture.into()],
        ..Default::default()
    };
    let placed = suite
        .clients
        .holds()
        .place_hold(request)
        .await?
        .into_inner();
    Ok(placed.hold.context("no hold")?.hold_id)
}

async fn invoice(suite: &TestSuite, order_id: &str) -> anyhow::Result<String> {
    let request = o::ListInvoicesRequest {
        order_id: order_id.to_owned(),
    };
    let listed = suite
        .clients
        .invoices()
        .list_invoices(request)
        .await?
        .into_inner();
    Ok(listed
        .invoices
        .first()
        .context("no invoice")?
        .invoice_id
        .clone())
}
