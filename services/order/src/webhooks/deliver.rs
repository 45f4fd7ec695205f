//! From deliveries to endpoints: claims what is due, a few per endpoint, sends it, and writes down what became of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use oms_postgres::feed::{self, Filter};
use sqlx::PgConnection;
use time::OffsetDateTime;
use tokio::task::{Id, JoinError, JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

use super::endpoint;
use super::secret::{Secret, signatures};
use crate::ctx::{Ctx, SERVICE_ACTOR};
use crate::domain::webhook::{
    Attempt, DeliveryState, DisableReason, Endpoint, EndpointState, wait_after,
};
use crate::error::Error;
use crate::store::webhook_deliveries::{self, Claimed, Settled};
use crate::store::{StoreError, webhook_endpoints, webhook_secrets};

/// What the body is.
const CLOUD_EVENT: &str = "application/cloudevents+json";
const AGENT: &str = concat!("oms-webhooks/", env!("CARGO_PKG_VERSION"));

/// Starts the deliveries of this process. It ends when `cancel` is canceled and what is under way has come to its end, which
/// the time limit of a request bounds.
pub(crate) fn spawn(ctx: Arc<Ctx>, cancel: CancellationToken) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut under_way = UnderWay::default();
        while !cancel.is_cancelled() {
            let claimed = claim_and_start(&ctx, &mut under_way).await;
            let claimed = claimed.unwrap_or_else(|error| {
                tracing::warn!(error = %error, "webhook deliveries cannot be claimed");
                0
            });
            under_way.tell();
            if claimed > 0 {
                continue;
            }
            tokio::select! {
                () = cancel.cancelled() => {}
                () = ctx.webhooks.wakes.notified() => {}
                Some(ended) = under_way.requests.join_next_with_id() => under_way.note(ended),
                () = tokio::time::sleep(pause(&ctx)) => {}
            }
        }
        while under_way.requests.join_next().await.is_some() {}
    })
}

/// Tells the metrics recorder what the metrics of webhooks mean. Call once after installing one.
pub(crate) fn describe_metrics() {
    describe_counter!(
        "oms_webhook_deliveries_created",
        "deliveries to endpoints outside, by cause"
    );
    describe_counter!("oms_webhook_attempts", "attempts to deliver, by outcome");
    describe_histogram!(
        "oms_webhook_request_duration_seconds",
        Unit::Seconds,
        "from the request to the end of the answer"
    );
    describe_gauge!("oms_webhook_requests_under_way", "requests under way");
    describe_gauge!(
        "oms_webhook_oldest_due_seconds",
        Unit::Seconds,
        "how long the oldest due delivery has been due"
    );
    describe_counter!(
        "oms_webhook_endpoints_disabled",
        "endpoints disabled because they are gone or failing, by reason"
    );
}

/// Requests of this process.
#[derive(Default)]
struct UnderWay {
    requests: JoinSet<()>,
    /// To which endpoint each is.
    endpoints: HashMap<Id, Uuid>,
}

impl UnderWay {
    fn start(&mut self, ctx: Arc<Ctx>, endpoint: Endpoint, claimed: Claimed, holder: Uuid) {
        let endpoint_id = claimed.endpoint_id;
        let request = self.requests.spawn(async move {
            let span = tracing::info_span!("deliver_webhook", oms.webhook.delivery.id = %claimed.delivery_id);
            deliver(&ctx, &endpoint, &claimed, holder).instrument(span).await;
        });
        self.endpoints.insert(request.id(), endpoint_id);
    }

    /// A request ended, or panicked, which its claim survives.
    fn note(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
        self.endpoints.remove(&id);
    }

    /// How many there are to an endpoint.
    fn count(&self, endpoint_id: Uuid) -> usize {
        self.endpoints
            .values()
            .filter(|id| **id == endpoint_id)
            .count()
    }

    fn tell(&self) {
        let count = u32::try_from(self.requests.len()).unwrap_or(u32::MAX);
        gauge!("oms_webhook_requests_under_way").set(f64::from(count));
    }
}

/// The configured pause, spread so that replicas do not look at the same moment.
fn pause(ctx: &Ctx) -> Duration {
    let most = Duration::from_millis(ctx.config.webhooks.poll_ms);
    most.mul_f64(0.5 + 0.5 * share(ctx))
}

/// A number between 0 and 1 from the random bits of a new id.
fn share(ctx: &Ctx) -> f64 {
    let bits = u16::try_from(ctx.id().as_u128() & u128::from(u16::MAX)).unwrap_or_default();
    f64::from(bits) / f64::from(u16::MAX)
}

/// Claims what there are places for; answers how many.
async fn claim_and_start(ctx: &Arc<Ctx>, under_way: &mut UnderWay) -> Result<usize, Error> {
    while let Some(ended) = under_way.requests.try_join_next_with_id() {
        under_way.note(ended);
    }
    let config = &ctx.config.webhooks;
    let free = config.concurrency.saturating_sub(under_way.requests.len());
    if free == 0 {
        return Ok(0);
    }
    let holder = ctx.id();
    let now = ctx.now();
    // Longer than any request: who holds it longer is dead.
    let until =
        now + Duration::from_millis(config.timeout_ms.saturating_mul(2)) + Duration::from_secs(30);
    let (endpoints, claimed) = {
        let mut conn = ctx.db.read().await?;
        let endpoints = webhook_endpoints::enabled(&mut conn).await?;
        let places = places(&endpoints, under_way, config.concurrency_per_endpoint);
        if places.is_empty() {
            return Ok(0);
        }
        let limit = i64::try_from(free).unwrap_or(i64::MAX);
        let claimed =
            webhook_deliveries::claim(&mut conn, &places, (holder, until), now, limit).await?;
        (endpoints, claimed)
    };
    let count = claimed.len();
    for claimed in claimed {
        let endpoint = endpoints
            .iter()
            .find(|one| one.endpoint_id == claimed.endpoint_id);
        if let Some(endpoint) = endpoint {
            under_way.start(Arc::clone(ctx), endpoint.clone(), claimed, holder);
        }
    }
    Ok(count)
}

/// How many more requests each endpoint may get.
fn places(endpoints: &[Endpoint], under_way: &UnderWay, most: usize) -> Vec<(Uuid, i64)> {
    let mut places = Vec::new();
    for endpoint in endpoints {
        let taken = under_way.count(endpoint.endpoint_id);
        let free = endpoint.places(most).saturating_sub(taken);
        if free > 0 {
            places.push((
                endpoint.endpoint_id,
                i64::try_from(free).unwrap_or(i64::MAX),
            ));
        }
    }
    places
}

/// Sends one delivery and writes what became of it. What cannot be written is sent again when the claim ends.
async fn deliver(ctx: &Ctx, endpoint: &Endpoint, claimed: &Claimed, holder: Uuid) {
    let written = async {
        let attempt = attempt(ctx, endpoint, claimed).await?;
        ctx.failpoint("webhook", "sent");
        record(ctx, claimed, holder, &attempt).await
    };
    if let Err(error) = written.await {
        tracing::warn!(error = %error, "what became of a webhook could not be written, it is sent again");
    }
}

/// One request.
async fn attempt(ctx: &Ctx, endpoint: &Endpoint, claimed: &Claimed) -> Result<Attempt, Error> {
    let started_at = ctx.now();
    let mut attempt = Attempt {
        number: claimed.attempt,
        started_at,
        status_code: 0,
        latency_ms: 0,
        error: String::new(),
        excerpt: String::new(),
    };
    let (headers, body) = match message(ctx, claimed, started_at).await? {
        Ok(message) => message,
        Err(reason) => {
            attempt.error = reason;
            return Ok(attempt);
        }
    };
    let answer = ctx.webhooks.sender.post(&endpoint.url, headers, body).await;
    attempt.status_code = i32::from(answer.status_code);
    attempt.latency_ms = i64::try_from(answer.latency.as_millis()).unwrap_or(i64::MAX);
    attempt.error = answer.error;
    attempt.excerpt = answer.excerpt;
    histogram!("oms_webhook_request_duration_seconds").record(answer.latency);
    Ok(attempt)
}

/// Headers and body, or why there are none.
async fn message(
    ctx: &Ctx,
    claimed: &Claimed,
    at: OffsetDateTime,
) -> Result<Result<(HeaderMap, String), String>, Error> {
    let (event, sealed) = {
        let mut conn = ctx.db.read().await?;
        let sealed = webhook_secrets::signing(&mut conn, claimed.endpoint_id, at).await?;
        let before = claimed.feed_pos - 1;
        let batch = feed::read(&mut conn, before, 1, &Filter::default()).await;
        (batch.ok().and_then(|mut batch| batch.events.pop()), sealed)
    };
    let Some(event) = event.filter(|event| event.event_id == claimed.event_id) else {
        return Ok(Err(NOT_KEPT.to_owned()));
    };
    // Without the master key it is our fault and not the endpoint's: no attempt counts.
    let secrets = sealed.iter().map(|one| Secret::open(&ctx.masters, one));
    let secrets: Vec<Secret> = secrets.collect::<Result<_, _>>()?;
    if secrets.is_empty() {
        return Ok(Err("the endpoint has no secret".to_owned()));
    }
    let body = match ctx.webhooks.body(event) {
        Ok(body) => body,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let id = claimed.event_id.to_string();
    let timestamp = at.unix_timestamp();
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(CLOUD_EVENT));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    headers.insert(
        HeaderName::from_static("webhook-timestamp"),
        HeaderValue::from(timestamp),
    );
    for (name, value) in [
        (
            "webhook-signature",
            signatures(&secrets, &id, timestamp, &body),
        ),
        ("webhook-id", id),
    ] {
        // Ids and base64 are fit for headers.
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    Ok(Ok((headers, body)))
}

/// Why an old event cannot be delivered.
const NOT_KEPT: &str = "the event is not kept any more";

/// Writes an attempt and what follows from it for the delivery and for its endpoint.
async fn record(
    ctx: &Ctx,
    claimed: &Claimed,
    holder: Uuid,
    attempt: &Attempt,
) -> Result<(), Error> {
    let now = ctx.now();
    let wait = wait_after(claimed.failures + 1, share(ctx));
    let is_final = attempt.is_gone() || attempt.error == NOT_KEPT;
    let state = match wait {
        _ if attempt.is_accepted() => DeliveryState::Delivered,
        Some(_) if !is_final => DeliveryState::Pending,
        _ => DeliveryState::Failed,
    };
    let settled = Settled {
        claimed,
        holder,
        state,
        next_attempt_at: now + wait.unwrap_or_default(),
        attempt,
        now,
    };
    let settled = &settled;
    let is_written = ctx
        .db
        .run_tx("record_webhook_attempt", |tx| {
            Box::pin(async move {
                if !webhook_deliveries::settle(tx.conn(), settled).await? {
                    return Ok::<_, Error>(false);
                }
                judge(ctx, tx.conn(), claimed.endpoint_id, attempt).await?;
                Ok(true)
            })
        })
        .await?;
    let outcome = match state {
        _ if !is_written => "lease_lost",
        DeliveryState::Delivered => "delivered",
        DeliveryState::Pending => "retry",
        DeliveryState::Failed => "failed",
    };
    counter!("oms_webhook_attempts", "outcome" => outcome).increment(1);
    if state != DeliveryState::Delivered {
        tracing::warn!(
            endpoint_id = %claimed.endpoint_id,
            attempt = attempt.number,
            status = attempt.status_code,
            outcome,
            error = attempt.error,
            "webhook was not accepted"
        );
    }
    Ok(())
}

/// What an attempt tells of its endpoint.
async fn judge(
    ctx: &Ctx,
    conn: &mut PgConnection,
    endpoint_id: Uuid,
    attempt: &Attempt,
) -> Result<(), StoreError> {
    let now = ctx.now();
    if attempt.is_accepted() {
        return webhook_endpoints::note_health(conn, endpoint_id, None).await;
    }
    webhook_endpoints::note_health(conn, endpoint_id, Some(now)).await?;
    let Some(found) = webhook_endpoints::load(conn, endpoint_id).await? else {
        return Ok(());
    };
    let patience = time::Duration::hours(i64::from(ctx.config.webhooks.disable_after_hours));
    let is_failing = found
        .failing_since
        .is_some_and(|since| now - since >= patience);
    let reason = if attempt.is_gone() {
        DisableReason::Gone
    } else if is_failing {
        DisableReason::Failing
    } else {
        return Ok(());
    };
    let locked = webhook_endpoints::lock(conn, endpoint_id).await?;
    let Some(mut endpoint) = locked.filter(|one| one.state == EndpointState::Enabled) else {
        return Ok(());
    };
    endpoint.disable(reason);
    endpoint::save(conn, ctx, &mut endpoint, "disable", SERVICE_ACTOR).await?;
    counter!("oms_webhook_endpoints_disabled", "reason" => reason.as_str()).increment(1);
    tracing::error!(%endpoint_id, reason = reason.as_str(), "webhook endpoint disabled");
    Ok(())
}
