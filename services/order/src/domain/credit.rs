//! Credit that is kept here: what a customer may spend on terms, and what a store credit is worth. Both are one sum: a
//! ceiling, less what is authorized, less what is used.

use oms_core::{Currency, Money};
use time::OffsetDateTime;

use super::payment::PaymentKind;

/// Longest reference of an account and code of a store credit, in characters.
pub(crate) const REFERENCE_LEN_MAX: usize = 64;
/// Longest time to pay in days.
pub(crate) const NET_DAYS_MAX: i32 = 365;
/// Most channels that an account names.
pub(crate) const CHANNELS_MAX: usize = 50;

/// What kind of credit; also the name of the payment provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Book {
    /// Accounts of customers who pay later. The ceiling is the credit limit, used is what is owed.
    Terms,
    /// Store credits and gift cards. The ceiling is what was issued, used is what was spent.
    StoreCredit,
}

impl Book {
    /// The name that orders and the database use.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Terms => "terms",
            Self::StoreCredit => "store_credit",
        }
    }

    /// Reads the name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Terms, Self::StoreCredit]
            .into_iter()
            .find(|book| book.as_str() == name)
    }

    /// Code of the refusal when not enough is available.
    fn exhausted(self) -> &'static str {
        match self {
            Self::Terms => "CREDIT_LIMIT_EXCEEDED",
            Self::StoreCredit => "INSUFFICIENT_CREDIT",
        }
    }
}

/// An account on terms, or a store credit. Amounts are minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credit {
    /// Kind.
    pub(crate) book: Book,
    /// Reference of the account, or code of the store credit: the token of a tender.
    pub(crate) reference: String,
    /// Currency of the amounts.
    pub(crate) currency: Currency,
    /// Credit limit, or what was issued.
    pub(crate) ceiling: i64,
    /// Authorized, and neither captured nor given up.
    pub(crate) authorized: i64,
    /// Captured less refunded, and less what was paid of an account: below zero when a customer has paid ahead.
    pub(crate) used: i64,
    /// Days from the invoice until it is due.
    pub(crate) net_days: i32,
    /// Channels whose orders it pays for; empty for all. Store credits name none.
    pub(crate) channel_ids: Vec<String>,
    /// Version of the settings; the etag.
    pub(crate) version: i64,
    /// When it was created.
    pub(crate) created_at: OffsetDateTime,
    /// When it changed last.
    pub(crate) updated_at: OffsetDateTime,
}

impl Credit {
    /// What can still be authorized; below zero when a limit was lowered.
    pub(crate) fn available(&self) -> i64 {
        self.ceiling
            .saturating_sub(self.authorized)
            .saturating_sub(self.used)
    }

    /// Whether it pays for orders of a channel.
    pub(crate) fn is_for(&self, channel_id: &str) -> bool {
        self.channel_ids.is_empty() || self.channel_ids.iter().any(|one| one == channel_id)
    }

    /// Books a payment, or says with which code it is refused. `left` is what is left of the authorization of a capture
    /// or void, or of the capture of a refund; `None` when there is none.
    pub(crate) fn book(
        &mut self,
        kind: PaymentKind,
        money: Money,
        left: Option<i64>,
    ) -> Result<(), &'static str> {
        let amount = money.minor;
        if money.currency != self.currency {
            return Err("CURRENCY_MIXED");
        }
        if kind == PaymentKind::Authorization {
            if amount > self.available() {
                return Err(self.book.exhausted());
            }
            self.authorized += amount;
            return Ok(());
        }
        let left = left.ok_or("PARENT_UNKNOWN")?;
        if amount > left {
            return Err("AMOUNT_EXCEEDS_PARENT");
        }
        match kind {
            PaymentKind::Capture => {
                self.authorized -= amount;
                self.used += amount;
            }
            PaymentKind::Void => self.authorized -= amount,
            PaymentKind::Refund => self.used -= amount,
            PaymentKind::Authorization => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credit(book: Book, ceiling: i64) -> Credit {
        Credit {
            book,
            reference: "ACME".into(),
            currency: "USD".parse().unwrap(),
            ceiling,
            authorized: 0,
            used: 0,
            net_days: 30,
            channel_ids: Vec::new(),
            version: 1,
            created_at: OffsetDateTime::UNIX_EPOCH,
            updated_at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    fn usd(minor: i64) -> Money {
        Money::new("USD".parse().unwrap(), minor)
    }

    #[test]
    fn what_is_authorized_and_owed_together_stays_within_the_limit() {
        use PaymentKind::{Authorization, Capture, Refund, Void};
        let mut account = credit(Book::Terms, 100);
        assert_eq!(account.book(Authorization, usd(70), None), Ok(()));
        assert_eq!(
            account.book(Authorization, usd(31), None),
            Err("CREDIT_LIMIT_EXCEEDED")
        );
        assert_eq!(account.book(Capture, usd(50), Some(70)), Ok(()));
        assert_eq!((account.authorized, account.used), (20, 50));
        assert_eq!(account.book(Void, usd(20), Some(20)), Ok(()));
        assert_eq!(account.available(), 50);
        assert_eq!(account.book(Refund, usd(50), Some(50)), Ok(()));
        assert_eq!(account.available(), 100);
    }

    #[test]
    fn an_account_that_names_channels_is_for_these_alone() {
        let mut account = credit(Book::Terms, 100);
        assert!(account.is_for("web"));
        account.channel_ids = vec!["app".into(), "b2b".into()];
        assert!(account.is_for("b2b") && !account.is_for("web"));
    }

    #[test]
    fn a_refusal_changes_nothing() {
        use PaymentKind::{Authorization, Capture, Refund};
        let mut card = credit(Book::StoreCredit, 10);
        let before = card.clone();
        let euro = Money::new("EUR".parse().unwrap(), 1);
        assert_eq!(card.book(Authorization, euro, None), Err("CURRENCY_MIXED"));
        assert_eq!(
            card.book(Authorization, usd(11), None),
            Err("INSUFFICIENT_CREDIT")
        );
        assert_eq!(card.book(Capture, usd(1), None), Err("PARENT_UNKNOWN"));
        assert_eq!(
            card.book(Refund, usd(2), Some(1)),
            Err("AMOUNT_EXCEEDS_PARENT")
        );
        assert_eq!(card, before);
    }
}
