//! CreditService.

use oms_core::{ChannelId, Money, Violations, check_free_text};
use oms_proto::common::v1 as common;
use oms_proto::order::v1 as pb;
use oms_proto::order::v1::credit_service_server::CreditService;
use oms_service::{parse_etag, principal, request_id};
use tonic::{Request, Response, Status};

use super::Api;
use super::error::status;
use super::requests::{caller, id, money, refuse, refused};
use crate::commands::issue_store_credit::{IssueStoreCredit, issue_store_credit};
use crate::commands::record_account_payment::{RecordAccountPayment, record_account_payment};
use crate::commands::upsert_credit_account::{UpsertCreditAccount, upsert_credit_account};
use crate::domain::credit::{CHANNELS_MAX, NET_DAYS_MAX, REFERENCE_LEN_MAX};
use crate::messages;
use crate::queries::get_credit_account::get_credit_account;
use crate::queries::get_store_credit::get_store_credit;

/// Shortest code of a store credit in characters: it must not be guessed.
const CODE_LEN_MIN: usize = 8;

#[tonic::async_trait]
impl CreditService for Api {
    async fn upsert_credit_account(
        &self,
        request: Request<pb::UpsertCreditAccountRequest>,
    ) -> Result<Response<pb::UpsertCreditAccountResponse>, Status> {
        let principal = principal(&request);
        let mut message = request.into_inner();
        let mut violations = Violations::default();
        let request_id = request_id(&message.request_id, &mut violations);
        message.request_id.clear();
        if message.account.is_none() {
            violations.push("account", "FIELD_REQUIRED", "must hold an account");
        }
        let command = message.account.as_ref().and_then(|account| {
            let mut part = Violations::default();
            let read = read_account(account, &mut part);
            violations.extend_under("account", part);
            read
        });
        let (Some(request_id), Some(command)) = (request_id, command) else {
            return Err(refused(violations));
        };
        refuse(violations)?;
        let caller = caller(principal, request_id, &message);
        let upserted = upsert_credit_account(&self.ctx, &caller, &command).await;
        let account = Some(messages::credit_account(&upserted.map_err(status)?));
        Ok(Response::new(pb::UpsertCreditAccountResponse { account }))
    }

    async fn get_credit_account(
        &self,
        request: Request<pb::GetCreditAccountRequest>,
    ) -> Result<Response<pb::GetCreditAccountResponse>, Status> {
        let message = request.into_inner();
        let mut violations = Violations::default();
        check_reference(&message.reference, &mut violations);
        refuse(violations)?;
        let found = get_credit_account(&self.ctx, &message.reference).await;
        let account = Some(messages::credit_account(&found.map_err(status)?));
        Ok(Response::new(pb::GetCreditAccountResponse { account }))
    }

    async fn record_account_payment(
        &self,
        request: Request<pb::RecordAccountPaymentRequest>,
    ) -> Result<Response<pb::RecordAccountPaymentResponse>, Status> {
        let principal = principal(&request);
        let mut message = request.into_inner();
        let mut violations = Violations::default();
        let request_id = request_id(&message.request_id, &mut violations);
        message.request_id.clear();
        check_reference(&message.reference, &mut violations);
        let amount = money(message.amount.as_ref(), "amount", &mut violations);
        let (Some(request_id), Some(amount)) = (request_id, amount) else {
            return Err(refused(violations));
        };
        refuse(violations)?;
        let caller = caller(principal, request_id, &message);
        let command = RecordAccountPayment {
            reference: message.reference,
            amount,
        };
        let paid = record_account_payment(&self.ctx, &caller, &command).await;
        let account = Some(messages::credit_account(&paid.map_err(status)?));
        Ok(Response::new(pb::RecordAccountPaymentResponse { account }))
    }

    async fn issue_store_credit(
        &self,
        request: Request<pb::IssueStoreCreditRequest>,
    ) -> Result<Response<pb::IssueStoreCreditResponse>, Status> {
        let principal = principal(&request);
        let mut message = request.into_inner();
        let mut violations = Violations::default();
        let request_id = request_id(&message.request_id, &mut violations);
        message.request_id.clear();
        check_code(&message.code, &mut violations);
        let amount = money(message.amount.as_ref(), "amount", &mut violations);
        let (Some(request_id), Some(amount)) = (request_id, amount) else {
            return Err(refused(violations));
        };
        refuse(violations)?;
        let caller = caller(principal, request_id, &message);
        let command = IssueStoreCredit {
            code: message.code,
            amount,
        };
        let issued = issue_store_credit(&self.ctx, &caller, &command).await;
        let store_credit = Some(messages::store_credit(&issued.map_err(status)?));
        Ok(Response::new(pb::IssueStoreCreditResponse { store_credit }))
    }

    async fn get_store_credit(
        &self,
        request: Request<pb::GetStoreCreditRequest>,
    ) -> Result<Response<pb::GetStoreCreditResponse>, Status> {
        let message = request.into_inner();
        let mut violations = Violations::default();
        check_code(&message.code, &mut violations);
        refuse(violations)?;
        let found = get_store_credit(&self.ctx, &message.code).await;
        let store_credit = Some(messages::store_credit(&found.map_err(status)?));
        Ok(Response::new(pb::GetStoreCreditResponse { store_credit }))
    }
}

fn read_account(
    message: &pb::CreditAccount,
    violations: &mut Violations,
) -> Option<UpsertCreditAccount> {
    let etag = parse_etag(&message.etag, violations);
    check_reference(&message.reference, violations);
    let limit = limit(message.credit_limit.as_ref(), violations);
    violations.check(
        (0..=NET_DAYS_MAX).contains(&message.net_days),
        "net_days",
        "FIELD_OUT_OF_RANGE",
        format!("must be between 0 and {NET_DAYS_MAX}"),
    );
    check_channels(&message.channel_ids, violations);
    let limit = limit?;
    Some(UpsertCreditAccount {
        reference: message.reference.clone(),
        etag,
        currency: limit.currency,
        limit: limit.minor,
        net_days: message.net_days,
        channel_ids: message.channel_ids.clone(),
    })
}

/// What can be said without a look at the channels.
fn check_channels(channel_ids: &[String], violations: &mut Violations) {
    violations.check(
        channel_ids.len() <= CHANNELS_MAX,
        "channel_ids",
        "FIELD_OUT_OF_RANGE",
        format!("may name at most {CHANNELS_MAX}"),
    );
    for (n, channel_id) in channel_ids.iter().take(CHANNELS_MAX).enumerate() {
        let field = format!("channel_ids[{n}]");
        id::<ChannelId>(channel_id, &field, violations);
        let is_first = channel_ids.iter().position(|other| other == channel_id) == Some(n);
        violations.check(is_first, field, "DUPLICATE", "is named before");
    }
}

/// A limit may be zero, which lets nothing more through.
fn limit(message: Option<&common::Money>, violations: &mut Violations) -> Option<Money> {
    let Some(message) = message else {
        violations.push("credit_limit", "FIELD_REQUIRED", "must hold an amount");
        return None;
    };
    let (field, code) = ("credit_limit.currency_code", &message.currency_code);
    let currency = violations.parse(field, "CURRENCY_UNKNOWN", code);
    violations.check(
        message.minor_units >= 0,
        "credit_limit.minor_units",
        "AMOUNT_NEGATIVE",
        "must not be negative",
    );
    Some(Money::new(currency?, message.minor_units))
}

fn check_reference(text: &str, violations: &mut Violations) {
    violations.check(
        !text.trim().is_empty(),
        "reference",
        "FIELD_REQUIRED",
        "must name an account",
    );
    check_free_text(text, "reference", REFERENCE_LEN_MAX, violations);
}

fn check_code(code: &str, violations: &mut Violations) {
    let allowed = |c: u8| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'-';
    let long = (CODE_LEN_MIN..=REFERENCE_LEN_MAX).contains(&code.len());
    violations.check(
        long && code.bytes().all(allowed),
        "code",
        "FIELD_MALFORMED",
        "must have 8 to 64 characters of A-Z 0-9 -",
    );
    check_free_text(code, "code", REFERENCE_LEN_MAX, violations);
}
