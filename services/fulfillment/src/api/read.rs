//! Reads requests: everything that is wrong with one is told at once.

use std::collections::HashSet;
use std::fmt::Display;
use std::hash::Hash;
use std::ops::RangeInclusive;
use std::str::FromStr;

use oms_core::{Quantity, Violations, country};
use oms_postgres::idempotency::RequestKey;
use oms_proto::Mutation;
use oms_proto::common::v1 as common;
use oms_service::{ApiError, fingerprint};
use tonic::{Request, Status};
use tracing::Span;

use crate::ctx::Call;
use crate::domain::fulfillment_order::{Destination, Dimensions};
use crate::domain::machine::Named;
use crate::domain::policy::{FillPolicy, ServiceLevel};

/// Collects what is wrong with a request while its fields are read.
#[derive(Default)]
pub(super) struct Reader(Violations);

impl Reader {
    /// Begins to read a mutating request: the message, the key under which its effect is recorded,
    /// and the reader for the rest. `id` names the request id, which is no part of the fingerprint.
    pub(super) fn mutation<M: Mutation>(
        request: Request<M>,
        method: &'static str,
        id: fn(&mut M) -> &mut String,
    ) -> (M, Option<Call>, Self) {
        let principal = oms_service::principal(&request).to_string();
        let mut message = request.into_inner();
        let text = std::mem::take(id(&mut message));
        let mut reader = Self::default();
        let request_id = oms_service::request_id(&text, &mut reader.0);
        let hash = fingerprint(&message);
        let reason = message.why().to_owned();
        let call = request_id.map(|request_id| Call {
            key: RequestKey {
                principal,
                method,
                request_id,
                hash,
                reason,
            },
            span: Span::current(),
        });
        (message, call, reader)
    }

    /// Ends reading. `parts` is `None` only when something is wrong.
    pub(super) fn finish<T>(self, parts: Option<T>) -> Result<T, Status> {
        self.0.into_result().map_err(ApiError::from)?;
        let defect = || ApiError::internal("a request was refused without a violation");
        Ok(parts.ok_or_else(defect)?)
    }

    /// The violations, for helpers that add to them.
    pub(super) fn violations(&mut self) -> &mut Violations {
        &mut self.0
    }

    /// A required typed value.
    pub(super) fn required<T>(&mut self, field: impl Into<String>, text: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let field = field.into();
        if text.is_empty() {
            self.0.push(field, "FIELD_REQUIRED", "must not be empty");
            return None;
        }
        self.0.parse(field, "FIELD_MALFORMED", text)
    }

    /// A typed value that may be empty; `None` when it is, or is malformed.
    pub(super) fn optional<T>(&mut self, field: &str, text: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        if text.is_empty() {
            None
        } else {
            self.required(field, text)
        }
    }

    /// An etag; `None` when the caller does not check, or when it is malformed.
    pub(super) fn etag(&mut self, text: &str) -> Option<i64> {
        oms_service::parse_etag(text, &mut self.0)
    }

    /// Units, 1 to 1 000 000 000.
    pub(super) fn quantity(&mut self, field: impl Into<String>, units: i64) -> Option<i64> {
        match Quantity::try_new(units) {
            Ok(quantity) => Some(quantity.get()),
            Err(error) => {
                self.0.push(field, "QUANTITY_INVALID", error.to_string());
                None
            }
        }
    }

    /// The length of a text in characters.
    pub(super) fn text(&mut self, field: &str, text: &str, length: RangeInclusive<usize>) {
        if text.is_empty() && *length.start() > 0 {
            self.0.push(field, "FIELD_REQUIRED", "must not be empty");
            return;
        }
        let fits = length.contains(&text.chars().count());
        let message = format!(
            "must have {} to {} characters",
            length.start(),
            length.end()
        );
        self.0.check(fits, field, "FIELD_OUT_OF_RANGE", message);
    }

    /// [`Reader::text`] that people write as they like.
    pub(super) fn free_text(&mut self, field: &str, text: &str, length: RangeInclusive<usize>) {
        oms_core::check_card_number(text, field, &mut self.0);
        self.text(field, text, length);
    }

    /// A number within bounds.
    pub(super) fn number(
        &mut self,
        field: impl Into<String>,
        number: i64,
        bounds: RangeInclusive<i64>,
    ) {
        let message = format!("must be {} to {}", bounds.start(), bounds.end());
        self.0.check(
            bounds.contains(&number),
            field,
            "FIELD_OUT_OF_RANGE",
            message,
        );
    }

    /// The length of a list.
    pub(super) fn count(
        &mut self,
        field: &str,
        count: usize,
        bounds: RangeInclusive<usize>,
    ) -> bool {
        if count == 0 && *bounds.start() > 0 {
            self.0.push(field, "FIELD_REQUIRED", "must not be empty");
            return false;
        }
        let message = format!("must have {} to {} entries", bounds.start(), bounds.end());
        self.0.check(
            bounds.contains(&count),
            field,
            "FIELD_OUT_OF_RANGE",
            message,
        )
    }

    /// Says of each entry that stands twice that it does.
    pub(super) fn distinct<T: Eq + Hash>(
        &mut self,
        entries: impl IntoIterator<Item = T>,
        field: impl Fn(usize) -> String,
    ) {
        let mut seen = HashSet::new();
        for (index, entry) in entries.into_iter().enumerate() {
            let is_new = seen.insert(entry);
            self.0.check(
                is_new,
                field(index),
                "DUPLICATE",
                "stands in the request twice",
            );
        }
    }

    /// A value of an enum of the contract, by the name it has in the domain.
    pub(super) fn known<T: Named>(
        &mut self,
        field: impl Into<String>,
        name: Option<&str>,
    ) -> Option<T> {
        let value = name.and_then(T::parse);
        self.0.check(
            value.is_some(),
            field,
            "FIELD_MALFORMED",
            "is none of the values of its enum",
        );
        value
    }

    /// How fast; ground when unset.
    pub(super) fn service_level(&mut self, field: &str, value: i32) -> Option<ServiceLevel> {
        let level = common::ServiceLevel::try_from(value).ok();
        if level == Some(common::ServiceLevel::Unspecified) {
            return Some(ServiceLevel::Ground);
        }
        let name = level.and_then(|level| level.as_str_name().strip_prefix("SERVICE_LEVEL_"));
        self.known(field, name)
    }

    /// Fill policy; everything or nothing when unset, as inventory takes it.
    pub(super) fn fill_policy(&mut self, field: &str, value: i32) -> Option<FillPolicy> {
        let policy = common::FillPolicy::try_from(value).ok();
        if policy == Some(common::FillPolicy::Unspecified) {
            return Some(FillPolicy::FillOrKill);
        }
        let name = policy.and_then(|policy| policy.as_str_name().strip_prefix("FILL_POLICY_"));
        self.known(field, name)
    }

    /// Where the goods go.
    pub(super) fn destination(
        &mut self,
        value: Option<common::Destination>,
    ) -> Option<Destination> {
        let Some(common::Destination {
            address_id,
            country_code,
            postal_code,
        }) = value
        else {
            self.0
                .push("destination", "FIELD_REQUIRED", "must not be empty");
            return None;
        };
        let address_id = self.required("destination.address_id", &address_id);
        let is_known = country::is_known(&country_code);
        let field = "destination.country_code";
        self.0.check(
            is_known,
            field,
            "COUNTRY_UNKNOWN",
            "is no ISO 3166-1 alpha-2 code",
        );
        self.text("destination.postal_code", &postal_code, 0..=16);
        Some(Destination {
            address_id: address_id?,
            country_code,
            postal_code,
        })
    }

    /// Outer dimensions of a package.
    pub(super) fn dimensions(&mut self, value: Option<common::Dimensions>) -> Option<Dimensions> {
        let Some(common::Dimensions {
            length_mm,
            width_mm,
            height_mm,
        }) = value
        else {
            self.0
                .push("dimensions", "FIELD_REQUIRED", "must not be empty");
            return None;
        };
        for (side, length) in [
            ("length_mm", length_mm),
            ("width_mm", width_mm),
            ("height_mm", height_mm),
        ] {
            self.number(format!("dimensions.{side}"), length, 1..=10_000);
        }
        Some(Dimensions {
            length_mm,
            width_mm,
            height_mm,
        })
    }
}
