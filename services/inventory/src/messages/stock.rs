//! Stock levels and ledger entries.

use oms_proto::inventory::v1 as pb;
use oms_proto::time_to_proto;
use time::OffsetDateTime;

use crate::domain::account::{Account, EntryType};
use crate::domain::effect::Entry;
use crate::domain::level::Level;

/// A level.
pub(crate) fn level(level: &Level) -> pb::StockLevel {
    let units = |account| level.buckets.get(account);
    pb::StockLevel {
        sku: level.key.sku.to_string(),
        location_id: level.key.location.to_string(),
        lot: level.key.lot.clone(),
        available: units(Account::Available),
        held: units(Account::Held),
        allocated: units(Account::Allocated),
        count_pending: units(Account::CountPending),
        quarantine: units(Account::Quarantine),
        qc: units(Account::Qc),
        damaged: units(Account::Damaged),
        refurb: units(Account::Refurb),
        on_hand: level.buckets.on_hand(),
    }
}

/// A ledger entry with its number and when it was written.
pub(crate) fn ledger_entry(
    entry_id: i64,
    entry: &Entry,
    created_at: OffsetDateTime,
) -> pb::LedgerEntry {
    pb::LedgerEntry {
        entry_id,
        r#type: entry_type(entry.entry).into(),
        sku: entry.key.sku.to_string(),
        location_id: entry.key.location.to_string(),
        lot: entry.key.lot.clone(),
        from_account: account(entry.from).into(),
        to_account: account(entry.to).into(),
        quantity: entry.quantity,
        cause: entry.cause.clone(),
        reason: entry.reason.clone(),
        actor: entry.actor.clone(),
        create_time: Some(time_to_proto(created_at)),
    }
}

pub(super) fn account(account: Account) -> pb::StockAccount {
    match account {
        Account::Available => pb::StockAccount::Available,
        Account::Held => pb::StockAccount::Held,
        Account::Allocated => pb::StockAccount::Allocated,
        Account::CountPending => pb::StockAccount::CountPending,
        Account::Quarantine => pb::StockAccount::Quarantine,
        Account::Qc => pb::StockAccount::Qc,
        Account::Damaged => pb::StockAccount::Damaged,
        Account::Refurb => pb::StockAccount::Refurb,
        Account::Supplier => pb::StockAccount::Supplier,
        Account::Customer => pb::StockAccount::Customer,
        Account::Variance => pb::StockAccount::Variance,
        Account::Scrap => pb::StockAccount::Scrap,
        Account::InTransit => pb::StockAccount::InTransit,
    }
}

fn entry_type(entry: EntryType) -> pb::LedgerEntryType {
    match entry {
        EntryType::Receive => pb::LedgerEntryType::Receive,
        EntryType::Hold => pb::LedgerEntryType::Hold,
        EntryType::HoldRelease => pb::LedgerEntryType::HoldRelease,
        EntryType::HoldExpire => pb::LedgerEntryType::HoldExpire,
        EntryType::Allocate => pb::LedgerEntryType::Allocate,
        EntryType::Deallocate => pb::LedgerEntryType::Deallocate,
        EntryType::PickShort => pb::LedgerEntryType::PickShort,
        EntryType::Issue => pb::LedgerEntryType::Issue,
        EntryType::ReturnReceive => pb::LedgerEntryType::ReturnReceive,
        EntryType::Restock => pb::LedgerEntryType::Restock,
        EntryType::Scrap => pb::LedgerEntryType::Scrap,
        EntryType::QuarantineIn => pb::LedgerEntryType::QuarantineIn,
        EntryType::Adjust => pb::LedgerEntryType::Adjust,
        EntryType::Correct => pb::LedgerEntryType::Correct,
        EntryType::CountVariance => pb::LedgerEntryType::CountVariance,
        EntryType::TransferOut => pb::LedgerEntryType::TransferOut,
        EntryType::TransferIn => pb::LedgerEntryType::TransferIn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_has_the_same_names() {
        for one in Account::ALL {
            let name = format!("STOCK_ACCOUNT_{}", one.as_str());
            assert_eq!(account(one).as_str_name(), name);
        }
        for one in EntryType::ALL {
            let name = format!("LEDGER_ENTRY_TYPE_{}", one.as_str());
            assert_eq!(entry_type(one).as_str_name(), name);
        }
    }
}
