//! Reservations that orders hold and inventory has forgotten are made again, under their own ids.
//!
//! The order service keeps a copy of every reservation. After inventory's database went back in time, what was reserved since the
//! backup is in those copies alone. Each is asked for by the public API, at the locations of the copy, so that every rule of
//! inventory holds; what cannot be had any more is told and left to a person.

use std::collections::BTreeSet;
use std::str::FromStr;

use anyhow::Context;
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use oms_core::derive;
use oms_proto::common::v1::FillPolicy;
use oms_proto::inventory::v1 as pb;
use oms_service::{Credentials, PeerConfig};
use serde::Serialize;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tonic::Code;
use uuid::Uuid;

use super::store::{Copy, CopyLine, live_copies};
use crate::cli::RepairArgs;
use crate::clients::Clients;
use crate::verify;

/// What came of a reservation that inventory did not know.
#[derive(Debug, Clone, Serialize)]
pub struct Repaired {
    /// Its id, which it keeps.
    pub reservation_id: Uuid,
    /// Order that holds it.
    pub order_id: Uuid,
    /// Units of all its lines.
    pub units: i64,
    /// `missing` (nothing was changed), [`MADE_AGAIN`], or why not.
    pub outcome: String,
}

/// What happened, and how many reservations orders hold.
#[derive(Debug, Clone)]
pub struct Repair {
    /// Reservations that orders hold.
    pub held: usize,
    /// Those that inventory did not know.
    pub forgotten: Vec<Repaired>,
}

/// Finds the reservations that inventory has forgotten, and makes them again with `apply`. `credentials` are for inventory.
///
/// # Errors
/// When the order database cannot be read, or inventory does not answer.
pub async fn reservations(
    postgres_url: &str,
    inventory_url: &str,
    credentials: &Credentials,
    apply: bool,
) -> anyhow::Result<Repair> {
    let options = PgConnectOptions::from_str(postgres_url)?.database("oms_order");
    let mut conn = PgConnection::connect_with(&options)
        .await
        .context("the order database")?;
    let copies = live_copies(&mut conn).await?;
    let inventory = |_: &str| Ok(PeerConfig::new(inventory_url));
    let clients = Clients::connect_as(credentials, inventory, "user:repair")?;
    let mut forgotten = Vec::new();
    for (reservation_id, copy) in &copies {
        if is_known(&clients, *reservation_id).await? {
            continue;
        }
        let outcome = if apply {
            make_again(&clients, *reservation_id, copy).await
        } else {
            "missing".to_owned()
        };
        forgotten.push(Repaired {
            reservation_id: *reservation_id,
            order_id: copy.order_id,
            units: copy.lines.iter().map(|line| line.quantity).sum(),
            outcome,
        });
    }
    Ok(Repair {
        held: copies.len(),
        forgotten,
    })
}

/// `oms repair reservations`; true when nothing is left to do.
#[expect(clippy::print_stdout, reason = "the list is the command's result")]
pub(crate) async fn command(args: &RepairArgs) -> anyhow::Result<bool> {
    let server = match &args.postgres_url {
        Some(url) => url.clone(),
        None => verify::server_of_folder(&args.dir)?,
    };
    let credentials = args.connection.credentials(&[&args.inventory])?;
    let Repair { held, forgotten } =
        reservations(&server, &args.inventory, &credentials, args.apply).await?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&forgotten)?);
    } else {
        println!("{}", table(&forgotten));
        println!(
            "{held} reservations are held by orders, {} of them unknown to inventory",
            forgotten.len()
        );
    }
    Ok(forgotten.iter().all(|one| one.outcome == MADE_AGAIN))
}

/// The outcome of a reservation that is there again.
pub const MADE_AGAIN: &str = "made again";

fn table(repaired: &[Repaired]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["reservation", "order", "units", "outcome"]);
    for one in repaired {
        table.add_row([
            one.reservation_id.to_string(),
            one.order_id.to_string(),
            one.units.to_string(),
            one.outcome.clone(),
        ]);
    }
    table
}

async fn is_known(clients: &Clients, reservation_id: Uuid) -> anyhow::Result<bool> {
    let request = pb::GetReservationRequest {
        reservation_id: reservation_id.to_string(),
    };
    match clients.reservations().get_reservation(request).await {
        Ok(_) => Ok(true),
        Err(status) if status.code() == Code::NotFound => Ok(false),
        Err(status) => Err(anyhow::anyhow!("inventory: {status}")),
    }
}

/// Makes it in the state and at the locations of the copy; all of it or nothing.
async fn make_again(clients: &Clients, reservation_id: Uuid, copy: &Copy) -> String {
    let Some(state) = one_state(copy).filter(|_| lines_are_whole(copy)) else {
        return "partly held, or one line at several locations: make it by hand".to_owned();
    };
    let request = request(reservation_id, copy, state);
    let made = clients.reservations().reserve(request).await;
    let made = match (made, state) {
        // Two steps, as the order took them: its copy has the version after the second.
        (Ok(_), "ALLOCATED") => {
            let request = pb::ConfirmReservationRequest {
                request_id: derive(reservation_id, "repair/confirm").to_string(),
                reservation_id: reservation_id.to_string(),
            };
            let confirmed = clients.reservations().confirm_reservation(request).await;
            confirmed.map(|_| ())
        }
        (made, _) => made.map(|_| ()),
    };
    match made {
        Ok(()) => MADE_AGAIN.to_owned(),
        Err(status) => format!("{:?}: {}", status.code(), status.message()),
    }
}

/// The state that all lines are in.
fn one_state(copy: &Copy) -> Option<&str> {
    let first = copy.lines.first()?.state.as_str();
    let is_same = copy.lines.iter().all(|line| line.state == first);
    is_same.then_some(first)
}

/// Whether each order line stands at one location only, which a request can ask for.
fn lines_are_whole(copy: &Copy) -> bool {
    let lines: BTreeSet<Uuid> = copy.lines.iter().map(|line| line.order_line_id).collect();
    lines.len() == copy.lines.len()
}

fn request(reservation_id: Uuid, copy: &Copy, state: &str) -> pb::ReserveRequest {
    let places: BTreeSet<&str> = copy
        .lines
        .iter()
        .map(|line| line.location_id.as_str())
        .filter(|location| !location.is_empty())
        .collect();
    let mode = if state == "BACKORDERED" {
        pb::ReservationState::Backordered
    } else {
        pb::ReservationState::Held
    };
    let line = |line: &CopyLine| pb::ReserveLine {
        order_line_id: line.order_line_id.to_string(),
        sku: line.sku.clone(),
        quantity: line.quantity,
        eligible_location_ids: Some(line.location_id.clone())
            .filter(|location| !location.is_empty())
            .into_iter()
            .collect(),
    };
    pb::ReserveRequest {
        request_id: derive(reservation_id, "repair/reserve").to_string(),
        reservation_id: reservation_id.to_string(),
        order_id: copy.order_id.to_string(),
        mode: mode.into(),
        fill_policy: FillPolicy::FillOrKill.into(),
        lines: copy.lines.iter().map(line).collect(),
        splits_max: i32::try_from(places.len().saturating_sub(1)).unwrap_or(i32::MAX),
        ranked_location_ids: places.into_iter().map(str::to_owned).collect(),
        channel_id: copy.channel_id.clone(),
        priority: Some(copy.priority.into()),
        ..Default::default()
    }
}
