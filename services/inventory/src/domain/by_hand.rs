//! Decisions about what people did on the shelf: counts and moves.

use super::account::{Account, EntryType};
use super::board::Board;
use super::command::{Measure, MoveStock, SetStock};
use super::effect::{Entry, Outcome};
use super::level::LevelKey;
use super::refusal::Refusal;

impl Board {
    /// Sets what was counted if it is what the caller saw. The difference goes to or from free stock.
    pub(super) fn set_stock(&mut self, set: &SetStock) -> Result<Outcome, Refusal> {
        self.check_sku("sku", &set.key.sku)?;
        let buckets = self.level(&set.key).buckets;
        let present = match set.measure {
            Measure::Available => buckets.get(Account::Available),
            Measure::OnHand => buckets.on_hand(),
        };
        if present != set.expected {
            return Err(Refusal::QuantityChanged { present });
        }
        let delta = set.quantity.saturating_sub(present);
        let (from, to) = if delta > 0 {
            (Account::Variance, Account::Available)
        } else {
            (Account::Available, Account::Variance)
        };
        if delta != 0 {
            let (entry, units) = (EntryType::CountVariance, delta.saturating_abs());
            let way = (from, to);
            let variance = by_hand(entry, &set.key, way, units, &set.cause, &set.reason);
            self.correct_level(delta, variance)?;
        }
        Ok(self.levels_outcome(&[set.key.clone()].into()))
    }

    /// Moves free units to another place; what waits for them there gets them.
    pub(super) fn move_stock(&mut self, moved: &MoveStock) -> Result<Outcome, Refusal> {
        self.check_sku("sku", &moved.from.sku)?;
        let available = self.available(&moved.from);
        if available < moved.quantity {
            return Err(Refusal::Committed { available });
        }
        let (out, into) = (EntryType::TransferOut, EntryType::TransferIn);
        let left = (Account::Available, Account::InTransit);
        let came = (Account::InTransit, Account::Available);
        let (units, cause, reason) = (moved.quantity, &moved.cause, &moved.reason);
        self.book(vec![
            by_hand(out, &moved.from, left, units, cause, reason),
            by_hand(into, &moved.to, came, units, cause, reason),
        ])?;
        Ok(self.levels_outcome(&moved.keys()))
    }
}

fn by_hand(
    entry: EntryType,
    key: &LevelKey,
    (from, to): (Account, Account),
    quantity: i64,
    cause: &str,
    reason: &str,
) -> Entry {
    Entry {
        entry,
        key: key.clone(),
        from,
        to,
        quantity,
        cause: cause.to_owned(),
        line: String::new(),
        reason: reason.to_owned(),
        reference: String::new(),
        actor: String::new(),
    }
}
