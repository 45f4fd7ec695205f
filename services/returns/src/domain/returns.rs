//! What a return is made of, and what receiving, inspecting, disposing and refunding do to it.

use oms_core::{LocationId, OrderId, OrderLineId, ReturnId, ShipmentId};
use time::OffsetDateTime;
use uuid::Uuid;

use super::state::{ReturnAction, ReturnState};

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
#[derive(Debug, Clone)]
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
#[derive(Debug, Clone)]
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
    /// The state does not allow it.
    Illegal {
        /// State it is in.
        state: ReturnState,
        /// Action that was asked for.
        action: &'static str,
    },
    /// The return has no such line.
    UnknownLine {
        /// Place in the request.
        index: usize,
    },
    /// More units than are open.
    Exceeds {
        /// Place in the request.
        index: usize,
        /// Units that are open.
        open: i64,
        /// Units asked for.
        requested: i64,
    },
    /// Refunds can be refused only when the refund point is the inspection.
    DenialTooLate {
        /// Place in the request.
        index: usize,
    },
    /// Money was paid back already.
    AlreadyRefunded,
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

    /// Money axis of the line by name.
    pub(crate) fn money_state(&self) -> &'static str {
        match () {
            () if self.refund_triggered == 0 && self.refund_denied == self.advised => "DENIED",
            () if self.refund_triggered == 0 => "PENDING",
            () if self.refund_paid < self.refund_triggered => "TRIGGERED",
            () => "REFUNDED",
        }
    }
}

impl Return {
    /// Does a step of the table, or refuses it in the words of the client.
    pub(crate) fn step(
        &mut self,
        action: ReturnAction,
        asked: &'static str,
    ) -> Result<(), Refusal> {
        let refused = Refusal::Illegal {
            state: self.state,
            action: asked,
        };
        self.state = self.state.after(action).ok_or(refused)?;
        Ok(())
    }

    /// Books units in that arrived.
    pub(crate) fn receive(&mut self, units: &[Units]) -> Result<(), Refusal> {
        // Whether the last unit is among them decides the step; both are legal in the same states.
        self.legal(ReturnAction::ReceiveSome, "receive")?;
        for (index, part) in units.iter().enumerate() {
            let line = self.line_mut(index, part.return_line_id)?;
            let open = line.advised - line.received;
            line.received += within(index, part.quantity, open)?;
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
        self.legal(ReturnAction::InspectSome, "inspect")?;
        let timing = self.refund_timing;
        for (index, (part, condition, denied)) in seen.iter().enumerate() {
            if *denied && timing != RefundTiming::OnInspection {
                return Err(Refusal::DenialTooLate { index });
            }
            let line = self.line_mut(index, part.return_line_id)?;
            let quantity = within(index, part.quantity, line.received - line.inspected)?;
            line.inspected += quantity;
            line.condition.clone_from(condition);
            if *denied {
                line.refund_denied += quantity;
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
        self.step(ReturnAction::Dispose, "dispose")?;
        for (index, (part, disposition)) in parts.iter().enumerate() {
            let line = self.line_mut(index, part.return_line_id)?;
            let quantity = within(index, part.quantity, line.inspected - line.disposed())?;
            match disposition {
                Disposition::Restock => line.restocked += quantity,
                Disposition::Quarantine => line.quarantined += quantity,
                Disposition::Scrap => line.scrapped += quantity,
            }
        }
        Ok(())
    }

    /// Gives the return up; refused once anything was paid back or asked to be.
    pub(crate) fn cancel(&mut self) -> Result<(), Refusal> {
        self.legal(ReturnAction::Cancel, "cancel")?;
        if self.lines.iter().any(|line| line.refund_triggered > 0) {
            return Err(Refusal::AlreadyRefunded);
        }
        self.step(ReturnAction::Cancel, "cancel")
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

    fn legal(&self, action: ReturnAction, asked: &'static str) -> Result<(), Refusal> {
        match self.state.after(action) {
            Some(_) => Ok(()),
            None => Err(Refusal::Illegal {
                state: self.state,
                action: asked,
            }),
        }
    }

    fn line_mut(&mut self, index: usize, id: Uuid) -> Result<&mut ReturnLine, Refusal> {
        self.lines
            .iter_mut()
            .find(|line| line.return_line_id == id)
            .ok_or(Refusal::UnknownLine { index })
    }
}

fn within(index: usize, requested: i64, open: i64) -> Result<i64, Refusal> {
    if requested > open {
        return Err(Refusal::Exceeds {
            index,
            open,
            requested,
        });
    }
    Ok(requested)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_return(timing: RefundTiming, advised: i64) -> Return {
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
            Err(Refusal::Exceeds {
                index: 0,
                open,
                requested,
            })
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
        assert_eq!(ret.cancel(), Err(Refusal::AlreadyRefunded));
    }
}
