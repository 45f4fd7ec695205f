//! `oms feed tail` stands for every command that calls services.

use oms::clients::Clients;
use oms_proto::order::v1::{Channel, ListChannelsRequest, UpsertChannelRequest};
use oms_service::{Credentials, PeerConfig, PeerError, Secret};
use tonic::Code;

use crate::world::{Said, World};

const TAIL: [&str; 8] = [
    "feed",
    "tail",
    "order",
    "--from",
    "0",
    "--until-head",
    "--json",
    "--address",
];

/// The feed of the order service, with these arguments more.
async fn tail(world: &World, arguments: &[&str], env: &[(&str, &str)]) -> Said {
    let address = world.url("order");
    world
        .run(&[&TAIL[..], &[&address], arguments].concat(), env)
        .await
}

/// The library's side of the same: one channel, which is one event.
async fn one_event(world: &World) {
    let credentials = |token: &str| {
        let tls = Credentials::default().with_tls(Some(world.file("ca.crt").into()), None);
        let secret = Secret::File(world.file(token).into());
        tls.unwrap().with_secret(secret).unwrap()
    };
    let peer = |service: &str| Ok(PeerConfig::new(world.url(service)));
    // Who proves who it is is not who it says to be.
    let reader = Clients::connect_as(&credentials("reader.token"), peer, "user:operator").unwrap();
    let request = UpsertChannelRequest {
        request_id: oms_core::IdSource::next(&oms_core::SystemIds).to_string(),
        channel: Some(Channel {
            channel_id: "web".to_owned(),
            name: "Web".to_owned(),
            currency_code: "USD".to_owned(),
            number_prefix: "WEB-".to_owned(),
            ..Channel::default()
        }),
    };
    let refused = reader.channels().upsert_channel(request.clone()).await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
    let mut channels = reader.channels();
    channels
        .list_channels(ListChannelsRequest::default())
        .await
        .unwrap();
    let operator = Clients::connect_as(&credentials("operator.token"), peer, "user:x").unwrap();
    let made = operator.channels().upsert_channel(request).await;
    made.map_err(PeerError::from).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_prove_who_they_are_and_whom_they_trust() {
    let world = World::start().await;
    one_event(&world).await;
    let (ca, token, key) = (
        world.file("ca.crt"),
        world.file("reader.token"),
        world.file("api.key"),
    );
    let (cert, cert_key) = (world.file("watcher.crt"), world.file("watcher.key"));
    let (token_text, key_text) = (world.text("reader.token"), world.text("api.key"));
    let trusted = ["--ca", &ca];

    // Every way to be let in. The relay may be a moment behind the event: the end is what matters.
    for (arguments, env) in [
        (&["--token-file", &token][..], &[][..]),
        (&["--api-key-file", &key], &[]),
        (&["--cert", &cert, "--key", &cert_key], &[]),
        (&[], &[("OMS_TOKEN", token_text.as_str())]),
        (&[], &[("OMS_API_KEY", key_text.as_str())]),
        // The file wins.
        (&["--token-file", &token], &[("OMS_TOKEN", "nonsense")]),
    ] {
        let said = tail(&world, &[&trusted, arguments].concat(), env).await;
        assert_eq!(said.code, Some(0), "{arguments:?}: {said:?}");
        assert!(said.err.contains("ended after position"), "{said:?}");
        assert!(
            said.out
                .lines()
                .all(|line| line.contains("ChannelUpserted"))
        );
    }

    // And to be kept out, each with what would mend it in sight.
    let (other, order_cert) = (world.file("other-ca.crt"), world.file("inventory.crt"));
    let order_key = world.file("inventory.key");
    for (arguments, env, says) in [
        (
            &trusted[..],
            &[][..],
            "UNAUTHENTICATED: the caller did not prove who it is",
        ),
        (
            &["--ca", &other, "--token-file", &token],
            &[],
            "invalid peer certificate",
        ),
        (
            &["--ca", &ca, "--cert", &order_cert, "--key", &order_key],
            &[],
            "SCOPE_MISSING",
        ),
        (
            &trusted,
            &[("OMS_TOKEN", "hush.hush.hush")],
            "UNAUTHENTICATED",
        ),
        (
            &trusted,
            &[("OMS_TOKEN", "hush hush")],
            "is no token or API key",
        ),
    ] {
        let said = tail(&world, arguments, env).await;
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{said:?}");
        assert!(said.err.contains(says), "{arguments:?}: {said:?}");
        assert!(!said.err.contains("hush") && !said.err.contains(&token_text));
    }
    world.suite.stop().await.unwrap();
}
