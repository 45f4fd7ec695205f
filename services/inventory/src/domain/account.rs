//! The accounts between which units move, and the entries that move them.

/// An account of the stock ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Account {
    /// Free to promise.
    Available,
    /// Held for orders that are not confirmed.
    Held,
    /// Allocated to confirmed orders.
    Allocated,
    /// Reported short and waiting for a count.
    CountPending,
    /// Set apart.
    Quarantine,
    /// Waiting for inspection.
    Qc,
    /// Damaged.
    Damaged,
    /// Being refurbished.
    Refurb,
    /// Outside: suppliers.
    Supplier,
    /// Outside: customers.
    Customer,
    /// Outside: found and lost.
    Variance,
    /// Outside: thrown away.
    Scrap,
    /// Outside: between two places.
    InTransit,
}

use Account as A;

impl Account {
    /// The buckets of a stock level, in the order of its columns.
    pub(crate) const BUCKETS: [Self; 8] = [
        A::Available,
        A::Held,
        A::Allocated,
        A::CountPending,
        A::Quarantine,
        A::Qc,
        A::Damaged,
        A::Refurb,
    ];

    /// All accounts.
    pub(crate) const ALL: [Self; 13] = [
        A::Available,
        A::Held,
        A::Allocated,
        A::CountPending,
        A::Quarantine,
        A::Qc,
        A::Damaged,
        A::Refurb,
        A::Supplier,
        A::Customer,
        A::Variance,
        A::Scrap,
        A::InTransit,
    ];

    /// Place among the buckets; `None` for the accounts outside of the shelf.
    pub(crate) fn bucket(self) -> Option<usize> {
        Self::BUCKETS.iter().position(|bucket| *bucket == self)
    }

    /// The name that the ledger holds.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            A::Available => "AVAILABLE",
            A::Held => "HELD",
            A::Allocated => "ALLOCATED",
            A::CountPending => "COUNT_PENDING",
            A::Quarantine => "QUARANTINE",
            A::Qc => "QC",
            A::Damaged => "DAMAGED",
            A::Refurb => "REFURB",
            A::Supplier => "SUPPLIER",
            A::Customer => "CUSTOMER",
            A::Variance => "VARIANCE",
            A::Scrap => "SCRAP",
            A::InTransit => "IN_TRANSIT",
        }
    }

    /// Reads the name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|account| account.as_str() == name)
    }
}

/// Why units moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum EntryType {
    /// Goods from a supplier.
    Receive,
    /// Held for an order.
    Hold,
    /// A hold given back.
    HoldRelease,
    /// A hold that ran out.
    HoldExpire,
    /// Allocated to an order.
    Allocate,
    /// An allocation given back.
    Deallocate,
    /// Not found by the picker.
    PickShort,
    /// Shipped.
    Issue,
    /// Came back from a customer.
    ReturnReceive,
    /// Sellable again.
    Restock,
    /// Thrown away.
    Scrap,
    /// Set apart.
    QuarantineIn,
    /// Corrected by hand.
    Adjust,
    /// Books that disagreed were brought together.
    Correct,
    /// Counted.
    CountVariance,
    /// Left for another place.
    TransferOut,
    /// Came from another place.
    TransferIn,
}

use EntryType as E;

/// Every way units may move: type, from, to. The proto's comments say the same in words.
pub(crate) const ROUTES: &[(EntryType, Account, Account)] = &[
    (E::Receive, A::Supplier, A::Available),
    (E::Hold, A::Available, A::Held),
    (E::HoldRelease, A::Held, A::Available),
    (E::HoldExpire, A::Held, A::Available),
    (E::Allocate, A::Held, A::Allocated),
    (E::Allocate, A::Available, A::Allocated),
    (E::Deallocate, A::Allocated, A::Available),
    (E::PickShort, A::Allocated, A::CountPending),
    (E::Issue, A::Allocated, A::Customer),
    (E::ReturnReceive, A::Customer, A::Qc),
    (E::Restock, A::Qc, A::Available),
    (E::Scrap, A::Qc, A::Scrap),
    (E::QuarantineIn, A::Qc, A::Quarantine),
    (E::QuarantineIn, A::Available, A::Quarantine),
    (E::Adjust, A::Variance, A::Available),
    (E::Adjust, A::Available, A::Variance),
    (E::Correct, A::Available, A::Held),
    (E::Correct, A::Available, A::Allocated),
    (E::Correct, A::Held, A::Available),
    (E::Correct, A::Allocated, A::Available),
    (E::Correct, A::Variance, A::Available),
    (E::Correct, A::Variance, A::Held),
    (E::Correct, A::Variance, A::Allocated),
    (E::Correct, A::Variance, A::CountPending),
    (E::Correct, A::Variance, A::Quarantine),
    (E::Correct, A::Variance, A::Qc),
    (E::Correct, A::Variance, A::Damaged),
    (E::Correct, A::Variance, A::Refurb),
    (E::Correct, A::Available, A::Variance),
    (E::Correct, A::Held, A::Variance),
    (E::Correct, A::Allocated, A::Variance),
    (E::Correct, A::CountPending, A::Variance),
    (E::Correct, A::Quarantine, A::Variance),
    (E::Correct, A::Qc, A::Variance),
    (E::Correct, A::Damaged, A::Variance),
    (E::Correct, A::Refurb, A::Variance),
    (E::CountVariance, A::Variance, A::Available),
    (E::CountVariance, A::Available, A::Variance),
    (E::TransferOut, A::Available, A::InTransit),
    (E::TransferIn, A::InTransit, A::Available),
];

impl EntryType {
    /// All types.
    pub(crate) const ALL: [Self; 17] = [
        E::Receive,
        E::Hold,
        E::HoldRelease,
        E::HoldExpire,
        E::Allocate,
        E::Deallocate,
        E::PickShort,
        E::Issue,
        E::ReturnReceive,
        E::Restock,
        E::Scrap,
        E::QuarantineIn,
        E::Adjust,
        E::Correct,
        E::CountVariance,
        E::TransferOut,
        E::TransferIn,
    ];

    /// The name that the ledger holds.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            E::Receive => "RECEIVE",
            E::Hold => "HOLD",
            E::HoldRelease => "HOLD_RELEASE",
            E::HoldExpire => "HOLD_EXPIRE",
            E::Allocate => "ALLOCATE",
            E::Deallocate => "DEALLOCATE",
            E::PickShort => "PICK_SHORT",
            E::Issue => "ISSUE",
            E::ReturnReceive => "RETURN_RECEIVE",
            E::Restock => "RESTOCK",
            E::Scrap => "SCRAP",
            E::QuarantineIn => "QUARANTINE_IN",
            E::Adjust => "ADJUST",
            E::Correct => "CORRECT",
            E::CountVariance => "COUNT_VARIANCE",
            E::TransferOut => "TRANSFER_OUT",
            E::TransferIn => "TRANSFER_IN",
        }
    }

    /// Reads the name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|entry| entry.as_str() == name)
    }

    /// Whether an entry of this type may move units this way.
    pub(crate) fn allows(self, from: Account, to: Account) -> bool {
        ROUTES.contains(&(self, from, to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQL: &str = include_str!("../../migrations/0002_stock.sql");
    /// Where the names were listed last.
    const NAMES_SQL: &str = include_str!("../../migrations/0005_stock_policies.sql");

    #[test]
    fn names_round_trip() {
        for account in Account::ALL {
            assert_eq!(Account::parse(account.as_str()), Some(account));
        }
        for entry in EntryType::ALL {
            assert_eq!(EntryType::parse(entry.as_str()), Some(entry));
        }
        assert_eq!(Account::parse("available"), None);
    }

    #[test]
    fn the_database_knows_the_same_names() {
        let list = |names: Vec<&str>| format!("IN ('{}')", names.join("', '"));
        let entries = list(EntryType::ALL.iter().map(|entry| entry.as_str()).collect());
        let accounts = list(
            Account::ALL
                .iter()
                .map(|account| account.as_str())
                .collect(),
        );
        assert!(NAMES_SQL.contains(&format!("CHECK (entry_type {entries})")));
        assert!(NAMES_SQL.contains(&format!("CHECK (from_account {accounts})")));
        assert!(NAMES_SQL.contains(&format!("CHECK (to_account {accounts})")));
    }

    #[test]
    fn every_bucket_has_its_check() {
        for bucket in Account::BUCKETS {
            let column = bucket.as_str().to_lowercase();
            let check =
                format!("CONSTRAINT stock_level_{column}_not_negative CHECK ({column} >= 0)");
            assert!(SQL.contains(&check), "{check}");
        }
    }

    #[test]
    fn every_type_has_a_route_and_none_stands_still() {
        for entry in EntryType::ALL {
            assert!(ROUTES.iter().any(|(of, ..)| *of == entry), "{entry:?}");
        }
        assert!(ROUTES.iter().all(|(_, from, to)| from != to));
    }
}
