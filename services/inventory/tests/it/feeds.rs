//! What events of shipping and returns do to the stock.

use oms_core::Clock;
use oms_proto::events::v1::Event;
use oms_proto::inventory::v1 as pb;
use oms_proto::inventory::v1::ReservationState as State;
use oms_proto::returns::v1 as returns;
use oms_proto::returns::v1::Disposition;
use oms_proto::returns::v1::returns_event::Event as Returned;
use oms_proto::shipping::v1 as shipping;
use oms_proto::shipping::v1::shipping_event::Event as Shipped;
use oms_proto::time_to_proto;
use oms_testkit::wait_for;
use prost::Message;

use crate::rig::{EAST, Rig, WEST, allocate, id, rows};

impl Rig {
    fn event(&self, kind: &str, aggregate_id: &str, version: i64, payload: Vec<u8>) -> Event {
        Event {
            id: id(),
            r#type: kind.to_owned(),
            aggregate_id: aggregate_id.to_owned(),
            aggregate_version: version,
            occurred_at: Some(time_to_proto(self.clock.now())),
            actor: "user:packer".to_owned(),
            payload,
            ..Event::default()
        }
    }

    /// Tells of a shipment whose packages hold these units.
    fn ship(&self, shipment: &shipping::Shipment) -> Event {
        let event = Shipped::ShipmentShipped(shipping::ShipmentShipped {
            shipment: Some(shipment.clone()),
        });
        let payload = shipping::ShippingEvent { event: Some(event) }.encode_to_vec();
        let event = Event {
            source: "shipping".to_owned(),
            aggregate_type: "shipment".to_owned(),
            ..self.event("ShipmentShipped", &shipment.shipment_id, 1, payload)
        };
        self.shipping.publish(event.clone());
        event
    }

    fn returned(&self, kind: &str, version: i64, return_id: &str, event: Returned) {
        let payload = returns::ReturnsEvent { event: Some(event) }.encode_to_vec();
        self.returns.publish(Event {
            source: "returns".to_owned(),
            aggregate_type: "return".to_owned(),
            ..self.event(kind, return_id, version, payload)
        });
    }

    async fn wait_for_level(&self, what: &str, is_there: impl Fn(&pb::StockLevel) -> bool) {
        wait_for(what, || async {
            let level = self.level("A", EAST).await;
            if is_there(&level) {
                Ok(())
            } else {
                Err(format!("{level:?}"))
            }
        })
        .await;
    }
}

fn shipment(location_id: &str, lines: &[(&pb::Reservation, usize, i64)]) -> shipping::Shipment {
    let lines = lines.iter().map(|(reservation, row, quantity)| {
        let row = &reservation.lines[*row];
        shipping::PackageLine {
            order_line_id: row.order_line_id.clone(),
            sku: row.sku.clone(),
            quantity: *quantity,
            reservation_id: reservation.reservation_id.clone(),
            lot: row.lot.clone(),
            ..Default::default()
        }
    });
    shipping::Shipment {
        shipment_id: id(),
        order_id: id(),
        direction: shipping::ShipmentDirection::Outbound.into(),
        location_id: location_id.to_owned(),
        packages: lines
            .map(|line| shipping::Package {
                lines: vec![line],
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_shipment_issues_what_it_holds_once() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 9), ("B", EAST, 9)]).await;
    let one = rig.reserve(allocate(&[("A", 3), ("B", 1)])).await.unwrap();
    let other = rig.reserve(allocate(&[("A", 2)])).await.unwrap();
    // Two packages hold units of one line, and one of another reservation.
    let row = usize::from(one.lines[0].sku != "A");
    let parts = [
        (&one, row, 1),
        (&one, row, 1),
        (&one, 1 - row, 1),
        (&other, 0, 2),
    ];
    let shipped = shipment(EAST, &parts);
    let event = rig.ship(&shipped);
    wait_for("the units to be issued", || async {
        let (one, other) = (
            rig.get(&one.reservation_id).await,
            rig.get(&other.reservation_id).await,
        );
        let expected = [
            ("ALLOCATED", EAST, 1),
            ("CONSUMED", EAST, 1),
            ("CONSUMED", EAST, 2),
        ];
        let is_done = rows(&one) == expected && other.state() == State::Consumed;
        if is_done {
            Ok(())
        } else {
            Err(format!("{one:?} {other:?}"))
        }
    })
    .await;
    // The same event again, and the same shipment under another event.
    rig.shipping.publish(event);
    rig.ship(&shipped);
    rig.ship(&shipment(EAST, &[(&one, row, 1)]));
    rig.wait_for_level("the last unit to be issued", |level| level.allocated == 0)
        .await;
    let level = rig.level("A", EAST).await;
    assert_eq!((level.available, level.on_hand), (4, 4));
    rig.audit().await;
}

#[tokio::test]
async fn a_return_shipment_issues_nothing() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 9)]).await;
    let one = rig.reserve(allocate(&[("A", 3)])).await.unwrap();
    let mut back = shipment(EAST, &[(&one, 0, 3)]);
    back.direction = shipping::ShipmentDirection::Return.into();
    rig.ship(&back);
    rig.ship(&shipment(EAST, &[(&one, 0, 1)]));
    rig.wait_for_level("one unit to be issued", |level| level.allocated == 2)
        .await;
    rig.audit().await;
}

fn units(quantity: i64, line: &str) -> returns::ReturnedUnits {
    returns::ReturnedUnits {
        return_line_id: line.to_owned(),
        order_line_id: id(),
        sku: "A".to_owned(),
        quantity,
    }
}

#[tokio::test]
async fn returned_goods_are_booked_in_and_disposed_of() {
    let rig = Rig::start().await;
    rig.stock(&[("A", WEST, 0)]).await;
    let (return_id, order_id, line) = (id(), id(), id());
    let location_id = EAST.to_owned();
    let disposed = |disposition: Disposition, quantity| returns::DisposedUnits {
        units: Some(units(quantity, &line)),
        disposition: disposition.into(),
    };
    let received = Returned::ReturnReceived(returns::ReturnReceived {
        return_id: return_id.clone(),
        order_id: order_id.clone(),
        location_id: location_id.clone(),
        lines: vec![units(6, &line)],
    });
    rig.returned("ReturnReceived", 1, &return_id, received);
    rig.wait_for_level("the goods to be booked in", |level| level.qc == 6)
        .await;
    // Somebody waits for one of them.
    let waits = pb::ReserveRequest {
        mode: State::Backordered.into(),
        ..allocate(&[("A", 1)])
    };
    let waits = rig.reserve(waits).await.unwrap();
    let done = Returned::ReturnDisposed(returns::ReturnDisposed {
        return_id: return_id.clone(),
        order_id,
        location_id,
        lines: vec![
            disposed(Disposition::Restock, 2),
            disposed(Disposition::Restock, 1),
            disposed(Disposition::Quarantine, 2),
            disposed(Disposition::Scrap, 1),
        ],
    });
    rig.returned("ReturnDisposed", 2, &return_id, done);
    rig.wait_for_level("the goods to be disposed of", |level| level.qc == 0)
        .await;
    let level = rig.level("A", EAST).await;
    assert_eq!(
        (level.available, level.quarantine, level.on_hand),
        (2, 2, 5)
    );
    assert_eq!(
        rows(&rig.get(&waits.reservation_id).await),
        [("ALLOCATED", EAST, 1)]
    );
    rig.audit().await;
}

#[tokio::test]
async fn goods_disposed_of_before_they_were_booked_in_wait() {
    let rig = Rig::start().await;
    rig.stock(&[("A", WEST, 1)]).await;
    let line = id();
    let (first, second) = (id(), id());
    let done = |return_id: &str| {
        Returned::ReturnDisposed(returns::ReturnDisposed {
            return_id: return_id.to_owned(),
            order_id: id(),
            location_id: EAST.to_owned(),
            lines: vec![returns::DisposedUnits {
                units: Some(units(2, &line)),
                disposition: Disposition::Restock.into(),
            }],
        })
    };
    rig.returned("ReturnDisposed", 1, &first, done(&first));
    wait_for("the task to fail", || async {
        let mut conn = rig.db.connect().await;
        let failed: Option<String> =
            sqlx::query_scalar("SELECT last_error FROM tasks WHERE kind = 'move_returned_stock'")
                .fetch_optional(&mut conn)
                .await
                .unwrap()
                .flatten();
        failed.ok_or_else(|| "no task".to_owned())
    })
    .await;
    let received = Returned::ReturnReceived(returns::ReturnReceived {
        return_id: second.clone(),
        order_id: id(),
        location_id: EAST.to_owned(),
        lines: vec![units(2, &line)],
    });
    rig.returned("ReturnReceived", 1, &second, received);
    wait_for("the task to succeed", || async {
        // Its backoff goes by the service's clock.
        rig.clock.advance(std::time::Duration::from_secs(1));
        let level = rig.level("A", EAST).await;
        if level.available == 2 {
            Ok(())
        } else {
            Err(format!("{level:?}"))
        }
    })
    .await;
    rig.audit().await;
}
