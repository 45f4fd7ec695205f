//! Tables that only grow, in parts by ranges of dense numbers: the feed and the audit log.

use sqlx::PgConnection;

use crate::Error;

/// A partition holds numbers `from..to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Partition {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

/// The partitions of a table, in order.
pub(crate) async fn list(
    conn: &mut PgConnection,
    table: &'static str,
) -> Result<Vec<Partition>, Error> {
    let rows = sqlx::query_as!(
        Partition,
        r#"select (substring(bounds from 'FROM \(''(\d+)''\)'))::bigint as "from!",
                  (substring(bounds from 'TO \(''(\d+)''\)'))::bigint as "to!"
           from (select pg_get_expr(c.relpartbound, c.oid) as bounds
                 from pg_inherits i join pg_class c on c.oid = i.inhrelid
                 where i.inhparent = to_regclass($1)) p
           order by 1"#,
        table,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// Makes partitions of `size` numbers until `through` is covered; answers the number up to which (excluded) there are.
/// `last` is the highest number given. Whoever gives numbers is locked out, so two processes cannot make the same one.
///
/// A partition is made as a table of its own and then attached, which blocks neither readers nor writers.
pub(crate) async fn cover(
    conn: &mut PgConnection,
    table: &'static str,
    (last, through): (i64, i64),
    size: i64,
) -> Result<i64, Error> {
    let kept = list(conn, table).await?;
    let mut covered = kept.last().map_or(last + 1, |last| last.to);
    while covered <= through {
        let (from, to) = (covered, covered.saturating_add(size));
        // Safe SQL: nothing but numbers and a name of ours is put in.
        let sql = format!(
            "create table {table}_{from} (like {table} including all);
             alter table {table} attach partition {table}_{from} for values from ({from}) to ({to})"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&mut *conn)
            .await?;
        covered = to;
    }
    Ok(covered)
}

/// Drops a partition with all that is in it.
pub(crate) async fn drop(
    conn: &mut PgConnection,
    table: &'static str,
    partition: Partition,
) -> Result<(), Error> {
    let sql = format!("drop table {table}_{}", partition.from);
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(conn)
        .await?;
    Ok(())
}
