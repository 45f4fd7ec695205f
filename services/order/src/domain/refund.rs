//! Which captures a refund goes back over, and the attempts of a payment that was declined.
//!
//! A payment's cause names what it is for, such as `shipment/<id>`. The second try of a declined one has
//! the cause `shipment/<id>#2`; the second part of a refund over several captures has `return/<id>/2`, as the second
//! part of a capture from several tenders has `shipment/<id>/2`.

use uuid::Uuid;

use super::payment::{Payment, PaymentKind, PaymentState};

const GOODWILL: &str = "manual/";

/// The cause without the number of the attempt.
pub(crate) fn base_cause(cause: &str) -> &str {
    cause.split_once('#').map_or(cause, |(base, _)| base)
}

/// The cause of a refund that no return and no cancellation asked for.
pub(crate) fn goodwill_cause(request_id: Uuid) -> String {
    format!("{GOODWILL}{request_id}")
}

/// True for the cause of such a refund, or of a part of it.
pub(crate) fn is_goodwill(cause: &str) -> bool {
    cause.starts_with(GOODWILL)
}

/// The last attempt of a cause.
pub(crate) fn latest<'a>(
    payments: &'a [Payment],
    kind: PaymentKind,
    cause: &str,
) -> Option<&'a Payment> {
    payments
        .iter()
        .filter(|payment| payment.kind == kind && base_cause(&payment.cause) == cause)
        .max_by_key(|payment| attempt(&payment.cause))
}

/// The cause of the attempt after this one.
pub(crate) fn next_cause(cause: &str) -> String {
    format!("{}#{}", base_cause(cause), attempt(cause) + 1)
}

fn attempt(cause: &str) -> u32 {
    let number = cause.split_once('#').map(|(_, number)| number);
    number.and_then(|number| number.parse().ok()).unwrap_or(1)
}

/// The last attempts of the parts of a refund, or of a capture from several tenders.
pub(crate) fn parts<'a>(
    payments: &'a [Payment],
    kind: PaymentKind,
    cause: &str,
) -> Vec<&'a Payment> {
    let mut causes: Vec<&str> = payments
        .iter()
        .filter(|payment| payment.kind == kind)
        .map(|payment| base_cause(&payment.cause))
        .filter(|base| {
            *base == cause
                || base
                    .strip_prefix(cause)
                    .is_some_and(|rest| rest.starts_with('/'))
        })
        .collect();
    causes.sort_unstable();
    causes.dedup();
    causes
        .into_iter()
        .filter_map(|base| latest(payments, kind, base))
        .collect()
}

/// The last attempts to give up authorizations.
pub(crate) fn voids(payments: &[Payment]) -> Vec<&Payment> {
    let mut causes: Vec<&str> = payments
        .iter()
        .filter(|payment| payment.kind == PaymentKind::Void)
        .map(|payment| base_cause(&payment.cause))
        .collect();
    causes.sort_unstable();
    causes.dedup();
    causes
        .into_iter()
        .filter_map(|base| latest(payments, PaymentKind::Void, base))
        .collect()
}

/// Succeeded captures with what is neither refunded nor about to be, in minor units, oldest first.
pub(crate) fn refundable(payments: &[Payment]) -> Vec<(&Payment, i64)> {
    let taken = |capture: &Payment| -> i64 {
        payments
            .iter()
            .filter(|refund| {
                refund.kind == PaymentKind::Refund
                    && refund.state != PaymentState::Failed
                    && refund.parent_payment_id == Some(capture.payment_id)
            })
            .map(|refund| refund.amount)
            .sum()
    };
    payments
        .iter()
        .filter(|payment| {
            payment.kind == PaymentKind::Capture && payment.state == PaymentState::Succeeded
        })
        .map(|capture| (capture, capture.amount - taken(capture)))
        .filter(|(_, left)| *left > 0)
        .collect()
}

/// Spreads an amount over what has something left, the first first. Less comes out when less is left.
pub(crate) fn spread<'a>(amount: i64, from: &[(&'a Payment, i64)]) -> Vec<(&'a Payment, i64)> {
    let mut left = amount;
    let mut parts = Vec::new();
    for (payment, most) in from {
        let part = left.min(*most);
        if part > 0 {
            parts.push((*payment, part));
            left -= part;
        }
    }
    parts
}

/// The cause of the part of a capture or refund with this number, from 0.
pub(crate) fn part_cause(cause: &str, number: usize) -> String {
    if number == 0 {
        return cause.to_owned();
    }
    format!("{cause}/{}", number + 1)
}

/// True while a capture has no answer yet.
pub(crate) fn captures_are_open(payments: &[Payment]) -> bool {
    payments
        .iter()
        .any(|payment| payment.kind == PaymentKind::Capture && !payment.state.is_settled())
}

#[cfg(test)]
mod tests {
    use oms_core::{OrderId, PaymentId};
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::*;

    fn payment(
        id: u128,
        kind: PaymentKind,
        state: PaymentState,
        amount: i64,
        parent: Option<u128>,
        cause: &str,
    ) -> Payment {
        Payment {
            payment_id: PaymentId::new(Uuid::from_u128(id)),
            order_id: OrderId::new(Uuid::from_u128(1)),
            kind,
            state,
            amount,
            currency: "USD".parse().unwrap(),
            tender: 1,
            provider: "sandbox".into(),
            provider_reference: String::new(),
            parent_payment_id: parent.map(|id| PaymentId::new(Uuid::from_u128(id))),
            cause: cause.into(),
            failure_code: String::new(),
            expires_at: None,
            actor: "service:order".into(),
            created_at: OffsetDateTime::UNIX_EPOCH,
            updated_at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_refund_goes_over_the_oldest_captures_first_and_never_over_what_is_left() {
        use PaymentKind::{Capture, Refund};
        use PaymentState::{Failed, Initiated, Succeeded};
        let payments = [
            payment(1, Capture, Succeeded, 100, None, "shipment/a"),
            payment(2, Capture, Failed, 70, None, "shipment/b"),
            payment(3, Capture, Succeeded, 50, None, "shipment/b#2"),
            payment(4, Refund, Succeeded, 30, Some(1), "return/x"),
            payment(5, Refund, Failed, 30, Some(1), "return/y"),
            payment(6, Refund, Initiated, 10, Some(3), "manual/z"),
        ];
        let left = refundable(&payments);
        let (first, third) = (&payments[0], &payments[2]);
        assert_eq!(left, [(first, 70), (third, 40)]);
        assert_eq!(spread(75, &left), [(first, 70), (third, 5)]);
        assert_eq!(spread(500, &left), [(first, 70), (third, 40)]);
        assert_eq!(spread(0, &left), []);
    }

    #[test]
    fn the_last_attempt_of_each_part_counts() {
        use PaymentKind::{Capture, Refund};
        use PaymentState::{Failed, Succeeded};
        let payments = [
            payment(1, Refund, Failed, 1, None, "return/x"),
            payment(2, Refund, Succeeded, 1, None, "return/x#2"),
            payment(3, Refund, Succeeded, 1, None, "return/x/2"),
            payment(4, Refund, Succeeded, 1, None, "return/xy"),
            payment(5, Capture, Failed, 1, None, "order#10"),
            payment(6, Capture, Failed, 1, None, "order#9"),
        ];
        let causes: Vec<&str> = parts(&payments, Refund, "return/x")
            .iter()
            .map(|payment| payment.cause.as_str())
            .collect();
        assert_eq!(causes, ["return/x#2", "return/x/2"]);
        assert_eq!(
            latest(&payments, Capture, "order").unwrap().cause,
            "order#10"
        );
        assert_eq!(next_cause("order#10"), "order#11");
        assert_eq!(next_cause("order"), "order#2");
    }
}
