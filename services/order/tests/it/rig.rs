//! Running replicas of the service on one database, and what tests do with them.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use oms_core::Clock;
use oms_order::{MIGRATOR, Order};
use oms_proto::common::v1::{FillPolicy, Money, PostalAddress};
use oms_proto::order::v1 as pb;
use oms_proto::order::v1::channel_service_client::ChannelServiceClient;
use oms_proto::order::v1::hold_service_client::HoldServiceClient;
use oms_proto::order::v1::order_service_client::OrderServiceClient;
use oms_sandbox_psp::{SandboxPsp, Webhook};
use oms_service::{AnyProgram, Layers, PeerError, Runtime, ServiceHandle};
use oms_testkit::{MockClock, TestDb, template_key, wait_for};
use sqlx::{AssertSqlSafe, PgConnection};
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status};
use uuid::Uuid;

use crate::peers::Peers;

/// Time that passes between two looks: enough for a lease of 30 s to run out within the patience of a test.
const LOOK: Duration = Duration::from_millis(250);

/// The channel that tests order by.
pub(crate) const WEB: &str = "web";

/// Secret of the provider's webhooks.
pub(crate) const WEBHOOK_SECRET: &str = "whsec_test";

/// The clients of one replica.
#[derive(Clone)]
pub(crate) struct Clients {
    pub(crate) orders: OrderServiceClient<Channel>,
    pub(crate) holds: HoldServiceClient<Channel>,
    pub(crate) channels: ChannelServiceClient<Channel>,
    /// For the services of other files.
    pub(crate) channel: Channel,
}

pub(crate) struct Rig {
    /// Clients of the first replica.
    pub(crate) api: Clients,
    pub(crate) peers: Peers,
    pub(crate) clock: MockClock,
    pub(crate) db: TestDb,
    /// The payment provider.
    pub(crate) provider: Psp,
    services: Vec<ServiceHandle>,
    layers: Layers,
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
    /// One replica with the channel [`WEB`] and stock of the SKUs A and B.
    pub(crate) async fn start() -> Self {
        Self::start_with("").await
    }

    /// The same with configuration on top.
    pub(crate) async fn start_with(config: &str) -> Self {
        Self::start_as(config, false).await
    }

    /// One replica that the payment provider tells of its charges.
    pub(crate) async fn start_told() -> Self {
        Self::start_as("", true).await
    }

    async fn start_as(config: &str, is_told: bool) -> Self {
        let clock = MockClock::new();
        let peers = Peers::start(clock.clone()).await;
        let key = template_key("order", &[&oms_postgres::MIGRATOR, &MIGRATOR]);
        let for_template = peers.clone();
        let migrate =
            |url: String| async move { Order.migrate(&layers(&url, &for_template)).await };
        let db = TestDb::create(&key, migrate).await;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let provider = Psp::start(&clock, is_told.then_some(addr)).await;
        let layers = layers(db.url(), &peers)
            .with(format!(
                "[payments.sandbox]\nurl = {:?}\nwebhook_secret = {WEBHOOK_SECRET:?}",
                provider.psp.url()
            ))
            .with(config);
        let service = start(&layers, &clock, Some(Arc::new(listener))).await;
        let api = clients(&service);
        peers.stock("A", 100);
        peers.stock("B", 100);
        let rig = Self {
            api,
            peers,
            clock,
            db,
            provider,
            services: vec![service],
            layers,
        };
        rig.channel(|_| {}).await;
        rig
    }

    /// Starts another replica on the same database.
    pub(crate) async fn another_replica(&mut self) -> Clients {
        let service = start(&self.layers, &self.clock, None).await;
        let clients = clients(&service);
        self.services.push(service);
        clients
    }

    /// Starts another replica with configuration on top.
    pub(crate) async fn another_replica_with(&mut self, config: &str) -> Clients {
        self.layers = self.layers.clone().with(config);
        self.another_replica().await
    }

    /// Ends the first replica.
    pub(crate) async fn stop_first(&mut self) {
        self.services.remove(0).shutdown().await.unwrap();
    }

    /// Ends the first replica as a crash would.
    pub(crate) async fn kill_first(&mut self) {
        self.services.remove(0).kill().await;
    }

    /// Creates or changes the channel [`WEB`].
    pub(crate) async fn channel(&self, change: impl FnOnce(&mut pb::Channel)) -> pb::Channel {
        let mut channel = web();
        change(&mut channel);
        let request = pb::UpsertChannelRequest {
            request_id: id(),
            channel: Some(channel),
        };
        let answer = self.api.channels.clone().upsert_channel(request).await;
        answer.unwrap().into_inner().channel.unwrap()
    }

    /// Places an order and waits for the confirmation.
    pub(crate) async fn place(&self, order: pb::NewOrder) -> pb::Order {
        let request = request(order, pb::WaitFor::Confirmed);
        self.try_place(request).await.unwrap()
    }

    /// Places an order and does not wait.
    pub(crate) async fn place_only(&self, order: pb::NewOrder) -> pb::Order {
        self.try_place(request(order, pb::WaitFor::Pending))
            .await
            .unwrap()
    }

    pub(crate) async fn try_place(
        &self,
        request: pb::PlaceOrderRequest,
    ) -> Result<pb::Order, PeerError> {
        let answer = self.api.orders.clone().place_order(request).await;
        answered(answer).map(|answer| answer.order.unwrap())
    }

    pub(crate) async fn get(&self, order_id: &str) -> pb::Order {
        let request = pb::GetOrderRequest {
            order_id: order_id.to_owned(),
            ..pb::GetOrderRequest::default()
        };
        let answer = self.api.orders.clone().get_order(request).await;
        answer.unwrap().into_inner().order.unwrap()
    }

    /// Waits until the order is what it should be; the clock goes on meanwhile.
    pub(crate) async fn until(
        &self,
        order_id: &str,
        what: &str,
        is: impl Fn(&pb::Order) -> bool,
    ) -> pb::Order {
        wait_for(what, || async {
            self.clock.advance(LOOK);
            let order = self.get(order_id).await;
            if is(&order) {
                return Ok(order);
            }
            Err(format!(
                "{:?} at {:?}: {}",
                order.state(),
                order.saga_step,
                self.saga_row(order_id).await
            ))
        })
        .await
    }

    /// Waits until the saga has nothing left to do; the clock goes on meanwhile.
    pub(crate) async fn until_done(&self, order_id: &str) -> pb::Order {
        wait_for("the saga to be done", || async {
            self.clock.advance(LOOK);
            let row = self.saga_row(order_id).await;
            if row.starts_with("DONE") {
                Ok(())
            } else {
                Err(row)
            }
        })
        .await;
        self.get(order_id).await
    }

    pub(crate) async fn saga_row(&self, order_id: &str) -> String {
        let query =
            "SELECT state || ' ' || step || ' ' || last_error FROM sagas WHERE order_id = $1::uuid";
        let mut conn = self.db.connect().await;
        let row: Option<String> = sqlx::query_scalar(query)
            .bind(order_id)
            .fetch_optional(&mut conn)
            .await
            .unwrap();
        row.unwrap_or_default()
    }

    pub(crate) async fn hold(&self, request: pb::PlaceHoldRequest) -> Result<pb::Hold, PeerError> {
        let answer = self.api.holds.clone().place_hold(request).await;
        answered(answer).map(|answer| answer.hold.unwrap())
    }

    pub(crate) async fn release_hold(&self, hold_id: &str) -> Result<pb::Hold, PeerError> {
        let request = pb::ReleaseHoldRequest {
            request_id: id(),
            hold_id: hold_id.to_owned(),
            note: "looked at".to_owned(),
        };
        let answer = self.api.holds.clone().release_hold(request).await;
        answered(answer).map(|answer| answer.hold.unwrap())
    }

    pub(crate) async fn timeline(&self, order_id: &str) -> Vec<pb::TimelineEntry> {
        let request = pb::GetOrderTimelineRequest {
            order_id: order_id.to_owned(),
            page_size: 500,
            page_token: String::new(),
        };
        let answer = self.api.orders.clone().get_order_timeline(request).await;
        answer.unwrap().into_inner().entries
    }

    /// What was done, as the timeline tells it.
    pub(crate) async fn actions(&self, order_id: &str) -> Vec<String> {
        let entries = self.timeline(order_id).await;
        entries.into_iter().map(|entry| entry.action).collect()
    }

    /// One number of the database.
    pub(crate) async fn count(&self, query: &str) -> i64 {
        let mut conn = self.db.connect().await;
        sqlx::query_scalar(AssertSqlSafe(query.to_owned()))
            .fetch_one(&mut conn)
            .await
            .unwrap()
    }

    /// `http://host:port` of the first replica.
    pub(crate) fn url(&self) -> String {
        self.services[0].url()
    }

    /// Charges in the provider's ledger.
    pub(crate) async fn charges(&self) -> i64 {
        let mut conn = self.provider.db.connect().await;
        sqlx::query_scalar("SELECT count(*) FROM charges")
            .fetch_one(&mut conn)
            .await
            .unwrap()
    }

    /// Has the customer's bank take what it declined.
    pub(crate) async fn talk_to_bank(&self) {
        let mut conn = self.provider.db.connect().await;
        sqlx::raw_sql("UPDATE charges SET token = 'tok_approve'")
            .execute(&mut conn)
            .await
            .unwrap();
    }

    /// Waits until nothing is under way, so that the books can be compared.
    pub(crate) async fn rest(&self) {
        wait_for("everything to come to rest", || async {
            let mut conn = self.db.connect().await;
            let busy: Vec<String> = sqlx::query_scalar(BUSY)
                .bind(self.clock.now())
                .fetch_all(&mut conn)
                .await
                .unwrap();
            if busy.is_empty() {
                return Ok(());
            }
            Err(busy.join(", "))
        })
        .await;
    }

    /// The books in SQL: every query finds what contradicts them.
    pub(crate) async fn audit(&self) {
        self.rest().await;
        let mut conn = self.db.connect().await;
        let mut wrong = String::new();
        let mut theirs = self.provider.db.connect().await;
        let (ours, theirs) = (
            rows(&mut conn, OUR_LEDGER).await,
            rows(&mut theirs, THEIR_LEDGER).await,
        );
        if ours != theirs {
            writeln!(wrong, "our ledger {ours:#?} is not theirs {theirs:#?}").unwrap();
        }
        for (what, query) in AUDIT {
            for row in rows(&mut conn, query).await {
                writeln!(wrong, "{what}: {row}").unwrap();
            }
        }
        assert!(wrong.is_empty(), "{wrong}");
    }
}

async fn rows(conn: &mut PgConnection, query: &'static str) -> Vec<String> {
    sqlx::query_scalar(query).fetch_all(conn).await.unwrap()
}

/// What is under way; $1 is the time.
const BUSY: &str = "SELECT 'task ' || kind FROM tasks WHERE state = 'READY' AND run_at <= $1
     UNION ALL SELECT 'payment ' || kind FROM effects WHERE state IN ('PLANNED', 'SENT', 'IN_DOUBT')
     UNION ALL SELECT 'saga ' || step FROM sagas WHERE state IN ('RUNNING', 'UNDOING')
     UNION ALL SELECT 'outbox' FROM outbox";

/// What succeeded, by us and by the provider.
const OUR_LEDGER: &str =
    "SELECT concat_ws(' ', payment_id, kind, amount, currency, provider_reference)
     FROM payments WHERE state = 'SUCCEEDED' AND provider = 'sandbox' ORDER BY 1";
const THEIR_LEDGER: &str =
    "SELECT concat_ws(' ', idempotency_key, kind, amount, currency, reference)
     FROM charges WHERE approved ORDER BY 1";

const AUDIT: [(&str, &str); 8] = [
    (
        "what is authorized and used of a credit is the sum of its entries",
        "SELECT concat_ws(' ', c.book, c.reference, c.authorized, c.used)
         FROM credits c LEFT JOIN credit_entries e USING (book, reference)
         GROUP BY c.book, c.reference
         HAVING c.authorized <> coalesce(sum(amount) FILTER (WHERE kind = 'AUTHORIZATION'), 0)
                 - coalesce(sum(amount) FILTER (WHERE kind IN ('CAPTURE', 'VOID')), 0)
             OR c.used <> coalesce(sum(amount) FILTER (WHERE kind = 'CAPTURE'), 0)
                 - coalesce(sum(amount) FILTER (WHERE kind IN ('REFUND', 'PAYMENT')), 0)",
    ),
    (
        "what was booked on credits are our payments",
        "SELECT concat_ws(' ', p.payment_id, e.entry_key)
         FROM (SELECT * FROM payments WHERE state = 'SUCCEEDED' AND provider IN ('terms', 'store_credit')) AS p
         FULL JOIN (SELECT * FROM credit_entries WHERE kind NOT IN ('ISSUE', 'PAYMENT')) AS e
             ON e.entry_key = p.payment_id::text AND (e.kind, e.amount, e.book) = (p.kind, p.amount, p.provider)
         WHERE p.payment_id IS NULL OR e.entry_key IS NULL",
    ),
    (
        "an order's events are numbered without a gap",
        "WITH events AS (
             SELECT aggregate_id, aggregate_version FROM feed WHERE aggregate_type = 'order'
             UNION ALL
             SELECT aggregate_id, aggregate_version FROM outbox WHERE aggregate_type = 'order')
         SELECT o.order_id::text FROM orders o LEFT JOIN events e ON e.aggregate_id = o.order_id::text
         GROUP BY o.order_id, o.version
         HAVING count(*) <> o.version OR max(aggregate_version) <> o.version OR min(aggregate_version) <> 1",
    ),
    (
        "a timeline is numbered without a gap",
        "SELECT o.order_id::text FROM orders o JOIN timeline t USING (order_id)
         GROUP BY o.order_id, o.timeline_sequence
         HAVING count(*) <> o.timeline_sequence OR max(t.sequence) <> o.timeline_sequence",
    ),
    (
        "lines count what their reservations say",
        "SELECT l.order_line_id::text FROM order_lines l
         LEFT JOIN reservation_lines r ON r.order_line_id = l.order_line_id
         GROUP BY l.order_line_id
         HAVING l.held <> coalesce(sum(r.quantity) FILTER (WHERE r.state = 'HELD'), 0)
             OR l.allocated <> coalesce(sum(r.quantity) FILTER (WHERE r.state = 'ALLOCATED'), 0)
             OR l.backordered <> coalesce(sum(r.quantity) FILTER (WHERE r.state = 'BACKORDERED'), 0)",
    ),
    (
        "an order that ended without goods holds nothing",
        "SELECT order_id::text FROM orders JOIN order_lines USING (order_id) JOIN sagas s USING (order_id)
         WHERE orders.state IN ('REJECTED', 'CANCELED', 'EXPIRED') AND s.state = 'DONE'
             AND held + allocated + backordered > 0",
    ),
    (
        "an order that ended without goods has no open authorization",
        "SELECT o.order_id::text FROM orders o JOIN payments p USING (order_id)
         WHERE o.state IN ('REJECTED', 'CANCELED', 'EXPIRED') AND p.state = 'SUCCEEDED'
         GROUP BY o.order_id
         HAVING coalesce(sum(amount) FILTER (WHERE kind = 'AUTHORIZATION'), 0)
             <> coalesce(sum(amount) FILTER (WHERE kind IN ('CAPTURE', 'VOID')), 0)",
    ),
    (
        "a confirmed order is fulfilled for what it has allocated",
        "SELECT o.order_id::text FROM orders o JOIN sagas s USING (order_id)
         WHERE o.state = 'CONFIRMED' AND s.state = 'DONE'
             AND (SELECT coalesce(sum(quantity), 0) FROM release_lines r WHERE r.order_id = o.order_id)
                 < (SELECT sum(allocated) FROM order_lines l WHERE l.order_id = o.order_id)",
    ),
];

/// The payment provider, on a database of its own.
pub(crate) struct Psp {
    psp: SandboxPsp,
    pub(crate) db: TestDb,
}

impl Psp {
    async fn start(clock: &MockClock, tells: Option<std::net::SocketAddr>) -> Self {
        let migrator = &oms_sandbox_psp::MIGRATOR;
        let key = template_key("psp", &[&oms_postgres::MIGRATOR, migrator]);
        let migrate = |url: String| async move { oms_postgres::migrate_url(&url, migrator).await };
        let db = TestDb::create(&key, migrate).await;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let clock = Arc::new(clock.clone());
        let webhook = tells.map(|addr| Webhook {
            url: format!("http://{addr}/webhooks/payments/sandbox"),
            secret: WEBHOOK_SECRET.to_owned(),
        });
        let psp = SandboxPsp::start(db.url(), listener, clock, webhook).await;
        Self {
            psp: psp.unwrap(),
            db,
        }
    }

    /// Orders a fault.
    pub(crate) async fn fault(&self, fault: serde_json::Value) {
        let request = http::Request::post(format!("{}/v1/faults", self.psp.url()))
            .body(http_body_util::Full::<bytes::Bytes>::from(
                fault.to_string(),
            ))
            .unwrap();
        let executor = hyper_util::rt::TokioExecutor::new();
        let http = hyper_util::client::legacy::Client::builder(executor).build_http();
        let answer = http.request(request).await.unwrap();
        assert!(answer.status().is_success(), "{fault}");
    }
}

async fn start(
    layers: &Layers,
    clock: &MockClock,
    listener: Option<Arc<std::net::TcpListener>>,
) -> ServiceHandle {
    let runtime = Runtime {
        listener,
        clock: Arc::new(clock.clone()),
        ..Runtime::default()
    };
    Order.start(layers, runtime).await.unwrap()
}

fn layers(url: &str, peers: &Peers) -> Layers {
    let mut text = format!("[database]\nurl = {url:?}\nmax_connections = 4\n");
    for (name, addr) in &peers.addrs {
        writeln!(
            text,
            "[peers.{name}]\nurl = \"http://{addr}\"\ntimeout_ms = 60000"
        )
        .unwrap();
    }
    // Looks often, so that tests need not wait; what they wait for is always something to be true.
    let saga = "[saga]\npoll_ms = 20\nbackoff_first_ms = 1\nbackoff_most_ms = 5\n";
    Layers::of_text("insecure_dev = true\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"")
        .with(text)
        .with(saga)
        .with("[payments]\nreconcile_poll_ms = 20")
}

fn clients(service: &ServiceHandle) -> Clients {
    let channel = Endpoint::from_shared(service.url()).unwrap().connect_lazy();
    Clients {
        orders: OrderServiceClient::new(channel.clone()),
        holds: HoldServiceClient::new(channel.clone()),
        channels: ChannelServiceClient::new(channel.clone()),
        channel,
    }
}

/// The answer, or the error with its details.
pub(crate) fn answered<T>(answer: Result<Response<T>, Status>) -> Result<T, PeerError> {
    answer.map(Response::into_inner).map_err(PeerError::from)
}

/// The channel that tests order by: dollars, 10 % tax.
pub(crate) fn web() -> pb::Channel {
    pb::Channel {
        channel_id: WEB.to_owned(),
        name: "Web shop".to_owned(),
        currency_code: "USD".to_owned(),
        number_prefix: "W-".to_owned(),
        tax_rate_ppm: 100_000,
        ..pb::Channel::default()
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "what the field of a message takes"
)]
pub(crate) fn usd(minor_units: i64) -> Option<Money> {
    Some(Money {
        currency_code: "USD".to_owned(),
        minor_units,
    })
}

pub(crate) fn address() -> PostalAddress {
    PostalAddress {
        recipient: "Claire Gute".to_owned(),
        address_lines: vec!["1 Main St".to_owned()],
        locality: "Henderson".to_owned(),
        administrative_area: "Kentucky".to_owned(),
        postal_code: "42420".to_owned(),
        country_code: "US".to_owned(),
        ..PostalAddress::default()
    }
}

/// An order of these units at 10.00 each, paid with a token.
pub(crate) fn new_order(lines: &[(&str, i64)], token: &str) -> pb::NewOrder {
    pb::NewOrder {
        channel_id: WEB.to_owned(),
        lines: lines
            .iter()
            .map(|(sku, quantity)| pb::NewOrderLine {
                sku: (*sku).to_owned(),
                quantity: *quantity,
                unit_price: usd(1_000),
                ..pb::NewOrderLine::default()
            })
            .collect(),
        ship_to: Some(address()),
        shipping_charge: usd(500),
        payment_method: Some(pb::PaymentMethod {
            provider: "sandbox".to_owned(),
            token: token.to_owned(),
            ..pb::PaymentMethod::default()
        }),
        ..pb::NewOrder::default()
    }
}

/// The same with a fill policy.
pub(crate) fn filled(mut order: pb::NewOrder, policy: FillPolicy) -> pb::NewOrder {
    order.fill_policy = policy.into();
    order
}

pub(crate) fn request(order: pb::NewOrder, wait_for: pb::WaitFor) -> pb::PlaceOrderRequest {
    pb::PlaceOrderRequest {
        request_id: id(),
        order: Some(order),
        wait_for: wait_for.into(),
    }
}
