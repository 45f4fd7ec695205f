//! Typed ids, and where new ids come from.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::text::{self, ParseTextError};

/// Makes new ids. Everything that needs one gets a source, so that tests control them.
pub trait IdSource: Send + Sync {
    /// A new id (UUID version 7, so that ids sort by the time they were made).
    fn next(&self) -> Uuid;
}

/// Random ids made from the machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemIds;

impl IdSource for SystemIds {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that makes random ids"
    )]
    fn next(&self) -> Uuid {
        Uuid::now_v7()
    }
}

/// The id that always belongs to this name in this namespace (UUID version 5). Calls that may run
/// again take their ids from here, so that the second call is recognised as the first.
pub fn derive(namespace: Uuid, name: &str) -> Uuid {
    Uuid::new_v5(&namespace, name.as_bytes())
}

/// A text is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("id must be a UUID in its hyphenated form")]
pub struct ParseIdError;

/// Reads the 36-character form only: an id has one text, whoever sends it.
fn parse_uuid(text: &str) -> Result<Uuid, ParseIdError> {
    if text.len() != 36 {
        return Err(ParseIdError);
    }
    Uuid::try_parse(text).map_err(|_| ParseIdError)
}

/// Declares an id type over a UUID.
macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Types an id that is already there, such as one read from a database.
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// Takes a new id from the source.
            pub fn generate(ids: &dyn IdSource) -> Self {
                Self(ids.next())
            }

            /// The id without its type.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                parse_uuid(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_id!(
    /// An order.
    OrderId
);
uuid_id!(
    /// A line of an order.
    OrderLineId
);
uuid_id!(
    /// A hold on an order.
    HoldId
);
uuid_id!(
    /// A payment of an order.
    PaymentId
);
uuid_id!(
    /// An invoice of an order.
    InvoiceId
);
uuid_id!(
    /// A cancellation of order lines.
    CancellationId
);
uuid_id!(
    /// A reservation of stock; derived from the order and the attempt by whoever reserves.
    ReservationId
);
uuid_id!(
    /// A fulfillment order: what one location shall ship.
    FulfillmentOrderId
);
uuid_id!(
    /// A wave of fulfillment orders released together.
    WaveId
);
uuid_id!(
    /// A pick list.
    PickListId
);
uuid_id!(
    /// A line of a pick list.
    PickLineId
);
uuid_id!(
    /// A pack session.
    PackSessionId
);
uuid_id!(
    /// A package.
    PackageId
);
uuid_id!(
    /// A shipment.
    ShipmentId
);
uuid_id!(
    /// A return.
    ReturnId
);
uuid_id!(
    /// A sourcing proposal.
    ProposalId
);
uuid_id!(
    /// A correction of stock.
    CorrectionId
);
uuid_id!(
    /// An event of the feed.
    EventId
);
uuid_id!(
    /// An address kept by the order service.
    AddressId
);

/// Declares an id type over a slug that people choose.
macro_rules! slug_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text of the id.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = ParseTextError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                if !is_slug(text) {
                    return Err(ParseTextError { what: $what, rule: SLUG_RULE });
                }
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseTextError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

const SLUG_RULE: &str = "1 to 32 characters of a-z 0-9 -";

fn is_slug(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text::matches(text, 32, allowed)
}

slug_id!(
    /// A place that holds stock, such as `us-west`: 1 to 32 characters of `a-z 0-9 -`.
    LocationId,
    "location_id"
);
slug_id!(
    /// A sales channel, such as `web`: 1 to 32 characters of `a-z 0-9 -`.
    ChannelId,
    "channel_id"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_what_they_write() {
        let id = OrderId::generate(&SystemIds);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.uuid().get_version_num(), 7);
    }

    #[test]
    fn only_the_hyphenated_form_is_an_id() {
        let id = "0190f7b4-7f2a-7c3e-8a51-1d2e3f405162";
        assert!(id.parse::<OrderId>().is_ok());
        let simple = id.replace('-', "");
        for wrong in [
            "",
            "x",
            &simple,
            &format!("{{{id}}}"),
            &format!("urn:uuid:{id}"),
        ] {
            assert_eq!(wrong.parse::<OrderId>(), Err(ParseIdError), "{wrong:?}");
        }
    }

    #[test]
    fn new_ids_sort_by_age() {
        let ids: Vec<Uuid> = (0..1_000).map(|_| SystemIds.next()).collect();
        assert!(ids.is_sorted());
    }

    #[test]
    fn derived_ids_repeat_and_differ_by_name_and_namespace() {
        let (one, two) = (SystemIds.next(), SystemIds.next());
        assert_eq!(derive(one, "reservation/1"), derive(one, "reservation/1"));
        assert_ne!(derive(one, "reservation/1"), derive(one, "reservation/2"));
        assert_ne!(derive(one, "reservation/1"), derive(two, "reservation/1"));
    }

    #[test]
    fn slugs() {
        assert!("us-west-2".parse::<LocationId>().is_ok());
        for wrong in ["", "US", "us_west", "us west", &"a".repeat(33)] {
            assert!(wrong.parse::<LocationId>().is_err(), "{wrong:?}");
            assert!(wrong.parse::<ChannelId>().is_err(), "{wrong:?}");
        }
    }
}
