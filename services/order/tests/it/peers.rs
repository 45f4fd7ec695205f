//! Inventory and fulfillment as the order service sees them, in memory, and the feeds of all peers.
//!
//! Stock is counted for real, so that a leak shows; every call is recorded; a test can make the next call
//! of a method fail, lose its answer, or wait.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use oms_core::Clock;
use oms_proto::common::v1::{ErrorReason, FillPolicy, Shortage};
use oms_proto::events::v1::event_feed_service_server::EventFeedServiceServer;
use oms_proto::fulfillment::v1 as ff;
use oms_proto::fulfillment::v1::fulfillment_order_service_server::{
    FulfillmentOrderService, FulfillmentOrderServiceServer,
};
use oms_proto::fulfillment::v1::sourcing_service_server::{SourcingService, SourcingServiceServer};
use oms_proto::inventory::v1 as inv;
use oms_proto::inventory::v1::ReservationState as State;
use oms_proto::inventory::v1::item_service_server::{ItemService, ItemServiceServer};
use oms_proto::inventory::v1::reservation_service_server::{
    ReservationService, ReservationServiceServer,
};
use oms_proto::time_to_proto;
use oms_service::ApiError;
use oms_testkit::{Feed, MockClock};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use uuid::Uuid;

/// The location that everything ships from.
pub(crate) const EAST: &str = "us-east";

/// What a test wants of the next call of a method.
pub(crate) enum Trick {
    /// Refuse it; nothing happens.
    Fail(Status),
    /// Do it, and answer UNAVAILABLE.
    LoseAnswer,
    /// Wait for a permit before doing it.
    Wait(Arc<Semaphore>),
}

#[derive(Default)]
struct Books {
    /// Free units by SKU; a SKU that is missing is not known.
    stock: HashMap<String, i64>,
    reservations: HashMap<String, inv::Reservation>,
    fulfillment_orders: BTreeMap<String, Vec<ff::FulfillmentOrder>>,
    calls: Vec<(&'static str, String)>,
    tricks: HashMap<&'static str, VecDeque<Trick>>,
    /// Nothing more may wait for stock.
    queue_is_full: bool,
}

/// The peers of one order service.
#[derive(Clone)]
pub(crate) struct Peers {
    books: Arc<Mutex<Books>>,
    clock: MockClock,
    /// Feeds by source.
    pub(crate) feeds: BTreeMap<&'static str, Feed>,
    /// Addresses by name.
    pub(crate) addrs: BTreeMap<&'static str, SocketAddr>,
}

impl Peers {
    /// Serves all peers.
    pub(crate) async fn start(clock: MockClock) -> Self {
        let mut peers = Self {
            books: Arc::default(),
            clock,
            feeds: BTreeMap::new(),
            addrs: BTreeMap::new(),
        };
        for name in ["inventory", "fulfillment", "shipping", "returns"] {
            let feed = Feed::default();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            peers.addrs.insert(name, listener.local_addr().unwrap());
            peers.feeds.insert(name, feed.clone());
            let server = Server::builder()
                .add_service(EventFeedServiceServer::new(feed))
                .add_service(ItemServiceServer::new(peers.clone()))
                .add_service(ReservationServiceServer::new(peers.clone()))
                .add_service(SourcingServiceServer::new(peers.clone()))
                .add_service(FulfillmentOrderServiceServer::new(peers.clone()))
                .serve_with_incoming(TcpListenerStream::new(listener));
            tokio::spawn(server);
        }
        peers
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }

    /// A SKU with this much free stock.
    pub(crate) fn stock(&self, sku: &str, units: i64) {
        self.books().stock.insert(sku.to_owned(), units);
    }

    /// Free units of a SKU.
    pub(crate) fn free(&self, sku: &str) -> i64 {
        self.books().stock.get(sku).copied().unwrap_or_default()
    }

    /// Lets nothing more wait for stock.
    pub(crate) fn fill_queue(&self) {
        self.books().queue_is_full = true;
    }

    /// Takes the stock of allocated units of an order's first line away: they wait again.
    pub(crate) fn displace(&self, order_id: &str, units: i64) -> inv::Reservation {
        let mut books = self.books();
        let mut all = books.reservations.values_mut();
        let reservation = all.find(|one| one.order_id == order_id).unwrap();
        let line = &mut reservation.lines[0];
        assert_eq!(line.state(), State::Allocated);
        line.quantity -= units;
        let waits = inv::ReservationLine {
            location_id: String::new(),
            quantity: units,
            state: State::Backordered.into(),
            ..line.clone()
        };
        reservation.lines.push(waits);
        reservation.lines.retain(|line| line.quantity > 0);
        bump(reservation);
        reservation.clone()
    }

    /// Stock comes for what waits; answers the reservation as it was.
    pub(crate) fn serve(&self, order_id: &str) -> inv::Reservation {
        let mut books = self.books();
        let mut all = books.reservations.values_mut();
        let reservation = all.find(|one| one.order_id == order_id).unwrap();
        let before = reservation.clone();
        for line in &mut reservation.lines {
            if line.state() == State::Backordered {
                line.set_state(State::Allocated);
                "us-west".clone_into(&mut line.location_id);
            }
        }
        bump(reservation);
        before
    }

    /// A picker has these units of an order's first line.
    pub(crate) fn pick(&self, order_id: &str, units: i64) {
        let mut books = self.books();
        let mut all = books.fulfillment_orders.values_mut().flatten();
        let work = all.find(|one| one.order_id == order_id).unwrap();
        work.lines[0].picked = units;
    }

    /// What the next call of a method does; several tricks follow each other.
    pub(crate) fn trick(&self, method: &'static str, trick: Trick) {
        self.books()
            .tricks
            .entry(method)
            .or_default()
            .push_back(trick);
    }

    /// Request ids of the calls of a method so far.
    pub(crate) fn calls(&self, method: &str) -> Vec<String> {
        let books = self.books();
        let calls = books.calls.iter().filter(|(called, _)| *called == method);
        calls.map(|(_, request_id)| request_id.clone()).collect()
    }

    /// Reservations of an order.
    pub(crate) fn reservations(&self, order_id: &str) -> Vec<inv::Reservation> {
        let books = self.books();
        let mut all: Vec<inv::Reservation> = books
            .reservations
            .values()
            .filter(|reservation| reservation.order_id == order_id)
            .cloned()
            .collect();
        all.sort_by(|one, two| one.reservation_id.cmp(&two.reservation_id));
        all
    }

    /// Fulfillment orders of an order.
    pub(crate) fn fulfillment_orders(&self, order_id: &str) -> Vec<ff::FulfillmentOrder> {
        let books = self.books();
        let of_order = |orders: &&Vec<ff::FulfillmentOrder>| {
            orders
                .first()
                .is_some_and(|order| order.order_id == order_id)
        };
        books
            .fulfillment_orders
            .values()
            .filter(of_order)
            .flatten()
            .cloned()
            .collect()
    }

    /// Lets every held unit of an order run out.
    pub(crate) fn expire(&self, order_id: &str) {
        let mut books = self.books();
        let ids: Vec<String> = books
            .reservations
            .values()
            .filter(|reservation| reservation.order_id == order_id)
            .map(|reservation| reservation.reservation_id.clone())
            .collect();
        for id in ids {
            books.end(&id, State::Expired);
        }
    }

    async fn enter(&self, method: &'static str, request_id: &str) -> Result<bool, Status> {
        let trick = {
            let mut books = self.books();
            books.calls.push((method, request_id.to_owned()));
            books.tricks.get_mut(method).and_then(VecDeque::pop_front)
        };
        match trick {
            None => Ok(false),
            Some(Trick::Fail(status)) => Err(status),
            Some(Trick::LoseAnswer) => Ok(true),
            Some(Trick::Wait(gate)) => {
                gate.acquire().await.unwrap().forget();
                Ok(false)
            }
        }
    }
}

/// The answer, unless it is to be lost.
fn answer<T>(lost: bool, answer: T) -> Result<Response<T>, Status> {
    if lost {
        return Err(Status::unavailable("the answer was lost"));
    }
    Ok(Response::new(answer))
}

impl Books {
    /// Ends live units of a reservation and gives their stock back.
    fn end(&mut self, reservation_id: &str, to: State) {
        let Some(reservation) = self.reservations.get_mut(reservation_id) else {
            return;
        };
        let mut ended = false;
        for line in &mut reservation.lines {
            if matches!(line.state(), State::Held | State::Allocated) {
                *self.stock.entry(line.sku.clone()).or_default() += line.quantity;
            }
            if matches!(
                line.state(),
                State::Held | State::Allocated | State::Backordered
            ) {
                line.set_state(to);
                ended = true;
            }
        }
        if ended || reservation.lines.is_empty() {
            reservation.set_state(to);
            reservation.expire_time = None;
            bump(reservation);
        }
    }

    fn shortages(&self, request: &inv::ReserveRequest) -> Vec<Shortage> {
        let mut wanted: BTreeMap<&str, i64> = BTreeMap::new();
        for line in &request.lines {
            *wanted.entry(&line.sku).or_default() += line.quantity;
        }
        let free = |sku: &str| self.stock.get(sku).copied().unwrap_or_default();
        wanted
            .into_iter()
            .filter(|(sku, units)| free(sku) < *units)
            .map(|(sku, units)| Shortage {
                sku: sku.to_owned(),
                requested: units,
                available: free(sku),
                ..Shortage::default()
            })
            .collect()
    }

    fn reserve(&mut self, request: &inv::ReserveRequest) -> Vec<inv::ReservationLine> {
        let mut lines = Vec::new();
        for line in &request.lines {
            let free = self.stock.entry(line.sku.clone()).or_default();
            let taken = line.quantity.min(*free);
            *free -= taken;
            let of = |quantity, location_id: &str, state: State| inv::ReservationLine {
                order_line_id: line.order_line_id.clone(),
                sku: line.sku.clone(),
                location_id: location_id.to_owned(),
                lot: String::new(),
                quantity,
                state: state.into(),
            };
            if taken > 0 {
                lines.push(of(taken, EAST, State::Held));
            }
            let rest = line.quantity - taken;
            if rest > 0 && request.fill_policy() == FillPolicy::FillAll {
                lines.push(of(rest, "", State::Backordered));
            }
        }
        lines
    }
}

fn bump(reservation: &mut inv::Reservation) {
    let version: i64 = reservation.etag.parse().unwrap();
    reservation.etag = (version + 1).to_string();
}

#[tonic::async_trait]
impl ItemService for Peers {
    async fn batch_upsert_items(
        &self,
        _: Request<inv::BatchUpsertItemsRequest>,
    ) -> Result<Response<inv::BatchUpsertItemsResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn batch_get_items(
        &self,
        request: Request<inv::BatchGetItemsRequest>,
    ) -> Result<Response<inv::BatchGetItemsResponse>, Status> {
        let lost = self.enter("BatchGetItems", "").await?;
        let books = self.books();
        let mut found = inv::BatchGetItemsResponse::default();
        for sku in request.into_inner().skus {
            if !books.stock.contains_key(&sku) {
                found.unknown_skus.push(sku);
                continue;
            }
            found.items.push(inv::Item {
                name: format!("Item {sku}"),
                active: !sku.starts_with("OLD"),
                components: if sku.starts_with("KIT") {
                    vec![inv::ItemComponent::default()]
                } else {
                    Vec::new()
                },
                sku,
                ..inv::Item::default()
            });
        }
        answer(lost, found)
    }

    async fn list_items(
        &self,
        _: Request<inv::ListItemsRequest>,
    ) -> Result<Response<inv::ListItemsResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}

#[tonic::async_trait]
impl ReservationService for Peers {
    async fn reserve(
        &self,
        request: Request<inv::ReserveRequest>,
    ) -> Result<Response<inv::ReserveResponse>, Status> {
        let request = request.into_inner();
        let lost = self.enter("Reserve", &request.request_id).await?;
        let mut books = self.books();
        let id = request.reservation_id.clone();
        if let Some(known) = books.reservations.get(&id) {
            let reservation = Some(known.clone());
            return answer(
                lost,
                inv::ReserveResponse {
                    reservation,
                    shortages: Vec::new(),
                },
            );
        }
        let shortages = books.shortages(&request);
        if !shortages.is_empty() && request.fill_policy() == FillPolicy::FillOrKill {
            return Err(ApiError::out_of_stock(shortages).into());
        }
        let waits = request.fill_policy() == FillPolicy::FillAll && !shortages.is_empty();
        if waits && books.queue_is_full {
            return Err(ApiError::backorder_cap_reached(shortages).into());
        }
        let lines = books.reserve(&request);
        let held = lines.iter().any(|line| line.state() == State::Held);
        let time_to_live = request.time_to_live.unwrap_or_default();
        let expires = self.clock.now() + time::Duration::seconds(time_to_live.seconds);
        let state = if held {
            State::Held
        } else {
            State::Backordered
        };
        let reservation = inv::Reservation {
            reservation_id: id.clone(),
            order_id: request.order_id,
            state: if lines.is_empty() {
                State::Released
            } else {
                state
            }
            .into(),
            expire_time: held.then(|| time_to_proto(expires)),
            lines,
            etag: "1".to_owned(),
            priority: request.priority.unwrap_or(5),
            ..inv::Reservation::default()
        };
        books.reservations.insert(id, reservation.clone());
        answer(
            lost,
            inv::ReserveResponse {
                reservation: Some(reservation),
                shortages,
            },
        )
    }

    async fn extend_reservation(
        &self,
        request: Request<inv::ExtendReservationRequest>,
    ) -> Result<Response<inv::ExtendReservationResponse>, Status> {
        let request = request.into_inner();
        let lost = self.enter("ExtendReservation", &request.request_id).await?;
        let time_to_live = request.time_to_live.unwrap_or_default();
        let expires = self.clock.now() + time::Duration::seconds(time_to_live.seconds);
        let mut books = self.books();
        let reservation = books.reservations.get_mut(&request.reservation_id).unwrap();
        if reservation.state() != State::Held {
            let message = "it ran out";
            let reason = ErrorReason::ReservationExpired;
            return Err(ApiError::failed_precondition(reason, message).into());
        }
        reservation.expire_time = Some(time_to_proto(expires));
        bump(reservation);
        let reservation = Some(reservation.clone());
        answer(lost, inv::ExtendReservationResponse { reservation })
    }

    async fn confirm_reservation(
        &self,
        request: Request<inv::ConfirmReservationRequest>,
    ) -> Result<Response<inv::ConfirmReservationResponse>, Status> {
        let request = request.into_inner();
        let lost = self
            .enter("ConfirmReservation", &request.request_id)
            .await?;
        let mut books = self.books();
        let reservation = books.reservations.get_mut(&request.reservation_id).unwrap();
        if matches!(reservation.state(), State::Expired | State::Released) {
            let reason = ErrorReason::ReservationExpired;
            return Err(ApiError::failed_precondition(reason, "it ran out").into());
        }
        let mut moved = false;
        for line in &mut reservation.lines {
            if line.state() == State::Held {
                line.set_state(State::Allocated);
                moved = true;
            }
        }
        if moved {
            reservation.set_state(State::Allocated);
            reservation.expire_time = None;
            bump(reservation);
        }
        let reservation = Some(reservation.clone());
        answer(lost, inv::ConfirmReservationResponse { reservation })
    }

    async fn release_reservation(
        &self,
        request: Request<inv::ReleaseReservationRequest>,
    ) -> Result<Response<inv::ReleaseReservationResponse>, Status> {
        let request = request.into_inner();
        let lost = self
            .enter("ReleaseReservation", &request.request_id)
            .await?;
        let mut books = self.books();
        let id = &request.reservation_id;
        books
            .reservations
            .entry(id.clone())
            .or_insert_with(|| inv::Reservation {
                reservation_id: id.clone(),
                order_id: request.order_id.clone(),
                state: State::Released.into(),
                etag: "1".to_owned(),
                ..inv::Reservation::default()
            });
        if request.lines.is_empty() {
            books.end(id, State::Released);
        } else {
            books.check_open(id, &request.lines)?;
            books.release_units(id, &request.lines);
        }
        let reservation = books.reservations.get(id).cloned();
        answer(lost, inv::ReleaseReservationResponse { reservation })
    }

    async fn report_short(
        &self,
        _: Request<inv::ReportShortRequest>,
    ) -> Result<Response<inv::ReportShortResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn issue_reservation(
        &self,
        _: Request<inv::IssueReservationRequest>,
    ) -> Result<Response<inv::IssueReservationResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn move_reservation(
        &self,
        _: Request<inv::MoveReservationRequest>,
    ) -> Result<Response<inv::MoveReservationResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_reservation(
        &self,
        _: Request<inv::GetReservationRequest>,
    ) -> Result<Response<inv::GetReservationResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_reservations(
        &self,
        _: Request<inv::ListReservationsRequest>,
    ) -> Result<Response<inv::ListReservationsResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}

impl Books {
    /// Refuses to release more waiting units than wait, as inventory does.
    fn check_open(
        &self,
        reservation_id: &str,
        wanted: &[inv::ReservationQuantity],
    ) -> Result<(), ApiError> {
        let lines = self.reservations.get(reservation_id).map(|one| &one.lines);
        for want in wanted.iter().filter(|want| want.location_id.is_empty()) {
            let waiting = lines.into_iter().flatten().filter(|line| {
                line.order_line_id == want.order_line_id && line.state() == State::Backordered
            });
            let open: i64 = waiting.map(|line| line.quantity).sum();
            if want.quantity > open {
                let error = ApiError::failed_precondition(ErrorReason::QuantityExceedsOpen, "open");
                return Err(error.with("open", open));
            }
        }
        Ok(())
    }

    /// Gives single units back.
    fn release_units(&mut self, reservation_id: &str, wanted: &[inv::ReservationQuantity]) {
        let Some(reservation) = self.reservations.get_mut(reservation_id) else {
            return;
        };
        for want in wanted {
            let line = reservation.lines.iter_mut().find(|line| {
                line.order_line_id == want.order_line_id
                    && line.location_id == want.location_id
                    && matches!(
                        line.state(),
                        State::Held | State::Allocated | State::Backordered
                    )
            });
            let Some(line) = line else { continue };
            let units = want.quantity.min(line.quantity);
            line.quantity -= units;
            if line.state() != State::Backordered {
                *self.stock.entry(line.sku.clone()).or_default() += units;
            }
        }
        reservation.lines.retain(|line| line.quantity > 0);
        if reservation.lines.is_empty() {
            reservation.set_state(State::Released);
        }
        bump(reservation);
    }
}

#[tonic::async_trait]
impl SourcingService for Peers {
    async fn propose_sourcing(
        &self,
        request: Request<ff::ProposeSourcingRequest>,
    ) -> Result<Response<ff::ProposeSourcingResponse>, Status> {
        let request = request.into_inner();
        let lost = self.enter("ProposeSourcing", &request.request_id).await?;
        let proposal = ff::SourcingProposal {
            proposal_id: request.request_id,
            order_id: request.order_id,
            nodes: vec![ff::RankedNode {
                location_id: EAST.to_owned(),
                rank: 1,
                ..ff::RankedNode::default()
            }],
            ..ff::SourcingProposal::default()
        };
        answer(
            lost,
            ff::ProposeSourcingResponse {
                proposal: Some(proposal),
            },
        )
    }

    async fn explain_decision(
        &self,
        _: Request<ff::ExplainDecisionRequest>,
    ) -> Result<Response<ff::ExplainDecisionResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}

#[tonic::async_trait]
impl FulfillmentOrderService for Peers {
    async fn create_fulfillment_orders(
        &self,
        request: Request<ff::CreateFulfillmentOrdersRequest>,
    ) -> Result<Response<ff::CreateFulfillmentOrdersResponse>, Status> {
        let request = request.into_inner();
        let lost = self
            .enter("CreateFulfillmentOrders", &request.request_id)
            .await?;
        let mut books = self.books();
        let made = books.fulfillment_orders.entry(request.request_id.clone());
        let fulfillment_orders = made
            .or_insert_with(|| vec![fulfillment_order(&request)])
            .clone();
        answer(
            lost,
            ff::CreateFulfillmentOrdersResponse { fulfillment_orders },
        )
    }

    async fn get_fulfillment_order(
        &self,
        _: Request<ff::GetFulfillmentOrderRequest>,
    ) -> Result<Response<ff::GetFulfillmentOrderResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_fulfillment_orders(
        &self,
        _: Request<ff::ListFulfillmentOrdersRequest>,
    ) -> Result<Response<ff::ListFulfillmentOrdersResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn hold_fulfillment_order(
        &self,
        _: Request<ff::HoldFulfillmentOrderRequest>,
    ) -> Result<Response<ff::HoldFulfillmentOrderResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn release_fulfillment_order_hold(
        &self,
        _: Request<ff::ReleaseFulfillmentOrderHoldRequest>,
    ) -> Result<Response<ff::ReleaseFulfillmentOrderHoldResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn cancel_fulfillment_order(
        &self,
        request: Request<ff::CancelFulfillmentOrderRequest>,
    ) -> Result<Response<ff::CancelFulfillmentOrderResponse>, Status> {
        let request = request.into_inner();
        let lost = self
            .enter("CancelFulfillmentOrder", &request.request_id)
            .await?;
        let mut books = self.books();
        let id = &request.fulfillment_order_id;
        let found = books
            .fulfillment_orders
            .values_mut()
            .flatten()
            .find(|order| order.fulfillment_order_id == *id);
        let Some(order) = found else {
            return Err(ApiError::not_found("fulfillment_order", id).into());
        };
        let canceled_lines = cancel_units(order, &request.lines);
        let fulfillment_order = Some(order.clone());
        answer(
            lost,
            ff::CancelFulfillmentOrderResponse {
                fulfillment_order,
                canceled_lines,
            },
        )
    }
}

fn fulfillment_order(request: &ff::CreateFulfillmentOrdersRequest) -> ff::FulfillmentOrder {
    let namespace = Uuid::parse_str(&request.request_id).unwrap();
    ff::FulfillmentOrder {
        fulfillment_order_id: Uuid::new_v5(&namespace, EAST.as_bytes()).to_string(),
        order_id: request.order_id.clone(),
        order_number: request.order_number.clone(),
        location_id: EAST.to_owned(),
        state: ff::FulfillmentOrderState::Open.into(),
        lines: request
            .lines
            .iter()
            .map(|line| ff::FulfillmentOrderLine {
                fulfillment_order_line_id: line.order_line_id.clone(),
                order_line_id: line.order_line_id.clone(),
                sku: line.sku.clone(),
                total: line.quantity,
                reservation_id: line.reservation_id.clone(),
                ..ff::FulfillmentOrderLine::default()
            })
            .collect(),
        etag: "1".to_owned(),
        ..ff::FulfillmentOrder::default()
    }
}

/// Cancels units that are not picked: these, or all.
fn cancel_units(
    order: &mut ff::FulfillmentOrder,
    wanted: &[ff::CancelLine],
) -> Vec<ff::AllocatedLine> {
    let location_id = order.location_id.clone();
    let mut canceled = Vec::new();
    for line in &mut order.lines {
        let open = line.total - line.picked - line.canceled;
        let want = wanted
            .iter()
            .find(|want| want.order_line_id == line.order_line_id);
        let units = match want {
            Some(want) => want.quantity.min(open),
            None if wanted.is_empty() => open,
            None => 0,
        };
        if units == 0 {
            continue;
        }
        line.canceled += units;
        canceled.push(ff::AllocatedLine {
            order_line_id: line.order_line_id.clone(),
            sku: line.sku.clone(),
            location_id: location_id.clone(),
            lot: String::new(),
            quantity: units,
            reservation_id: line.reservation_id.clone(),
        });
    }
    if order.lines.iter().all(|line| line.canceled == line.total) {
        order.set_state(ff::FulfillmentOrderState::Canceled);
    }
    canceled
}
