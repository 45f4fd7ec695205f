//! Pure rules of stock: buckets, reservations, fitting demand to places, and the decisions of a lane.
//!
//! - [`account`]: accounts of the double entry and which entry may move units between which of them.
//! - [`level`]: the buckets of one SKU at one place.
//! - [`reservation`]: the reservation's state machine and its rows.
//! - [`fit`]: which locations an order takes its units from; [`kit`]: what is sold as one and stands there as several.
//! - [`command`]: what can be asked of a lane; [`refusal`]: why it says no.
//! - [`board`]: what is loaded under the lane locks; it decides commands one after another
//!   (reservations in `decide`, `demand` and `move_reservation`, stock in `book` and `by_hand`), takes stock that is not there
//!   from whom it was promised to (`displace`), gives what became free to demand that waits (`supply`, `complete`), and
//!   collects the effects ([`effect`]).
//! - [`books`]: ledger, levels and reservations compared, in the runs of a [`verification`]; [`correction`]: what is
//!   proposed where they disagree, applied by `correct`.
//! - [`policy`]: what of the stock may be promised; `offer` is what a board makes of it, [`standing`] whether that is low.
//! - [`expected`]: goods that are on their way; [`availability`]: what can be promised now and by a date.
//! - [`lane`]: what the lane of a SKU knows besides its stock; [`told`]: what it tells.
//! - [`item`], [`location`]: the catalogue.

pub(crate) mod account;
pub(crate) mod availability;
pub(crate) mod board;
mod book;
pub(crate) mod books;
mod by_hand;
pub(crate) mod command;
mod complete;
pub(crate) mod correct;
pub(crate) mod correction;
mod decide;
mod demand;
mod displace;
pub(crate) mod effect;
pub(crate) mod expected;
pub(crate) mod fit;
pub(crate) mod item;
pub(crate) mod kit;
pub(crate) mod lane;
pub(crate) mod level;
pub(crate) mod location;
pub(crate) mod move_reservation;
mod offer;
pub(crate) mod policy;
pub(crate) mod refusal;
pub(crate) mod reservation;
mod rows;
pub(crate) mod standing;
mod supply;
pub(crate) mod told;
pub(crate) mod verification;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod kit_scenarios;
#[cfg(test)]
mod offer_properties;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod queue_scenarios;
#[cfg(test)]
mod scenarios;
