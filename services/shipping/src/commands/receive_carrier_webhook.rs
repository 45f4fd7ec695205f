//! Takes what a carrier tells by itself: the same report as by `RecordTrackingEvent`, once per event of the carrier.

use http::HeaderMap;
use oms_core::{Principal, PrincipalKind, Violations, derive, looks_like_card_number};
use oms_postgres::ErrorKind;
use oms_postgres::idempotency::RequestKey;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::carriers::Untold;
use crate::store::StoreError;
use crate::store::tracking::TrackingEvent;

use super::record_tracking_event::{NewReport, record_tracking_event};
use super::{Call, Context, Error};

/// Instead of a description that looks like a card number.
const LEFT_OUT: &str = "(left out: it looks like a card number)";

/// Why a webhook is not taken. The texts are for whoever sent it, and say nothing to those who did not sign it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The carrier is not known, did not sign it, or not lately.
    #[error("no carrier that is known here has signed this, or not lately")]
    Unsigned,
    /// The body is longer than any event.
    #[error("the body is too large")]
    BodyTooLarge,
    /// It is no event, or a wrong one.
    #[error("the event is wrong")]
    Invalid(Violations),
    /// No label has this number, or none yet: its purchase may be under way.
    #[error("no package has this tracking number now; deliver it again")]
    NumberUnknown,
    /// The id came before with another body.
    #[error("the webhook-id was used before with another body")]
    IdReused,
    /// It could not be dealt with now.
    #[error("it cannot be dealt with now; deliver it again")]
    TryAgain,
}

/// Checks who sent it and records it. `Ok` comes after the commit.
pub(crate) async fn receive_carrier_webhook(
    ctx: &Context,
    carrier_id: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<TrackingEvent, Refusal> {
    let Some(carrier) = ctx.carriers.find(carrier_id) else {
        tracing::warn!("a webhook is of a carrier that is not known");
        return Err(Refusal::Unsigned);
    };
    let carrier_id = carrier.id();
    let told = carrier.webhook(headers, body, ctx.clock.now());
    let told = told.map_err(|untold| match untold {
        Untold::Unsigned(why) => {
            tracing::warn!(carrier = carrier_id, why, "a webhook is not the carrier's");
            Refusal::Unsigned
        }
        Untold::Invalid(violations) => Refusal::Invalid(violations),
    })?;
    let call = call(carrier_id, &told.event_id, body)?;
    let report = NewReport {
        carrier_id: carrier_id.to_owned(),
        tracking_number: told.tracking_number,
        carrier_event_id: told.event_id,
        status: told.status,
        description: description(told.description),
        occurred_at: told.occurred_at,
    };
    let recorded = record_tracking_event(ctx, &report, &call).await;
    recorded
        .map(|(event, _)| event)
        .map_err(|error| refusal(carrier_id, &error))
}

/// What the carrier wrote, unless it looks like a card number. Where the parcel is counts more than a text, and the carrier
/// would deliver a refused one again and again.
fn description(told: String) -> String {
    if looks_like_card_number(&told) {
        return LEFT_OUT.to_owned();
    }
    told
}

/// The same event of a carrier is the same call, whenever it is delivered.
fn call(carrier_id: &str, event_id: &str, body: &[u8]) -> Result<Call, Refusal> {
    // Ids of carriers are principals' ids; anything else is a defect, and tried again until it is mended.
    let principal = Principal::try_new(PrincipalKind::Partner, carrier_id);
    let actor = principal.map_err(|_| Refusal::TryAgain)?.to_string();
    let request_id = derive(
        Uuid::nil(),
        &format!("carrier webhook/{carrier_id}/{event_id}"),
    );
    Ok(Call {
        key: RequestKey {
            principal: actor.clone(),
            method: "RecordTrackingEvent",
            request_id,
            hash: Sha256::digest(body).into(),
            reason: String::new(),
        },
        actor,
    })
}

fn refusal(carrier: &'static str, error: &Error) -> Refusal {
    match error {
        Error::NotFound { .. } => Refusal::NumberUnknown,
        Error::Store(StoreError::Database(database))
            if database.kind() == ErrorKind::RequestIdReused =>
        {
            Refusal::IdReused
        }
        _ => {
            tracing::warn!(carrier, %error, "a webhook could not be dealt with");
            Refusal::TryAgain
        }
    }
}
