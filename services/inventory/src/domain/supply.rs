//! Gives stock that became free to the demand that waits for it: by class, then by promise, then by age.

use std::collections::{BTreeMap, BTreeSet};

use oms_core::{LocationId, ReservationId, Sku};

use super::account::{Account, EntryType};
use super::board::{Board, Draft};
use super::complete::{Complete, complete_from};
use super::effect::{Allocated, Fact};
use super::level::LevelKey;
use super::refusal::Refusal;
use super::reservation::{Action, Place, Reservation, ReservationState, RowKey};
use super::rows::{Move, row_entry};

/// Units that a row gets from a level.
pub(super) type Gift = (RowKey, LevelKey, i64);

/// What each reservation gets, in the order of the giving.
#[derive(Default)]
struct Gifts {
    order: Vec<ReservationId>,
    by_reservation: BTreeMap<ReservationId, Vec<Gift>>,
}

impl Gifts {
    fn add(&mut self, id: ReservationId, gift: Gift) {
        if !self.by_reservation.contains_key(&id) {
            self.order.push(id);
        }
        self.by_reservation.entry(id).or_default().push(gift);
    }
}

impl Board {
    /// Gives what is free at the locations of these levels to the rows that wait for their SKUs. A reservation that
    /// gets something changes once. One that ships complete gets all or nothing; what orders behind it can take
    /// meanwhile, they take.
    pub(super) fn supply(&mut self, freed: &BTreeSet<LevelKey>) {
        let mut gifts = Gifts::default();
        let mut complete = BTreeSet::new();
        let freed: Vec<&LevelKey> = freed.iter().collect();
        // Sorted by SKU first.
        for keys in freed.chunk_by(|one, next| one.sku == next.sku) {
            let Some(sku) = keys.first().map(|key| &key.sku) else {
                continue;
            };
            let at: BTreeSet<&LocationId> = keys.iter().map(|key| &key.location).collect();
            let here = self.levels.keys();
            let here = here.filter(|key| key.sku == *sku && at.contains(&key.location));
            let here: Vec<&LevelKey> = here.collect();
            let mut free = self.free_for_waiting(&here);
            let mut seen = BTreeSet::new();
            for (id, row, open) in self.waiting(sku) {
                let Some(reservation) = self.reservations.get(&id) else {
                    continue;
                };
                if !reservation.ship_complete {
                    for (key, quantity) in free.draw(open, reservation.channel.as_ref()) {
                        gifts.add(id, (row.clone(), key, quantity));
                    }
                } else if seen.insert(id) {
                    match complete_from(reservation, sku, &mut free) {
                        Complete::Gifts(all) => {
                            for gift in all {
                                gifts.add(id, gift);
                            }
                        }
                        Complete::Elsewhere => {
                            complete.insert(id);
                        }
                    }
                }
            }
        }
        self.complete.extend(complete);
        self.hand_out(gifts);
    }

    fn hand_out(&mut self, gifts: Gifts) {
        let Gifts {
            order,
            mut by_reservation,
        } = gifts;
        for id in order {
            let given = self.give(id, by_reservation.remove(&id).unwrap_or_default());
            // Only free units were given away; if not, this reservation simply goes on waiting.
            debug_assert!(given.is_ok(), "{given:?}");
        }
    }

    /// Rows that wait for the SKU, the most urgent first.
    fn waiting(&self, sku: &Sku) -> Vec<(ReservationId, RowKey, i64)> {
        let mut rows: Vec<_> = self
            .reservations
            .values()
            .flat_map(|one| one.rows.iter().map(move |(key, row)| (one, key, row)))
            .filter(|(_, key, _)| key.state == ReservationState::Backordered && key.sku == *sku)
            .collect();
        rows.sort_by_key(|(one, key, row)| {
            (one.urgency.rank(), row.queued_at, one.id, key.order_line)
        });
        rows.into_iter()
            .map(|(one, key, row)| (one.id, key.clone(), row.quantity))
            .collect()
    }

    /// Allocates units to rows of a reservation, or holds them while its order is not confirmed.
    pub(super) fn give(&mut self, id: ReservationId, gifts: Vec<Gift>) -> Result<(), Refusal> {
        let Some(mut reservation) = self.reservations.get(&id).cloned() else {
            return Ok(());
        };
        let confirmed = reservation.is_confirmed();
        let mut allocated = Vec::new();
        let mut entries = Vec::new();
        for (row, key, quantity) in gifts {
            let place = Place {
                location: key.location.clone(),
                lot: key.lot.clone(),
            };
            let move_ = gift_move(&reservation);
            entries.push(row_entry(&reservation, &row, &place, quantity, move_));
            let to = RowKey {
                place: Some(place),
                state: if confirmed {
                    ReservationState::Allocated
                } else {
                    ReservationState::Held
                },
                ..row.clone()
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
            reservations: vec![reservation.clone()],
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

fn gift_move(reservation: &Reservation) -> Move {
    let (entry, to) = if reservation.is_confirmed() {
        (EntryType::Allocate, Account::Allocated)
    } else {
        (EntryType::Hold, Account::Held)
    };
    Move {
        entry,
        from: Account::Available,
        to,
    }
}
