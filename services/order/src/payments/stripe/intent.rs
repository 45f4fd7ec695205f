//! What is read of Stripe's objects, and what their states mean.

use std::collections::BTreeMap;

use serde::Deserialize;
use time::OffsetDateTime;

use super::super::Unanswered;
use super::api::{ApiError, unanswered};
use crate::domain::payment::Answer;

/// State of an intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// The charge failed, or there is nothing to charge.
    RequiresPaymentMethod,
    /// It was made and not charged.
    RequiresConfirmation,
    /// The customer would have to do something.
    RequiresAction,
    /// The bank has not answered.
    Processing,
    /// Money is set aside.
    RequiresCapture,
    /// Given up.
    Canceled,
    /// Captured; whatever was not captured is released.
    Succeeded,
    /// One that this version of the API does not have.
    #[serde(other)]
    Other,
}

/// An intent.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Intent {
    pub(super) id: String,
    pub(super) status: Status,
    #[serde(default)]
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) payment_method: Option<String>,
    pub(super) customer: Option<String>,
    amount_capturable: Option<i64>,
    amount_received: Option<i64>,
    cancellation_reason: Option<String>,
    last_payment_error: Option<ApiError>,
    latest_charge: Option<LatestCharge>,
}

/// An id, or the object when that was asked for.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum LatestCharge {
    Charge(Charge),
    Id(#[expect(dead_code, reason = "nothing is read of it")] String),
}

#[derive(Debug, Clone, Deserialize)]
struct Charge {
    payment_method_details: Option<Details>,
}

#[derive(Debug, Clone, Deserialize)]
struct Details {
    card: Option<Card>,
}

#[derive(Debug, Clone, Deserialize)]
struct Card {
    multicapture: Option<Multicapture>,
    /// Seconds since 1970.
    capture_before: Option<i64>,
}

#[derive(Debug, Clone, Deserialize)]
struct Multicapture {
    status: String,
}

/// What became of a charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Money is set aside, or taken.
    Charged,
    /// It is not, with the code.
    Declined(String),
    /// It was never tried.
    NotConfirmed,
    /// It may still come true.
    WaitsForCustomer,
    /// Not known yet.
    Unknown,
}

impl Intent {
    pub(super) fn outcome(&self) -> Outcome {
        match self.status {
            Status::RequiresCapture | Status::Succeeded => Outcome::Charged,
            Status::RequiresConfirmation => Outcome::NotConfirmed,
            Status::RequiresAction => Outcome::WaitsForCustomer,
            Status::RequiresPaymentMethod => {
                let error = self.last_payment_error.clone().unwrap_or_default();
                Outcome::Declined(error.most_exact_code())
            }
            Status::Canceled => {
                let reason = self.cancellation_reason.clone();
                Outcome::Declined(reason.unwrap_or_else(|| "canceled".to_owned()))
            }
            Status::Processing | Status::Other => Outcome::Unknown,
        }
    }

    /// Nothing can be captured of it any more.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.status, Status::Succeeded | Status::Canceled)
    }

    /// A capture has taken a part and left the rest.
    pub(super) fn is_captured_in_part(&self) -> bool {
        self.amount_received.is_some_and(|taken| taken > 0)
    }

    /// It is over without anybody's wish: another capture has released the rest, or it has expired.
    pub(super) fn is_used_up(&self) -> bool {
        match self.status {
            Status::Succeeded => true,
            Status::Canceled => {
                let reason = self.cancellation_reason.as_deref();
                matches!(reason, Some("automatic" | "expired"))
            }
            _ => false,
        }
    }

    /// The card that was charged, when its charge was asked for.
    fn card(&self) -> Option<&Card> {
        let Some(LatestCharge::Charge(charge)) = &self.latest_charge else {
            return None;
        };
        charge.payment_method_details.as_ref()?.card.as_ref()
    }

    /// When the card's bank gives up what is set aside, if Stripe tells.
    pub(super) fn capture_before(&self) -> Option<OffsetDateTime> {
        let seconds = self.card()?.capture_before?;
        OffsetDateTime::from_unix_timestamp(seconds).ok()
    }

    /// True when this capture leaves something that a later one can take.
    pub(super) fn keeps_rest(&self, amount: i64) -> bool {
        let multicapture = self.card().and_then(|card| card.multicapture.as_ref());
        multicapture.is_some_and(|is| is.status == "available")
            && self.amount_capturable.is_some_and(|left| amount < left)
    }
}

/// A refund.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Refund {
    pub(super) id: String,
    status: Option<String>,
    failure_reason: Option<String>,
    #[serde(default)]
    pub(super) metadata: BTreeMap<String, String>,
}

impl Refund {
    /// A refund that is on its way may still fail: it is in doubt until it has arrived, or has not.
    pub(super) fn answer(self) -> Result<Answer, Unanswered> {
        match self.status.as_deref() {
            Some("succeeded") => Ok(Answer::Approved {
                reference: self.id,
                expires_at: None,
            }),
            Some("failed" | "canceled") => Ok(Answer::Declined {
                code: self
                    .failure_reason
                    .unwrap_or_else(|| "refund_failed".to_owned()),
            }),
            status => {
                let status = status.unwrap_or("in no state");
                Err(unanswered(format!("refund {} is {status}", self.id)))
            }
        }
    }
}
