//! The payment provider fails in every way while orders go to cash and back: it loses answers after it has done what was
//! asked, answers errors after and before, stalls past our patience, tells twice, late and out of order, and dies; the order service dies too. Afterwards its
//! ledger is ours, and nobody was charged twice. What is paid on terms comes out even, too.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use futures::future::try_join_all;
use oms_proto::order::v1 as o;
use oms_proto::returns::v1 as r;
use oms_tests::nodes::{Nodes, PROVIDER};
use oms_tests::provider::{clear_faults, order_fault, our_ledger, their_ledger};
use oms_tests::shop::new_order;
use oms_tests::suite::{Actor, wait_for};
use oms_tests::summary::{Row, note};
use oms_tests::{fresh_id, usd};

const ORDERS: usize = 8;

/// Short enough for stalls to be in doubt within the test.
const IMPATIENT: &str =
    "[payments]\ntimeout_ms = 500\nreconcile_after_ms = 1500\nreconcile_poll_ms = 100\n";

/// What goes wrong in every phase; the provider forgets it when it dies.
const FAULTS: [&str; 7] = [
    r#"{"kind": "lose_reply", "times": 4, "every": 2}"#,
    r#"{"kind": "error_after_success", "times": 3, "every": 3}"#,
    r#"{"kind": "stall_ms", "ms": 1200, "times": 2, "every": 4}"#,
    r#"{"kind": "error_before", "times": 2, "every": 5}"#,
    r#"{"kind": "duplicate_webhook", "times": 4, "every": 2}"#,
    r#"{"kind": "late_webhook", "ms": 800, "times": 3, "every": 3}"#,
    r#"{"kind": "out_of_order_webhook", "times": 3, "every": 3}"#,
];

async fn make_trouble(nodes: &Nodes) -> anyhow::Result<()> {
    let url = nodes.provider_url()?;
    clear_faults(&url).await?;
    for fault in FAULTS {
        order_fault(&url, fault).await?;
    }
    Ok(())
}

/// An account on terms, whose books are in the order service that dies.
const ACCOUNT: &str = "acme";

async fn open_account(actor: &Actor) -> anyhow::Result<()> {
    let request = o::UpsertCreditAccountRequest {
        request_id: fresh_id(),
        account: Some(o::CreditAccount {
            reference: ACCOUNT.to_owned(),
            credit_limit: Some(usd(100_000)),
            net_days: 30,
            ..o::CreditAccount::default()
        }),
    };
    actor
        .clients
        .credits()
        .upsert_credit_account(request)
        .await?;
    Ok(())
}

/// Places an order with one request id until it is answered; every other one is paid by two cards and on terms.
async fn place(actor: &Actor, number: usize) -> anyhow::Result<String> {
    let mut order = new_order(&[("a", 2)]);
    if number % 2 == 1 {
        let rest = order.payment_method.take().context("payment")?;
        let part = o::PaymentMethod {
            amount: Some(usd(1_000)),
            ..rest.clone()
        };
        let on_terms = o::PaymentMethod {
            provider: "terms".to_owned(),
            token: ACCOUNT.to_owned(),
            amount: Some(usd(500)),
        };
        order.payment_methods = vec![rest, on_terms, part];
    }
    let order = actor.place_until_answered(order).await?;
    Ok(order.order_id)
}

async fn ship(actor: &Actor, order_id: &str) -> anyhow::Result<()> {
    for fo in actor.released(order_id, 1).await? {
        actor.fulfill(&fo).await?;
    }
    Ok(())
}

async fn bring_back(actor: &Actor, order_id: &str) -> anyhow::Result<String> {
    let order = actor.order(order_id).await?;
    let units: Vec<_> = order
        .lines
        .iter()
        .map(|line| (line.order_line_id.clone(), line.shipped))
        .collect();
    let asked = actor.request_return(order_id, &units).await?;
    actor.authorize_and_label(&asked.return_id).await?;
    actor.take_back(&asked, r::Disposition::Restock).await?;
    Ok(asked.return_id)
}

/// Waits until a payment of each order is sent or settled: the provider is being asked.
async fn until_asked(actor: &Actor, kind: &str) -> anyhow::Result<()> {
    wait_for("the provider to be asked", || async {
        let theirs = their_ledger(&actor.postgres_url).await?;
        let asked = theirs.values().filter(|what| what.starts_with(kind));
        let count = asked.count();
        Ok(if count >= ORDERS / 3 {
            Ok(())
        } else {
            Err(format!("{count} of {kind}"))
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_provider_does_each_intent_is_charged_once() -> anyhow::Result<()> {
    Box::pin(note("R9 payment provider", None, run())).await
}

async fn run() -> anyhow::Result<Row> {
    let mut nodes = Nodes::with(
        env!("CARGO_BIN_EXE_oms-node"),
        None,
        &[("order", IMPATIENT)],
    )
    .await?;
    let actor = nodes.actor()?;
    actor.set_up(&["a"]).await?;
    actor.receive("west", "a", 100).await?;
    open_account(&actor).await?;

    make_trouble(&nodes).await?;
    let orders = try_join_all((0..ORDERS).map(|number| place(&actor, number))).await?;
    until_asked(&actor, "AUTHORIZATION").await?;
    nodes.crash(PROVIDER).await?;

    make_trouble(&nodes).await?;
    try_join_all(orders.iter().map(|id| ship(&actor, id))).await?;
    until_asked(&actor, "CAPTURE").await?;
    nodes.crash("order").await?;
    let completed = |id| actor.order_in(id, o::OrderState::Completed);
    try_join_all(orders.iter().map(|id| completed(id))).await?;

    make_trouble(&nodes).await?;
    let returns = try_join_all(orders.iter().map(|id| bring_back(&actor, id))).await?;
    until_asked(&actor, "REFUND").await?;
    nodes.kill(PROVIDER)?;
    nodes.spawn(PROVIDER)?;
    try_join_all(returns.iter().map(|id| actor.closed(id))).await?;

    check(&nodes, &actor, &orders).await?;
    // Three phases of trouble, and a death in each.
    Row::proven(&actor, 3 * (FAULTS.len() + 1)).await
}

async fn check(nodes: &Nodes, actor: &Actor, orders: &[String]) -> anyhow::Result<()> {
    actor.verify().await?;
    for id in orders {
        let order = actor.order(id).await?;
        ensure!(order.state() == o::OrderState::Completed, "{order:?}");
        let totals = order.totals.context("totals")?;
        ensure!(totals.captured == totals.total, "{totals:?}");
        ensure!(totals.refunded == totals.total, "{totals:?}");
    }
    let (ours, theirs) = (
        our_ledger(&actor.postgres_url).await?,
        their_ledger(&actor.postgres_url).await?,
    );
    ensure!(ours == theirs, "ours {ours:#?}, theirs {theirs:#?}");
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for what in theirs.values() {
        ensure!(what.ends_with("approved"), "{what}");
        *kinds
            .entry(what.split(' ').next().unwrap_or_default())
            .or_default() += 1;
    }
    // Everything came back.
    let account = o::GetCreditAccountRequest {
        reference: ACCOUNT.to_owned(),
    };
    let answer = actor.clients.credits().get_credit_account(account).await?;
    let account = answer.into_inner().account.context("account")?;
    ensure!(account.available == account.credit_limit, "{account:?}");
    // One of each for every card.
    let each = ["AUTHORIZATION", "CAPTURE", "REFUND"].map(|kind| (kind, ORDERS + ORDERS / 2));
    ensure!(kinds == BTreeMap::from(each), "{kinds:?}");
    // The trouble was real.
    let doubts = nodes.log("order")?.matches("payment in doubt").count();
    ensure!(doubts >= ORDERS, "{doubts} payments were in doubt");
    Ok(())
}
