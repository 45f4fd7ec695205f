//! Authorizations that run out: when they are renewed, by how much, and what a capture does that comes too late.
//!
//! A renewal authorizes anew first and gives up the old authorization after that, so that an order is never without
//! the money that it had. The new one has the cause `renewal/<old payment>`; that makes the old one superseded: nothing more
//! is drawn from it. A capture that was already planned on it is let go through first. A capture whose authorization has
//! ended before it was sent gets one of its own, with the cause `capture/<capture>`, and goes over that as its next attempt.

use time::{Duration, OffsetDateTime};

use super::payment::{Payment, PaymentKind, PaymentState, by_tender};
use super::refund::{latest, spread};
use super::state::OrderState;

/// What a provider answers, in our words, when a capture comes after the end of its authorization.
pub(crate) const EXPIRED: &str = "authorization_expired";
/// Code of a capture that was not sent, as its authorization had ended.
pub(crate) const LAPSED: &str = "authorization_lapsed";

/// What a renewal has to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Renewal<'a> {
    /// Nothing: it is done, or nothing depends on it any more.
    Done,
    /// The order is not confirmed, or a capture of the old authorization is under way: look again.
    Later,
    /// Write down a new authorization of this amount.
    Authorize(i64),
    /// Bring this payment to the provider.
    Run(&'a Payment),
    /// Find out what became of this new authorization; nobody wants it any more.
    Unwanted(&'a Payment),
    /// Give up what is left of this authorization.
    GiveUp(&'a Payment, i64),
    /// The new authorization was declined: a person decides.
    Declined(&'a Payment),
}

/// Cause of the authorization that renews this one.
pub(crate) fn renewal_cause(old: &Payment) -> String {
    format!("renewal/{}", old.payment_id)
}

/// Cause of the authorization for a capture that came too late.
pub(crate) fn capture_cause(capture: &Payment) -> String {
    format!("capture/{}", capture.payment_id)
}

/// When an authorization is renewed: so long before its end, but not before half of its time is over.
pub(crate) fn due_at(
    created: OffsetDateTime,
    end: OffsetDateTime,
    lead: Duration,
) -> OffsetDateTime {
    end - lead.min((end - created).max(Duration::ZERO) / 2)
}

/// True when another authorization has taken the place of this one.
pub(crate) fn is_superseded(payments: &[Payment], old: &Payment) -> bool {
    let cause = renewal_cause(old);
    let new = latest(payments, PaymentKind::Authorization, &cause);
    new.is_some_and(|new| new.state == PaymentState::Succeeded)
}

/// What of an authorization is neither captured, about to be, nor given up, in minor units.
fn left(payments: &[Payment], authorization: &Payment) -> i64 {
    let taken: i64 = payments
        .iter()
        .filter(|child| child.parent_payment_id == Some(authorization.payment_id))
        .filter(|child| child.state != PaymentState::Failed)
        .map(|child| child.amount)
        .sum();
    authorization.amount - taken
}

/// What the order still needs of this authorization, in minor units: as much of what is owed and not captured as falls to it.
pub(crate) fn needed(payments: &[Payment], owed: i64, old: &Payment) -> i64 {
    let captured: i64 = payments
        .iter()
        .filter(|one| one.kind == PaymentKind::Capture && one.state != PaymentState::Failed)
        .map(|one| one.amount)
        .sum();
    let open: Vec<(&Payment, i64)> = by_tender(payments)
        .into_iter()
        .filter(|one| !is_superseded(payments, one))
        .map(|one| (one, left(payments, one)))
        .collect();
    spread((owed - captured).max(0), &open)
        .into_iter()
        .find(|(one, _)| one.payment_id == old.payment_id)
        .map_or(0, |(_, part)| part)
}

/// What the renewal of an authorization has to do next. `owed` is what the order's live units cost.
pub(crate) fn next<'a>(
    state: OrderState,
    owed: i64,
    payments: &'a [Payment],
    old: &'a Payment,
) -> Renewal<'a> {
    let new = latest(payments, PaymentKind::Authorization, &renewal_cause(old));
    if state.is_final() {
        return match new {
            Some(new) if !new.state.is_settled() => Renewal::Unwanted(new),
            Some(new) if new.state == PaymentState::Succeeded => give_up(payments, new),
            _ => Renewal::Done,
        };
    }
    if state == OrderState::Pending {
        return Renewal::Later;
    }
    match new {
        Some(new) if !new.state.is_settled() => Renewal::Run(new),
        Some(new) if new.state == PaymentState::Succeeded => give_up(payments, old),
        _ => match (needed(payments, owed, old), new) {
            (0, _) => Renewal::Done,
            (_, Some(declined)) => Renewal::Declined(declined),
            (amount, None) => Renewal::Authorize(amount),
        },
    }
}

fn give_up<'a>(payments: &'a [Payment], authorization: &'a Payment) -> Renewal<'a> {
    let of = |kind, child: &&Payment| {
        child.kind == kind && child.parent_payment_id == Some(authorization.payment_id)
    };
    let under_way = |child: &&Payment| of(PaymentKind::Capture, child) && !child.state.is_settled();
    if payments.iter().any(|child| under_way(&child)) {
        return Renewal::Later;
    }
    let voids = payments.iter().filter(|child| of(PaymentKind::Void, child));
    match voids.max_by_key(|void| void.created_at) {
        Some(void) if !void.state.is_settled() => Renewal::Run(void),
        // A refused void is tried again when the order ends.
        Some(_) => Renewal::Done,
        None => match left(payments, authorization) {
            0 => Renewal::Done,
            amount => Renewal::GiveUp(authorization, amount),
        },
    }
}

/// What a planned capture needs before it is sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Before<'a> {
    /// Nothing: its authorization is good, or it has none that could end.
    Send,
    /// Another authorization, which is good and has enough.
    Switch(&'a Payment),
    /// An authorization of its own, to be written down.
    Authorize,
    /// That authorization, to be brought to the provider.
    Run(&'a Payment),
    /// Nothing helps: that authorization was declined.
    Refused(&'a Payment),
}

/// What a capture needs before it is sent, or before it is sent again when the provider has said that its authorization
/// had ended.
pub(crate) fn before_capture<'a>(
    payments: &'a [Payment],
    capture: &Payment,
    now: OffsetDateTime,
) -> Before<'a> {
    let came_late = capture.state == PaymentState::Failed && capture.failure_code == EXPIRED;
    if capture.state != PaymentState::Initiated && !came_late {
        return Before::Send;
    }
    let is_parent = |one: &&Payment| Some(one.payment_id) == capture.parent_payment_id;
    let Some(parent) = payments.iter().find(is_parent) else {
        return Before::Send;
    };
    if !came_late && is_good(parent, now) {
        return Before::Send;
    }
    let own = latest(
        payments,
        PaymentKind::Authorization,
        &capture_cause(capture),
    );
    if let Some(own) = own {
        return match own.state {
            PaymentState::Succeeded => Before::Switch(own),
            PaymentState::Failed => Before::Refused(own),
            _ => Before::Run(own),
        };
    }
    // One that was made for a capture and has ended already is not replaced without end.
    if came_late && parent.cause.starts_with("capture/") {
        return Before::Send;
    }
    let fits = |one: &&Payment| {
        one.tender == capture.tender
            && one.payment_id != parent.payment_id
            && is_good(one, now)
            && !is_superseded(payments, one)
            && !one.cause.starts_with("capture/")
            && !leaves_out(one, capture)
            && left(payments, one) >= capture.amount
    };
    match by_tender(payments).into_iter().find(fits) {
        Some(other) => Before::Switch(other),
        None => Before::Authorize,
    }
}

/// True when this authorization was asked for while the capture was planned elsewhere, and so without its amount: what it has is
/// for shipments to come.
fn leaves_out(authorization: &Payment, capture: &Payment) -> bool {
    let was_planned = capture.created_at < authorization.created_at;
    let had_failed =
        capture.state == PaymentState::Failed && capture.updated_at <= authorization.created_at;
    was_planned && !had_failed
}

fn is_good(authorization: &Payment, now: OffsetDateTime) -> bool {
    authorization.expires_at.is_none_or(|end| now < end)
}

#[cfg(test)]
mod tests {
    use oms_core::{OrderId, PaymentId};
    use uuid::Uuid;

    use super::*;
    use crate::domain::capture::{draw, source};

    const HOUR: Duration = Duration::HOUR;
    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    /// An order's ledger; payments are known by their place, from 1.
    #[derive(Default)]
    struct Ledger(Vec<Payment>);

    impl Ledger {
        fn with(
            mut self,
            kind: PaymentKind,
            state: PaymentState,
            amount: i64,
            parent: usize,
            cause: &str,
        ) -> Self {
            let id = |number: usize| PaymentId::new(Uuid::from_u128(number as u128));
            self.0.push(Payment {
                payment_id: id(self.0.len() + 1),
                order_id: OrderId::new(Uuid::nil()),
                kind,
                state,
                amount,
                currency: "USD".parse().unwrap(),
                tender: 1,
                provider: "sandbox".into(),
                provider_reference: String::new(),
                parent_payment_id: (parent > 0).then(|| id(parent)),
                cause: cause.into(),
                failure_code: String::new(),
                expires_at: None,
                actor: String::new(),
                created_at: NOW,
                updated_at: NOW,
            });
            self
        }

        /// One order with this much authorized.
        fn authorized(amount: i64) -> Self {
            Self::default().with(Authorization, Succeeded, amount, 0, "order")
        }

        /// The renewal of the first authorization.
        fn renewed(self, state: PaymentState, amount: i64) -> Self {
            let cause = renewal_cause(&self.0[0]);
            self.with(Authorization, state, amount, 0, &cause)
        }

        /// What the second payment, a capture, needs an hour later.
        fn before(&self) -> Before<'_> {
            before_capture(&self.0, &self.0[1], NOW + HOUR)
        }

        fn next(&self, owed: i64) -> Renewal<'_> {
            next(OrderState::Confirmed, owed, &self.0, &self.0[0])
        }
    }

    use PaymentKind::{Authorization, Capture, Void};
    use PaymentState::{Failed, InDoubt, Initiated, Pending, Succeeded};

    #[test]
    fn it_is_due_before_the_end_but_not_in_the_first_half() {
        let day = Duration::DAY;
        assert_eq!(due_at(NOW, NOW + day * 7, day), NOW + day * 6);
        assert_eq!(due_at(NOW, NOW + HOUR, day), NOW + HOUR / 2);
        assert_eq!(due_at(NOW, NOW - HOUR, day), NOW - HOUR);
    }

    #[test]
    fn what_is_still_owed_is_authorized_anew_and_the_old_one_given_up_after_that() {
        let part = Ledger::authorized(100).with(Capture, Succeeded, 30, 1, "shipment/a");
        assert_eq!(part.next(100), Renewal::Authorize(70));
        // Units were canceled.
        assert_eq!(part.next(80), Renewal::Authorize(50));
        assert_eq!(part.next(30), Renewal::Done);
        let asked = part.renewed(Pending, 70);
        assert_eq!(asked.next(100), Renewal::Run(&asked.0[2]));
        let mut new = asked;
        new.0[2].state = Succeeded;
        assert_eq!(new.next(100), Renewal::GiveUp(&new.0[0], 70));
        assert_eq!(draw(70, &new.0, &[]), [(Some(&new.0[2]), 70)]);
        let cause = new.0[0].cause.clone();
        let voiding = new.with(Void, InDoubt, 70, 1, &cause);
        assert_eq!(voiding.next(100), Renewal::Run(&voiding.0[3]));
        let mut done = voiding;
        done.0[3].state = Succeeded;
        assert_eq!(done.next(100), Renewal::Done);
    }

    #[test]
    fn a_planned_capture_goes_through_before_its_authorization_is_given_up() {
        let planned = Ledger::authorized(100).with(Capture, Initiated, 30, 1, "shipment/a");
        assert_eq!(planned.next(100), Renewal::Authorize(70));
        let renewed = planned.renewed(Succeeded, 70);
        assert_eq!(renewed.next(100), Renewal::Later);
        let mut captured = renewed;
        captured.0[1].state = Succeeded;
        assert_eq!(captured.next(100), Renewal::GiveUp(&captured.0[0], 70));
    }

    #[test]
    fn a_declined_renewal_waits_for_a_person_while_anything_depends_on_it() {
        let declined = Ledger::authorized(100).renewed(Failed, 100);
        assert_eq!(declined.next(100), Renewal::Declined(&declined.0[1]));
        assert_eq!(declined.next(0), Renewal::Done);
        let cause = format!("{}#2", renewal_cause(&declined.0[0]));
        let again = declined.with(Authorization, Initiated, 100, 0, &cause);
        assert_eq!(again.next(100), Renewal::Run(&again.0[2]));
    }

    #[test]
    fn an_order_that_ended_meanwhile_keeps_no_new_authorization() {
        let ended = |ledger: &Ledger| {
            let next = next(OrderState::Canceled, 0, &ledger.0, &ledger.0[0]);
            format!("{next:?}").split('(').next().unwrap().to_owned()
        };
        let base = || Ledger::authorized(100);
        assert_eq!(ended(&base()), "Done");
        assert_eq!(ended(&base().renewed(InDoubt, 100)), "Unwanted");
        assert_eq!(ended(&base().renewed(Initiated, 100)), "Unwanted");
        assert_eq!(ended(&base().renewed(Failed, 100)), "Done");
        assert_eq!(ended(&base().renewed(Succeeded, 100)), "GiveUp");
        let pending = base();
        let waits = next(OrderState::Pending, 100, &pending.0, &pending.0[0]);
        assert_eq!(waits, Renewal::Later);
    }

    #[test]
    fn a_declined_capture_is_tried_again_with_the_new_authorization() {
        let ledger = Ledger::authorized(100).with(Capture, Failed, 30, 1, "shipment/a");
        assert_eq!(ledger.next(100), Renewal::Authorize(100));
        let renewed = ledger.renewed(Succeeded, 100);
        assert_eq!(source(&renewed.0, &renewed.0[1]), Some(&renewed.0[2]));
    }

    #[test]
    fn a_capture_that_comes_too_late_gets_an_authorization_first() {
        let mut ledger = Ledger::authorized(100).with(Capture, Initiated, 30, 1, "shipment/a");
        let before =
            |ledger: &Ledger, now| format!("{:?}", before_capture(&ledger.0, &ledger.0[1], now));
        assert_eq!(before(&ledger, NOW), "Send", "it never ends");
        ledger.0[0].expires_at = Some(NOW + HOUR);
        assert_eq!(before(&ledger, NOW), "Send");
        assert_eq!(before(&ledger, NOW + HOUR), "Authorize");
        // Once sent it is not moved, until the provider has refused it for being late.
        ledger.0[1].state = InDoubt;
        assert_eq!(before(&ledger, NOW + HOUR), "Send");
        ledger.0[1].state = Failed;
        assert_eq!(before(&ledger, NOW + HOUR), "Send");
        ledger.0[1].failure_code = EXPIRED.to_owned();
        assert_eq!(
            before(&ledger, NOW),
            "Authorize",
            "the provider knows better"
        );
        let cause = capture_cause(&ledger.0[1]);
        let mut own = ledger.with(Authorization, Pending, 30, 0, &cause);
        assert_eq!(own.before(), Before::Run(&own.0[2]));
        own.0[2].state = Failed;
        assert_eq!(own.before(), Before::Refused(&own.0[2]));
        own.0[2].state = Succeeded;
        assert_eq!(own.before(), Before::Switch(&own.0[2]));
    }

    #[test]
    fn a_late_capture_goes_over_the_renewed_authorization_when_that_has_enough() {
        let mut ledger = Ledger::authorized(100)
            .with(Capture, Initiated, 30, 1, "shipment/a")
            .renewed(Succeeded, 70);
        ledger.0[0].expires_at = Some(NOW);
        let before =
            |ledger: &Ledger| format!("{:?}", before_capture(&ledger.0, &ledger.0[1], NOW));
        assert!(before(&ledger).starts_with("Switch"));
        ledger.0[2].amount = 20;
        assert_eq!(before(&ledger), "Authorize");
    }

    #[test]
    fn a_late_capture_does_not_take_what_was_authorized_for_later_shipments() {
        let mut ledger = Ledger::authorized(100)
            .with(Capture, Initiated, 30, 1, "shipment/a")
            .renewed(Succeeded, 70);
        ledger.0[0].expires_at = Some(NOW + HOUR);
        ledger.0[2].created_at = NOW + HOUR / 2;
        assert_eq!(ledger.before(), Before::Authorize, "70 are the rest of 100");
        // It had failed by then, and the renewal was asked for with it.
        ledger.0[1].state = Failed;
        ledger.0[1].failure_code = EXPIRED.to_owned();
        assert_eq!(ledger.before(), Before::Switch(&ledger.0[2]));
        ledger.0[1].updated_at = NOW + HOUR;
        assert_eq!(ledger.before(), Before::Authorize);
    }

    #[test]
    fn an_authorization_for_a_capture_that_ended_at_once_is_not_asked_for_without_end() {
        let mut ledger = Ledger::default()
            .with(Authorization, Succeeded, 30, 0, "capture/x")
            .with(Capture, Failed, 30, 1, "shipment/a#2");
        ledger.0[1].failure_code = EXPIRED.to_owned();
        assert_eq!(before_capture(&ledger.0, &ledger.0[1], NOW), Before::Send);
    }
}
