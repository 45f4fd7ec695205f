//! The shared kernel: money, quantities, typed ids, clock and geography. No async, no I/O.
//!
//! Everything here is plain values and pure functions. The only windows to the outside are the
//! [`Clock`] and [`IdSource`] traits, so that a test decides what time it is and which ids come next.

mod access;
mod clock;
pub mod country;
mod free_text;
pub mod geo;
mod ids;
mod money;
mod principal;
mod quantity;
mod redacted;
pub mod rounding;
mod sku;
pub mod split;
mod text;
mod violation;

pub use access::{Access, Reach};
pub use clock::{Clock, SystemClock};
pub use free_text::{check_card_number, check_free_text, looks_like_card_number};
pub use ids::{
    AddressId, CancellationId, ChannelId, CorrectionId, EventId, FulfillmentOrderId, HoldId,
    IdSource, InvoiceId, LocationId, OrderId, OrderLineId, PackSessionId, PackageId, ParseIdError,
    PaymentId, PickLineId, PickListId, ProposalId, ReservationId, ReturnId, ShipmentId, SystemIds,
    WaveId, derive,
};
pub use money::{Currency, Money, MoneyError, ParseCurrencyError};
pub use principal::{ParsePrincipalError, Principal, PrincipalKind};
pub use quantity::{Quantity, QuantityError};
pub use redacted::Redacted;
pub use rounding::Rounding;
pub use sku::Sku;
pub use text::ParseTextError;
pub use violation::{Violation, Violations};
