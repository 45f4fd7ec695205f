//! From a placed order to cash, and back through a return.

use anyhow::{Context, ensure};
use oms_proto::common::v1::DocumentFormat;
use oms_proto::order::v1 as o;
use oms_proto::returns::v1 as r;
use oms_proto::shipping::v1 as s;
use oms_tests::shop::new_order;
use oms_tests::suite::TestSuite;

fn minor(money: Option<&oms_proto::common::v1::Money>) -> i64 {
    money.map_or(0, |money| money.minor_units)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_goes_to_cash_and_back() -> anyhow::Result<()> {
    let suite = TestSuite::start().await?;
    suite.set_up(&["chair", "desk"]).await?;
    suite.receive("west", "chair", 10).await?;
    suite.receive("west", "desk", 10).await?;

    let order = suite.place(new_order(&[("chair", 3), ("desk", 1)])).await?;
    ensure!(order.state() == o::OrderState::Confirmed, "{order:?}");
    ensure!(
        order.authorize_status() == o::AuthorizeStatus::Full,
        "{order:?}"
    );
    let [fo] = suite
        .released(&order.order_id, 1)
        .await?
        .try_into()
        .ok()
        .context("one order")?;
    let shipment = suite.fulfill(&fo).await?;

    let done = suite
        .order_in(&order.order_id, o::OrderState::Completed)
        .await?;
    let totals = done.totals.clone().context("totals")?;
    ensure!(
        minor(totals.captured.as_ref()) == minor(totals.total.as_ref()),
        "{totals:?}"
    );
    ensure!(done.charge_status() == o::ChargeStatus::Full, "{done:?}");
    ensure!(
        done.fulfillment_status() == o::FulfillmentStatus::Delivered,
        "{done:?}"
    );
    check_documents(&suite, &shipment, &order.order_id).await?;

    let units: Vec<_> = done
        .lines
        .iter()
        .map(|line| (line.order_line_id.clone(), line.shipped))
        .collect();
    let ret = suite.request_return(&order.order_id, &units).await?;
    let labeled = suite.authorize_and_label(&ret.return_id).await?;
    ensure!(!labeled.tracking_number.is_empty(), "{labeled:?}");
    suite.take_back(&ret, r::Disposition::Restock).await?;
    let closed = suite.closed(&ret.return_id).await?;
    ensure!(
        minor(closed.refunded.as_ref()) == minor(totals.total.as_ref()),
        "{closed:?}"
    );

    let after = suite
        .order_when(&order.order_id, "the refund", |order| {
            minor(order.totals.as_ref().and_then(|t| t.refunded.as_ref())) > 0
        })
        .await?;
    let refunded = after.totals.context("totals")?.refunded;
    ensure!(
        refunded == totals.total,
        "a full return refunds what was paid: {refunded:?}"
    );
    suite.verify().await?;
    for sku in ["chair", "desk"] {
        let levels = suite.levels(sku).await?;
        ensure!(
            levels.iter().map(|level| level.available).sum::<i64>() == 10,
            "{levels:?}"
        );
    }
    suite.finish().await
}

/// Labels and invoice are real documents.
async fn check_documents(
    suite: &TestSuite,
    shipment: &s::Shipment,
    order_id: &str,
) -> anyhow::Result<()> {
    for (format, magic) in [(DocumentFormat::Pdf, "%PDF-"), (DocumentFormat::Zpl, "^XA")] {
        let request = s::GetLabelRequest {
            shipment_id: shipment.shipment_id.clone(),
            package_id: String::new(),
            format: format.into(),
        };
        let answer = suite
            .clients
            .shipments()
            .get_label(request)
            .await?
            .into_inner();
        let content = answer.document.context("document")?.content;
        ensure!(
            content.starts_with(magic.as_bytes()),
            "{format:?} begins otherwise"
        );
    }
    let mut invoices = suite.clients.invoices();
    let request = o::ListInvoicesRequest {
        order_id: order_id.to_owned(),
    };
    let all = invoices.list_invoices(request).await?.into_inner().invoices;
    let [invoice] = all.try_into().ok().context("one invoice")?;
    let request = o::GetInvoiceDocumentRequest {
        invoice_id: invoice.invoice_id,
    };
    let answer = invoices.get_invoice_document(request).await?.into_inner();
    ensure!(
        answer
            .document
            .context("document")?
            .content
            .starts_with(b"%PDF-")
    );
    Ok(())
}
