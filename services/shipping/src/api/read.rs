//! Reads requests. Everything that is wrong with one is collected, not only the first thing.

use std::str::FromStr;

use oms_core::{AddressId, LocationId, OrderLineId, PackageId, ReservationId, Violations, country};
use oms_postgres::idempotency::RequestKey;
use oms_proto::Mutation;
use oms_proto::common::v1 as common;
use oms_proto::common::v1::ErrorReason;
use oms_proto::shipping::v1 as pb;
use oms_service::{fingerprint, reason_name, request_id};
use uuid::Uuid;

use crate::commands::Call;
use crate::commands::create_shipment::NewPackage;
use crate::domain::rates::{Parcel, ServiceLevel};
use crate::domain::shipment::{Destination, PackageLine};

const REQUIRED: ErrorReason = ErrorReason::FieldRequired;
const MALFORMED: ErrorReason = ErrorReason::FieldMalformed;
const RANGE: ErrorReason = ErrorReason::FieldOutOfRange;

/// Heaviest package in grams.
const MASS_MAX: i64 = 1_000_000;
/// Longest side of a package in millimetres.
const SIDE_MAX: i64 = 10_000;
/// Most packages of a shipment.
const PACKAGES_MAX: usize = 100;
/// Most lines of a package.
const LINES_MAX: usize = 1_000;

/// What is wrong so far.
pub(super) struct Reader(pub(super) Violations);

impl Reader {
    /// Nothing is wrong so far.
    pub(super) fn new() -> Self {
        Self(Violations::default())
    }

    /// Adds a violation unless `holds`.
    pub(super) fn check(&mut self, holds: bool, field: &str, reason: ErrorReason, message: &str) {
        self.0.check(holds, field, reason_name(reason), message);
    }

    /// An id that must be there.
    pub(super) fn id<T: FromStr>(&mut self, field: &str, text: &str) -> Option<T> {
        if text.is_empty() {
            self.check(false, field, REQUIRED, "must not be empty");
            return None;
        }
        self.optional_id(field, text)
    }

    /// An id that may be empty.
    pub(super) fn optional_id<T: FromStr>(&mut self, field: &str, text: &str) -> Option<T> {
        if text.is_empty() {
            return None;
        }
        let id = text.parse().ok();
        self.check(id.is_some(), field, MALFORMED, "is malformed");
        id
    }

    /// A text of at most so many characters.
    pub(super) fn text(&mut self, field: &str, text: &str, chars_max: usize) {
        let message = format!("must have at most {chars_max} characters");
        self.check(text.chars().count() <= chars_max, field, RANGE, &message);
    }

    /// [`Reader::text`] that people write as they like.
    pub(super) fn free_text(&mut self, field: &str, text: &str, chars_max: usize) {
        oms_core::check_card_number(text, field, &mut self.0);
        self.text(field, text, chars_max);
    }

    /// A text that must be there.
    pub(super) fn required(&mut self, field: &str, text: &str, chars_max: usize) {
        self.check(!text.is_empty(), field, REQUIRED, "must not be empty");
        self.text(field, text, chars_max);
    }

    /// A service level; `None` when it is not set.
    pub(super) fn level(&mut self, field: &str, value: i32) -> Option<ServiceLevel> {
        match common::ServiceLevel::try_from(value) {
            Ok(common::ServiceLevel::Unspecified) => None,
            Ok(common::ServiceLevel::Ground) => Some(ServiceLevel::Ground),
            Ok(common::ServiceLevel::TwoDay) => Some(ServiceLevel::TwoDay),
            Ok(common::ServiceLevel::Overnight) => Some(ServiceLevel::Overnight),
            Ok(common::ServiceLevel::SameDay) => Some(ServiceLevel::SameDay),
            Err(_) => {
                self.check(false, field, MALFORMED, "is no service level");
                None
            }
        }
    }

    /// The customer's end.
    pub(super) fn destination(&mut self, sent: Option<common::Destination>) -> Destination {
        let is_there = sent.is_some();
        let sent = sent.unwrap_or_default();
        self.check(is_there, "destination", REQUIRED, "must be set");
        let address_id: Option<AddressId> =
            self.optional_id("destination.address_id", &sent.address_id);
        if is_there {
            let known = country::is_known(&sent.country_code);
            let message = "must be an ISO 3166-1 alpha-2 code";
            self.check(
                known,
                "destination.country_code",
                ErrorReason::CountryUnknown,
                message,
            );
            self.required("destination.postal_code", &sent.postal_code, 16);
        }
        Destination {
            address_id,
            country_code: sent.country_code,
            postal_code: sent.postal_code,
        }
    }

    /// A location.
    pub(super) fn location(&mut self, text: &str) -> Option<LocationId> {
        self.id("location_id", text)
    }

    /// Mass and dimensions of a package.
    pub(super) fn parcel(
        &mut self,
        field: &str,
        mass_grams: i64,
        sides: Option<common::Dimensions>,
    ) -> Parcel {
        let mass = format!("{field}.mass_grams");
        let message = format!("must be 1 to {MASS_MAX}");
        self.check((1..=MASS_MAX).contains(&mass_grams), &mass, RANGE, &message);
        let sides = sides.unwrap_or_default();
        let dimensions_mm = [sides.length_mm, sides.width_mm, sides.height_mm];
        let fits = dimensions_mm
            .iter()
            .all(|side| (1..=SIDE_MAX).contains(side));
        let message = format!("each side must be 1 to {SIDE_MAX}");
        self.check(fits, &format!("{field}.dimensions"), RANGE, &message);
        Parcel {
            mass_grams,
            dimensions_mm,
        }
    }

    /// Checks how many packages there are.
    pub(super) fn package_count(&mut self, count: usize) {
        self.check(count > 0, "packages", REQUIRED, "must not be empty");
        let message = format!("must be at most {PACKAGES_MAX}");
        self.check(count <= PACKAGES_MAX, "packages", RANGE, &message);
    }

    /// The packages of a new shipment.
    pub(super) fn packages(&mut self, sent: &[pb::Package]) -> Vec<NewPackage> {
        self.package_count(sent.len());
        let mut packages: Vec<NewPackage> = Vec::new();
        for (n, package) in sent.iter().take(PACKAGES_MAX).enumerate() {
            let field = format!("packages[{n}]");
            let id: Option<PackageId> =
                self.optional_id(&format!("{field}.package_id"), &package.package_id);
            let twice = id.is_some() && packages.iter().any(|other| other.id == id);
            let message = "is there twice";
            self.check(
                !twice,
                &format!("{field}.package_id"),
                ErrorReason::Duplicate,
                message,
            );
            let parcel = self.parcel(&field, package.mass_grams, package.dimensions);
            let lines = self.lines(&field, &package.lines);
            packages.push(NewPackage { id, parcel, lines });
        }
        packages
    }

    fn lines(&mut self, package: &str, sent: &[pb::PackageLine]) -> Vec<PackageLine> {
        let field = format!("{package}.lines");
        self.check(!sent.is_empty(), &field, REQUIRED, "must not be empty");
        let message = format!("must be at most {LINES_MAX}");
        self.check(sent.len() <= LINES_MAX, &field, RANGE, &message);
        let lines = sent.iter().take(LINES_MAX).enumerate();
        lines
            .filter_map(|(n, line)| self.line(&format!("{field}[{n}]"), line))
            .collect()
    }

    fn line(&mut self, field: &str, line: &pb::PackageLine) -> Option<PackageLine> {
        let at = |name: &str| format!("{field}.{name}");
        let quantity = oms_core::Quantity::try_new(line.quantity).ok();
        let reason = ErrorReason::QuantityInvalid;
        self.check(
            quantity.is_some(),
            &at("quantity"),
            reason,
            "must be 1 to 1000000000",
        );
        self.text(&at("name"), &line.name, 200);
        self.text(&at("lot"), &line.lot, 64);
        let order_line_id: Option<OrderLineId> = self.id(&at("order_line_id"), &line.order_line_id);
        let sku = self.id(&at("sku"), &line.sku);
        let reservation_id: Option<ReservationId> =
            self.optional_id(&at("reservation_id"), &line.reservation_id);
        let fulfillment_order_line_id: Option<Uuid> = self.optional_id(
            &at("fulfillment_order_line_id"),
            &line.fulfillment_order_line_id,
        );
        Some(PackageLine {
            order_line_id: order_line_id?,
            sku: sku?,
            name: line.name.clone(),
            quantity: quantity?.get(),
            reservation_id,
            lot: line.lot.clone(),
            fulfillment_order_line_id,
        })
    }
}

/// What makes a repeat the same call. `request` has its request id cleared.
pub(super) fn call(
    reader: &mut Reader,
    actor: String,
    method: &'static str,
    id: &str,
    request: &impl Mutation,
) -> Call {
    let request_id = request_id(id, &mut reader.0).unwrap_or_default();
    let hash = fingerprint(request);
    Call {
        key: RequestKey {
            principal: actor.clone(),
            method,
            request_id,
            hash,
            reason: request.why().to_owned(),
        },
        actor,
    }
}
