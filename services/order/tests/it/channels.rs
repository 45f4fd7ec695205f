//! Channels.

use oms_proto::order::v1 as pb;

use crate::rig::{Rig, answered, id, web};

#[tokio::test]
async fn channels_are_listed_by_id_in_pages() {
    let rig = Rig::start().await;
    for name in ["alpha", "beta"] {
        let request = pb::UpsertChannelRequest {
            request_id: id(),
            channel: Some(pb::Channel {
                channel_id: name.to_owned(),
                ..web()
            }),
        };
        rig.api
            .channels
            .clone()
            .upsert_channel(request)
            .await
            .unwrap();
    }
    let mut page_token = String::new();
    let mut seen = Vec::new();
    loop {
        let request = pb::ListChannelsRequest {
            page_size: 2,
            page_token,
        };
        let page = rig
            .api
            .channels
            .clone()
            .list_channels(request)
            .await
            .unwrap()
            .into_inner();
        seen.extend(page.channels.into_iter().map(|channel| channel.channel_id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ["alpha", "beta", "web"]);
}

#[tokio::test]
async fn the_currency_of_a_channel_stays() {
    let rig = Rig::start().await;
    let request = pb::UpsertChannelRequest {
        request_id: id(),
        channel: Some(pb::Channel {
            currency_code: "EUR".to_owned(),
            ..web()
        }),
    };
    let error = answered(rig.api.channels.clone().upsert_channel(request).await).unwrap_err();
    assert_eq!(error.violations()[0].reason, "CURRENCY_MIXED");
}

#[tokio::test]
async fn ten_callers_may_create_one_channel_at_once() {
    let rig = Rig::start().await;
    let create = |_| {
        let request = pb::UpsertChannelRequest {
            request_id: id(),
            channel: Some(pb::Channel {
                channel_id: "new".to_owned(),
                ..web()
            }),
        };
        let mut channels = rig.api.channels.clone();
        async move { channels.upsert_channel(request).await.unwrap().into_inner() }
    };
    let answers = futures::future::join_all((0..10).map(create)).await;
    let mut etags: Vec<i64> = answers
        .into_iter()
        .map(|answer| answer.channel.unwrap().etag.parse().unwrap())
        .collect();
    etags.sort_unstable();
    assert_eq!(etags, (1..=10).collect::<Vec<i64>>());
}
