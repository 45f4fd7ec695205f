//! Pack sessions and packages.

use oms_core::{FulfillmentOrderId, PackSessionId, PackageId};
use uuid::Uuid;

use super::fulfillment_order::{Dimensions, LineUnits};
use super::machine::{self, Named, Table};
use super::refusal::{Refusal, SupportedAction};

/// Most packages of one session, as many as one shipment may have.
pub(crate) const PACKAGES_MAX: usize = 100;

const AGGREGATE: &str = "pack_session";

/// State of a pack session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum PackSessionState {
    /// Units may be scanned into packages.
    Open,
    /// Its packages went to shipping.
    Closed,
    /// Given up.
    Abandoned,
}

/// What happens to a pack session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum PackSessionAction {
    /// Units are scanned into a package.
    Scan,
    /// A package is weighed and measured.
    Measure,
    /// Everything is packed, weighed and measured.
    Close,
    /// The packer gives up.
    Abandon,
}

use PackSessionAction as A;
use PackSessionState as S;

/// Every legal step of a pack session.
pub(crate) const PACK_SESSION: &Table<PackSessionState, PackSessionAction> = &[
    (S::Open, A::Scan, S::Open),
    (S::Open, A::Measure, S::Open),
    (S::Open, A::Close, S::Closed),
    (S::Open, A::Abandon, S::Abandoned),
];

impl Named for PackSessionState {
    const ALL: &'static [Self] = &[S::Open, S::Closed, S::Abandoned];

    fn name(self) -> &'static str {
        match self {
            S::Open => "OPEN",
            S::Closed => "CLOSED",
            S::Abandoned => "ABANDONED",
        }
    }
}

impl Named for PackSessionAction {
    const ALL: &'static [Self] = &[A::Scan, A::Measure, A::Close, A::Abandon];

    fn name(self) -> &'static str {
        match self {
            A::Scan => "scan_pack",
            A::Measure => "measure_package",
            A::Close => "close",
            A::Abandon => "abandon",
        }
    }
}

/// What the scale and the tape say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Measures {
    /// Gross mass in grams.
    pub(crate) mass_grams: i64,
    /// Outer dimensions.
    pub(crate) dimensions: Dimensions,
}

/// Units of a line in a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PackageLine {
    /// Line of the fulfillment order.
    pub(crate) line_id: Uuid,
    /// Units.
    pub(crate) quantity: i64,
    /// Who scanned it last.
    pub(crate) packed_by: String,
}

/// A package and what is in it. A package comes to be with its first unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Package {
    /// Id.
    pub(crate) id: PackageId,
    /// Number within the session, from 1.
    pub(crate) number: i32,
    /// Mass and dimensions; `None` until measured.
    pub(crate) measures: Option<Measures>,
    /// Contents.
    pub(crate) lines: Vec<PackageLine>,
}

/// Packing of picked units of one fulfillment order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PackSession {
    /// Id.
    pub(crate) id: PackSessionId,
    /// Fulfillment order.
    pub(crate) fulfillment_order_id: FulfillmentOrderId,
    /// State.
    pub(crate) state: PackSessionState,
    /// Who packs.
    pub(crate) packed_by: String,
    /// The etag.
    pub(crate) version: i64,
    /// Packages by number.
    pub(crate) packages: Vec<Package>,
}

impl PackSession {
    fn supported(&self) -> Vec<SupportedAction> {
        let legal = A::ALL
            .iter()
            .filter(|one| machine::after(PACK_SESSION, self.state, **one).is_some());
        let offers = legal.map(|one| SupportedAction {
            action: one.name(),
            refused_because: (*one == A::Close).then(|| self.unfinished()).flatten(),
        });
        offers.collect()
    }

    /// Takes an action, or refuses it.
    pub(crate) fn take(&mut self, action: PackSessionAction) -> Result<(), Refusal> {
        let to = machine::step(AGGREGATE, PACK_SESSION, self.state, action, || {
            self.supported()
        })?;
        if action == A::Close
            && let Some(why) = self.unfinished()
        {
            let why = format!(": {why}");
            let state = self.state.name();
            return Err(
                machine::refuse(AGGREGATE, state, action.name(), &self.supported(), &why).into(),
            );
        }
        self.state = to;
        Ok(())
    }

    /// What is missing before the session may be closed.
    fn unfinished(&self) -> Option<String> {
        if self.packages.is_empty() {
            return Some("it has no package".to_owned());
        }
        let open = self
            .packages
            .iter()
            .filter(|package| package.measures.is_none());
        let numbers: Vec<String> = open.map(|package| package.number.to_string()).collect();
        (!numbers.is_empty()).then(|| {
            format!(
                "mass and dimensions are missing of package {}",
                numbers.join(", ")
            )
        })
    }

    /// Whether units may be scanned into the package with this number: one that is there, or the
    /// next one.
    pub(crate) fn may_scan_into(&self, number: i32) -> bool {
        self.packages.iter().any(|package| package.number == number)
            || (i32::try_from(self.packages.len() + 1) == Ok(number)
                && self.packages.len() < PACKAGES_MAX)
    }

    /// Puts units into a package; `new_id` becomes its id when it is new.
    pub(crate) fn put(
        &mut self,
        number: i32,
        units: &[LineUnits],
        packer: &str,
        new_id: PackageId,
    ) {
        if !self.packages.iter().any(|package| package.number == number) {
            self.packages.push(Package {
                id: new_id,
                number,
                measures: None,
                lines: Vec::new(),
            });
        }
        let Some(package) = self
            .packages
            .iter_mut()
            .find(|package| package.number == number)
        else {
            return;
        };
        for unit in units {
            if let Some(line) = package
                .lines
                .iter_mut()
                .find(|line| line.line_id == unit.line_id)
            {
                line.quantity += unit.quantity;
                packer.clone_into(&mut line.packed_by);
            } else {
                package.lines.push(PackageLine {
                    line_id: unit.line_id,
                    quantity: unit.quantity,
                    packed_by: packer.to_owned(),
                });
            }
        }
    }

    /// Records mass and dimensions; false when there is no package with this number.
    pub(crate) fn measure(&mut self, number: i32, measures: Measures) -> bool {
        let package = self
            .packages
            .iter_mut()
            .find(|package| package.number == number);
        package.is_some_and(|package| {
            package.measures = Some(measures);
            true
        })
    }
}

#[cfg(test)]
mod tests {
    use oms_core::{IdSource as _, SystemIds};

    use super::super::machine::{check_table, sql_list};
    use super::*;

    #[test]
    fn the_table_is_whole() {
        check_table(PackSessionState::Open, PACK_SESSION);
        let sql = include_str!("../../migrations/0003_floor.sql");
        assert!(sql.contains(&format!(
            "CHECK (state IN ({}))",
            sql_list::<PackSessionState>()
        )));
    }

    #[test]
    fn a_session_closes_when_every_package_is_measured() {
        let mut session = PackSession {
            id: PackSessionId::generate(&SystemIds),
            fulfillment_order_id: FulfillmentOrderId::generate(&SystemIds),
            state: S::Open,
            packed_by: "user:ann".to_owned(),
            version: 1,
            packages: Vec::new(),
        };
        let refused = |session: &mut PackSession| session.take(A::Close).unwrap_err().to_string();
        assert!(refused(&mut session).ends_with("it has no package"));
        assert!(session.may_scan_into(1) && !session.may_scan_into(2) && !session.may_scan_into(0));
        let units = [LineUnits {
            line_id: SystemIds.next(),
            quantity: 2,
        }];
        session.put(1, &units, "user:ann", PackageId::generate(&SystemIds));
        session.put(1, &units, "user:bob", PackageId::generate(&SystemIds));
        assert_eq!(session.packages[0].lines[0].quantity, 4);
        assert!(refused(&mut session).ends_with("of package 1"));
        let dimensions = Dimensions {
            length_mm: 1,
            width_mm: 1,
            height_mm: 1,
        };
        assert!(!session.measure(
            2,
            Measures {
                mass_grams: 1,
                dimensions
            }
        ));
        assert!(session.measure(
            1,
            Measures {
                mass_grams: 1,
                dimensions
            }
        ));
        session.take(A::Close).unwrap();
        assert!(matches!(
            session.take(A::Abandon),
            Err(Refusal::IllegalTransition(_))
        ));
    }
}
