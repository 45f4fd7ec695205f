use oms_core::{IdSource as _, SystemIds};
use proptest::prelude::*;
use time::macros::datetime;

use super::*;

pub(crate) fn line(sku: &str, total: i64) -> Line {
    Line {
        id: SystemIds.next(),
        order_line_id: OrderLineId::generate(&SystemIds),
        item: Item {
            sku: sku.to_owned(),
            name: format!("Item {sku}"),
            barcodes: vec![format!("code-{sku}")],
            mass_grams: 100,
            dimensions: Dimensions {
                length_mm: 1,
                width_mm: 1,
                height_mm: 1,
            },
            version: 1,
        },
        lot: String::new(),
        reservation_id: ReservationId::generate(&SystemIds),
        total,
        picked: 0,
        packing: 0,
        packed: 0,
        shipped: 0,
        short: 0,
        canceled: 0,
    }
}

fn work(lines: Vec<Line>) -> FulfillmentOrder {
    let at = datetime!(2026-11-01 00:00 UTC);
    FulfillmentOrder {
        id: FulfillmentOrderId::generate(&SystemIds),
        order_id: OrderId::generate(&SystemIds),
        order_number: "W-1".to_owned(),
        channel_id: "web".to_owned(),
        location_id: "us-west".parse().unwrap(),
        batch_id: SystemIds.next(),
        proposal_id: None,
        state: State::Open,
        stage: FloorStage::None,
        hold_reason: String::new(),
        destination: Destination {
            address_id: AddressId::generate(&SystemIds),
            country_code: "US".to_owned(),
            postal_code: "89101".to_owned(),
        },
        service_level: ServiceLevel::Ground,
        fill_policy: FillPolicy::FillAll,
        priority: 5,
        instructions: String::new(),
        version: 1,
        event_sequence: 1,
        created_by: "service:order".to_owned(),
        created_at: at,
        updated_at: at,
        lines,
    }
}

fn units(fo: &FulfillmentOrder, index: usize, quantity: i64) -> LineUnits {
    LineUnits {
        line_id: fo.lines[index].id,
        quantity,
    }
}

/// What may be done at random.
#[derive(Debug, Clone)]
enum Deed {
    Hold,
    ReleaseHold,
    Release,
    Pick(usize, i64),
    Short(usize, i64),
    Cancel(Option<(usize, i64)>),
    Open,
    Pack(usize, i64),
    End(bool),
    Ship(usize, i64),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        Just(Deed::Hold),
        Just(Deed::ReleaseHold),
        Just(Deed::Release),
        (0..2_usize, 1..4_i64).prop_map(|(line, quantity)| Deed::Pick(line, quantity)),
        (0..2_usize, 1..3_i64).prop_map(|(line, quantity)| Deed::Short(line, quantity)),
        proptest::option::of((0..2_usize, 1..4_i64)).prop_map(Deed::Cancel),
        Just(Deed::Open),
        (0..2_usize, 1..4_i64).prop_map(|(line, quantity)| Deed::Pack(line, quantity)),
        any::<bool>().prop_map(Deed::End),
        (0..2_usize, 1..4_i64).prop_map(|(line, quantity)| Deed::Ship(line, quantity)),
    ]
}

fn apply(fo: &mut FulfillmentOrder, deed: &Deed) -> Result<(), Refusal> {
    match *deed {
        Deed::Hold => fo.hold("counting"),
        Deed::ReleaseHold => fo.release_hold(),
        Deed::Release => fo.release_to_floor(),
        Deed::Pick(line, quantity) => fo.pick(units(fo, line, quantity)),
        Deed::Short(line, quantity) => fo.report_short(units(fo, line, quantity)),
        Deed::Cancel(None) => fo.cancel(&[]).map(|_| ()),
        Deed::Cancel(Some((line, quantity))) => {
            let id = fo.lines[line].order_line_id;
            fo.cancel(&[(id, quantity)]).map(|_| ())
        }
        Deed::Open => fo.open_pack_session(),
        Deed::Pack(line, quantity) if fo.stage == FloorStage::Packing => {
            let code = fo.lines[line].item.printed_code().to_owned();
            fo.pack(&code, quantity).map(|_| ())
        }
        Deed::End(packed) if fo.stage == FloorStage::Packing => {
            fo.end_pack_session(packed);
            Ok(())
        }
        Deed::Pack(..) | Deed::End(_) => Ok(()),
        Deed::Ship(line, quantity) => fo.ship(&[units(fo, line, quantity)]),
    }
}

proptest! {
    /// Whatever is tried in whatever order: counters keep their bounds, state and stage fit each
    /// other and the counters, a refused command changes nothing but what `ship` leaves to rollback.
    #[test]
    fn counters_and_states_stay_together(deeds in proptest::collection::vec(deed(), 1..60)) {
        let mut fo = work(vec![line("A", 3), line("B", 5)]);
        for deed in &deeds {
            let before = fo.clone();
            let offered = fo.supported_actions();
            let result = apply(&mut fo, deed);
            if result.is_err() {
                prop_assert_eq!(&fo, &before, "{:?}", deed);
            }
            let name = match deed {
                Deed::Hold => "hold",
                Deed::ReleaseHold => "release_hold",
                Deed::Release => "create_wave",
                Deed::Open => "open_pack_session",
                Deed::Cancel(_) => "cancel",
                _ => "",
            };
            if let Some(offer) = offered.iter().find(|offer| offer.action == name) {
                prop_assert_eq!(offer.refused_because.is_none(), result.is_ok(), "{:?}", deed);
            }
            check(&fo)?;
        }
    }
}

fn check(fo: &FulfillmentOrder) -> Result<(), TestCaseError> {
    for line in &fo.lines {
        let counters = [
            line.picked,
            line.packing,
            line.packed,
            line.shipped,
            line.short,
            line.canceled,
        ];
        prop_assert!(counters.iter().all(|counter| *counter >= 0), "{line:?}");
        prop_assert!(
            line.picked + line.short + line.canceled <= line.total,
            "{line:?}"
        );
        prop_assert!(line.packed + line.packing <= line.picked, "{line:?}");
        prop_assert!(line.shipped <= line.packed, "{line:?}");
    }
    let started = !matches!(fo.stage, FloorStage::None | FloorStage::Released);
    match fo.state {
        State::Open | State::OnHold => prop_assert!(!started),
        State::InProgress | State::Closed | State::Incomplete => prop_assert!(started),
        State::Canceled => {}
    }
    prop_assert_eq!(fo.state == State::OnHold, !fo.hold_reason.is_empty());
    let ended = fo.sum(|line| line.shipped + line.canceled + line.short) == 8;
    prop_assert_eq!(ended, fo.state.is_final());
    match fo.stage {
        FloorStage::Picked => prop_assert_eq!(fo.sum(Line::to_pick), 0),
        FloorStage::Packed => prop_assert_eq!(fo.sum(Line::to_pick) + fo.sum(Line::to_pack), 0),
        FloorStage::Picking => prop_assert!(fo.sum(Line::to_pick) > 0),
        _ => {}
    }
    prop_assert!(fo.stage == FloorStage::Packing || fo.sum(|line| line.packing) == 0);
    Ok(())
}

#[test]
fn from_open_to_closed() {
    let mut fo = work(vec![line("A", 2)]);
    fo.release_to_floor().unwrap();
    assert_eq!((fo.state, fo.stage), (State::Open, FloorStage::Released));
    fo.pick(units(&fo, 0, 1)).unwrap();
    assert_eq!(
        (fo.state, fo.stage),
        (State::InProgress, FloorStage::Picking)
    );
    fo.pick(units(&fo, 0, 1)).unwrap();
    assert_eq!(fo.stage, FloorStage::Picked);
    fo.open_pack_session().unwrap();
    fo.pack("code-A", 2).unwrap();
    fo.end_pack_session(true);
    assert_eq!(
        (fo.state, fo.stage),
        (State::InProgress, FloorStage::Packed)
    );
    fo.ship(&[units(&fo, 0, 2)]).unwrap();
    assert_eq!(fo.state, State::Closed);
}

#[test]
fn nothing_ships_that_nobody_packed() {
    let mut fo = work(vec![line("A", 2)]);
    fo.release_to_floor().unwrap();
    fo.pick(units(&fo, 0, 2)).unwrap();
    let refused = fo.ship(&[units(&fo, 0, 1)]);
    assert_eq!(
        refused,
        Err(Refusal::QuantityExceedsOpen {
            open: 0,
            requested: 1
        })
    );
}

#[test]
fn everything_short_ends_incomplete() {
    let mut fo = work(vec![line("A", 2)]);
    fo.release_to_floor().unwrap();
    fo.report_short(units(&fo, 0, 2)).unwrap();
    assert_eq!(
        (fo.state, fo.stage),
        (State::Incomplete, FloorStage::Picked)
    );
}

#[test]
fn a_started_line_is_not_canceled() {
    let mut fo = work(vec![line("A", 2), line("B", 3)]);
    fo.release_to_floor().unwrap();
    fo.pick(units(&fo, 0, 1)).unwrap();
    let canceled = fo.cancel(&[]).unwrap();
    assert_eq!(canceled, vec![units(&fo, 1, 3)]);
    assert_eq!(fo.state, State::InProgress);
}

#[test]
fn a_barcode_takes_units_of_every_line_with_its_item() {
    let mut twin = line("A", 2);
    twin.item.sku = "A".to_owned();
    let mut fo = work(vec![line("A", 2), twin]);
    fo.release_to_floor().unwrap();
    fo.pick(units(&fo, 0, 2)).unwrap();
    fo.pick(units(&fo, 1, 1)).unwrap();
    fo.open_pack_session().unwrap();
    assert_eq!(
        fo.pack("code-A", 4),
        Err(Refusal::QuantityExceedsOpen {
            open: 3,
            requested: 4
        })
    );
    assert_eq!(
        fo.pack("code-B", 1),
        Err(Refusal::BarcodeMismatch {
            expected_skus: vec!["A".to_owned()]
        })
    );
    let taken = fo.pack("code-A", 3).unwrap();
    assert_eq!(taken, vec![units(&fo, 0, 2), units(&fo, 1, 1)]);
}
