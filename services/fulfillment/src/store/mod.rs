//! The only SQL of the service: functions whose first argument is the connection.

use oms_postgres::Error;
use sqlx::{Postgres, QueryBuilder};

use crate::domain::machine::Named;

pub(crate) mod cancellations;
pub(crate) mod counted_shipments;
pub(crate) mod fulfillment_orders;
pub(crate) mod lines;
pub(crate) mod locations;
pub(crate) mod pack_sessions;
pub(crate) mod pick_lists;
pub(crate) mod proposals;
pub(crate) mod shorts;
pub(crate) mod waves;

/// A name that the database keeps. A name that this program does not know means that a newer one
/// wrote it, which expand-and-contract migrations rule out.
fn named<T: Named>(column: &'static str, name: &str) -> Result<T, Error> {
    T::parse(name).ok_or_else(|| unknown(column, name))
}

/// A typed text that the database keeps.
fn typed<T: std::str::FromStr>(column: &'static str, text: &str) -> Result<T, Error> {
    text.parse().map_err(|_| unknown(column, text))
}

fn unknown(column: &'static str, value: &str) -> Error {
    let message = format!("unknown value {value:?}");
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: message.into(),
    }
    .into()
}

/// A page of a list that goes by time of creation, oldest first, ties by id.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    /// Last row of the page before; `None` for the first page.
    pub(crate) after: Option<(time::OffsetDateTime, uuid::Uuid)>,
    /// Most rows.
    pub(crate) limit: i64,
}

/// Keeps to these locations; to nothing when there is none. One location is asked for by equality, so that the index by
/// location gives the order too.
fn push_locations(query: &mut QueryBuilder<Postgres>, locations: &[String]) {
    match locations {
        [one] => query.push(" AND location_id = ").push_bind(one.clone()),
        many => query
            .push(" AND location_id = ANY(")
            .push_bind(many.to_vec())
            .push(")"),
    };
}
