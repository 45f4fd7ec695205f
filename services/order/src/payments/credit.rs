//! The providers `terms` and `store_credit`: their books are in this service's database, and everybody else's rules hold for
//! them, too: asked once per key, looked up before anything is asked again. A refusal moves nothing and is not kept.

use std::sync::Arc;

use async_trait::async_trait;
use http::HeaderMap;
use oms_core::{Clock, PaymentId};
use oms_postgres::Db;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Hint, Provider, ProviderRequest, Refusal, Unanswered};
use crate::ctx::SERVICE_ACTOR;
use crate::domain::credit::{Book, Credit};
use crate::domain::payment::{Answer, PaymentKind};
use crate::error::Error;
use crate::store::credits::{self, CreditEntry};
use crate::store::order_channels;

/// A provider on a book of credits.
pub(crate) struct CreditBook {
    book: Book,
    db: Db,
    clock: Arc<dyn Clock>,
}

impl CreditBook {
    /// The provider on this book.
    pub(crate) fn new(book: Book, db: Db, clock: Arc<dyn Clock>) -> Self {
        Self { book, db, clock }
    }

    async fn book(
        &self,
        kind: PaymentKind,
        request: &ProviderRequest,
    ) -> Result<Answer, Unanswered> {
        let (book, now) = (self.book, self.clock.now());
        let booked = self
            .db
            .run_tx("book_credit", |tx| {
                Box::pin(async move { enter(tx.conn(), book, kind, request, now).await })
            })
            .await;
        booked.map_err(|error: Error| self.unanswered(&error))
    }

    fn unanswered(&self, error: &Error) -> Unanswered {
        Unanswered {
            provider: self.book.as_str(),
            detail: error.to_string(),
            is_silent: false,
        }
    }
}

/// Books a payment once, under the lock of its account or store credit.
async fn enter(
    conn: &mut PgConnection,
    book: Book,
    kind: PaymentKind,
    request: &ProviderRequest,
    now: OffsetDateTime,
) -> Result<Answer, Error> {
    let key = request.idempotency_key.as_str();
    let Some(mut credit) = credits::lock(conn, book, &request.token).await? else {
        return Ok(declined("CREDIT_UNKNOWN"));
    };
    if credits::has_entry(conn, book, key).await? {
        return Ok(approved(key));
    }
    if kind == PaymentKind::Authorization && !is_open_to(conn, &credit, key).await? {
        // As for an account that is not there: one channel does not learn which accounts others have.
        return Ok(declined("CREDIT_UNKNOWN"));
    }
    let parent = request.parent_reference.as_str();
    let left = match kind {
        PaymentKind::Authorization => None,
        PaymentKind::Capture | PaymentKind::Void => {
            let of = PaymentKind::Authorization.as_str();
            credits::left(conn, &credit, of, parent).await?
        }
        PaymentKind::Refund => {
            let of = PaymentKind::Capture.as_str();
            credits::left(conn, &credit, of, parent).await?
        }
    };
    if let Err(code) = credit.book(kind, request.amount, left) {
        return Ok(declined(code));
    }
    credit.updated_at = now;
    credits::save(conn, &credit).await?;
    let entry = CreditEntry {
        key,
        kind: kind.as_str(),
        parent,
        amount: request.amount.minor,
        actor: SERVICE_ACTOR,
        at: now,
    };
    credits::append(conn, &credit, &entry).await?;
    Ok(approved(key))
}

/// Whether the account pays for the channel of the order whose payment has this key.
async fn is_open_to(conn: &mut PgConnection, credit: &Credit, key: &str) -> Result<bool, Error> {
    if credit.channel_ids.is_empty() {
        return Ok(true);
    }
    let Ok(payment_id) = key.parse::<PaymentId>() else {
        return Ok(false);
    };
    let channel = order_channels::of_payment(conn, payment_id).await?;
    Ok(channel.is_some_and(|channel| credit.is_for(&channel)))
}

fn approved(key: &str) -> Answer {
    Answer::Approved {
        reference: key.to_owned(),
        expires_at: None,
    }
}

fn declined(code: &str) -> Answer {
    Answer::Declined {
        code: code.to_owned(),
    }
}

#[async_trait]
impl Provider for CreditBook {
    fn name(&self) -> &'static str {
        self.book.as_str()
    }

    async fn authorize(&self, request: &ProviderRequest) -> Result<Answer, Unanswered> {
        self.book(PaymentKind::Authorization, request).await
    }

    async fn capture(&self, request: &ProviderRequest) -> Result<Answer, Unanswered> {
        self.book(PaymentKind::Capture, request).await
    }

    async fn void(&self, request: &ProviderRequest) -> Result<Answer, Unanswered> {
        self.book(PaymentKind::Void, request).await
    }

    async fn refund(&self, request: &ProviderRequest) -> Result<Answer, Unanswered> {
        self.book(PaymentKind::Refund, request).await
    }

    async fn lookup(
        &self,
        _: PaymentKind,
        request: &ProviderRequest,
    ) -> Result<Option<Answer>, Unanswered> {
        let idempotency_key = &request.idempotency_key;
        let read = async {
            let mut conn = self.db.read().await?;
            Ok(credits::has_entry(&mut conn, self.book, idempotency_key).await?)
        };
        let found = read.await.map_err(|error: Error| self.unanswered(&error))?;
        Ok(found.then(|| approved(idempotency_key)))
    }

    /// Nobody outside tells of what is done here.
    fn webhook(&self, _: &HeaderMap, _: &[u8], _: OffsetDateTime) -> Result<Hint, Refusal> {
        Err(Refusal::NotConfigured)
    }
}
