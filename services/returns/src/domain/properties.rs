//! Whatever is done to a return in whatever order, its books hold.

use proptest::prelude::*;

use super::returns::tests::a_return;
use super::returns::{Disposition, RefundTiming, Refusal, Return, ReturnLine, Units};
use super::state::{self, ReturnAction, ReturnState};

#[derive(Debug, Clone)]
enum Deed {
    Authorize,
    Decline,
    Transit,
    Cancel,
    Receive(i64),
    Inspect(i64, bool),
    Dispose(i64, Disposition),
    Pay(i64),
}

fn deed() -> impl Strategy<Value = Deed> {
    let units = || 1_i64..5;
    let disposition = prop_oneof![
        Just(Disposition::Restock),
        Just(Disposition::Quarantine),
        Just(Disposition::Scrap)
    ];
    prop_oneof![
        3 => Just(Deed::Authorize),
        1 => Just(Deed::Decline),
        1 => Just(Deed::Transit),
        1 => Just(Deed::Cancel),
        6 => units().prop_map(Deed::Receive),
        6 => (units(), any::<bool>()).prop_map(|(units, denied)| Deed::Inspect(units, denied)),
        6 => (units(), disposition).prop_map(|(units, to)| Deed::Dispose(units, to)),
        3 => units().prop_map(Deed::Pay),
    ]
}

fn timing() -> impl Strategy<Value = RefundTiming> {
    prop_oneof![
        Just(RefundTiming::OnRequest),
        Just(RefundTiming::OnReceipt),
        Just(RefundTiming::OnInspection)
    ]
}

/// Does it as the commands do, the refund point and the close included; answers the units now due.
fn act(ret: &mut Return, deed: &Deed) -> Result<i64, Refusal> {
    let return_line_id = ret.lines[0].return_line_id;
    let part = |quantity| Units {
        return_line_id,
        quantity,
    };
    match deed {
        Deed::Authorize => ret.step(ReturnAction::Authorize, "authorize")?,
        Deed::Decline => ret.step(ReturnAction::Decline, "decline")?,
        Deed::Transit => ret.step(ReturnAction::Transit, "transit")?,
        Deed::Cancel => ret.cancel()?,
        Deed::Receive(units) => ret.receive(&[part(*units)])?,
        Deed::Inspect(units, denied) => {
            ret.inspect(&[(part(*units), "SELLABLE".into(), *denied)])?;
        }
        Deed::Dispose(units, to) => ret.dispose(&[(part(*units), *to)])?,
        Deed::Pay(units) => {
            let order_line_id = ret.lines[0].order_line_id;
            ret.refund_paid(0, &[(order_line_id, *units)]);
        }
    }
    let due = ret.trigger_refund().iter().map(|part| part.quantity).sum();
    if ret.is_settled() {
        ret.step(ReturnAction::Close, "close")?;
    }
    Ok(due)
}

fn holds(line: &ReturnLine) -> bool {
    let within = |small: i64, large: i64| 0 <= small && small <= large;
    within(line.received, line.advised)
        && within(line.inspected, line.received)
        && within(line.disposed(), line.inspected)
        && within(line.refund_paid, line.refund_triggered)
        && within(line.refund_triggered + line.refund_denied, line.advised)
}

proptest! {
    #[test]
    fn the_books_hold(
        timing in timing(),
        advised in 1_i64..6,
        deeds in prop::collection::vec(deed(), 0..40),
    ) {
        let mut ret = a_return(timing, advised);
        let mut due = 0;
        for deed in deeds {
            let before = ret.clone();
            let offered = state::CLIENT_ACTIONS
                .iter()
                .any(|(name, _)| before.obstacle(name).is_none());
            match act(&mut ret, &deed) {
                Ok(units) => due += units,
                Err(Refusal::Illegal { supported, .. }) => {
                    prop_assert_eq!(offered, !supported.is_empty());
                    prop_assert_eq!(&ret, &before, "{:?} was refused", deed);
                }
                Err(_) => prop_assert_eq!(&ret, &before, "{:?} was refused", deed),
            }
            let line = &ret.lines[0];
            prop_assert!(holds(line), "{:?} after {:?}", line, deed);
            prop_assert_eq!(due, line.refund_triggered, "every unit is asked for once");
            let given_up = matches!(ret.state, ReturnState::Declined | ReturnState::Canceled);
            prop_assert!(!given_up || line.refund_triggered == 0, "{:?}", ret);
            if ret.state == ReturnState::Closed {
                prop_assert_eq!(line.disposed(), line.advised);
                prop_assert_eq!(line.refund_paid, line.refund_triggered);
            }
        }
    }
}
