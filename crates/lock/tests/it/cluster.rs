//! A Cluster: names on different nodes.

use std::time::Duration;

use oms_lock::{Outcome, Unavailable};
use oms_testkit::private_redis;

use crate::holders::{
    Holders, LONG, acquired, bounded, eventually_acquired, names, released, send, token,
    unavailable,
};
use crate::leases::{all_or_none, overlapping};
use crate::nodes::{Nodes, replicated};
use crate::waiting::names_that_are_waited_for;

/// Holders on a Cluster, and a name on each node.
async fn cluster() -> (Nodes, Holders, [String; 3]) {
    let nodes = Nodes::start().await;
    let holders = Holders::on(nodes.url());
    let names = [
        nodes.name_at(0).await,
        nodes.name_at(1).await,
        nodes.name_at(2).await,
    ];
    (nodes, holders, names)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn names_on_different_nodes_are_taken_like_others() {
    let (nodes, holders, at) = cluster().await;
    all_or_none(&Holders::on(nodes.url())).await;
    overlapping(&Holders::on(nodes.url())).await;
    names_that_are_waited_for(&Holders::on(nodes.url())).await;

    let leases = holders.holder();
    let wanted: Vec<&str> = at.iter().map(String::as_str).collect();
    let lease = acquired(&leases, &wanted).await;
    for (place, name) in at.iter().enumerate() {
        let key = holders.key("lk", name);
        let there = send(&nodes.node(place).url(), "EXISTS", &[&key]).await;
        assert_eq!(there, redis::Value::Int(1), "{name} is at node {place}");
    }
    assert_eq!(released(&leases, lease).await, 3);
}

#[tokio::test]
async fn a_node_that_forgot_everything_gives_larger_tokens() {
    let (nodes, holders, at) = cluster().await;
    let leases = holders.holder();
    let wanted: Vec<&str> = at.iter().map(String::as_str).collect();
    let before = acquired(&leases, &wanted).await;
    send(&nodes.node(1).url(), "FLUSHALL", &[]).await;
    assert_eq!(names(&before).len(), 3);
    let [first, second, third] = wanted[..] else {
        panic!("three names");
    };
    let after = acquired(&leases, &[second]).await;
    assert!(token(&after, second) > token(&before, second));
    assert_eq!(released(&leases, before).await, 2, "{first} and {third}");
}

#[tokio::test]
async fn a_node_that_is_gone_costs_only_its_own_names() {
    let (nodes, mut holders, at) = cluster().await;
    holders.config.command_timeout = Duration::from_millis(500);
    let leases = holders.holder();
    let wanted: Vec<&str> = at.iter().map(String::as_str).collect();
    let first = acquired(&leases, &wanted).await;
    let before = token(&first, wanted[1]);
    assert_eq!(released(&leases, first).await, 3);

    nodes.node(1).kill();
    let free = bounded(leases.acquire_free(&wanted)).await.unwrap();
    assert_eq!(names(&free.lease), others(&wanted));
    assert!(free.busy.is_empty());
    let [(gone, _reason)] = &free.gone[..] else {
        panic!("one is gone: {:?}", free.gone);
    };
    assert_eq!(gone, wanted[1]);
    assert_eq!(released(&leases, free.lease).await, 2);

    // All or none: what the others gave goes back.
    bounded(unavailable(&leases, &wanted)).await;
    let rest = eventually_acquired(&holders.holder(), &others(&wanted)).await;
    assert_eq!(names(&rest).len(), 2);

    nodes.node(1).restart().unwrap();
    let back = eventually_acquired(&leases, &[wanted[1]]).await;
    assert!(token(&back, wanted[1]) > before);
}

#[tokio::test]
async fn a_node_that_hangs_is_left_alone_and_keeps_nothing() {
    let (nodes, mut holders, at) = cluster().await;
    let other = holders.holder();
    let patience = Duration::from_millis(500);
    holders.config.command_timeout = patience;
    holders.config.retry_after = LONG;
    let leases = holders.holder();
    let wanted: Vec<&str> = at.iter().map(String::as_str).collect();
    let first = acquired(&leases, &wanted).await;
    assert_eq!(released(&leases, first).await, 3);

    nodes.node(1).pause().unwrap();
    for reason in [Unavailable::Timeout(patience), Unavailable::CoolingDown] {
        let free = bounded(leases.acquire_free(&wanted)).await.unwrap();
        assert_eq!(names(&free.lease), others(&wanted));
        assert_eq!(free.gone, [(wanted[1].to_owned(), reason)]);
        assert_eq!(released(&leases, free.lease).await, 2);
    }
    nodes.node(1).resume().unwrap();
    // What was asked for before the pause is done now, and undone: it would live for two minutes.
    let _free = eventually_acquired(&other, &wanted).await;
}

#[tokio::test]
async fn names_are_followed_when_their_slot_moves() {
    let (nodes, holders, at) = cluster().await;
    let leases = holders.holder();
    let name = at[0].as_str();
    let lease = acquired(&leases, &[name]).await;
    let before = token(&lease, name);
    assert_eq!(released(&leases, lease).await, 1);

    let slot = nodes.slot_of(name).await.to_string();
    let (from, to) = (nodes.node(0), nodes.node(2));
    let (from_id, to_id) = (nodes.id_of(0).await, nodes.id_of(2).await);
    send(
        &to.url(),
        "CLUSTER",
        &["SETSLOT", &slot, "IMPORTING", &from_id],
    )
    .await;
    send(
        &from.url(),
        "CLUSTER",
        &["SETSLOT", &slot, "MIGRATING", &to_id],
    )
    .await;
    for kind in ["fc", "gen"] {
        let (key, port) = (holders.key(kind, name), to.port().to_string());
        let keys = ["127.0.0.1", &port, &key, "0", "5000"];
        send(&from.url(), "MIGRATE", &keys).await;
    }
    // While it moves, nobody can tell where its keys are: no lease, and no error of ours either.
    let moving = leases.acquire(&[name]).await;
    assert!(
        matches!(moving, Outcome::Unavailable(Unavailable::Command(_))),
        "{moving:?}"
    );
    for node in [to, from, nodes.node(1)] {
        send(&node.url(), "CLUSTER", &["SETSLOT", &slot, "NODE", &to_id]).await;
    }
    // The first call is told so by the node that had it, without any failure.
    let lease = acquired(&leases, &[name]).await;
    assert!(token(&lease, name) > before);
    assert_eq!(
        token(&lease, name).generation(),
        before.generation(),
        "it goes on counting"
    );
    assert_eq!(released(&leases, lease).await, 1);
}

#[tokio::test]
async fn a_replica_takes_over() {
    let (mut nodes, mut holders, at) = cluster().await;
    nodes.add_replica_of(0).await;
    holders.config.connect_timeout = Duration::from_millis(500);
    holders.config.command_timeout = Duration::from_millis(500);
    let leases = holders.holder();
    let name = at[0].as_str();
    let lease = acquired(&leases, &[name]).await;
    let before = token(&lease, name);
    assert_eq!(released(&leases, lease).await, 1);
    replicated(nodes.node(0), nodes.node(3)).await;

    nodes.node(0).kill();
    let after = eventually_acquired(&leases, &[name]).await;
    assert!(token(&after, name) > before);
    assert_eq!(token(&after, name).generation(), before.generation());
}

#[tokio::test]
async fn an_address_of_the_wrong_kind_says_so() {
    let nodes = Nodes::start().await;
    let node = nodes.node(0).url();
    let name = nodes.name_at(1).await;
    let reason = unavailable(&Holders::on(node).holder(), &[&name]).await;
    assert!(reason.to_string().contains("redis+cluster://"), "{reason}");

    let single = private_redis().await;
    let cluster = Holders::on(format!("redis+cluster://127.0.0.1:{}", single.port()));
    let reason = unavailable(&cluster.holder(), &["sku"]).await;
    assert!(matches!(reason, Unavailable::Command(_)), "{reason}");
}

#[tokio::test]
async fn where_nobody_answers_nobody_waits() {
    for url in [
        "redis://127.0.0.1:1/",
        "redis+sentinel://127.0.0.1:1,127.0.0.1:2/stock",
        "redis+cluster://127.0.0.1:1,127.0.0.1:2",
    ] {
        let mut holders = Holders::on(url.to_owned());
        holders.config.retry_after = LONG;
        let leases = holders.holder();
        let first = bounded(unavailable(&leases, &["a", "b"])).await;
        assert!(matches!(first, Unavailable::Connect(_)), "{url}: {first}");
        let next = bounded(unavailable(&leases, &["a", "b"])).await;
        assert_eq!(next, Unavailable::CoolingDown, "{url}");
        assert!(bounded(leases.acquire_free(&["a", "b"])).await.is_err());
    }
}

/// All names but the one of the second node, sorted.
fn others<'a>(at: &[&'a str]) -> Vec<&'a str> {
    let mut others = vec![at[0], at[2]];
    others.sort_unstable();
    others
}
