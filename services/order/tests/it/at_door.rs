//! Orders that are paid at the door: confirmed without money, settled when somebody says that it was collected.

use oms_proto::common::v1::{ErrorReason, Money};
use oms_proto::order::v1 as pb;
use oms_proto::order::v1::payment_service_client::PaymentServiceClient;
use oms_proto::order::v1::{CollectionState, OrderState, PaymentPolicy};
use oms_service::PeerError;
use tonic::Code;

use crate::audit::audited;
use crate::rig::{Rig, answered, id, new_order, request, usd};

fn at_door() -> pb::PaymentMethod {
    pb::PaymentMethod {
        provider: "cash_on_delivery".to_owned(),
        ..pb::PaymentMethod::default()
    }
}

/// Units of A paid at the door: one is 16.00, two are 27.00.
fn order(units: i64) -> pb::NewOrder {
    pb::NewOrder {
        payment_method: Some(at_door()),
        ..new_order(&[("A", units)], "")
    }
}

fn minor(money: Option<&Money>) -> i64 {
    money.unwrap().minor_units
}

fn captured(order: &pb::Order) -> i64 {
    minor(order.totals.as_ref().unwrap().captured.as_ref())
}

impl Rig {
    /// State and amount of what is to be collected for an order.
    async fn collections(&self, order_id: &str) -> Vec<(CollectionState, i64)> {
        let request = pb::ListPaymentsRequest {
            order_id: order_id.to_owned(),
        };
        let mut client = PaymentServiceClient::new(self.api.channel.clone());
        let answer = client.list_payments(request).await.unwrap().into_inner();
        let all = answer.collections.iter();
        all.map(|one| (one.state(), minor(one.amount.as_ref())))
            .collect()
    }

    async fn collect(
        &self,
        request_id: &str,
        order_id: &str,
        shipment_id: &str,
        state: CollectionState,
    ) -> Result<pb::Collection, PeerError> {
        let request = pb::RecordCollectionRequest {
            request_id: request_id.to_owned(),
            order_id: order_id.to_owned(),
            shipment_id: shipment_id.to_owned(),
            state: state.into(),
        };
        let mut client = PaymentServiceClient::new(self.api.channel.clone());
        let answer = client.record_collection(request).await;
        let collection = answered(answer).map(|answer| answer.collection.unwrap())?;
        assert!(audited(self, "RecordCollection").await > 0);
        Ok(collection)
    }
}

#[tokio::test]
async fn an_order_paid_at_the_door_completes_when_every_parcel_is_delivered_and_collected() {
    let rig = Rig::start().await;
    let order = rig.place(order(2)).await;
    let id_of = order.order_id.as_str();
    assert_eq!(order.state(), OrderState::Confirmed);
    let (first, _) = rig.ship(&order, &[1]);
    rig.invoices(id_of, 1).await;
    let (second, _) = rig.ship(&order, &[1]);
    rig.invoices(id_of, 2).await;
    let due = [(CollectionState::Due, 1_350), (CollectionState::Due, 1_350)];
    assert_eq!(rig.collections(id_of).await, due);
    for shipment in [&first, &second] {
        rig.tell_shipping(shipment, true);
    }
    let delivered = rig
        .until(id_of, "the delivery", |order| order.lines[0].delivered == 2)
        .await;
    assert_eq!(delivered.state(), OrderState::Confirmed);
    assert_eq!(captured(&delivered), 0);

    let call = id();
    for _ in 0..2 {
        let state = CollectionState::Collected;
        let collected = rig.collect(&call, id_of, &first.shipment_id, state).await;
        assert_eq!(collected.unwrap().state(), state);
    }
    let half = rig
        .until(id_of, "the first capture", |order| captured(order) > 0)
        .await;
    assert_eq!(
        (half.state(), captured(&half)),
        (OrderState::Confirmed, 1_350)
    );
    let collected = CollectionState::Collected;
    rig.collect(&id(), id_of, &second.shipment_id, collected)
        .await
        .unwrap();
    let done = rig
        .until(id_of, "the order to be completed", |order| {
            order.state() == OrderState::Completed
        })
        .await;
    assert_eq!(captured(&done), 2_700);
    let twice = rig
        .collect(&id(), id_of, &first.shipment_id, CollectionState::Refused)
        .await;
    let error = twice.unwrap_err();
    assert_eq!(error.reason(), Some(ErrorReason::IllegalTransition));
    rig.audit().await;
}

#[tokio::test]
async fn only_what_other_tenders_leave_is_collected() {
    let rig = Rig::start().await;
    let card = pb::PaymentMethod {
        provider: "sandbox".to_owned(),
        token: "tok_approve".to_owned(),
        amount: usd(1_000),
    };
    let order = pb::NewOrder {
        payment_method: None,
        payment_methods: vec![at_door(), card],
        ..order(2)
    };
    let order = rig.place(order).await;
    let id_of = order.order_id.as_str();
    let (shipment, _) = rig.ship(&order, &[2]);
    rig.until(id_of, "the capture of the card", |order| {
        captured(order) == 1_000
    })
    .await;
    let due = [(CollectionState::Due, 1_700)];
    assert_eq!(rig.collections(id_of).await, due);
    rig.tell_shipping(&shipment, true);
    let collected = CollectionState::Collected;
    rig.collect(&id(), id_of, &shipment.shipment_id, collected)
        .await
        .unwrap();
    rig.until(id_of, "the order to be completed", |order| {
        order.state() == OrderState::Completed
    })
    .await;
    rig.audit().await;
}

#[tokio::test]
async fn what_is_refused_at_the_door_is_not_captured_and_pays_nothing_back() {
    let rig = Rig::start().await;
    let order = rig.place(order(1)).await;
    let id_of = order.order_id.as_str();
    let (shipment, _) = rig.ship(&order, &[1]);
    rig.invoices(id_of, 1).await;
    let refused = CollectionState::Refused;
    rig.collect(&id(), id_of, &shipment.shipment_id, refused)
        .await
        .unwrap();
    assert_eq!(rig.collections(id_of).await, [(refused, 1_600)]);
    // The parcel comes back.
    rig.bring_back(&order, &[1]);
    let back = rig
        .until(id_of, "the return", |order| order.lines[0].refunded == 1)
        .await;
    assert_eq!(captured(&back), 0);
    assert_eq!(back.totals.unwrap().refunded, usd(0));
    rig.audit().await;
}

#[tokio::test]
async fn a_canceled_order_has_nothing_to_collect() {
    let rig = Rig::start().await;
    let order = rig.place(order(1)).await;
    rig.cancel(&order, &[]).await.unwrap();
    let order = rig
        .until_canceled(&order.order_id, pb::CancellationState::Completed)
        .await;
    assert_eq!(order.state(), OrderState::Canceled);
    assert_eq!(order.totals.unwrap().authorized, usd(0));
    assert!(rig.collections(&order.order_id).await.is_empty());
    rig.audit().await;
}

#[tokio::test]
async fn money_at_the_door_is_one_amount_and_never_taken_before() {
    let rig = Rig::start().await;
    let twice = pb::NewOrder {
        payment_method: None,
        payment_methods: vec![
            pb::PaymentMethod {
                amount: usd(100),
                ..at_door()
            },
            at_door(),
        ],
        ..order(1)
    };
    let refused = rig.try_place(request(twice, pb::WaitFor::Pending)).await;
    let error = refused.unwrap_err();
    let told = &error.violations()[0];
    assert!(
        told.field.ends_with("payment_methods[1].provider"),
        "{told:?}"
    );
    assert_eq!(told.reason, "DUPLICATE");
    rig.channel(|channel| channel.set_payment_policy(PaymentPolicy::Prepaid))
        .await;
    let refused = rig.try_place(request(order(1), pb::WaitFor::Pending)).await;
    let error = refused.unwrap_err();
    let told = &error.violations()[0];
    assert!(told.field.ends_with("payment_method.provider"), "{told:?}");
}

#[tokio::test]
async fn a_collection_that_nobody_asked_for_is_refused() {
    let rig = Rig::start().await;
    let order = rig.place(order(1)).await;
    let state = CollectionState::Due;
    let error = rig.collect("x", "y", "", state).await.unwrap_err();
    let fields: Vec<&str> = error
        .violations()
        .iter()
        .map(|one| one.field.as_str())
        .collect();
    assert_eq!(fields, ["request_id", "order_id", "shipment_id", "state"]);
    let state = CollectionState::Collected;
    let unknown = rig.collect(&id(), &order.order_id, &id(), state).await;
    assert_eq!(unknown.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_parcel_that_is_refused_at_the_door_and_comes_back_ends_the_order() {
    let rig = Rig::start().await;
    let order = rig.place(order(2)).await;
    let id_of = order.order_id.as_str();
    let (shipment, _) = rig.ship(&order, &[2]);
    rig.invoices(id_of, 1).await;
    rig.bring_back(&order, &[2]);
    let back = rig
        .until(id_of, "the goods", |order| order.lines[0].returned == 2)
        .await;
    // The carrier may still have collected: nothing is refunded before that is known.
    assert_eq!(back.lines[0].refunded, 0);
    let refused = CollectionState::Refused;
    rig.collect(&id(), id_of, &shipment.shipment_id, refused)
        .await
        .unwrap();
    let done = rig
        .until(id_of, "the order to be completed", |order| {
            order.state() == OrderState::Completed
        })
        .await;
    assert_eq!(captured(&done), 0);
    assert_eq!(done.lines[0].refunded, 2);
    let collected = CollectionState::Collected;
    let error = rig
        .collect(&id(), id_of, &shipment.shipment_id, collected)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Some(ErrorReason::IllegalTransition));
    rig.audit().await;
}
