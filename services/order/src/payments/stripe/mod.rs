//! Stripe, by its HTTP API: a PaymentIntent with manual capture per authorization.
//!
//! How nothing is ever charged twice:
//!
//! - **Money moves in a step of its own.** An intent is first created, which moves nothing and may be repeated,
//!   and then confirmed, which an intent can be once. (Created and confirmed in one request, a lost answer could
//!   only be asked for by making the charge.) A charge is found by its intent: by search for our key in its
//!   metadata, else by creating it again under the same `Idempotency-Key`. Stripe keeps keys for at least 24
//!   hours, and search lags by an hour at most: an intent that was made is found by one of the two at any age.
//!   Its state, read by id, tells what became of the charge; one that was not confirmed may be.
//! - **What hangs on an intent is looked up there.** A capture writes its key into the intent's metadata in the
//!   same request, and a refund carries it: both are found at once and for ever. A cancellation is a state.
//! - **What is given up cannot come true later**: [`Provider::abandon`] cancels what was not confirmed.
//! - **Only proof that nothing happened is a decline**: see [`api`]. All else is in doubt and is looked up.
//!
//! Several shipments: multicapture is asked for, and a capture that leaves something keeps it open. Where Stripe
//! has no multicapture (a matter of the account's pricing and of the card) the first capture releases the rest,
//! and each later one is a payment of its own on the same payment method, and so is a capture after the
//! authorization has expired, in about seven days. It may be declined, which holds the order like any declined
//! capture. The payment method must be reusable: `cus_../pm_..` is a token of one that belongs to a customer.

mod amount;
mod api;
mod intent;
mod webhook;

use std::time::Duration;

use async_trait::async_trait;
use http::HeaderMap;
use serde::Deserialize;
use time::OffsetDateTime;

use self::amount::units;
use self::api::{Api, Form, Page, Reply, unanswered};
use self::intent::{Intent, Outcome, Refund, Status};
use super::{Hint, Provider, ProviderRequest, Refusal, Secret, Unanswered, signature};
use crate::domain::payment::{Answer, PaymentKind};

pub(crate) const NAME: &str = "stripe";
const SIGNATURE: &str = "stripe-signature";
const INTENTS: &str = "/v1/payment_intents";
/// Metadata of an intent or a refund: the key of what made it.
const KEY: &str = "oms_key";
/// Metadata of an intent: the key of its latest capture, for webhooks.
const CAPTURE_KEY: &str = "oms_capture";
/// Code of a charge that would need the customer, who is not there.
const AUTHENTICATION_REQUIRED: &str = "authentication_required";

/// Where Stripe is and who we are to it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StripeConfig {
    /// `https://host`; `http://host:port` under `insecure_dev` only.
    pub url: String,
    /// When an authorization ends of which Stripe does not tell it; 0: never.
    pub authorization_days: u16,
    /// Secret or restricted key. Empty: orders cannot choose Stripe.
    pub api_key: Secret,
    /// Secret of its webhooks. Empty: they are refused.
    pub webhook_secret: Secret,
}

/// The adapter.
pub(crate) struct Stripe {
    api: Api,
    webhook_secret: Secret,
}

/// A charge to be made: an intent, confirmed at once.
struct Charge<'a> {
    key: &'a str,
    amount: i64,
    currency: String,
    payment_method: &'a str,
    customer: Option<&'a str>,
    /// True: money is only set aside.
    is_manual: bool,
}

impl Stripe {
    /// Stripe with this key; an answer may take so long. `None` when there is no key.
    pub(crate) fn new(config: &StripeConfig, patience: Duration) -> anyhow::Result<Option<Self>> {
        let Some(key) = config.api_key.reveal() else {
            return Ok(None);
        };
        Ok(Some(Self {
            api: Api::new(&config.url, key, patience)?,
            webhook_secret: config.webhook_secret.clone(),
        }))
    }

    async fn intent(&self, id: &str) -> Result<Intent, Unanswered> {
        let path = format!("{INTENTS}/{}?expand[]=latest_charge", intent_id(id)?);
        self.api.get(&path).await
    }

    /// Makes an intent, or answers the one that this key has made. Moves no money.
    async fn create(&self, charge: &Charge<'_>) -> Result<Reply<Intent>, Unanswered> {
        let form = charge.form();
        self.api.post(INTENTS, charge.key, "create", &form).await
    }

    /// Creates and confirms.
    async fn charge(&self, charge: &Charge<'_>) -> Result<Answer, Unanswered> {
        let intent = match self.create(charge).await? {
            Reply::Done(intent) => intent,
            Reply::Declined(code) => return Ok(Answer::Declined { code }),
        };
        let path = format!("{INTENTS}/{}/confirm", intent_id(&intent.id)?);
        let form = Form::new()
            .with("off_session", "true")
            .with("expand[]", "latest_charge");
        match self.api.post(&path, charge.key, "confirm", &form).await? {
            Reply::Done(confirmed) => self
                .outcome(&confirmed, charge.key)
                .await?
                .ok_or_else(|| unanswered("the intent was confirmed and is not".to_owned())),
            Reply::Declined(code) => Ok(Answer::Declined { code }),
        }
    }

    /// What became of a charge, without making it.
    async fn look_for(&self, charge: &Charge<'_>) -> Result<Option<Answer>, Unanswered> {
        let intents = match self.intents_of(charge).await? {
            Reply::Done(intents) => intents,
            Reply::Declined(code) => return Ok(Some(Answer::Declined { code })),
        };
        for intent in intents {
            if let Some(answer) = self.outcome(&intent, charge.key).await? {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }

    /// Every intent that this charge has made; it makes one if there is none.
    async fn intents_of(&self, charge: &Charge<'_>) -> Result<Reply<Vec<Intent>>, Unanswered> {
        // The key is an id: nothing in it needs escaping but what is around it.
        let query = Form::new().with("query", &format!("metadata['{KEY}']:'{}'", charge.key));
        let path = format!("{INTENTS}/search?{}", query.encoded());
        let mut found: Page<Intent> = self.api.get(&path).await?;
        if found.data.is_empty() {
            match self.create(charge).await? {
                Reply::Done(intent) => found.data.push(intent),
                Reply::Declined(code) => return Ok(Reply::Declined(code)),
            }
        }
        // What search and a repeat say is old: the state is read by id.
        let mut intents = Vec::new();
        for known in found.data {
            intents.push(self.intent(&known.id).await?);
        }
        Ok(Reply::Done(intents))
    }

    /// What the state of a charged intent means. One that waits for the customer is given up, so that it
    /// cannot come true later.
    async fn outcome(&self, intent: &Intent, key: &str) -> Result<Option<Answer>, Unanswered> {
        match intent.outcome() {
            Outcome::Charged => Ok(Some(Answer::Approved {
                reference: intent.id.clone(),
                expires_at: intent.capture_before(),
            })),
            Outcome::Declined(code) => Ok(Some(Answer::Declined { code })),
            Outcome::NotConfirmed => Ok(None),
            Outcome::Unknown => Err(unanswered(format!("the intent is {:?}", intent.status))),
            Outcome::WaitsForCustomer => match self.cancel(&intent.id, key).await? {
                Reply::Done(_) => Ok(Some(Answer::Declined {
                    code: AUTHENTICATION_REQUIRED.to_owned(),
                })),
                Reply::Declined(code) => Err(unanswered(format!("cancellation refused: {code}"))),
            },
        }
    }

    async fn cancel(&self, id: &str, key: &str) -> Result<Reply<Intent>, Unanswered> {
        let path = format!("{INTENTS}/{}/cancel", intent_id(id)?);
        self.api.post(&path, key, "cancel", &Form::new()).await
    }

    /// Gives up what a capture has left, which is a last capture of nothing.
    async fn release(&self, id: &str, key: &str) -> Result<Reply<Intent>, Unanswered> {
        let form = Form::new()
            .with("amount_to_capture", "0")
            .with("final_capture", "true");
        let path = format!("{INTENTS}/{}/capture", intent_id(id)?);
        self.api.post(&path, key, "release", &form).await
    }

    /// Captures of an open authorization; `amount` in Stripe's units.
    async fn capture_part(
        &self,
        intent: &Intent,
        key: &str,
        amount: i64,
    ) -> Result<Answer, Unanswered> {
        let mut form = Form::new()
            .with("amount_to_capture", &amount.to_string())
            .with(&format!("metadata[{key}]"), &amount.to_string())
            .with(&format!("metadata[{CAPTURE_KEY}]"), key);
        if intent.keeps_rest(amount) {
            form = form.with("final_capture", "false");
        }
        let path = format!("{INTENTS}/{}/capture", intent_id(&intent.id)?);
        match self
            .api
            .post::<Intent>(&path, key, "capture", &form)
            .await?
        {
            Reply::Done(captured) => Ok(approved(&captured.id)),
            Reply::Declined(code) => Ok(Answer::Declined { code }),
        }
    }

    /// The refund with this key of an intent, if it was made.
    async fn refund_of(&self, intent: &str, key: &str) -> Result<Option<Refund>, Unanswered> {
        let mut after = String::new();
        loop {
            let mut query = Form::new()
                .with("payment_intent", intent)
                .with("limit", "100");
            if !after.is_empty() {
                query = query.with("starting_after", &after);
            }
            let path = format!("/v1/refunds?{}", query.encoded());
            let page: Page<Refund> = self.api.get(&path).await?;
            let last = page.data.last().map(|refund| refund.id.clone());
            let is_ours = |refund: &Refund| refund.metadata.get(KEY).is_some_and(|is| is == key);
            if let Some(refund) = page.data.into_iter().find(is_ours) {
                return Ok(Some(refund));
            }
            match last.filter(|_| page.has_more) {
                Some(last) => after = last,
                None => return Ok(None),
            }
        }
    }
}

impl<'a> Charge<'a> {
    /// An authorization; the error is the code of what cannot be asked of Stripe.
    fn authorization(request: &'a ProviderRequest) -> Result<Self, &'static str> {
        let (customer, payment_method) = match request.token.split_once('/') {
            Some((customer, method)) => (Some(customer), method),
            None => (None, request.token.as_str()),
        };
        Ok(Self {
            key: &request.idempotency_key,
            amount: units(request.amount)?,
            currency: request.amount.currency.code().to_lowercase(),
            payment_method,
            customer,
            is_manual: true,
        })
    }

    /// A capture whose authorization is gone. The method is that of the intent, as tokens are forgotten.
    fn anew(request: &'a ProviderRequest, gone: &'a Intent) -> Result<Self, &'static str> {
        let payment_method = gone.payment_method.as_deref();
        Ok(Self {
            key: &request.idempotency_key,
            amount: units(request.amount)?,
            currency: request.amount.currency.code().to_lowercase(),
            payment_method: payment_method.ok_or("payment_method_missing")?,
            customer: gone.customer.as_deref(),
            is_manual: false,
        })
    }

    fn form(&self) -> Form {
        let mut form = Form::new()
            .with("amount", &self.amount.to_string())
            .with("currency", &self.currency)
            .with("payment_method", self.payment_method)
            .with("payment_method_types[]", "card")
            .with(&format!("metadata[{KEY}]"), self.key);
        if let Some(customer) = self.customer {
            form = form.with("customer", customer);
        }
        if self.is_manual {
            return form.with("capture_method", "manual").with(
                "payment_method_options[card][request_multicapture]",
                "if_available",
            );
        }
        form.with("capture_method", "automatic")
    }
}

#[async_trait]
impl Provider for Stripe {
    fn name(&self) -> &'static str {
        NAME
    }

    fn is_remote(&self) -> bool {
        true
    }

    async fn authorize(&self, request: &ProviderRequest) -> Result<Answer, Unanswered> {
        match Charge::authorization(request) {
            Ok(charge) => self.charge(&charge).await,
            Err(code) => Ok(declined(code)),
        }
    }

    async fn capture(&self, request: &ProviderRequest) -> Result<Answer, Unanswered> {
        let key = &request.idempotency_key;
        let amount = match units(request.amount) {
            Ok(amount) => amount,
            Err(code) => return Ok(declined(code)),
        };
        let intent = self.intent(&request.parent_reference).await?;
        if intent.metadata.contains_key(key) {
            return Ok(approved(&intent.id));
        }
        if intent.status == Status::RequiresCapture {
            return self.capture_part(&intent, key, amount).await;
        }
        if intent.status == Status::Canceled && !intent.is_used_up() {
            // By a person, in Stripe's own pages: not ours to overrule.
            return Ok(declined("authorization_canceled"));
        }
        if !intent.is_used_up() {
            return Err(unanswered(format!("the intent is {:?}", intent.status)));
        }
        match Charge::anew(request, &intent) {
            Ok(charge) => self.charge(&charge).await,
            Err(code) => Ok(declined(code)),
        }
    }

    async fn void(&self, request: &ProviderRequest) -> Result<Answer, Unanswered> {
        let key = &request.idempotency_key;
        let intent = self.intent(&request.parent_reference).await?;
        if intent.is_over() {
            return Ok(approved(&intent.id));
        }
        let given_up = if intent.is_captured_in_part() {
            self.release(&intent.id, key).await?
        } else {
            self.cancel(&intent.id, key).await?
        };
        match given_up {
            Reply::Done(over) => Ok(approved(&over.id)),
            Reply::Declined(code) => Ok(Answer::Declined { code }),
        }
    }

    async fn refund(&self, request: &ProviderRequest) -> Result<Answer, Unanswered> {
        let key = &request.idempotency_key;
        let amount = match units(request.amount) {
            Ok(amount) => amount,
            Err(code) => return Ok(declined(code)),
        };
        let form = Form::new()
            .with("payment_intent", intent_id(&request.parent_reference)?)
            .with("amount", &amount.to_string())
            .with(&format!("metadata[{KEY}]"), key);
        let path = "/v1/refunds";
        match self.api.post::<Refund>(path, key, "refund", &form).await? {
            Reply::Done(refund) => refund.answer(),
            Reply::Declined(code) => Ok(Answer::Declined { code }),
        }
    }

    async fn lookup(
        &self,
        kind: PaymentKind,
        request: &ProviderRequest,
    ) -> Result<Option<Answer>, Unanswered> {
        let key = &request.idempotency_key;
        let parent = &request.parent_reference;
        match kind {
            PaymentKind::Authorization => match Charge::authorization(request) {
                Ok(charge) => self.look_for(&charge).await,
                Err(code) => Ok(Some(declined(code))),
            },
            PaymentKind::Capture => {
                let intent = self.intent(parent).await?;
                if intent.metadata.contains_key(key) {
                    return Ok(Some(approved(&intent.id)));
                }
                match Charge::anew(request, &intent) {
                    Ok(charge) if intent.is_used_up() => self.look_for(&charge).await,
                    _ => Ok(None),
                }
            }
            PaymentKind::Void => {
                let intent = self.intent(parent).await?;
                Ok(intent.is_over().then(|| approved(&intent.id)))
            }
            PaymentKind::Refund => {
                let found = self.refund_of(intent_id(parent)?, key).await?;
                found.map(Refund::answer).transpose()
            }
        }
    }

    async fn abandon(&self, request: &ProviderRequest) -> Result<(), Unanswered> {
        let Ok(charge) = Charge::authorization(request) else {
            return Ok(());
        };
        let Reply::Done(intents) = self.intents_of(&charge).await? else {
            return Ok(());
        };
        for intent in intents {
            let doubt = match intent.outcome() {
                Outcome::Declined(_) => continue,
                Outcome::Charged | Outcome::Unknown => {
                    Some(format!("the intent is {:?}", intent.status))
                }
                Outcome::NotConfirmed | Outcome::WaitsForCustomer => {
                    match self.cancel(&intent.id, charge.key).await? {
                        Reply::Done(_) => None,
                        Reply::Declined(code) => Some(format!("cancellation refused: {code}")),
                    }
                }
            };
            if let Some(doubt) = doubt {
                return Err(unanswered(doubt));
            }
        }
        Ok(())
    }

    fn webhook(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: OffsetDateTime,
    ) -> Result<Hint, Refusal> {
        signature::check((headers, SIGNATURE), body, &self.webhook_secret, now)?;
        webhook::read(body)
    }
}

fn approved(reference: &str) -> Answer {
    Answer::Approved {
        reference: reference.to_owned(),
        expires_at: None,
    }
}

fn declined(code: &str) -> Answer {
    Answer::Declined {
        code: code.to_owned(),
    }
}

/// An id that stands in a path or a query: ours come from Stripe, and nothing in them needs escaping.
fn intent_id(id: &str) -> Result<&str, Unanswered> {
    let is_id = id.starts_with("pi_") && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let wrong = || unanswered(format!("{id:?} is no id of an intent"));
    is_id.then_some(id).ok_or_else(wrong)
}

#[cfg(test)]
mod tests;
