//! The built-in carrier: prices from a table, books in a table. It behaves as a real one does, keys
//! included, so that everything around it can be tried without an account anywhere.

use std::sync::Arc;

use async_trait::async_trait;
use http::HeaderMap;
use oms_core::{Clock, Currency, Money, derive};
use oms_postgres::Db;
use time::OffsetDateTime;

use crate::domain::{rates, tracking_number};
use crate::store::StoreError;
use crate::store::bookings::{self, Booking};

use super::table_rate_event;
use super::webhook::{Told, Untold, WebhookSecrets};
use super::{Bought, Carrier, CarrierError, Found, Purchase, QuoteRequest, Rate};

const ID: &str = "table_rate";

/// The built-in carrier.
pub(crate) struct TableRate {
    db: Db,
    clock: Arc<dyn Clock>,
    secrets: WebhookSecrets,
}

impl TableRate {
    /// A carrier that keeps its books in this database and signs its webhooks with one of these secrets.
    pub(crate) fn new(db: Db, secrets: WebhookSecrets) -> Self {
        let clock = Arc::clone(db.clock());
        Self { db, clock, secrets }
    }
}

#[async_trait]
impl Carrier for TableRate {
    fn id(&self) -> &'static str {
        ID
    }

    fn name(&self) -> &'static str {
        "OMS Parcel"
    }

    async fn quote(&self, request: &QuoteRequest) -> Result<Vec<Rate>, CarrierError> {
        let quotes = rates::quotes(&request.from, &request.to, &request.parcels);
        let rates = quotes.into_iter().map(|quote| Rate {
            carrier_id: ID,
            carrier_service: quote.service.to_owned(),
            level: quote.level,
            price: Money::new(Currency::USD, quote.price_cents),
            transit_days: quote.transit_days,
            expected_delivery_at: rates::arrival(request.ship_at, quote.transit_days),
            zone: quote.zone,
        });
        Ok(rates.collect())
    }

    async fn buy(&self, key: &str, purchase: &Purchase) -> Result<Bought, CarrierError> {
        let numbers = purchase.packages.iter().map(|package| {
            (
                *package,
                tracking_number::for_package(purchase.label_id, package.uuid()),
            )
        });
        let booking = Booking {
            reference: format!("TR-{}", derive(purchase.label_id, "booking").simple()),
            service: purchase.carrier_service.clone(),
            numbers: numbers.collect(),
            price_cents: purchase.price.minor,
        };
        let now = self.clock.now();
        let booked = self
            .db
            .run_tx("book_table_rate", |tx| {
                let booking = &booking;
                Box::pin(async move {
                    bookings::insert(tx, key, booking, now).await?;
                    bookings::find(tx, key).await
                })
            })
            .await
            .map_err(unknown)?;
        let booking = booked.ok_or_else(|| CarrierError::Unknown("no booking".to_owned()))?;
        Ok(bought(booking))
    }

    async fn void(&self, key: &str, reference: &str) -> Result<(), CarrierError> {
        let now = self.clock.now();
        let voided = self
            .db
            .run_tx("void_table_rate", |tx| {
                Box::pin(async move { bookings::void(tx, key, reference, now).await })
            })
            .await
            .map_err(unknown)?;
        if !voided {
            return Err(CarrierError::Refused(
                "there is no such purchase to void".to_owned(),
            ));
        }
        Ok(())
    }

    async fn find_by_key(&self, key: &str) -> Result<Option<Found>, CarrierError> {
        let found = async {
            let mut conn = self.db.read().await?;
            if let Some(booking) = bookings::find(&mut conn, key).await? {
                return Ok(Some(Found::Bought(bought(booking))));
            }
            let voided = bookings::is_voided(&mut conn, key).await?;
            Ok::<_, StoreError>(voided.then_some(Found::Voided))
        };
        found.await.map_err(unknown)
    }

    fn webhook(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: OffsetDateTime,
    ) -> Result<Told, Untold> {
        let event_id = self.secrets.check(headers, body, now)?;
        Ok(table_rate_event::read(event_id, body, now)?)
    }
}

fn bought(booking: Booking) -> Bought {
    Bought {
        reference: booking.reference,
        numbers: booking.numbers,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the form that map_err wants")]
fn unknown(error: StoreError) -> CarrierError {
    CarrierError::Unknown(error.to_string())
}
