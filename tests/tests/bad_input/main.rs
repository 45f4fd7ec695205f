//! Everything that callers may get wrong, through gRPC against the whole suite: the right code, the right reason,
//! everything that is wrong at once, and nothing half done.

#![allow(
    clippy::too_many_lines,
    clippy::needless_update,
    clippy::unwrap_used,
    reason = "tables of cases are long, and their requests are made alike"
)]

mod census;
mod desk;
mod dock;
mod floor;
mod ids;
mod orders;
mod pages;
mod stock;
mod supply;
mod table;
mod wire;
mod world;

use anyhow::ensure;

use table::Table;
use world::World;

/// Least number of cases; the table only grows.
const CASES_MIN: usize = 300;

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_as_a_whole() -> anyhow::Result<()> {
    let world = Box::pin(World::make()).await?;
    let before = census::at_rest(&world.suite).await?;
    let mut table = Table::default();
    orders::cases(&world, &mut table).await?;
    stock::cases(&world, &mut table).await?;
    supply::cases(&world, &mut table).await;
    floor::cases(&world, &mut table).await?;
    dock::cases(&world, &mut table).await?;
    desk::cases(&world, &mut table).await?;
    ids::cases(&world, &mut table).await?;
    pages::cases(&world, &mut table).await?;
    wire::cases(&world, &mut table).await?;
    let after = census::take(&world.suite).await?;
    let count = table.finish()?;
    ensure!(count >= CASES_MIN, "{count} cases");
    ensure!(
        before == after,
        "something was half done: {:?}",
        census::differences(&before, &after)
    );
    println!("{count} cases");
    world.suite.finish().await
}
