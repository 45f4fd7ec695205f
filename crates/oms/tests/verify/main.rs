//! The verifier, verified: it finds nothing in a sound world, and every invariant finds the defect that is planted for it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod audit;
mod defects;
mod docs;
mod provider_defects;
mod watch;
mod world;

use std::collections::BTreeSet;

use defects::Defect;
use oms::verify::{self, Database, Verdict};
use world::World;

/// What is violated, with examples.
fn violated(verdict: &Verdict) -> Vec<String> {
    verdict
        .invariants
        .iter()
        .filter(|finding| finding.violations > 0)
        .map(|finding| format!("{}: {}", finding.name, finding.examples.join("; ")))
        .collect()
}

fn names(verdict: &Verdict) -> BTreeSet<&'static str> {
    let found = verdict
        .invariants
        .iter()
        .filter(|finding| finding.violations > 0);
    found.map(|finding| finding.name).collect()
}

#[tokio::test]
async fn a_sound_world_violates_nothing() {
    let world = World::new().await;
    for at_rest in [true, false] {
        let verdict = verify::check(&world.databases(), at_rest).await.unwrap();
        assert_eq!(violated(&verdict), [""; 0], "at rest: {at_rest}");
        assert_eq!(verdict.violations(), 0);
        let idle: Vec<&str> = verdict
            .invariants
            .iter()
            .filter(|finding| finding.checked == 0)
            .map(|finding| finding.name)
            .collect();
        // What looks at rows that a sound world at rest does not have.
        let expected = [
            "events.outbox_drains",
            "events.none_are_parked",
            "liveness.tasks_run_on_time",
            "liveness.no_task_is_stuck",
            "liveness.declined_captures_hold_their_order",
            "liveness.declined_renewals_hold_their_order",
        ];
        assert_eq!(idle, expected, "the others had something to judge");
    }
}

#[test]
fn every_invariant_has_a_planted_defect() {
    let planted: BTreeSet<&str> = defects::all().map(|defect| defect.invariant).collect();
    let without: Vec<&str> = verify::invariants()
        .map(|invariant| invariant.name)
        .filter(|name| !planted.contains(name))
        .collect();
    assert!(without.is_empty(), "nothing is planted for {without:?}");
    let known: BTreeSet<&str> = verify::invariants()
        .map(|invariant| invariant.name)
        .collect();
    let unknown: Vec<&&str> = planted.difference(&known).collect();
    assert!(unknown.is_empty(), "no such invariant: {unknown:?}");
}

#[test]
fn names_are_unique_and_sentences_short() {
    let mut seen = BTreeSet::new();
    for invariant in verify::invariants() {
        assert!(
            seen.insert(invariant.name),
            "{} stands twice",
            invariant.name
        );
        let says = invariant.says;
        assert!(
            !says.is_empty() && !says.ends_with('.') && says.len() < 250,
            "{says}"
        );
    }
}

/// The verifier's word on a world with this defect.
async fn with(world: &mut World, defect: &Defect, at_rest: bool) -> Verdict {
    world.plant(defect.database, defect.sql).await;
    let verdict = verify::check(&world.databases(), at_rest).await.unwrap();
    world.restore(defect.database).await;
    verdict
}

/// Plants the defects of one database, one after the other, and expects each to be found by its invariant, and by none
/// but those that the table names.
async fn find_defects_of(database: Database) {
    let mut world = World::new().await;
    let mut wrong = Vec::new();
    for defect in defects::all().filter(|defect| defect.database == database) {
        let verdict = with(&mut world, defect, true).await;
        let found = names(&verdict);
        let mut expected: BTreeSet<&str> = defect.also.iter().copied().collect();
        expected.insert(defect.invariant);
        if found != expected {
            wrong.push(format!(
                "planted for {}, expected {expected:?}, found {:#?}",
                defect.invariant,
                violated(&verdict)
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn defects_of_orders_are_found() {
    find_defects_of(Database::Order).await;
}

#[tokio::test]
async fn defects_of_inventory_are_found() {
    find_defects_of(Database::Inventory).await;
}

#[tokio::test]
async fn defects_of_fulfillment_are_found() {
    find_defects_of(Database::Fulfillment).await;
}

#[tokio::test]
async fn defects_of_shipping_are_found() {
    find_defects_of(Database::Shipping).await;
}

#[tokio::test]
async fn defects_of_returns_are_found() {
    find_defects_of(Database::Returns).await;
}

#[tokio::test]
async fn without_the_provider_its_invariants_are_skipped_and_say_so() {
    let world = World::new().await;
    let databases = world.databases_without_provider();
    let verdict = verify::check(&databases, true).await.unwrap();
    assert_eq!(violated(&verdict), [""; 0]);
    let skipped = verdict
        .invariants
        .iter()
        .filter(|finding| finding.skipped.is_some());
    let skipped: Vec<&str> = skipped.map(|finding| finding.name).collect();
    let expected = [
        "provider.settled_payments_have_their_charge",
        "provider.charges_have_their_payment",
    ];
    assert_eq!(skipped, expected);
    let table = verdict.table().to_string();
    assert!(table.contains("skipped: no database"), "{table}");
    let sentence = verdict.sentence();
    assert!(sentence.ends_with("2 invariants skipped"), "{sentence}");
}

#[tokio::test]
async fn what_moves_is_not_judged_between_services_but_at_rest() {
    let mut world = World::new().await;
    // The order has counted a delivery less than shipping tells; the reasons why that may be so for now:
    let defect = "UPDATE order_lines SET delivered = 2 WHERE order_line_id = '{line_a}'";
    let task = |key: &str| {
        format!(
            "INSERT INTO tasks (id, kind, key, payload, run_at, actor, traceparent)
             VALUES (gen_random_uuid(), 'k', '{{{key}}}', '', now(), '', '')"
        )
    };
    let text = |sql: &str| sql.to_owned();
    let reasons = [
        (Database::Order, text("UPDATE orders SET updated_at = now() WHERE order_id = '{order_a}'")),
        (Database::Shipping, text("UPDATE shipments SET updated_at = now() WHERE shipment_id = '{shipment_a}'")),
        // Work that is open, under the id of the order, of a shipment, of a fulfillment order, wherever.
        (Database::Order, task("order_a")),
        (Database::Inventory, task("shipment_a")),
        (Database::Shipping, task("work_a")),
        // A young event of the shipment that nobody has read.
        (
            Database::Shipping,
            text(
                "INSERT INTO feed SELECT 8, '{x}', 'shipment', '{shipment_a}', 5, 'Told', '', '', '', NULL, NULL, NULL, now(), now();
                 UPDATE feed_head SET pos = 8; UPDATE shipments SET version = 5 WHERE shipment_id = '{shipment_a}'",
            ),
        ),
    ];
    let expected = BTreeSet::from(["between.order_delivered_equals_shipping"]);
    for (database, reason) in reasons {
        world.plant(Database::Order, defect).await;
        let verdict = verify::check(&world.databases(), false).await.unwrap();
        assert_eq!(
            names(&verdict),
            expected,
            "nothing moves: {:#?}",
            violated(&verdict)
        );

        world.plant(database, &reason).await;
        let verdict = verify::check(&world.databases(), false).await.unwrap();
        assert_eq!(violated(&verdict), [""; 0], "{reason}");
        let verdict = verify::check(&world.databases(), true).await.unwrap();
        assert!(names(&verdict).is_superset(&expected), "at rest, {reason}");
        world.restore(database).await;
        world.restore(Database::Order).await;
    }
}

#[tokio::test]
async fn what_is_late_or_young_is_told_apart() {
    let mut world = World::new().await;
    let late = [
        "events.outbox_drains",
        "events.cursors_keep_up",
        "liveness.tasks_run_on_time",
        "liveness.sagas_run_on_time",
        "money.nothing_stays_in_doubt",
    ];
    for defect in defects::all().filter(|defect| late.contains(&defect.invariant)) {
        let verdict = with(&mut world, defect, false).await;
        assert_eq!(
            names(&verdict),
            BTreeSet::from([defect.invariant]),
            "late is wrong at any time"
        );
    }
    let young = [
        "INSERT INTO outbox (event_id, aggregate_type, aggregate_id, aggregate_version, event_type, payload, actor,
             traceparent, occurred_at)
         VALUES ('{x}', 'ghost', 'x', 1, 'Told', '', '', '', now())",
        "INSERT INTO tasks (id, kind, key, payload, run_at, actor, traceparent)
         VALUES ('{x}', 'k', '{order_a}', '', now(), '', '')",
        "UPDATE sagas SET next_run_at = now() WHERE order_id = '{order_d}'",
        "UPDATE effects SET state = 'SENT', updated_at = now() WHERE payment_id = '{auth_c}';
         UPDATE payments SET state = 'PENDING' WHERE payment_id = '{auth_c}'",
    ];
    for sql in young {
        world.plant(Database::Order, sql).await;
        let verdict = verify::check(&world.databases(), false).await.unwrap();
        assert_eq!(violated(&verdict), [""; 0], "young is fine: {sql}");
        let verdict = verify::check(&world.databases(), true).await.unwrap();
        assert_eq!(names(&verdict).len(), 1, "at rest nothing is young: {sql}");
        world.restore(Database::Order).await;
    }
}

#[tokio::test]
async fn a_declined_capture_waits_for_a_person_on_purpose() {
    let world = World::new().await;
    let waiting =
        "INSERT INTO tasks (id, kind, key, payload, state, run_at, ended_at, actor, traceparent)
             VALUES ('{x}', 'capture_payment', '{order_b}', '', 'STUCK', now(), now(), '', '');
         INSERT INTO holds (hold_id, order_id, reason, blocks, state, placed_by, created_at)
             VALUES ('{x}', '{order_b}', 'CAPTURE_FAILED', ARRAY['CAPTURE'], 'ACTIVE', '', now())";
    world.plant(Database::Order, waiting).await;
    let verdict = verify::check(&world.databases(), true).await.unwrap();
    assert_eq!(violated(&verdict), [""; 0]);
    let counted = verdict
        .invariants
        .iter()
        .find(|finding| finding.name == "liveness.declined_captures_hold_their_order")
        .unwrap();
    assert_eq!(counted.checked, 1, "it is told");
}

#[tokio::test]
async fn the_verdict_names_what_is_wrong() {
    let mut world = World::new().await;
    let defect = defects::all()
        .find(|defect| defect.invariant == "stock.no_bucket_below_zero")
        .unwrap();
    let verdict = with(&mut world, defect, true).await;
    assert!(verdict.violations() >= 1);
    let sentence = verdict.sentence();
    assert!(
        sentence.contains("stock.no_bucket_below_zero (1)"),
        "{sentence}"
    );
    let table = verdict.table().to_string();
    for invariant in verify::invariants() {
        assert!(
            table.contains(invariant.name),
            "{} is missing",
            invariant.name
        );
    }
    assert!(table.contains("chair west"), "{table}");
    let json = serde_json::to_value(&verdict).unwrap();
    assert_eq!(
        json["invariants"].as_array().unwrap().len(),
        verify::invariants().count()
    );
}
