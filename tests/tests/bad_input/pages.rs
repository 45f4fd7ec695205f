//! Page tokens that nobody gave, tokens of another filter, and pages of no size.

use anyhow::ensure;
use oms_proto::audit::v1 as a;
use oms_proto::fulfillment::v1 as f;
use oms_proto::inventory::v1 as i;
use oms_proto::order::v1 as o;
use oms_proto::returns::v1 as r;
use oms_proto::shipping::v1 as s;

use crate::table::{Table, invalid};
use crate::world::World;

/// A list with a token that is none, and with pages of a size that cannot be.
macro_rules! pages {
    ($table:expr, $client:expr, $rpc:ident, $request:expr) => {{
        let (mut client, first) = ($client, $request);
        for token in ["made-up", "AAAA", "%%%"] {
            let mut request = first.clone();
            request.page_token = token.to_owned();
            let name = format!("{} after {token}", stringify!($rpc));
            $table.case(&name, client.$rpc(request).await, &token_invalid());
        }
        let mut request = first.clone();
        request.page_size = -1;
        let name = concat!(stringify!($rpc), " in pages of less than nothing");
        let expected = invalid(&["page_size FIELD_OUT_OF_RANGE"]);
        $table.case(name, client.$rpc(request).await, &expected);
    }};
}

fn token_invalid() -> String {
    invalid(&["page_token PAGE_TOKEN_INVALID"])
}

pub(crate) async fn cases(world: &World, table: &mut Table) -> anyhow::Result<()> {
    let clients = &world.suite.clients;
    pages!(
        table,
        clients.orders(),
        list_orders,
        o::ListOrdersRequest::default()
    );
    pages!(
        table,
        clients.orders(),
        list_at_risk,
        o::ListAtRiskRequest::default()
    );
    pages!(
        table,
        clients.orders(),
        get_order_timeline,
        o::GetOrderTimelineRequest {
            order_id: world.done.order_id.clone(),
            ..Default::default()
        }
    );
    pages!(
        table,
        clients.orders(),
        get_order_trace,
        o::GetOrderTraceRequest {
            order_id: world.done.order_id.clone(),
            ..Default::default()
        }
    );
    pages!(
        table,
        clients.order_audit(),
        list_audit,
        a::ListAuditRequest::default()
    );
    table.case(
        "list_audit by texts that cannot be",
        clients
            .order_audit()
            .list_audit(a::ListAuditRequest {
                principal: "x".repeat(257),
                object_id: "\0".to_owned(),
                from_time: Some(prost_types::Timestamp {
                    seconds: i64::MAX,
                    nanos: 0,
                }),
                ..Default::default()
            })
            .await,
        &invalid(&[
            "principal FIELD_OUT_OF_RANGE",
            "object_id FIELD_MALFORMED",
            "from_time FIELD_OUT_OF_RANGE",
        ]),
    );
    pages!(
        table,
        clients.holds(),
        list_holds,
        o::ListHoldsRequest::default()
    );
    pages!(
        table,
        clients.channels(),
        list_channels,
        o::ListChannelsRequest::default()
    );
    pages!(
        table,
        clients.exceptions(),
        list_exceptions,
        o::ListExceptionsRequest::default()
    );
    pages!(
        table,
        clients.items(),
        list_items,
        i::ListItemsRequest::default()
    );
    pages!(
        table,
        clients.locations(),
        list_locations,
        i::ListLocationsRequest::default()
    );
    pages!(
        table,
        clients.stock(),
        list_ledger,
        i::ListLedgerRequest {
            sku: "a".to_owned(),
            ..Default::default()
        }
    );
    pages!(
        table,
        clients.corrections(),
        list_corrections,
        i::ListCorrectionsRequest::default()
    );
    pages!(
        table,
        clients.stock_policies(),
        list_stock_policies,
        i::ListStockPoliciesRequest::default()
    );
    pages!(
        table,
        clients.supply(),
        list_expected_receipts,
        i::ListExpectedReceiptsRequest::default()
    );
    pages!(
        table,
        clients.fulfillment_orders(),
        list_fulfillment_orders,
        f::ListFulfillmentOrdersRequest::default()
    );
    pages!(
        table,
        clients.picking(),
        list_pick_lists,
        f::ListPickListsRequest {
            location_id: "west".to_owned(),
            ..Default::default()
        }
    );
    pages!(
        table,
        clients.shipments(),
        list_shipments,
        s::ListShipmentsRequest::default()
    );
    pages!(
        table,
        clients.returns(),
        list_returns,
        r::ListReturnsRequest::default()
    );
    other_filters(world, table).await
}

async fn other_filters(world: &World, table: &mut Table) -> anyhow::Result<()> {
    let clients = &world.suite.clients;
    let first = o::ListOrdersRequest {
        page_size: 1,
        ..Default::default()
    };
    let page = clients
        .orders()
        .list_orders(first.clone())
        .await?
        .into_inner();
    ensure!(
        !page.next_page_token.is_empty(),
        "there is more than one order"
    );
    let other = o::ListOrdersRequest {
        page_token: page.next_page_token,
        channel_id: "web".to_owned(),
        ..first
    };
    let answer = clients.orders().list_orders(other).await;
    table.case("a token of other orders", answer, &token_invalid());
    let first = f::ListFulfillmentOrdersRequest {
        page_size: 1,
        ..Default::default()
    };
    let mut work = clients.fulfillment_orders();
    let page = work
        .list_fulfillment_orders(first.clone())
        .await?
        .into_inner();
    let other = f::ListFulfillmentOrdersRequest {
        page_token: page.next_page_token,
        location_id: "west".to_owned(),
        ..first
    };
    let answer = work.list_fulfillment_orders(other).await;
    table.case("a token of other work", answer, &token_invalid());
    Ok(())
}
