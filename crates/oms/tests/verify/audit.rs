//! Audit logs: whatever is done to them afterwards is found, and the row is named.

use std::io::Cursor;

use oms::audit::{self, Checkpoint, Report};
use oms::verify::Database;

use crate::world::World;

/// What is wrong with the order service's log, as `row: what`.
fn of_order(report: &Report) -> Vec<String> {
    let order = report.services.iter().find(|one| one.service == "order");
    let findings = order.unwrap().findings.iter();
    findings
        .map(|one| format!("{}: {}", one.seq, one.what))
        .collect()
}

async fn verify(world: &World) -> Report {
    audit::verify(&world.databases(), &[]).await.unwrap()
}

/// What a database finds wrong with itself after these statements, against which its own guard is switched off.
async fn tampered(world: &mut World, sql: &str) -> Vec<String> {
    let sql = format!("SET session_replication_role = replica; {sql}");
    world.plant(Database::Order, &sql).await;
    let found = of_order(&verify(world).await);
    world.restore(Database::Order).await;
    found
}

#[tokio::test]
async fn an_untouched_log_holds() {
    let world = World::new().await;
    let report = verify(&world).await;
    assert_eq!(report.violations(), 0, "{report:#?}");
    assert_eq!(report.services.len(), 5);
    assert!(
        report.services.iter().all(|one| one.rows > 2),
        "{report:#?}"
    );
}

#[tokio::test]
async fn a_byte_of_any_column_is_found() {
    let mut world = World::new().await;
    let drop = "ALTER TABLE audit_log DROP CONSTRAINT audit_log_kind_known; ALTER TABLE audit_log DROP CONSTRAINT audit_log_version_of_changes;";
    for change in [
        "seq = 999",
        "epoch = gen_random_uuid()",
        "kind = 'change'",
        "at = at + interval '1 microsecond'",
        "principal = principal || 'x'",
        "method = method || 'x'",
        "object_type = object_type || 'x'",
        "object_id = object_id || 'x'",
        "object_version = object_version + 1",
        "content_hash = set_byte(content_hash, 31, get_byte(content_hash, 31) # 1)",
        "reason = 'x'",
        "entry_id = gen_random_uuid()",
        "traceparent = 'x'",
        "recorded_at = recorded_at + interval '1 microsecond'",
        "hash = set_byte(hash, 0, get_byte(hash, 0) # 1)",
    ] {
        let sql = format!("{drop} UPDATE audit_log SET {change} WHERE seq = 2");
        let found = tampered(&mut world, &sql).await;
        assert!(
            found.iter().any(|one| one.starts_with("2: ")),
            "{change}: {found:?}"
        );
    }
}

#[tokio::test]
async fn removed_rows_are_found_wherever_they_stood() {
    let mut world = World::new().await;
    let found = tampered(&mut world, "DELETE FROM audit_log WHERE seq = 2").await;
    assert_eq!(found, ["2: rows 2 to 2 are missing"]);
    let found = tampered(&mut world, "DELETE FROM audit_log WHERE seq = 1").await;
    assert_eq!(found, ["1: rows 1 to 1 are missing"]);
    let last = "DELETE FROM audit_log WHERE seq = (SELECT seq FROM audit_head)";
    let found = tampered(&mut world, last).await;
    assert!(found[0].ends_with("are missing at the end"), "{found:?}");
}

#[tokio::test]
async fn swapped_and_inserted_rows_are_found() {
    let mut world = World::new().await;
    let swap = "UPDATE audit_log SET seq = -seq WHERE seq IN (2, 3); UPDATE audit_log SET seq = 5 + seq WHERE seq < 0";
    let drop = "ALTER TABLE audit_log DROP CONSTRAINT audit_log_seq_positive;
        CREATE TABLE audit_log_below PARTITION OF audit_log FOR VALUES FROM (-10) TO (1);";
    let found = tampered(&mut world, &format!("{drop} {swap}")).await;
    assert!(found[0].starts_with("2: "), "{found:?}");
    assert!(found[1].starts_with("3: "), "{found:?}");
    let insert = "INSERT INTO audit_log SELECT (SELECT seq + 1 FROM audit_head), epoch, kind, at, principal, method, object_type,
        object_id, object_version, content_hash, reason, entry_id, traceparent, hash, recorded_at FROM audit_log WHERE seq = 1";
    let found = tampered(&mut world, insert).await;
    assert!(
        found
            .iter()
            .any(|one| one.contains("were added after the end")),
        "{found:?}"
    );
}

/// The log of an export after a change of its lines.
fn exported(lines: &[String]) -> Vec<String> {
    let file = Cursor::new(lines.join("\n"));
    of_order(&audit::verify_export(file, &[]).unwrap())
}

#[tokio::test]
async fn an_exported_file_proves_the_same() {
    let world = World::new().await;
    let mut file = Vec::new();
    let rows = audit::export(&world.databases(), &mut file).await.unwrap();
    let report = audit::verify_export(Cursor::new(&file), &[]).unwrap();
    assert_eq!(report.violations(), 0, "{report:#?}");
    assert_eq!(
        rows,
        report.services.iter().map(|one| one.rows).sum::<u64>()
    );

    let lines: Vec<String> = String::from_utf8(file)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    // The head of the order service, then its rows 1, 2, 3.
    let mut changed = lines.clone();
    changed[2] = changed[2].replace("user:test", "user:tesu");
    assert!(exported(&changed)[0].starts_with("2: "));
    let mut removed = lines.clone();
    removed.remove(2);
    assert_eq!(exported(&removed), ["2: rows 2 to 2 are missing"]);
    let mut swapped = lines.clone();
    swapped.swap(2, 3);
    assert!(!exported(&swapped).is_empty());
    let mut twice = lines.clone();
    twice.insert(2, lines[1].clone());
    assert!(exported(&twice)[0].starts_with("1: "));
    assert!(audit::verify_export(Cursor::new("{}"), &[]).is_err());
}

#[tokio::test]
async fn a_log_that_was_written_again_is_found_by_who_kept_a_checkpoint() {
    let world = World::new().await;
    let report = verify(&world).await;
    let order = report.services.iter().find(|one| one.service == "order");
    let order = order.unwrap();
    let kept: Checkpoint = format!("order:{}:{}", order.head_seq, order.head_hash)
        .parse()
        .unwrap();
    let same = audit::verify(&world.databases(), std::slice::from_ref(&kept))
        .await
        .unwrap();
    assert_eq!(same.violations(), 0);
    let other = Checkpoint {
        hash: [7; 32],
        ..kept.clone()
    };
    let beyond = Checkpoint {
        seq: kept.seq + 1,
        ..kept
    };
    for wrong in [other, beyond] {
        let found = audit::verify(&world.databases(), &[wrong]).await.unwrap();
        assert_eq!(found.violations(), 1, "{found:#?}");
    }
    assert!("order:x:00".parse::<Checkpoint>().is_err());
}
