//! `oms feed tail` against a running suite.

use serde_json::{Value, json};

use crate::world::{Running, World};

fn positions(events: &[Value]) -> Vec<i64> {
    let read = |event: &Value| event["position"].as_i64().unwrap();
    events.iter().map(read).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_printed_for_machines_and_for_people() {
    let world = World::start().await;
    world.events(&["web", "shop", "web", "app"]).await;
    let all = world.tailed(&["--from", "0", "--until-head", "--json"]);
    let all = all.await.json();
    assert_eq!(positions(&all), [1, 2, 3, 4]);
    let third = all.get(2).unwrap();
    let told = json!([
        third["specversion"],
        third["source"],
        third["type"],
        third["subject"],
        third["aggregateversion"],
        third["actor"],
        third["channelid"],
        third["data"]["channel"]["name"]
    ]);
    let expected = json!([
        "1.0",
        "order",
        "ChannelUpserted",
        "channel/web",
        2,
        "user:alice",
        "web",
        "Shop web"
    ]);
    assert_eq!(told, expected, "{third}");
    assert!(third["id"].is_string() && third["time"].is_string());

    let some = ["--from", "1", "--until-head", "--channel", "web", "--json"];
    assert_eq!(positions(&world.tailed(&some).await.json()), [3]);
    let none = ["--from", "0", "--until-head", "--type", "OrderPlaced"];
    let none = world.tailed(&none).await;
    assert_eq!((none.code, none.out.len()), (Some(0), 0));
    assert!(none.err.contains("ended after position 4"), "{}", none.err);
    let two = [
        "--from",
        "0",
        "--limit",
        "2",
        "--channel",
        "web",
        "--channel",
        "app",
    ];
    let two = world.tailed(&two).await;
    assert!(two.err.contains("ended after position 3"), "{}", two.err);
    let [first, second] = two.out.try_into().unwrap();
    assert!(first.contains("channel/web") && second.contains("channel/web"));
    let (at, then) = (first.find("channel/"), second.find("channel/"));
    assert_eq!(at, then, "aligned:\n{first}\n{second}");
    world.suite.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_is_followed_over_a_restart_of_its_service() {
    let mut world = World::start().await;
    world.events(&["old"]).await;
    let mut running = Running::start(world.tail(&["--json"])).await;
    for name in ["one", "two", "three"] {
        world.event(name).await;
        let event: Value = serde_json::from_str(&running.line().await).unwrap();
        // From the head on: the old one is not there. None is lost, none comes twice.
        assert_eq!(event["channelid"], name);
        let again = format!("subscribing again after position {}", event["position"]);
        world.restart(async || running.says(&again).await).await;
    }
    world.suite.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_means_nothing_any_more_is_said_clearly() {
    let world = World::start().await;
    world.events(&["a", "b", "c", "d"]).await;
    let beyond = world.tailed(&["--from", "9"]).await;
    assert_eq!(beyond.code, Some(4));
    assert!(beyond.err.contains("its head is 4"), "{}", beyond.err);

    // As retention leaves it.
    world.execute("update feed_head set first_pos = 3").await;
    let early = world.tailed(&["--from", "1"]).await;
    assert_eq!((early.code, early.out.len()), (Some(4), 0));
    let says = "position 1 is not kept: the oldest event that the feed keeps is 3";
    assert!(early.err.contains(says), "{}", early.err);
    let kept = world.tailed(&["--from", "0", "--until-head", "--json"]);
    assert_eq!(positions(&kept.await.json()), [3, 4]);

    // As a restore leaves it, while somebody reads.
    let follower = Running::start(world.tail(&[])).await;
    let epoch = "0190f7b4-7f2a-7c3e-8a51-1d2e3f405162";
    world
        .execute(&format!("update feed_head set epoch = '{epoch}'"))
        .await;
    let (code, said) = follower.ended().await;
    assert_eq!(code, Some(3), "{said}");
    assert!(
        said.contains("another epoch") && said.contains(epoch),
        "{said}"
    );
    world.events(&["e"]).await;
    let unknown = epoch.replace('0', "1");
    let other = world.tailed(&["--from", "0", "--epoch", &unknown]).await;
    assert_eq!(other.code, Some(3), "{}", other.err);
    let known = ["--from", "0", "--epoch", epoch, "--until-head", "--json"];
    assert_eq!(positions(&world.tailed(&known).await.json()), [3, 4, 5]);
    world.suite.stop().await.unwrap();
}
