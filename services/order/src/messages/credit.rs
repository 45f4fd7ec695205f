//! Accounts on terms and store credits.

use oms_proto::order::v1 as pb;
use oms_proto::time_to_proto;

use super::money;
use crate::domain::credit::Credit;

/// An account on terms as clients see it.
pub(crate) fn credit_account(credit: &Credit) -> pb::CreditAccount {
    let amount = |minor| money(credit.currency, minor);
    pb::CreditAccount {
        reference: credit.reference.clone(),
        credit_limit: amount(credit.ceiling),
        net_days: credit.net_days,
        authorized: amount(credit.authorized),
        owed: amount(credit.used),
        available: amount(credit.available()),
        etag: credit.version.to_string(),
        create_time: Some(time_to_proto(credit.created_at)),
        update_time: Some(time_to_proto(credit.updated_at)),
        channel_ids: credit.channel_ids.clone(),
    }
}

/// A store credit as clients see it.
pub(crate) fn store_credit(credit: &Credit) -> pb::StoreCredit {
    let amount = |minor| money(credit.currency, minor);
    pb::StoreCredit {
        code: credit.reference.clone(),
        issued: amount(credit.ceiling),
        authorized: amount(credit.authorized),
        spent: amount(credit.used),
        available: amount(credit.available()),
        create_time: Some(time_to_proto(credit.created_at)),
        update_time: Some(time_to_proto(credit.updated_at)),
    }
}
