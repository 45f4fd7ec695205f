//! The three tests that every step of the saga passes: run twice it is the same as once, its failure leaves nothing, undone twice it
//! is the same as once. Which steps there are is asked of the database, so that a new one cannot be forgotten.

use std::time::Duration;

use oms_proto::order::v1::OrderState;
use oms_testkit::wait_for;
use sqlx::AssertSqlSafe;

use crate::rig::{Rig, new_order};

/// Longer than anybody keeps a saga without working on it.
const LEASE: Duration = Duration::from_mins(2);

/// The steps in their order, as the table knows them.
async fn steps(rig: &Rig) -> Vec<String> {
    let sql = "SELECT (regexp_matches(pg_get_constraintdef(oid), '''([a-z_]+)''', 'g'))[1]
               FROM pg_constraint WHERE conname = 'sagas_step_known'";
    let mut conn = rig.db.connect().await;
    sqlx::query_scalar(sql).fetch_all(&mut conn).await.unwrap()
}

/// From now on, results of the saga for which this holds cannot be written, as if the database went away at the commit.
/// `strikes` numbers them from 1.
async fn trouble(rig: &Rig, when: &str) {
    let sql = format!(
        "CREATE SEQUENCE IF NOT EXISTS strikes;
         ALTER SEQUENCE strikes RESTART;
         CREATE SEQUENCE IF NOT EXISTS undo_strikes;
         CREATE OR REPLACE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$
         DECLARE steps text[] := ARRAY['{}'];
         BEGIN
             IF (OLD.step, OLD.state) IS DISTINCT FROM (NEW.step, NEW.state) AND {when} THEN
                 RAISE 'trouble' USING ERRCODE = '57P01';
             END IF;
             RETURN NEW;
         END $$;
         CREATE OR REPLACE TRIGGER trouble BEFORE UPDATE ON sagas FOR EACH ROW EXECUTE FUNCTION trouble()",
        steps(rig).await.join("', '")
    );
    let mut conn = rig.db.connect().await;
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&mut conn)
        .await
        .unwrap();
}

/// A result that goes on past this step, or past one of several that wrote nothing.
fn passes(step: &str) -> String {
    let place = |of: &str| format!("array_position(steps, {of})");
    let (old, new, here) = (
        place("OLD.step"),
        place("NEW.step"),
        place(&format!("'{step}'")),
    );
    format!(
        "OLD.state <> 'UNDOING' AND NEW.state <> 'UNDOING' AND {old} <= {here}
             AND ({new} > {here} OR NEW.state = 'DONE') AND nextval('strikes') > 0"
    )
}

async fn struck(rig: &Rig) {
    wait_for("the database to go away", || async {
        match rig
            .count("SELECT count(*) FROM strikes WHERE is_called")
            .await
        {
            0 => Err("nothing was written yet".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
}

/// Nothing can be written at first: every result is lost once, and its step runs again.
#[tokio::test]
async fn every_step_run_twice_changes_nothing_the_second_time() {
    let rig = Rig::start().await;
    trouble(&rig, "nextval('strikes') % 2 = 1").await;
    let placed = rig.place_only(new_order(&[("A", 5)], "tok_approve")).await;
    let order = rig.until_done(&placed.order_id).await;
    assert_eq!(order.state(), OrderState::Confirmed);
    let passed = "SELECT count(DISTINCT step) FROM saga_steps WHERE outcome = 'SUCCEEDED'";
    let all = i64::try_from(steps(&rig).await.len()).unwrap();
    assert_eq!(rig.count(passed).await, all);
    let twice = "SELECT count(*) FROM saga_steps WHERE outcome = 'SUCCEEDED'";
    assert_eq!(rig.count(twice).await, all);
    assert_eq!(rig.peers.free("A"), 95);
    assert_eq!(rig.peers.reservations(&order.order_id).len(), 1);
    assert_eq!(rig.peers.fulfillment_orders(&order.order_id).len(), 1);
    assert_eq!(rig.charges().await, 1);
    rig.audit().await;
}

/// No result beyond the step can be written. Before the confirmation the order is canceled and leaves nothing; after it there is no
/// way back, and it goes on when the database is there again.
#[tokio::test]
async fn a_failure_at_every_step_leaves_nothing() {
    let rig = Rig::start().await;
    let steps = steps(&rig).await;
    assert!(steps.len() >= 8, "{steps:?}");
    let mut free = 100;
    for step in &steps {
        trouble(&rig, &passes(step)).await;
        let placed = rig.place_only(new_order(&[("A", 5)], "tok_approve")).await;
        struck(&rig).await;
        let order = rig.get(&placed.order_id).await;
        let expected = if order.state() == OrderState::Confirmed {
            trouble(&rig, "false").await;
            free -= 5;
            OrderState::Confirmed
        } else {
            rig.cancel(&order, &[]).await.unwrap();
            OrderState::Canceled
        };
        // Whoever worked on it may have given it up by now.
        rig.clock.advance(LEASE);
        let order = rig.until_done(&placed.order_id).await;
        let found = (order.state(), rig.peers.free("A"));
        assert_eq!(found, (expected, free), "{step}");
    }
    assert!(free < 100, "no order was confirmed");
    rig.audit().await;
}

/// An order is unwound from its last step before the confirmation, and every result of that is lost once.
#[tokio::test]
async fn every_undo_run_twice_is_the_same_as_once() {
    let rig = Rig::start().await;
    let forward = passes("allocate");
    let undo = "OLD.state = 'UNDOING' AND nextval('undo_strikes') % 2 = 1";
    trouble(&rig, &format!("({forward} OR {undo})")).await;
    let placed = rig.place_only(new_order(&[("A", 5)], "tok_approve")).await;
    struck(&rig).await;
    rig.cancel(&placed, &[]).await.unwrap();
    rig.clock.advance(LEASE);
    let order = rig.until_done(&placed.order_id).await;
    assert_eq!(order.state(), OrderState::Canceled);
    assert_eq!(rig.peers.free("A"), 100);
    assert!(rig.count("SELECT last_value FROM undo_strikes").await >= 4);
    let voids = "SELECT count(*) FROM payments WHERE kind = 'VOID' AND state = 'SUCCEEDED'";
    assert_eq!(rig.count(voids).await, 1);
    let twice = "SELECT count(*) - count(DISTINCT step) FROM saga_steps WHERE outcome = 'UNDONE'";
    assert_eq!(rig.count(twice).await, 0);
    rig.audit().await;
}
