//! What a return is made of, and what receiving, inspecting, disposing and refunding do to it.

use std::collections::HashMap;

use oms_core::{LocationId, OrderId, OrderLineId, ReturnId, ShipmentId};
use time::OffsetDateTime;
use uuid::Uuid;

use super::state::{self, ReturnAction, ReturnState};

/// When the money goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefundTiming {
    /// As soon as the return is authorized.
    OnRequest,
    /// When the goods arrive.
    OnReceipt,
    /// When the goods were looked at.
    OnInspection,
}

impl RefundTiming {
    /// The name that the database uses.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::OnRequest => "ON_REQUEST",
            Self::OnReceipt => "ON_RECEIPT",
            Self::OnInspection => "ON_INSPECTION",
        }
    }

    /// Reads the name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::OnRequest, Self::OnReceipt, Self::OnInspection]
            .into_iter()
            .find(|timing| timing.as_str() == name)
    }
}

/// What becomes of returned units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// Back to sellable stock.
    Restock,
    /// Set apart.
    Quarantine,
    /// Thrown away.
    Scrap,
}

/// A return as its rules see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Return {
    /// Id.
    pub(crate) return_id: ReturnId,
    /// Order.
    pub(crate) order_id: OrderId,
    /// Order number for people.
    pub(crate) order_number: String,
    /// Channel of the order.
    pub(crate) channel_id: String,
    /// State.
    pub(crate) state: ReturnState,
    /// When the money goes back.
    pub(crate) refund_timing: RefundTiming,
    /// Location the goods go to.
    pub(crate) location_id: LocationId,
    /// Address of the customer in the order service.
    pub(crate) origin_address_id: String,
    /// Country the goods come from.
    pub(crate) origin_country_code: String,
    /// Postal code the goods come from.
    pub(crate) origin_postal_code: String,
    /// Return shipment; `None` until a label was asked for.
    pub(crate) shipment_id: Option<ShipmentId>,
    /// Tracking number of the label; empty until it was bought.
    pub(crate) tracking_number: String,
    /// Currency of the order, ISO 4217.
    pub(crate) currency: String,
    /// Paid back so far in minor units.
    pub(crate) refunded: i64,
    /// Why it was declined or canceled.
    pub(crate) reason: String,
    /// Number of the last event; the etag.
    pub(crate) version: i64,
    /// Who asked for it.
    pub(crate) requested_by: String,
    /// When it was asked for.
    pub(crate) created_at: OffsetDateTime,
    /// When it changed last.
    pub(crate) updated_at: OffsetDateTime,
    /// Lines by number.
    pub(crate) lines: Vec<ReturnLine>,
}

/// Units of one order line that come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReturnLine {
    /// Id.
    pub(crate) return_line_id: Uuid,
    /// Number within the return, from 1.
    pub(crate) line_number: i32,
    /// Order line.
    pub(crate) order_line_id: OrderLineId,
    /// SKU.
    pub(crate) sku: String,
    /// Name of the item.
    pub(crate) name: String,
    /// Why the customer sends it.
    pub(crate) reason: String,
    /// What the inspector saw last; empty before.
    pub(crate) condition: String,
    /// Units the customer sends.
    pub(crate) advised: i64,
    /// Units that arrived.
    pub(crate) received: i64,
    /// Units looked at.
    pub(crate) inspected: i64,
    /// Units put back to stock.
    pub(crate) restocked: i64,
    /// Units set apart.
    pub(crate) quarantined: i64,
    /// Units thrown away.
    pub(crate) scrapped: i64,
    /// Units whose refund was asked of the order service.
    pub(crate) refund_triggered: i64,
    /// Units that were paid back.
    pub(crate) refund_paid: i64,
    /// Units whose refund the inspector refused.
    pub(crate) refund_denied: i64,
}

/// Why a command on a return is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The return does not allow it now.
    Illegal {
        /// State it is in.
        state: ReturnState,
        /// Action that was asked for.
        action: &'static str,
        /// Why it is not possible, for people.
        why: String,
        /// Actions that are possible now.
        supported: Vec<&'static str>,
    },
    /// The return has no such lines; their places in the request.
    UnknownLines(Vec<usize>),
    /// More units than are open.
    Exceeds(Vec<Excess>),
    /// Refunds can be refused only when the refund point is the inspection; places in the request.
    DenialTooLate(Vec<usize>),
}

/// More units of a line than are open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Excess {
    /// Place in the request.
    pub(crate) index: usize,
    /// Units that are open.
    pub(crate) open: i64,
    /// Units asked for.
    pub(crate) requested: i64,
}

/// Units of one line in a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Units {
    /// Return line.
    pub(crate) return_line_id: Uuid,
    /// Units, above zero.
    pub(crate) quantity: i64,
}

/// Units of one line whose refund point is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefundUnits {
    /// Return line.
    pub(crate) return_line_id: Uuid,
    /// Order line.
    pub(crate) order_line_id: OrderLineId,
    /// SKU.
    pub(crate) sku: String,
    /// Units.
    pub(crate) quantity: i64,
}

impl ReturnLine {
    /// Units that were disposed of.
    pub(crate) fn disposed(&self) -> i64 {
        self.restocked + self.quarantined + self.scrapped
    }

    /// Money axis of the line by name. A line waits as long as any of its units does.
    pub(crate) fn money_state(&self) -> &'static str {
        match () {
            () if self.refund_paid < self.refund_triggered => "TRIGGERED",
            () if self.refund_triggered + self.refund_denied < self.advised => "PENDING",
            () if self.refund_triggered == 0 => "DENIED",
            () => "REFUNDED",
        }
    }
}

impl Return {
    /// Why an action of clients is not possible now, for people; `None` when it is.
    pub(crate) fn obstacle(&self, action: &str) -> Option<String> {
        if !state::supported_actions(self.state).contains(&action) {
            return Some(format!("return is {}", self.state.as_str()));
        }
        match action {
            "issue_label" if self.shipment_id.is_some() => Some("a label was issued".into()),
            "cancel" if self.lines.iter().any(|line| line.refund_triggered > 0) => {
                Some("its money was paid back or is about to be".into())
            }
            _ => None,
        }
    }

    /// Refuses an action of clients that is not possible now.
    pub(crate) fn allow(&self, action: &'static str) -> Result<(), Refusal> {
        match self.obstacle(action) {
            None => Ok(()),
            Some(why) => Err(self.illegal(action, why)),
        }
    }

    /// Does a step of the table, or refuses it in the words of the client.
    pub(crate) fn step(
        &mut self,
        action: ReturnAction,
        asked: &'static str,
    ) -> Result<(), Refusal> {
        let Some(next) = self.state.after(action) else {
            let why = format!("return is {}", self.state.as_str());
            return Err(self.illegal(asked, why));
        };
        self.state = next;
        Ok(())
    }

    /// Books units in that arrived.
    pub(crate) fn receive(&mut self, units: &[Units]) -> Result<(), Refusal> {
        // Whether the last unit is among them decides the step; both are legal in the same states.
        self.allow("receive")?;
        self.check_open(units, |line| line.advised - line.received)?;
        for part in units {
            if let Some(line) = self.line_mut(part.return_line_id) {
                line.received += part.quantity;
            }
        }
        let all = self.lines.iter().all(|line| line.received == line.advised);
        let action = if all {
            ReturnAction::ReceiveAll
        } else {
            ReturnAction::ReceiveSome
        };
        self.step(action, "receive")
    }

    /// Records what an inspector saw; `denied` refuses the refund of those units.
    pub(crate) fn inspect(&mut self, seen: &[(Units, String, bool)]) -> Result<(), Refusal> {
        self.allow("inspect")?;
        let units: Vec<Units> = seen.iter().map(|(part, ..)| *part).collect();
        self.check_open(&units, |line| line.received - line.inspected)?;
        let denials = seen.iter().enumerate().filter(|(_, (.., denied))| *denied);
        let denials: Vec<usize> = denials.map(|(index, _)| index).collect();
        if self.refund_timing != RefundTiming::OnInspection && !denials.is_empty() {
            return Err(Refusal::DenialTooLate(denials));
        }
        for (part, condition, denied) in seen {
            let Some(line) = self.line_mut(part.return_line_id) else {
                continue;
            };
            line.inspected += part.quantity;
            line.condition.clone_from(condition);
            if *denied {
                line.refund_denied += part.quantity;
            }
        }
        let all = self.lines.iter().all(|line| line.inspected == line.advised);
        let action = if all {
            ReturnAction::InspectAll
        } else {
            ReturnAction::InspectSome
        };
        self.step(action, "inspect")
    }

    /// Decides what becomes of inspected units.
    pub(crate) fn dispose(&mut self, parts: &[(Units, Disposition)]) -> Result<(), Refusal> {
        self.allow("dispose")?;
        let units: Vec<Units> = parts.iter().map(|(part, _)| *part).collect();
        self.check_open(&units, |line| line.inspected - line.disposed())?;
        for (part, disposition) in parts {
            let Some(line) = self.line_mut(part.return_line_id) else {
                continue;
            };
            match disposition {
                Disposition::Restock => line.restocked += part.quantity,
                Disposition::Quarantine => line.quarantined += part.quantity,
                Disposition::Scrap => line.scrapped += part.quantity,
            }
        }
        self.step(ReturnAction::Dispose, "dispose")
    }

    /// Gives the return up; refused once anything was paid back or asked to be.
    pub(crate) fn cancel(&mut self) -> Result<(), Refusal> {
        self.allow("cancel")?;
        self.step(ReturnAction::Cancel, "cancel")
    }

    /// Takes the return shipment; there is one label for a return.
    pub(crate) fn issue_label(&mut self, shipment_id: ShipmentId) -> Result<(), Refusal> {
        self.allow("issue_label")?;
        self.step(ReturnAction::IssueLabel, "issue_label")?;
        self.shipment_id = Some(shipment_id);
        Ok(())
    }

    /// The shipment whose label is still to be bought; nobody needs one for a return that was given up.
    pub(crate) fn label_to_buy(&self) -> Option<ShipmentId> {
        if self.state == ReturnState::Canceled || !self.tracking_number.is_empty() {
            return None;
        }
        self.shipment_id
    }

    /// Takes the units that have reached their refund point and were not asked for yet.
    pub(crate) fn trigger_refund(&mut self) -> Vec<RefundUnits> {
        let timing = self.refund_timing;
        let is_allowed = !matches!(
            self.state,
            ReturnState::Requested | ReturnState::Declined | ReturnState::Canceled
        );
        let mut due = Vec::new();
        for line in &mut self.lines {
            let reached = match timing {
                _ if !is_allowed => 0,
                RefundTiming::OnRequest => line.advised,
                RefundTiming::OnReceipt => line.received,
                RefundTiming::OnInspection => line.inspected,
            };
            let quantity = reached - line.refund_denied - line.refund_triggered;
            if quantity <= 0 {
                continue;
            }
            line.refund_triggered += quantity;
            due.push(RefundUnits {
                return_line_id: line.return_line_id,
                order_line_id: line.order_line_id,
                sku: line.sku.clone(),
                quantity,
            });
        }
        due
    }

    /// Books a refund that the order service paid.
    pub(crate) fn refund_paid(&mut self, minor: i64, units: &[(OrderLineId, i64)]) {
        self.refunded = self.refunded.saturating_add(minor);
        for (order_line_id, quantity) in units {
            let line = self
                .lines
                .iter_mut()
                .find(|line| line.order_line_id == *order_line_id);
            if let Some(line) = line {
                line.refund_paid = (line.refund_paid + quantity).min(line.refund_triggered);
            }
        }
    }

    /// True when every unit is disposed of and every refund that was asked for is paid.
    pub(crate) fn is_settled(&self) -> bool {
        self.state == ReturnState::Inspected
            && self.lines.iter().all(|line| {
                line.disposed() == line.advised
                    && line.refund_paid == line.refund_triggered
                    && line.refund_triggered + line.refund_denied == line.advised
            })
    }

    fn illegal(&self, action: &'static str, why: String) -> Refusal {
        let names = state::CLIENT_ACTIONS.iter().map(|(name, _)| *name);
        Refusal::Illegal {
            state: self.state,
            action,
            why,
            supported: names.filter(|name| self.obstacle(name).is_none()).collect(),
        }
    }

    /// Refuses units of lines that are not there, and units beyond what `open` says of their line. Parts of
    /// one line count together.
    fn check_open(&self, units: &[Units], open: fn(&ReturnLine) -> i64) -> Result<(), Refusal> {
        let mut left: HashMap<Uuid, i64> = self
            .lines
            .iter()
            .map(|line| (line.return_line_id, open(line)))
            .collect();
        let (mut unknown, mut excesses) = (Vec::new(), Vec::new());
        for (index, part) in units.iter().enumerate() {
            match left.get_mut(&part.return_line_id) {
                None => unknown.push(index),
                Some(open) if part.quantity > *open => excesses.push(Excess {
                    index,
                    open: *open,
                    requested: part.quantity,
                }),
                Some(open) => *open -= part.quantity,
            }
        }
        if !unknown.is_empty() {
            return Err(Refusal::UnknownLines(unknown));
        }
        if !excesses.is_empty() {
            return Err(Refusal::Exceeds(excesses));
        }
        Ok(())
    }

    fn line_mut(&mut self, id: Uuid) -> Option<&mut ReturnLine> {
        self.lines.iter_mut().find(|line| line.return_line_id == id)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn a_return(timing: RefundTiming, advised: i64) -> Return {
        let line = ReturnLine {
            return_line_id: Uuid::from_u128(1),
            line_number: 1,
            order_line_id: OrderLineId::new(Uuid::from_u128(2)),
            sku: "A".into(),
            name: "Chair".into(),
            reason: "UNWANTED".into(),
            condition: String::new(),
            advised,
            received: 0,
            inspected: 0,
            restocked: 0,
            quarantined: 0,
            scrapped: 0,
            refund_triggered: 0,
            refund_paid: 0,
            refund_denied: 0,
        };
        Return {
            return_id: ReturnId::new(Uuid::from_u128(3)),
            order_id: OrderId::new(Uuid::from_u128(4)),
            order_number: "WEB-1".into(),
            channel_id: "web".into(),
            state: ReturnState::Requested,
            refund_timing: timing,
            location_id: "reno".parse().unwrap(),
            origin_address_id: String::new(),
            origin_country_code: "US".into(),
            origin_postal_code: "42420".into(),
            shipment_id: None,
            tracking_number: String::new(),
            currency: "USD".into(),
            refunded: 0,
            reason: String::new(),
            version: 1,
            requested_by: "user:ann".into(),
            created_at: OffsetDateTime::UNIX_EPOCH,
            updated_at: OffsetDateTime::UNIX_EPOCH,
            lines: vec![line],
        }
    }

    fn units(quantity: i64) -> Units {
        Units {
            return_line_id: Uuid::from_u128(1),
            quantity,
        }
    }

    fn due(ret: &mut Return) -> i64 {
        ret.trigger_refund().iter().map(|part| part.quantity).sum()
    }

    #[test]
    fn money_goes_back_at_its_point_and_once() {
        for (timing, expected) in [
            (RefundTiming::OnRequest, [3, 0, 0]),
            (RefundTiming::OnReceipt, [0, 2, 0]),
            (RefundTiming::OnInspection, [0, 0, 2]),
        ] {
            let mut ret = a_return(timing, 3);
            assert_eq!(
                due(&mut ret),
                0,
                "nothing goes back before it is authorized"
            );
            ret.step(ReturnAction::Authorize, "authorize").unwrap();
            let first = due(&mut ret);
            ret.receive(&[units(2)]).unwrap();
            let second = due(&mut ret);
            ret.inspect(&[(units(2), "SELLABLE".into(), false)])
                .unwrap();
            assert_eq!([first, second, due(&mut ret)], expected, "{timing:?}");
            assert_eq!(due(&mut ret), 0, "asked twice it is asked once");
        }
    }

    #[test]
    fn nothing_goes_back_for_a_declined_return() {
        let mut ret = a_return(RefundTiming::OnRequest, 3);
        ret.step(ReturnAction::Decline, "decline").unwrap();
        assert_eq!(due(&mut ret), 0);
    }

    #[test]
    fn more_than_is_there_is_refused() {
        let mut ret = a_return(RefundTiming::OnInspection, 3);
        ret.step(ReturnAction::Authorize, "authorize").unwrap();
        let exceeds = |open, requested| {
            Err(Refusal::Exceeds(vec![Excess {
                index: 0,
                open,
                requested,
            }]))
        };
        assert_eq!(ret.clone().receive(&[units(4)]), exceeds(3, 4));
        ret.receive(&[units(2)]).unwrap();
        let seen = [(units(3), "SELLABLE".to_owned(), false)];
        assert_eq!(ret.clone().inspect(&seen), exceeds(2, 3));
        assert_eq!(
            ret.clone().dispose(&[(units(1), Disposition::Scrap)]),
            exceeds(0, 1)
        );
    }

    #[test]
    fn it_is_settled_when_goods_and_money_are() {
        let mut ret = a_return(RefundTiming::OnInspection, 2);
        ret.step(ReturnAction::Authorize, "authorize").unwrap();
        ret.receive(&[units(2)]).unwrap();
        ret.inspect(&[
            (units(1), "SELLABLE".into(), false),
            (units(1), "CUSTOMER_DAMAGED".into(), true),
        ])
        .unwrap();
        assert_eq!(due(&mut ret), 1);
        ret.dispose(&[
            (units(1), Disposition::Restock),
            (units(1), Disposition::Scrap),
        ])
        .unwrap();
        assert!(!ret.is_settled(), "the refund is not paid yet");
        ret.refund_paid(500, &[(OrderLineId::new(Uuid::from_u128(2)), 1)]);
        assert!(ret.is_settled());
        assert_eq!(ret.lines[0].money_state(), "REFUNDED");
    }

    #[test]
    fn a_refunded_return_cannot_be_given_up() {
        let mut ret = a_return(RefundTiming::OnRequest, 1);
        ret.step(ReturnAction::Authorize, "authorize").unwrap();
        due(&mut ret);
        let Err(Refusal::Illegal { why, supported, .. }) = ret.cancel() else {
            panic!("canceled although its money is on its way");
        };
        assert!(why.contains("money"), "{why}");
        assert!(!supported.contains(&"cancel"), "{supported:?}");
    }

    #[test]
    fn everything_wrong_with_the_lines_is_told_at_once() {
        let mut ret = a_return(RefundTiming::OnReceipt, 3);
        ret.step(ReturnAction::Authorize, "authorize").unwrap();
        let stranger = Units {
            return_line_id: Uuid::from_u128(9),
            quantity: 1,
        };
        let unknown = ret.receive(&[stranger, units(1), stranger]);
        assert_eq!(unknown, Err(Refusal::UnknownLines(vec![0, 2])));
        // Parts of one line count together.
        let excess = |index, open, requested| Excess {
            index,
            open,
            requested,
        };
        assert_eq!(
            ret.receive(&[units(4), units(2), units(2)]),
            Err(Refusal::Exceeds(vec![excess(0, 3, 4), excess(2, 1, 2)]))
        );
        assert_eq!(ret.lines[0].received, 0, "what is refused changes nothing");
        ret.receive(&[units(2), units(1)]).unwrap();
        let seen = |denied| (units(1), "DEFECTIVE".to_owned(), denied);
        assert_eq!(
            ret.inspect(&[seen(false), seen(true), seen(true)]),
            Err(Refusal::DenialTooLate(vec![1, 2]))
        );
    }

    #[test]
    fn a_line_waits_for_money_as_long_as_any_unit_does() {
        let mut ret = a_return(RefundTiming::OnInspection, 3);
        let line = &mut ret.lines[0];
        for (triggered, paid, denied, expected) in [
            (0, 0, 0, "PENDING"),
            (1, 0, 0, "TRIGGERED"),
            (1, 1, 0, "PENDING"),
            (1, 1, 2, "REFUNDED"),
            (0, 0, 3, "DENIED"),
            (3, 3, 0, "REFUNDED"),
        ] {
            (line.refund_triggered, line.refund_paid, line.refund_denied) =
                (triggered, paid, denied);
            assert_eq!(line.money_state(), expected);
        }
    }
}
