//! Pickers and packers of one warehouse: wave, pick with scans, pack into packages.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::World;
use super::retail::hash;
use crate::clients::Clients;
use anyhow::Context;
use futures::stream::{self, TryStreamExt};
use oms_proto::common::v1::Dimensions;
use oms_proto::fulfillment::v1 as f;

/// Workers of a warehouse, each with a pick list of their own.
const WORKERS: usize = 4;
/// Most fulfillment orders of a wave.
const WAVE_ORDERS_MAX: i32 = 20;
/// Pause of the planner when nothing is open.
const IDLE: Duration = Duration::from_millis(100);
/// One pick in this many finds a unit less than it should.
const SHORT_ONE_IN: u64 = 90;
/// Units of a fulfillment order above which a second package is used.
const SECOND_PACKAGE_ABOVE: i64 = 8;

/// An id for a call that is not repeated; the sequence of the process is as good as any.
pub(super) fn fresh_id() -> String {
    oms_core::IdSource::next(&oms_core::SystemIds).to_string()
}

/// Works until told to stop.
pub(crate) async fn work(
    world: Arc<World>,
    location_id: &'static str,
    number: usize,
) -> anyhow::Result<()> {
    let planner = world
        .clients
        .on_behalf_of(&format!("user:planner-{location_id}"))?;
    while !world.done.is_cancelled() {
        let wave = planner
            .waves()
            .create_wave(f::CreateWaveRequest {
                request_id: fresh_id(),
                location_id: location_id.to_owned(),
                orders_max: WAVE_ORDERS_MAX,
                method: method(number).into(),
                ..Default::default()
            })
            .await
            .context("wave")?
            .into_inner()
            .wave
            .unwrap_or_default();
        if wave.wave_id.is_empty() {
            tokio::select! {
                () = world.done.cancelled() => {}
                () = tokio::time::sleep(IDLE) => {}
            }
            continue;
        }
        stream::iter(wave.pick_list_ids.into_iter().enumerate().map(Ok))
            .try_for_each_concurrent(WORKERS, |(place, pick_list_id)| {
                let worker = format!("user:worker-{location_id}-{}", place % WORKERS + 1);
                let world = &world;
                async move {
                    let clients = world.clients.on_behalf_of(&worker)?;
                    pick_and_pack(&clients, pick_list_id).await
                }
            })
            .await?;
    }
    Ok(())
}

/// One warehouse picks in batches, the others order by order.
fn method(number: usize) -> f::PickMethod {
    if number == 0 {
        f::PickMethod::Batch
    } else {
        f::PickMethod::Single
    }
}

async fn pick_and_pack(clients: &Clients, pick_list_id: String) -> anyhow::Result<()> {
    let request = f::AssignPickListRequest {
        request_id: fresh_id(),
        pick_list_id: pick_list_id.clone(),
        ..Default::default()
    };
    let answer = clients
        .picking()
        .assign_pick_list(request)
        .await
        .context("assign")?
        .into_inner();
    let list = answer.pick_list.context("assign answered no pick list")?;
    // Fulfillment order -> barcode -> units that were found.
    let mut found: BTreeMap<String, BTreeMap<String, i64>> = BTreeMap::new();
    for line in &list.lines {
        let picked = pick(clients, &list.pick_list_id, line).await?;
        let barcode = line.barcodes.first().cloned().unwrap_or_default();
        let order = found.entry(line.fulfillment_order_id.clone()).or_default();
        *order.entry(barcode).or_default() += picked;
    }
    for (fulfillment_order_id, units) in found {
        if units.values().sum::<i64>() > 0 {
            pack(clients, fulfillment_order_id, units).await?;
        }
    }
    Ok(())
}

/// Scans the units of a line, and reports one short now and then; answers how many were found.
async fn pick(clients: &Clients, pick_list_id: &str, line: &f::PickLine) -> anyhow::Result<i64> {
    let open = line.quantity - line.picked - line.short;
    let short = i64::from(hash(&line.pick_line_id).is_multiple_of(SHORT_ONE_IN)).min(open);
    let here = open - short;
    if here > 0 {
        let request = f::ScanPickRequest {
            request_id: fresh_id(),
            pick_list_id: pick_list_id.to_owned(),
            pick_line_id: line.pick_line_id.clone(),
            barcode: line.barcodes.first().cloned().unwrap_or_default(),
            quantity: here,
        };
        clients.picking().scan_pick(request).await.context("scan")?;
    }
    if short > 0 {
        let request = f::ReportShortPickRequest {
            request_id: fresh_id(),
            pick_list_id: pick_list_id.to_owned(),
            pick_line_id: line.pick_line_id.clone(),
            quantity: short,
            reason: "NOT_FOUND".to_owned(),
        };
        clients
            .picking()
            .report_short_pick(request)
            .await
            .context("short")?;
    }
    Ok(here)
}

async fn pack(
    clients: &Clients,
    fulfillment_order_id: String,
    units: BTreeMap<String, i64>,
) -> anyhow::Result<()> {
    let request = f::OpenPackSessionRequest {
        request_id: fresh_id(),
        fulfillment_order_id,
    };
    let answer = clients
        .packing()
        .open_pack_session(request)
        .await
        .context("open")?
        .into_inner();
    let session_id = answer
        .pack_session
        .context("open answered no session")?
        .pack_session_id;
    let packages = fill_packages(units);
    for (package_number, barcode, quantity) in &packages {
        let request = f::ScanPackRequest {
            request_id: fresh_id(),
            pack_session_id: session_id.clone(),
            package_number: *package_number,
            barcode: barcode.clone(),
            quantity: *quantity,
        };
        clients.packing().scan_pack(request).await.context("pack")?;
    }
    let last = packages
        .last()
        .map_or(0, |(package_number, ..)| *package_number);
    for package_number in 1..=last {
        let number = hash(&format!("{session_id}/{package_number}"));
        let request = f::MeasurePackageRequest {
            request_id: fresh_id(),
            pack_session_id: session_id.clone(),
            package_number,
            mass_grams: 300 + i64::try_from(number % 8_000).unwrap_or_default(),
            dimensions: Some(Dimensions {
                length_mm: 400,
                width_mm: 300,
                height_mm: 200,
            }),
        };
        clients
            .packing()
            .measure_package(request)
            .await
            .context("measure")?;
    }
    let request = f::ClosePackSessionRequest {
        request_id: fresh_id(),
        pack_session_id: session_id,
        ..Default::default()
    };
    clients
        .packing()
        .close_pack_session(request)
        .await
        .context("close")?;
    Ok(())
}

/// Package number, barcode and units of every scan; what is more than eight units goes into a second package.
fn fill_packages(units: BTreeMap<String, i64>) -> Vec<(i32, String, i64)> {
    let mut scans = Vec::new();
    let mut packed = 0;
    for (barcode, quantity) in units.into_iter().filter(|(_, quantity)| *quantity > 0) {
        let first = quantity.min((SECOND_PACKAGE_ABOVE - packed).max(0));
        if first > 0 {
            scans.push((1, barcode.clone(), first));
        }
        if quantity > first {
            scans.push((2, barcode, quantity - first));
        }
        packed += quantity;
    }
    scans.sort_by_key(|(package_number, ..)| *package_number);
    scans
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_does_not_fit_goes_into_the_second_package() {
        let units = BTreeMap::from([
            ("a".to_owned(), 5),
            ("b".to_owned(), 5),
            ("c".to_owned(), 0),
        ]);
        let scans = fill_packages(units);
        assert_eq!(
            scans,
            [
                (1, "a".to_owned(), 5),
                (1, "b".to_owned(), 3),
                (2, "b".to_owned(), 2)
            ]
        );
    }

    #[test]
    fn request_ids_are_uuids() {
        assert!(fresh_id().parse::<Uuid>().is_ok());
    }
}
