//! Books returned units in, or moves them to where they were disposed of.

use std::collections::BTreeMap;
use std::sync::Arc;

use oms_core::Sku;
use oms_postgres::{Outcome, Task, TaskError};
use oms_proto::returns::v1::returns_event::Event;
use oms_proto::returns::v1::{Disposition, ReturnedUnits, ReturnsEvent};
use prost::Message;
use tracing::Span;

use crate::commands;
use crate::ctx::Ctx;
use crate::domain::account::EntryType;
use crate::domain::command::{self, MoveReturned};

use super::{call, failure};

/// What an event about a return means for the stock, and which order it is about. `None` when nothing. An error says
/// what makes no sense. `booking` is the same at every delivery of the event.
pub(crate) fn moves_of(
    event: &ReturnsEvent,
    booking: uuid::Uuid,
) -> Result<Option<(String, MoveReturned)>, String> {
    let mut moves = Moves::default();
    let (return_id, order_id, location_id) = match &event.event {
        Some(Event::ReturnReceived(received)) => {
            for units in &received.lines {
                moves.add(EntryType::ReturnReceive, units)?;
            }
            (
                &received.return_id,
                &received.order_id,
                &received.location_id,
            )
        }
        Some(Event::ReturnDisposed(disposed)) => {
            for line in &disposed.lines {
                let units = line.units.as_ref().ok_or("disposed units are missing")?;
                moves.add(entry(line.disposition())?, units)?;
            }
            (
                &disposed.return_id,
                &disposed.order_id,
                &disposed.location_id,
            )
        }
        _ => return Ok(None),
    };
    let location = location_id.parse();
    let moved = MoveReturned {
        location: location.map_err(|_| format!("location_id {location_id:?} cannot be read"))?,
        moves: moves.finish(),
        cause: format!("return/{return_id}/{booking}"),
    };
    Ok(Some((order_id.clone(), moved)))
}

fn entry(disposition: Disposition) -> Result<EntryType, String> {
    match disposition {
        Disposition::Restock => Ok(EntryType::Restock),
        Disposition::Quarantine => Ok(EntryType::QuarantineIn),
        Disposition::Scrap => Ok(EntryType::Scrap),
        Disposition::Unspecified => Err("units have no disposition".to_owned()),
    }
}

/// Sums by type, line and SKU: the ledger knows each once.
#[derive(Default)]
struct Moves(BTreeMap<(EntryType, String, Sku), i64>);

impl Moves {
    fn add(&mut self, entry: EntryType, units: &ReturnedUnits) -> Result<(), String> {
        let sku = &units.sku;
        let sku: Sku = sku
            .parse()
            .map_err(|_| format!("sku {sku:?} cannot be read"))?;
        if units.quantity < 1 {
            return Err(format!(
                "quantity {} of a return is not positive",
                units.quantity
            ));
        }
        let sum = self
            .0
            .entry((entry, units.return_line_id.clone(), sku))
            .or_default();
        *sum = sum.saturating_add(units.quantity);
        Ok(())
    }

    fn finish(self) -> Vec<command::ReturnedUnits> {
        let moves = self.0.into_iter();
        moves
            .map(|((entry, line, sku), quantity)| command::ReturnedUnits {
                entry,
                line,
                sku,
                quantity,
            })
            .collect()
    }
}

/// The payload is the event.
pub(super) async fn run(ctx: Arc<Ctx>, task: Task) -> Result<Outcome, TaskError> {
    let event = ReturnsEvent::decode(&*task.payload);
    let event = event.map_err(|error| TaskError::Stuck(error.to_string()))?;
    let Some((order_id, moved)) = moves_of(&event, task.id).map_err(TaskError::Stuck)? else {
        return Ok(Outcome::Done);
    };
    oms_telemetry::record_order_id(&Span::current(), order_id);
    let call = call(&task, "MoveReturnedStock")?;
    commands::move_returned_stock(&ctx, call, moved)
        .await
        .map_err(failure)?;
    Ok(Outcome::Done)
}
