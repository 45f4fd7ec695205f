//! From which authorizations money is captured, when an order is paid by several tenders.
//!
//! A shipment is paid by the first tender until that is used up, then by the next: its capture has a part for each
//! authorization that it draws from. A part that was declined keeps its claim on its authorization until it is tried
//! again, so that a later shipment does not take what it will need.

use oms_core::PaymentId;

use super::collection::{Collection, CollectionState};
use super::payment::{Payment, PaymentKind, PaymentState, by_tender};
use super::refund::{base_cause, latest, parts, spread};
use super::renewal::is_superseded;

/// Task that captures money; the key is the order's id, the payload the cause.
pub(crate) const CAPTURE_PAYMENT_TASK: &str = "capture_payment";
/// Name of the one that captures a prepaid order.
pub(crate) const CAPTURE_ORDER: &str = "capture_payment/order";

/// Cause of a capture of a whole order.
pub(crate) const ORDER_CAUSE: &str = "order";

/// Authorizations that succeeded and are not superseded, in the order in which money is taken from them, with what neither a
/// capture nor a void has claimed, nor is to be collected, in minor units.
fn unclaimed<'a>(payments: &'a [Payment], collections: &[Collection]) -> Vec<(&'a Payment, i64)> {
    let claims = |child: &Payment| match child.kind {
        PaymentKind::Void => child.state != PaymentState::Failed,
        PaymentKind::Capture => {
            let last = latest(payments, PaymentKind::Capture, base_cause(&child.cause));
            last.is_some_and(|last| last.payment_id == child.payment_id)
        }
        PaymentKind::Authorization | PaymentKind::Refund => false,
    };
    let claimed = |parent: PaymentId| -> i64 {
        let taken: i64 = payments
            .iter()
            .filter(|child| child.parent_payment_id == Some(parent) && claims(child))
            .map(|child| child.amount)
            .sum();
        // What was collected has its capture.
        let to_collect: i64 = collections
            .iter()
            .filter(|one| one.authorization == parent && one.state != CollectionState::Collected)
            .map(|one| one.amount)
            .sum();
        taken + to_collect
    };
    by_tender(payments)
        .into_iter()
        .filter(|one| !is_superseded(payments, one))
        .map(|one| (one, one.amount - claimed(one.payment_id)))
        .collect()
}

/// The parts of a capture of this amount with the authorization of each, above zero. What no authorization has left
/// stands on the last one, whose provider refuses it, so that a person looks; without any authorization it stands alone.
pub(crate) fn draw<'a>(
    amount: i64,
    payments: &'a [Payment],
    collections: &[Collection],
) -> Vec<(Option<&'a Payment>, i64)> {
    let from = unclaimed(payments, collections);
    let mut drawn: Vec<(Option<&Payment>, i64)> = spread(amount, &from)
        .into_iter()
        .map(|(one, part)| (Some(one), part))
        .collect();
    let rest = amount - drawn.iter().map(|(_, part)| part).sum::<i64>();
    match drawn.last_mut() {
        Some((_, part)) => *part += rest,
        None if rest > 0 => drawn.push((from.last().map(|(one, _)| *one), rest)),
        None => {}
    }
    drawn
}

/// What can still be captured of all authorizations, in minor units.
pub(crate) fn capturable(payments: &[Payment]) -> i64 {
    let from = unclaimed(payments, &[]);
    from.iter().map(|(_, left)| (*left).max(0)).sum()
}

/// The authorization of the next attempt of a declined capture: its own, or another one when that was given up.
pub(crate) fn source<'a>(payments: &'a [Payment], failed: &Payment) -> Option<&'a Payment> {
    let own = |(one, _): &(&Payment, i64)| Some(one.payment_id) == failed.parent_payment_id;
    let mut open = super::payment::open_authorizations(payments);
    open.retain(|(one, _)| !is_superseded(payments, one));
    let found = open.iter().find(|one| own(one)).or(open.first());
    let parent = |one: &&Payment| Some(one.payment_id) == failed.parent_payment_id;
    found
        .map(|(one, _)| *one)
        .or_else(|| payments.iter().find(parent))
}

/// The parts of a capture that were declined, with the amount of the next attempt of each, above zero. Units of a
/// prepaid order, which is captured as a whole, may have been canceled since: nothing more is captured for them. `owed` is
/// what the order costs by now.
pub(crate) fn declined<'a>(
    payments: &'a [Payment],
    cause: &str,
    owed: i64,
) -> Vec<(&'a Payment, i64)> {
    let all = parts(payments, PaymentKind::Capture, cause);
    let is_failed = |one: &&&Payment| one.state == PaymentState::Failed;
    let failed: Vec<(&Payment, i64)> = all
        .iter()
        .filter(is_failed)
        .map(|one| (*one, one.amount))
        .collect();
    if cause != ORDER_CAUSE {
        return failed;
    }
    let refunded: i64 = payments
        .iter()
        .filter(|one| one.kind == PaymentKind::Refund && one.state != PaymentState::Failed)
        .filter(|one| one.cause.starts_with("cancellation/"))
        .map(|one| one.amount)
        .sum();
    let taken: i64 = all
        .iter()
        .filter(|one| !is_failed(one))
        .map(|one| one.amount)
        .sum();
    spread((owed + refunded - taken).max(0), &failed)
}

/// What goes back of a prepaid order when units are canceled that cost this much: not what a declined part of its
/// capture will take less when it is tried again. `owed` is what the order costs after the cancellation.
pub(crate) fn refund_due(payments: &[Payment], owed: i64, canceled: i64) -> i64 {
    let all = parts(payments, PaymentKind::Capture, ORDER_CAUSE);
    let planned: i64 = all.iter().map(|one| one.amount).sum();
    let failed: i64 = all
        .iter()
        .filter(|one| one.state == PaymentState::Failed)
        .map(|one| one.amount)
        .sum();
    let beyond = |owed: i64| (planned - owed - failed).max(0);
    beyond(owed) - beyond(owed + canceled)
}

#[cfg(test)]
mod tests {
    use oms_core::{Currency, OrderId, split};
    use proptest::prelude::*;
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::*;
    use crate::domain::payment::open_authorizations;
    use crate::domain::refund::{next_cause, part_cause, refundable};
    use crate::domain::tender::{Tender, shares};

    /// An order's ledger, on which everything is answered at once.
    struct Books {
        currency: Currency,
        ledger: Vec<Payment>,
    }

    impl Books {
        /// Authorizes the tenders for an amount.
        fn authorized(currency: Currency, tenders: &[Tender], amount: i64) -> Self {
            let mut books = Self {
                currency,
                ledger: Vec::new(),
            };
            for (tender, share) in (1..).zip(shares(tenders, amount)) {
                if share > 0 {
                    let cause = format!("order/tender/{tender}");
                    books.push(
                        PaymentKind::Authorization,
                        share,
                        None,
                        tender,
                        &cause,
                        true,
                    );
                }
            }
            books
        }

        fn push(
            &mut self,
            kind: PaymentKind,
            amount: i64,
            parent: Option<PaymentId>,
            tender: i32,
            cause: &str,
            succeeds: bool,
        ) {
            let number = u128::try_from(self.ledger.len()).unwrap() + 1;
            self.ledger.push(Payment {
                payment_id: PaymentId::new(Uuid::from_u128(number)),
                order_id: OrderId::new(Uuid::nil()),
                kind,
                state: if succeeds {
                    PaymentState::Succeeded
                } else {
                    PaymentState::Failed
                },
                amount,
                currency: self.currency,
                tender,
                provider: "sandbox".into(),
                provider_reference: String::new(),
                parent_payment_id: parent,
                cause: cause.into(),
                failure_code: String::new(),
                expires_at: None,
                actor: "service:order".into(),
                created_at: OffsetDateTime::UNIX_EPOCH,
                updated_at: OffsetDateTime::UNIX_EPOCH,
            });
        }

        /// Captures an amount; bit n of `refused` declines part n.
        fn capture(&mut self, amount: i64, cause: &str, refused: u8) {
            let before = self.ledger.clone();
            let drawn = draw(amount, &before, &[]);
            assert_eq!(drawn.iter().map(|(_, part)| part).sum::<i64>(), amount);
            for (number, (from, part)) in drawn.into_iter().enumerate() {
                let from = from.expect("an authorization that has enough");
                let succeeds = refused >> number.min(7) & 1 == 0;
                let (id, tender) = (Some(from.payment_id), from.tender);
                let cause = part_cause(cause, number);
                self.push(PaymentKind::Capture, part, id, tender, &cause, succeeds);
            }
        }

        fn capture_again(&mut self, failed: &Payment, amount: i64) {
            let before = self.ledger.clone();
            let from = source(&before, failed).expect("an authorization");
            assert_eq!(Some(from.payment_id), failed.parent_payment_id);
            let (id, cause) = (Some(from.payment_id), next_cause(&failed.cause));
            self.push(PaymentKind::Capture, amount, id, from.tender, &cause, true);
        }

        fn refund(&mut self, amount: i64, cause: &str) {
            let before = self.ledger.clone();
            let parts = spread(amount, &refundable(&before));
            assert_eq!(parts.iter().map(|(_, part)| part).sum::<i64>(), amount);
            for (number, (capture, part)) in parts.into_iter().enumerate() {
                let (id, cause) = (Some(capture.payment_id), part_cause(cause, number));
                self.push(PaymentKind::Refund, part, id, capture.tender, &cause, true);
            }
        }

        fn void_rest(&mut self) {
            let before = self.ledger.clone();
            for (one, left) in open_authorizations(&before) {
                let id = Some(one.payment_id);
                self.push(PaymentKind::Void, left, id, one.tender, &one.cause, true);
            }
        }

        fn failed(&self, cause: &str) -> Vec<Payment> {
            let all = parts(&self.ledger, PaymentKind::Capture, cause);
            let failed = |one: &&&Payment| one.state == PaymentState::Failed;
            all.iter()
                .filter(failed)
                .map(|one| (*one).clone())
                .collect()
        }

        fn sum(&self, kind: PaymentKind, of: impl Fn(&Payment) -> bool) -> i64 {
            let done = |one: &&Payment| one.kind == kind && one.state == PaymentState::Succeeded;
            let all = self.ledger.iter().filter(done).filter(|one| of(one));
            all.map(|one| one.amount).sum()
        }

        /// No tender gave more than it was for, no authorization and no capture more than it had.
        fn check(&self, tenders: &[Tender]) -> Result<(), TestCaseError> {
            for (number, tender) in (1..).zip(tenders) {
                let captured = self.sum(PaymentKind::Capture, |one| one.tender == number);
                prop_assert!(captured <= tender.amount.unwrap_or(i64::MAX));
            }
            for one in self
                .ledger
                .iter()
                .filter(|one| one.state == PaymentState::Succeeded)
            {
                let child = |child: &Payment| child.parent_payment_id == Some(one.payment_id);
                let used: i64 = match one.kind {
                    PaymentKind::Authorization => {
                        self.sum(PaymentKind::Capture, child) + self.sum(PaymentKind::Void, child)
                    }
                    PaymentKind::Capture => self.sum(PaymentKind::Refund, child),
                    PaymentKind::Void | PaymentKind::Refund => 0,
                };
                prop_assert!(used <= one.amount);
            }
            Ok(())
        }
    }

    /// Currencies with 0, 2 and 3 decimals.
    fn currencies() -> impl Strategy<Value = Currency> {
        prop_oneof![Just("JPY"), Just("USD"), Just("KWD")].prop_map(|code| code.parse().unwrap())
    }

    /// Tenders that pay a total: shares in thousandths, the last one takes the rest or the exact amount that is left.
    fn tenders(total: i64, thousandths: &[i64], takes_rest: bool) -> Vec<Tender> {
        let mut left = total;
        let tender = |amount| Tender {
            provider: "sandbox".into(),
            token: "tok".into(),
            amount,
        };
        let mut all = Vec::new();
        for share in thousandths {
            let part = left.min(total * share / 1_000);
            if part > 0 {
                left -= part;
                all.push(tender(Some(part)));
            }
        }
        if takes_rest {
            all.push(tender(None));
        } else if left > 0 {
            all.push(tender(Some(left)));
        }
        all
    }

    /// What units [from, to) of an order of so many units cost.
    fn cost(total: i64, quantity: i64, from: i64, to: i64) -> i64 {
        split::units(total, quantity, from, to)
    }

    proptest! {
        #[test]
        fn shipments_draw_every_cent_once_and_no_tender_gives_more_than_it_is_for(
            currency in currencies(),
            total in 1_i64..5_000_000,
            quantity in 1_i64..60,
            reserved in 1_i64..60,
            thousandths in proptest::collection::vec(0_i64..700, 0..4),
            takes_rest: bool,
            steps in proptest::collection::vec((0_u8..4, 1_i64..20, any::<u8>(), 0_i64..100_000), 1..25),
        ) {
            let all = tenders(total, &thousandths, takes_rest);
            // Units from the high end were never reserved.
            let mut live = reserved.min(quantity);
            let mut books = Books::authorized(currency, &all, cost(total, quantity, 0, live));
            let (mut shipped, mut billed, mut causes) = (0, 0, Vec::new());
            for (what, units, refused, amount) in steps.iter().copied().chain([(1, 60, 0, 0)]) {
                match what {
                    // Cancels units from the high end.
                    0 => live -= units.min(live - shipped),
                    1 | 2 => {
                        let to = (shipped + units).min(live);
                        let amount = cost(total, quantity, shipped, to);
                        let cause = format!("shipment/{}", causes.len());
                        books.capture(amount, &cause, refused);
                        (shipped, billed) = (to, billed + amount);
                        causes.push(cause);
                    }
                    _ => {
                        let most = refundable(&books.ledger).iter().map(|(_, left)| left).sum();
                        books.refund(amount.min(most), &format!("manual/{}", books.ledger.len()));
                    }
                }
                books.check(&all)?;
            }
            for cause in causes {
                for failed in books.failed(&cause) {
                    books.capture_again(&failed, failed.amount);
                }
            }
            books.void_rest();
            books.check(&all)?;
            let captured = books.sum(PaymentKind::Capture, |_| true);
            prop_assert_eq!(captured, billed);
            let given_up = books.sum(PaymentKind::Void, |_| true);
            prop_assert_eq!(captured + given_up, books.sum(PaymentKind::Authorization, |_| true));
            let most: i64 = refundable(&books.ledger).iter().map(|(_, left)| left).sum();
            books.refund(most, "return/rest");
            prop_assert_eq!(books.sum(PaymentKind::Refund, |_| true), captured);
            books.check(&all)?;
        }

        #[test]
        fn a_prepaid_order_keeps_what_its_live_units_cost_whatever_was_declined_between(
            currency in currencies(),
            total in 1_i64..5_000_000,
            quantity in 1_i64..60,
            thousandths in proptest::collection::vec(0_i64..700, 0..4),
            takes_rest: bool,
            refused: u8,
            cancels in proptest::collection::vec((1_i64..20, any::<bool>()), 0..6),
        ) {
            let all = tenders(total, &thousandths, takes_rest);
            let mut books = Books::authorized(currency, &all, total);
            let mut live = quantity;
            let owed = |live| cost(total, quantity, 0, live);
            books.capture(total, ORDER_CAUSE, refused);
            for (number, (units, retries)) in cancels.into_iter().chain([(1, true)]).enumerate() {
                let before = owed(live);
                live -= units.min(live);
                let canceled = before - owed(live);
                let due = refund_due(&books.ledger, owed(live), canceled);
                books.refund(due, &format!("cancellation/{number}"));
                if retries {
                    let before = books.ledger.clone();
                    for (failed, amount) in declined(&before, ORDER_CAUSE, owed(live)) {
                        books.capture_again(failed, amount);
                    }
                }
                books.check(&all)?;
            }
            let kept = books.sum(PaymentKind::Capture, |_| true)
                - books.sum(PaymentKind::Refund, |_| true);
            prop_assert_eq!(kept, owed(live));
            books.void_rest();
            books.check(&all)?;
        }
    }
}
