//! What an invariant is: a name, a sentence, and how its violations are found.

use uuid::Uuid;

use super::facts::Facts;

/// A service's database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Database {
    /// `oms_order`
    Order,
    /// `oms_inventory`
    Inventory,
    /// `oms_fulfillment`
    Fulfillment,
    /// `oms_shipping`
    Shipping,
    /// `oms_returns`
    Returns,
}

impl Database {
    /// All five.
    pub const ALL: [Self; 5] = [
        Self::Order,
        Self::Inventory,
        Self::Fulfillment,
        Self::Shipping,
        Self::Returns,
    ];

    /// Name of the service, which is also the name of its event feed.
    pub fn service(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Inventory => "inventory",
            Self::Fulfillment => "fulfillment",
            Self::Shipping => "shipping",
            Self::Returns => "returns",
        }
    }

    /// The databases whose feeds this one's service consumes, by the contract.
    pub(super) fn sources(self) -> &'static [Self] {
        match self {
            Self::Order => &[
                Self::Inventory,
                Self::Fulfillment,
                Self::Shipping,
                Self::Returns,
            ],
            Self::Inventory => &[Self::Shipping, Self::Returns],
            Self::Fulfillment => &[Self::Shipping],
            Self::Shipping => &[Self::Fulfillment],
            Self::Returns => &[Self::Order, Self::Shipping],
        }
    }
}

/// Something that must be true.
#[derive(Debug, Clone, Copy)]
pub struct Invariant {
    /// Name, such as `stock.bucket_equals_ledger`.
    pub name: &'static str,
    /// What it says, for people.
    pub says: &'static str,
    pub(super) test: Test,
}

impl Invariant {
    /// True when it is judged only for orders that are not on their way, as it may be violated for a moment on
    /// correct data. Invariants between services always are, where they are about an order.
    pub fn is_settled_only(&self) -> bool {
        match self.test {
            Test::Rows(rows) => rows.is_settled_only,
            Test::Relation(_) => false,
        }
    }
}

/// How violations are found.
#[derive(Debug, Clone, Copy)]
pub(super) enum Test {
    /// By a query of one database.
    Rows(Rows),
    /// By comparing rows that were read from several.
    Relation(fn(&Facts) -> Relation),
}

/// A query that returns a row per violation: first what is wrong, as text, and where orders can be
/// on their way, second the order's id.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows {
    /// Where it is asked.
    pub(super) databases: &'static [Database],
    /// Table whose rows it judges, to say how many there were.
    pub(super) table: &'static str,
    /// True when it may be violated for a moment on correct data, because events of different services
    /// have no mutual order. The second column is the order.
    pub(super) is_settled_only: bool,
    /// The query. `$1`, where it stands, is true at rest.
    pub(super) sql: &'static str,
}

/// What a comparison came to.
#[derive(Debug, Clone, Default)]
pub(super) struct Relation {
    /// Things compared.
    pub(super) checked: u64,
    /// What is wrong.
    pub(super) violations: Vec<Violation>,
    /// Why nothing was compared, if nothing could be.
    pub(super) skipped: Option<&'static str>,
}

/// One violation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Violation {
    /// What is wrong, for people.
    pub(super) what: String,
    /// Order it is about; such a violation counts only when the order is not on its way.
    pub(super) order: Option<Uuid>,
}

impl Relation {
    /// Counts a thing that was compared, with what is wrong with it.
    pub(super) fn judge(&mut self, order: Uuid, wrong: Option<String>) {
        self.checked += 1;
        if let Some(what) = wrong {
            let order = Some(order);
            self.violations.push(Violation { what, order });
        }
    }
}

/// True of one database at any moment: its transactions keep it.
pub(super) const fn always(
    name: &'static str,
    says: &'static str,
    databases: &'static [Database],
    table: &'static str,
    sql: &'static str,
) -> Invariant {
    Invariant {
        name,
        says,
        test: Test::Rows(Rows {
            databases,
            table,
            is_settled_only: false,
            sql,
        }),
    }
}

/// True of one database as far as its orders are not on their way.
pub(super) const fn settled(
    name: &'static str,
    says: &'static str,
    databases: &'static [Database],
    table: &'static str,
    sql: &'static str,
) -> Invariant {
    Invariant {
        name,
        says,
        test: Test::Rows(Rows {
            databases,
            table,
            is_settled_only: true,
            sql,
        }),
    }
}

/// True of several databases together.
pub(super) const fn relation(
    name: &'static str,
    says: &'static str,
    compare: fn(&Facts) -> Relation,
) -> Invariant {
    Invariant {
        name,
        says,
        test: Test::Relation(compare),
    }
}
