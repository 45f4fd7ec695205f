//! Gives stock that became free to the demand that waits for it, oldest first.

use std::collections::{BTreeMap, BTreeSet};

use oms_core::{ReservationId, Sku};

use super::account::{Account, EntryType};
use super::board::{Board, Draft};
use super::effect::{Allocated, Entry, Fact};
use super::level::LevelKey;
use super::refusal::Refusal;
use super::reservation::{Action, Place, Reservation, ReservationState, RowKey};

impl Board {
    /// Gives what is free at these levels to the rows that wait for their SKUs. A reservation that gets something
    /// changes once.
    pub(super) fn supply(&mut self, freed: &BTreeSet<LevelKey>) {
        let mut gifts: BTreeMap<ReservationId, Vec<(RowKey, LevelKey, i64)>> = BTreeMap::new();
        let mut order: Vec<ReservationId> = Vec::new();
        let freed: Vec<&LevelKey> = freed.iter().collect();
        // Sorted by SKU first.
        for keys in freed.chunk_by(|one, next| one.sku == next.sku) {
            let Some(sku) = keys.first().map(|key| &key.sku) else {
                continue;
            };
            let mut free = self.free_for_waiting(keys);
            for (id, row, open) in self.waiting(sku) {
                let waits = self.reservations.get(&id);
                let channel = waits.and_then(|one| one.channel.as_ref());
                for (key, quantity) in free.draw(open, channel) {
                    if !gifts.contains_key(&id) {
                        order.push(id);
                    }
                    gifts
                        .entry(id)
                        .or_default()
                        .push((row.clone(), key, quantity));
                }
            }
        }
        for id in order {
            let gifts = gifts.remove(&id).unwrap_or_default();
            let given = self.give(id, gifts);
            // Only free units were given away; if not, this reservation simply goes on waiting.
            debug_assert!(given.is_ok(), "{given:?}");
        }
    }

    /// Rows that wait for the SKU, oldest first.
    fn waiting(&self, sku: &Sku) -> Vec<(ReservationId, RowKey, i64)> {
        let mut rows: Vec<_> = self
            .reservations
            .values()
            .flat_map(|one| one.rows.iter().map(move |(key, row)| (one.id, key, row)))
            .filter(|(_, key, row)| key.state == ReservationState::Backordered && row.sku == *sku)
            .collect();
        rows.sort_by_key(|(id, key, row)| (row.queued_at, *id, key.order_line));
        rows.into_iter()
            .map(|(id, key, row)| (id, key.clone(), row.quantity))
            .collect()
    }

    fn give(
        &mut self,
        id: ReservationId,
        gifts: Vec<(RowKey, LevelKey, i64)>,
    ) -> Result<(), Refusal> {
        let Some(mut reservation) = self.reservations.get(&id).cloned() else {
            return Ok(());
        };
        let confirmed = reservation.is_confirmed();
        let mut allocated = Vec::new();
        let mut entries = Vec::new();
        for (row, key, quantity) in gifts {
            entries.push(gift_entry(&reservation, &row, &key, quantity));
            let to = RowKey {
                order_line: row.order_line,
                place: Some(Place {
                    location: key.location.clone(),
                    lot: key.lot.clone(),
                }),
                state: if confirmed {
                    ReservationState::Allocated
                } else {
                    ReservationState::Held
                },
            };
            reservation.split_off(&row, to, quantity);
            allocated.push(Allocated {
                order_line: row.order_line,
                sku: key.sku,
                location: key.location,
                lot: key.lot,
                quantity,
            });
        }
        reservation.settle();
        self.commit(Draft {
            reservation: Some(reservation.clone()),
            entries,
            ..Draft::default()
        })?;
        self.facts.push(if confirmed {
            Fact::BackorderAllocated {
                reservation,
                allocated,
            }
        } else {
            Fact::Changed {
                reservation,
                action: Action::SupplyHeld.as_str(),
            }
        });
        Ok(())
    }
}

fn gift_entry(reservation: &Reservation, row: &RowKey, key: &LevelKey, quantity: i64) -> Entry {
    let (entry, to) = if reservation.is_confirmed() {
        (EntryType::Allocate, Account::Allocated)
    } else {
        (EntryType::Hold, Account::Held)
    };
    Entry {
        entry,
        key: key.clone(),
        from: Account::Available,
        to,
        quantity,
        cause: format!("reservation/{}/{}", reservation.id, reservation.version + 1),
        line: row.order_line.to_string(),
        reason: String::new(),
        reference: String::new(),
        actor: String::new(),
    }
}
