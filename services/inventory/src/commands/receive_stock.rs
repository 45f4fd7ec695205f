//! Books goods in from a supplier.

use oms_core::{LocationId, Sku};

use crate::domain::command::{Command, Receive};
use crate::domain::level::{Level, LevelKey};

use super::check_references::{Reference, check_references};
use super::{Call, Ctx, Error, levels_of};

/// A receipt.
#[derive(Debug, Clone)]
pub(crate) struct ReceiveStock {
    /// Location that receives.
    pub(crate) location: LocationId,
    /// SKU, lot and units of each line.
    pub(crate) lines: Vec<(Sku, String, i64)>,
    /// Delivery note or purchase order.
    pub(crate) reference: String,
}

/// Books the goods in; what waits for them gets them first. Answers the levels after it.
pub(crate) async fn receive_stock(
    ctx: &Ctx,
    call: Call,
    receipt: ReceiveStock,
) -> Result<Vec<Level>, Error> {
    let skus: Vec<Reference<'_, Sku>> = receipt
        .lines
        .iter()
        .enumerate()
        .map(|(number, (sku, ..))| (format!("lines[{number}].sku"), sku))
        .collect();
    check_references(ctx, &[("location_id".to_owned(), &receipt.location)], &skus).await?;
    let location = receipt.location;
    let lines = receipt.lines.into_iter().map(|(sku, lot, units)| {
        (
            LevelKey {
                sku,
                location: location.clone(),
                lot,
            },
            units,
        )
    });
    let command = Command::Receive(Receive {
        lines: lines.collect(),
        cause: format!("receipt/{}", call.request_id),
        reference: receipt.reference,
    });
    levels_of(ctx.submit(call, command).await?)
}
