//! Running replicas of the service on one database, and what tests do with them.

use std::sync::Arc;

use oms_inventory::{Inventory, MIGRATOR};
use oms_proto::common::v1::{Dimensions, FillPolicy, PostalAddress};
use oms_proto::inventory::v1 as pb;
use oms_proto::inventory::v1::correction_service_client::CorrectionServiceClient;
use oms_proto::inventory::v1::inventory_event::Event;
use oms_proto::inventory::v1::item_service_client::ItemServiceClient;
use oms_proto::inventory::v1::location_service_client::LocationServiceClient;
use oms_proto::inventory::v1::reservation_service_client::ReservationServiceClient;
use oms_proto::inventory::v1::stock_policy_service_client::StockPolicyServiceClient;
use oms_proto::inventory::v1::stock_service_client::StockServiceClient;
use oms_proto::inventory::v1::supply_service_client::SupplyServiceClient;
use oms_service::{AnyProgram, Layers, PeerError, Runtime, ServiceHandle};
use oms_testkit::{Feed, MockClock, RedisPrefix, TestDb, redis_url, template_key};
use prost::Message;
use sqlx::{PgConnection, Row};
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status};
use uuid::Uuid;

use crate::peers::feed;

pub(crate) const EAST: &str = "us-east";
pub(crate) const WEST: &str = "us-west";

/// The clients of one replica.
#[derive(Clone)]
pub(crate) struct Clients {
    pub(crate) items: ItemServiceClient<Channel>,
    pub(crate) locations: LocationServiceClient<Channel>,
    pub(crate) stock: StockServiceClient<Channel>,
    pub(crate) reservations: ReservationServiceClient<Channel>,
    pub(crate) corrections: CorrectionServiceClient<Channel>,
    pub(crate) policies: StockPolicyServiceClient<Channel>,
    pub(crate) supply: SupplyServiceClient<Channel>,
}

pub(crate) struct Rig {
    /// Clients of the first replica.
    pub(crate) api: Clients,
    /// Clients of every replica.
    pub(crate) replicas: Vec<Clients>,
    pub(crate) clock: MockClock,
    pub(crate) db: TestDb,
    pub(crate) shipping: Feed,
    pub(crate) returns: Feed,
    services: Vec<ServiceHandle>,
}

/// A new id.
#[expect(
    clippy::disallowed_methods,
    reason = "tests may take ids where they like"
)]
pub(crate) fn id() -> String {
    Uuid::now_v7().to_string()
}

impl Rig {
    /// One replica with Redis, two locations and no stock.
    pub(crate) async fn start() -> Self {
        Self::start_with(1, &redis_url().await).await
    }

    /// Replicas on one database that take their leases there; an empty address is no Redis.
    pub(crate) async fn start_with(replicas: usize, redis: &str) -> Self {
        Self::start_configured(replicas, redis, "").await
    }

    /// The same, with more configuration.
    pub(crate) async fn start_configured(replicas: usize, redis: &str, more: &str) -> Self {
        let key = template_key("inventory", &[&oms_postgres::MIGRATOR, &MIGRATOR]);
        let db = TestDb::create(&key, |url| async move {
            let peer = "127.0.0.1:1".to_owned();
            Inventory
                .migrate(&layers(&url, "", "", [&peer, &peer]))
                .await
        })
        .await;
        let (shipping, shipping_addr) = feed().await;
        let (returns, returns_addr) = feed().await;
        let peers = [&shipping_addr.to_string(), &returns_addr.to_string()];
        let prefix = RedisPrefix::new();
        let layers = layers(db.url(), redis, &prefix.to_string(), peers).with(more);
        let clock = MockClock::new();
        let mut services = Vec::new();
        let mut clients = Vec::new();
        for _ in 0..replicas {
            let runtime = Runtime {
                clock: Arc::new(clock.clone()),
                ..Runtime::default()
            };
            let service = Inventory.start(&layers, runtime).await.unwrap();
            clients.push(Clients::of(&service));
            services.push(service);
        }
        let rig = Self {
            api: clients[0].clone(),
            replicas: clients,
            clock,
            db,
            shipping,
            returns,
            services,
        };
        for location in [EAST, WEST] {
            rig.location(location).await;
        }
        rig
    }

    pub(crate) async fn location(&self, location_id: &str) -> pb::Location {
        let request = pb::UpsertLocationRequest {
            request_id: id(),
            location: Some(location(location_id)),
        };
        let answer = self.api.locations.clone().upsert_location(request).await;
        answer.unwrap().into_inner().location.unwrap()
    }

    pub(crate) async fn items(&self, skus: &[&str]) {
        let items = skus.iter().map(|sku| item(sku)).collect();
        self.upsert(items).await.unwrap();
    }

    pub(crate) async fn upsert(&self, items: Vec<pb::Item>) -> Result<Vec<pb::Item>, PeerError> {
        let request = pb::BatchUpsertItemsRequest {
            request_id: id(),
            items,
        };
        let answer = self.api.items.clone().batch_upsert_items(request).await;
        answered(answer).map(|answer| answer.items)
    }

    /// Takes so many units away, or adds them, at the first location.
    pub(crate) async fn adjust(&self, sku: &str, delta: i64) -> Result<pb::StockLevel, PeerError> {
        let request = pb::AdjustStockRequest {
            request_id: id(),
            sku: sku.to_owned(),
            location_id: EAST.to_owned(),
            delta,
            reason: "LOST".to_owned(),
            ..Default::default()
        };
        let answer = self.api.stock.clone().adjust_stock(request).await;
        answered(answer).map(|answer| answer.level.unwrap())
    }

    /// Keeps the lane of a SKU locked until it is given back.
    pub(crate) async fn block(&self, sku: &str) -> Blocked {
        let mut conn = self.db.connect().await;
        sqlx::raw_sql("BEGIN").execute(&mut conn).await.unwrap();
        sqlx::query("SELECT FROM sku_lane WHERE sku = $1 FOR UPDATE")
            .bind(sku)
            .execute(&mut conn)
            .await
            .unwrap();
        Blocked { conn }
    }

    /// Waits until a batch has been begun and waits for a lane that is blocked: what comes now queues behind it.
    pub(crate) async fn wait_for_blocked_batch(&self) {
        let waiting = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        oms_testkit::wait_for("a batch that waits for its lane", || async {
            let mut conn = self.db.connect().await;
            let count: i64 = sqlx::query_scalar(waiting)
                .fetch_one(&mut conn)
                .await
                .unwrap();
            if count == 1 {
                Ok(())
            } else {
                Err(format!("{count} wait"))
            }
        })
        .await;
    }

    /// Items with this much free stock.
    pub(crate) async fn stock(&self, levels: &[(&str, &str, i64)]) {
        for (sku, location_id, units) in levels {
            self.items(&[sku]).await;
            if *units > 0 {
                self.receive(sku, location_id, *units).await;
            }
        }
    }

    pub(crate) async fn receive(&self, sku: &str, location_id: &str, quantity: i64) {
        let request = receipt(location_id, &[(sku, quantity)]);
        self.api.stock.clone().receive_stock(request).await.unwrap();
    }

    pub(crate) async fn reserve(
        &self,
        request: pb::ReserveRequest,
    ) -> Result<pb::Reservation, PeerError> {
        let answer = self.api.reservations.clone().reserve(request).await;
        answered(answer).map(|answer| answer.reservation.unwrap())
    }

    pub(crate) async fn confirm(&self, reservation_id: &str) -> Result<pb::Reservation, PeerError> {
        let request = pb::ConfirmReservationRequest {
            request_id: id(),
            reservation_id: reservation_id.to_owned(),
        };
        let answer = self
            .api
            .reservations
            .clone()
            .confirm_reservation(request)
            .await;
        answered(answer).map(|answer| answer.reservation.unwrap())
    }

    pub(crate) async fn release(
        &self,
        reservation_id: &str,
        lines: Vec<pb::ReservationQuantity>,
    ) -> Result<pb::Reservation, PeerError> {
        let request = pb::ReleaseReservationRequest {
            request_id: id(),
            reservation_id: reservation_id.to_owned(),
            lines,
            order_id: String::new(),
        };
        let answer = self
            .api
            .reservations
            .clone()
            .release_reservation(request)
            .await;
        answered(answer).map(|answer| answer.reservation.unwrap())
    }

    pub(crate) async fn get(&self, reservation_id: &str) -> pb::Reservation {
        let request = pb::GetReservationRequest {
            reservation_id: reservation_id.to_owned(),
        };
        let answer = self.api.reservations.clone().get_reservation(request).await;
        answer.unwrap().into_inner().reservation.unwrap()
    }

    pub(crate) async fn level(&self, sku: &str, location_id: &str) -> pb::StockLevel {
        let request = pb::BatchGetAvailabilityRequest {
            skus: vec![sku.to_owned()],
            location_ids: vec![location_id.to_owned()],
            channel_id: String::new(),
        };
        let answer = self.api.stock.clone().batch_get_availability(request).await;
        answer
            .unwrap()
            .into_inner()
            .levels
            .pop()
            .unwrap_or_default()
    }

    /// Available, held and allocated units.
    pub(crate) async fn units(&self, sku: &str, location_id: &str) -> (i64, i64, i64) {
        let level = self.level(sku, location_id).await;
        (level.available, level.held, level.allocated)
    }

    /// Has the first replica drain.
    pub(crate) fn drain_first(&self) {
        self.services[0].stop();
    }

    /// Type, location and message of every event of the SKU's stock, in the order of their versions.
    pub(crate) async fn told(&self, sku: &str) -> Vec<(String, String, Event)> {
        let mut conn = self.db.connect().await;
        let rows: Vec<(String, Option<String>, Vec<u8>)> = sqlx::query_as(
            "SELECT event_type, location_id, payload FROM (
                 SELECT aggregate_type, aggregate_id, aggregate_version, event_type, location_id, payload FROM outbox
                 UNION ALL
                 SELECT aggregate_type, aggregate_id, aggregate_version, event_type, location_id, payload FROM feed
             ) e WHERE aggregate_type = 'stock' AND aggregate_id = $1 ORDER BY aggregate_version",
        )
        .bind(sku)
        .fetch_all(&mut conn)
        .await
        .unwrap();
        let read = |payload: &[u8]| pb::InventoryEvent::decode(payload).unwrap().event.unwrap();
        rows.into_iter()
            .map(|(kind, location, payload)| (kind, location.unwrap_or_default(), read(&payload)))
            .collect()
    }

    /// The books in SQL: every query finds what contradicts them.
    pub(crate) async fn audit(&self) {
        let mut conn = self.db.connect().await;
        for (what, query) in AUDIT {
            let wrong = sqlx::query(query).fetch_all(&mut conn).await.unwrap();
            let wrong: Vec<String> = wrong.iter().map(|row| row.get::<String, _>(0)).collect();
            assert!(wrong.is_empty(), "{what}: {wrong:?}");
        }
    }
}

/// A lane that nobody can write.
pub(crate) struct Blocked {
    conn: PgConnection,
}

impl Blocked {
    pub(crate) async fn give_back(mut self) {
        sqlx::raw_sql("ROLLBACK")
            .execute(&mut self.conn)
            .await
            .unwrap();
    }
}

/// Waits until so many commands are queued behind those in work.
pub(crate) async fn wait_for_queue(depth: usize) {
    wait_for_metric(&format!("oms_inventory_lane_queue_depth {depth}")).await;
}

/// Waits for a line of the metrics of this process.
pub(crate) async fn wait_for_metric(line: &str) {
    oms_testkit::wait_for(line, || async {
        let metrics = oms_telemetry::metrics().render();
        let (name, _) = line.rsplit_once(' ').unwrap();
        let mut same = metrics.lines().filter(|one| one.starts_with(name));
        match same.next() {
            Some(found) if found == line => Ok(()),
            found => Err(format!("{found:?}")),
        }
    })
    .await;
}

const AUDIT: [(&str, &str); 7] = [
    (
        "lanes know the sum of free units",
        "SELECT concat(sku, ': ', l.available, ' <> ', s.available) FROM sku_lane l
         LEFT JOIN (SELECT sku, sum(available) AS available FROM stock_level GROUP BY sku) s USING (sku)
         WHERE l.available <> COALESCE(s.available, 0)",
    ),
    (
        "lanes count what waits, and it is no more than may",
        "SELECT concat(l::text, ': ', COALESCE(w.units, 0), ' units wait') FROM sku_lane l
         FULL JOIN (
             SELECT sku, sum(quantity) AS units FROM reservation_line WHERE state = 'BACKORDERED' GROUP BY sku
         ) w USING (sku)
         WHERE COALESCE(l.backordered, -1) <> COALESCE(w.units, 0)
            OR w.units > l.backorder_max + l.backorder_excess",
    ),
    (
        "levels are the sums of the ledger",
        "WITH moves AS (
             SELECT sku, location_id, lot, from_account AS account, -quantity AS units FROM stock_ledger
             UNION ALL
             SELECT sku, location_id, lot, to_account, quantity FROM stock_ledger
         ), sums AS (
             SELECT sku, location_id, lot,
                    COALESCE(sum(units) FILTER (WHERE account = 'AVAILABLE'), 0) AS available,
                    COALESCE(sum(units) FILTER (WHERE account = 'HELD'), 0) AS held,
                    COALESCE(sum(units) FILTER (WHERE account = 'ALLOCATED'), 0) AS allocated,
                    COALESCE(sum(units) FILTER (WHERE account = 'COUNT_PENDING'), 0) AS count_pending,
                    COALESCE(sum(units) FILTER (WHERE account = 'QUARANTINE'), 0) AS quarantine,
                    COALESCE(sum(units) FILTER (WHERE account = 'QC'), 0) AS qc
             FROM moves GROUP BY sku, location_id, lot
         )
         SELECT concat(l::text, ' <> ', s::text) FROM stock_level l
         FULL JOIN sums s USING (sku, location_id, lot)
         WHERE (l.available, l.held, l.allocated, l.count_pending, l.quarantine, l.qc)
               IS DISTINCT FROM
               (s.available, s.held, s.allocated, s.count_pending, s.quarantine, s.qc)",
    ),
    (
        "held and allocated stock equals the open reservations",
        "SELECT concat(l::text, ' <> ', r::text) FROM stock_level l
         FULL JOIN (
             SELECT sku, location_id, lot, COALESCE(sum(quantity) FILTER (WHERE state = 'HELD'), 0) AS held,
                    COALESCE(sum(quantity) FILTER (WHERE state = 'ALLOCATED'), 0) AS allocated
             FROM reservation_line WHERE state IN ('HELD', 'ALLOCATED') GROUP BY sku, location_id, lot
         ) r USING (sku, location_id, lot)
         WHERE COALESCE(l.held, -1) <> COALESCE(r.held, 0) OR COALESCE(l.allocated, -1) <> COALESCE(r.allocated, 0)",
    ),
    (
        "events of an aggregate are numbered without a gap",
        "SELECT concat(aggregate_type, '/', aggregate_id, ' has ', count(*), ' events up to ', max(aggregate_version))
         FROM (SELECT aggregate_type, aggregate_id, aggregate_version FROM outbox
               UNION ALL SELECT aggregate_type, aggregate_id, aggregate_version FROM feed) e
         GROUP BY aggregate_type, aggregate_id
         HAVING count(*) <> max(aggregate_version) OR count(DISTINCT aggregate_version) <> count(*)",
    ),
    (
        "aggregates have as many events as their version says",
        "SELECT concat('reservation ', reservation_id, ' ', version) FROM reservation r
         WHERE version <> (SELECT count(*) FROM (SELECT aggregate_id FROM outbox WHERE aggregate_type = 'reservation'
                           UNION ALL SELECT aggregate_id FROM feed WHERE aggregate_type = 'reservation') e
                           WHERE e.aggregate_id = r.reservation_id::text)
         UNION ALL
         SELECT concat('stock ', sku, ' ', version) FROM sku_lane l
         WHERE version <> (SELECT count(*) FROM (SELECT aggregate_id FROM outbox WHERE aggregate_type = 'stock'
                           UNION ALL SELECT aggregate_id FROM feed WHERE aggregate_type = 'stock') e
                           WHERE e.aggregate_id = l.sku)",
    ),
    ("no task is stuck", "SELECT concat(kind, ' ', key, ': ', last_error) FROM tasks WHERE state = 'STUCK'"),
];

impl Clients {
    fn of(service: &ServiceHandle) -> Self {
        let channel = Endpoint::from_shared(service.url()).unwrap().connect_lazy();
        Self {
            items: ItemServiceClient::new(channel.clone()),
            locations: LocationServiceClient::new(channel.clone()),
            stock: StockServiceClient::new(channel.clone()),
            reservations: ReservationServiceClient::new(channel.clone()),
            corrections: CorrectionServiceClient::new(channel.clone()),
            policies: StockPolicyServiceClient::new(channel.clone()),
            supply: SupplyServiceClient::new(channel),
        }
    }
}

fn layers(database: &str, redis: &str, prefix: &str, [shipping, returns]: [&String; 2]) -> Layers {
    Layers::of_text(format!(
        r#"
        insecure_dev = true
        listen = "127.0.0.1:0"
        admin_listen = "127.0.0.1:0"
        [database]
        url = "{database}"
        # Tests keep lanes locked as long as they need.
        lock_timeout_ms = 30000
        statement_timeout_ms = 30000
        [peers.shipping]
        url = "http://{shipping}"
        [peers.returns]
        url = "http://{returns}"
        [lanes]
        sweep_interval_ms = 20
        [lease]
        redis_url = "{redis}"
        key_prefix = "{prefix}"
        [ledger]
        verify_interval_ms = 0
        "#
    ))
}

/// What was answered, or the error with its details.
pub(crate) fn answered<T>(answer: Result<Response<T>, Status>) -> Result<T, PeerError> {
    answer.map(Response::into_inner).map_err(PeerError::from)
}

/// `CODE REASON` of an error.
pub(crate) fn refusal<T>(answer: Result<T, PeerError>) -> String {
    match answer {
        Ok(_) => "OK".to_owned(),
        Err(error) => {
            let reason = error
                .reason()
                .map(oms_service::reason_name)
                .unwrap_or_default();
            format!("{:?} {reason}", error.code())
        }
    }
}

pub(crate) fn item(sku: &str) -> pb::Item {
    pb::Item {
        sku: sku.to_owned(),
        name: format!("Item {sku}"),
        barcodes: vec![format!("BC-{sku}")],
        dimensions: Some(Dimensions {
            length_mm: 100,
            width_mm: 50,
            height_mm: 20,
        }),
        mass_grams: 250,
        active: true,
        ..Default::default()
    }
}

pub(crate) fn location(location_id: &str) -> pb::Location {
    pb::Location {
        location_id: location_id.to_owned(),
        name: format!("Warehouse {location_id}"),
        address: Some(PostalAddress {
            recipient: "Example Stores".to_owned(),
            address_lines: vec!["1 Dock Road".to_owned()],
            locality: "Las Vegas".to_owned(),
            administrative_area: "NV".to_owned(),
            postal_code: "89101".to_owned(),
            country_code: "US".to_owned(),
            phone: String::new(),
            email: String::new(),
        }),
        latitude: 36.17,
        longitude: -115.14,
        active: true,
        ..Default::default()
    }
}

pub(crate) fn receipt(location_id: &str, lines: &[(&str, i64)]) -> pb::ReceiveStockRequest {
    pb::ReceiveStockRequest {
        request_id: id(),
        location_id: location_id.to_owned(),
        lines: lines
            .iter()
            .map(|(sku, quantity)| pb::ReceiveStockLine {
                sku: (*sku).to_owned(),
                quantity: *quantity,
                lot: String::new(),
            })
            .collect(),
        reference: "PO-1".to_owned(),
    }
}

/// A request to hold these units, at the first location if it can be, else split.
pub(crate) fn hold(lines: &[(&str, i64)]) -> pb::ReserveRequest {
    pb::ReserveRequest {
        request_id: id(),
        reservation_id: id(),
        order_id: id(),
        mode: pb::ReservationState::Held.into(),
        fill_policy: FillPolicy::FillOrKill.into(),
        time_to_live: None,
        lines: lines
            .iter()
            .map(|(sku, quantity)| pb::ReserveLine {
                order_line_id: id(),
                sku: (*sku).to_owned(),
                quantity: *quantity,
                eligible_location_ids: Vec::new(),
            })
            .collect(),
        ranked_location_ids: vec![EAST.to_owned(), WEST.to_owned()],
        splits_max: 1,
        single_node_within_rank: 2,
        channel_id: String::new(),
        ..Default::default()
    }
}

/// The same, allocated at once.
pub(crate) fn allocate(lines: &[(&str, i64)]) -> pb::ReserveRequest {
    pb::ReserveRequest {
        mode: pb::ReservationState::Allocated.into(),
        ..hold(lines)
    }
}

/// Units of a row.
pub(crate) fn part(line: &pb::ReservationLine, quantity: i64) -> pb::ReservationQuantity {
    pb::ReservationQuantity {
        order_line_id: line.order_line_id.clone(),
        location_id: line.location_id.clone(),
        quantity,
        lot: line.lot.clone(),
        sku: line.sku.clone(),
    }
}

/// State, location and units of the rows, sorted.
pub(crate) fn rows(reservation: &pb::Reservation) -> Vec<(&'static str, &str, i64)> {
    let short = |line: &pb::ReservationLine| {
        line.state()
            .as_str_name()
            .trim_start_matches("RESERVATION_STATE_")
    };
    let mut rows: Vec<(&'static str, &str, i64)> = reservation
        .lines
        .iter()
        .map(|line| (short(line), &*line.location_id, line.quantity))
        .collect();
    rows.sort_unstable();
    rows
}
