//! Channels and their settings.

use oms_core::Rounding;
use sqlx::PgConnection;

use crate::domain::new_order::Channel;
use crate::domain::order::{FillPolicy, PaymentPolicy};

use super::StoreError;

/// Reads a channel.
pub(crate) async fn load(
    conn: &mut PgConnection,
    channel_id: &str,
) -> Result<Option<Channel>, StoreError> {
    let row = sqlx::query_as!(
        ChannelRow,
        "SELECT channel_id, name, currency, number_prefix, payment_policy, tax_rate_ppm, tax_rounding,
             default_fill_policy, outlier_quantity, version
         FROM channels WHERE channel_id = $1",
        channel_id
    )
    .fetch_optional(conn)
    .await?;
    row.map(Channel::try_from).transpose()
}

/// Locks a channel against other writers and reads it. One that came to be between the two statements is not locked, so it
/// is as if it were not there.
pub(crate) async fn lock(
    conn: &mut PgConnection,
    channel_id: &str,
) -> Result<Option<Channel>, StoreError> {
    let locked = sqlx::query_scalar!(
        "SELECT 1 FROM channels WHERE channel_id = $1 FOR UPDATE",
        channel_id
    )
    .fetch_optional(&mut *conn)
    .await?;
    match locked {
        Some(_) => load(conn, channel_id).await,
        None => Ok(None),
    }
}

/// Creates a channel. False when it exists.
pub(crate) async fn insert(conn: &mut PgConnection, channel: &Channel) -> Result<bool, StoreError> {
    let inserted = sqlx::query!(
        "INSERT INTO channels (channel_id, name, currency, number_prefix, payment_policy, tax_rate_ppm,
             tax_rounding, default_fill_policy, outlier_quantity, version)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT ON CONSTRAINT channels_pkey DO NOTHING",
        channel.channel_id,
        channel.name,
        channel.currency.code(),
        channel.number_prefix,
        channel.payment_policy.as_str(),
        channel.tax_rate_ppm,
        rounding_name(channel.tax_rounding),
        channel.default_fill_policy.as_str(),
        channel.outlier_quantity,
        channel.version,
    )
    .execute(conn)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Replaces a channel, all but its currency. The caller holds its lock.
pub(crate) async fn update(conn: &mut PgConnection, channel: &Channel) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE channels SET name = $2, number_prefix = $3, payment_policy = $4, tax_rate_ppm = $5,
             tax_rounding = $6, default_fill_policy = $7, outlier_quantity = $8, version = $9
         WHERE channel_id = $1",
        channel.channel_id,
        channel.name,
        channel.number_prefix,
        channel.payment_policy.as_str(),
        channel.tax_rate_ppm,
        rounding_name(channel.tax_rounding),
        channel.default_fill_policy.as_str(),
        channel.outlier_quantity,
        channel.version,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A page of channels by id.
pub(crate) async fn list(
    conn: &mut PgConnection,
    among: Option<&[String]>,
    after: &str,
    limit: i64,
) -> Result<Vec<Channel>, StoreError> {
    let rows = sqlx::query_as!(
        ChannelRow,
        "SELECT channel_id, name, currency, number_prefix, payment_policy, tax_rate_ppm, tax_rounding,
             default_fill_policy, outlier_quantity, version
         FROM channels WHERE channel_id > $1 AND ($3::text[] IS NULL OR channel_id = ANY($3))
         ORDER BY channel_id LIMIT $2",
        after,
        limit,
        among
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Channel::try_from).collect()
}

fn rounding_name(rounding: Rounding) -> &'static str {
    match rounding {
        Rounding::HalfUp => "HALF_UP",
        Rounding::HalfEven => "HALF_EVEN",
    }
}

struct ChannelRow {
    channel_id: String,
    name: String,
    currency: String,
    number_prefix: String,
    payment_policy: String,
    tax_rate_ppm: i64,
    tax_rounding: String,
    default_fill_policy: String,
    outlier_quantity: i64,
    version: i64,
}

impl TryFrom<ChannelRow> for Channel {
    type Error = StoreError;

    fn try_from(row: ChannelRow) -> Result<Self, StoreError> {
        let unknown = |column| StoreError::inconsistent("channels", column, &row.channel_id);
        Ok(Self {
            currency: row.currency.parse().map_err(|_| unknown("currency"))?,
            payment_policy: PaymentPolicy::parse(&row.payment_policy)
                .ok_or_else(|| unknown("payment_policy"))?,
            tax_rounding: match row.tax_rounding.as_str() {
                "HALF_UP" => Rounding::HalfUp,
                "HALF_EVEN" => Rounding::HalfEven,
                _ => return Err(unknown("tax_rounding")),
            },
            default_fill_policy: FillPolicy::parse(&row.default_fill_policy)
                .ok_or_else(|| unknown("default_fill_policy"))?,
            channel_id: row.channel_id,
            name: row.name,
            number_prefix: row.number_prefix,
            tax_rate_ppm: row.tax_rate_ppm,
            outlier_quantity: row.outlier_quantity,
            version: row.version,
        })
    }
}
