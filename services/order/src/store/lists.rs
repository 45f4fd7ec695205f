//! Lists of orders by keyset pages.

use sqlx::{PgConnection, Postgres, QueryBuilder};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::list::OrderFilter;

use super::StoreError;

/// Ids of a page of orders with the time they were placed, newest first, after a position.
pub(crate) async fn list_orders(
    conn: &mut PgConnection,
    filter: &OrderFilter,
    channels: Option<&[String]>,
    after: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<(OffsetDateTime, Uuid)>, StoreError> {
    let mut query: QueryBuilder<Postgres> =
        QueryBuilder::new("SELECT created_at, order_id FROM orders WHERE true");
    if !filter.states.is_empty() {
        query
            .push(" AND state = ANY(")
            .push_bind(&filter.states)
            .push(")");
    }
    match channels {
        None => {}
        // By equality, so that the index by channel gives the order too.
        Some([one]) => {
            query.push(" AND channel_id = ").push_bind(one);
        }
        Some(many) => {
            query
                .push(" AND channel_id = ANY(")
                .push_bind(many)
                .push(")");
        }
    }
    for (column, text) in [
        ("customer_id", &filter.customer_id),
        ("order_number", &filter.order_number),
    ] {
        if !text.is_empty() {
            query.push(" AND ").push(column).push(" = ").push_bind(text);
        }
    }
    if let Some(time) = filter.created_after {
        query.push(" AND created_at >= ").push_bind(time);
    }
    if let Some(time) = filter.created_before {
        query.push(" AND created_at < ").push_bind(time);
    }
    if let Some((time, order_id)) = after {
        query
            .push(" AND (created_at, order_id) < (")
            .push_bind(time);
        query.push(", ").push_bind(order_id).push(")");
    }
    query
        .push(" ORDER BY created_at DESC, order_id DESC LIMIT ")
        .push_bind(limit);
    Ok(query.build_query_as().fetch_all(conn).await?)
}
