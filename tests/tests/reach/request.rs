//! Requests of every method, made from the contract: fields are filled by their names.

use anyhow::Context;
use oms_core::{Clock, SystemClock};
use oms_proto::FILE_DESCRIPTOR_SET;
use oms_proto::order::v1 as o;
use oms_tests::{fresh_id, shop};
use prost::Message;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value,
};

use crate::world::Values;

/// Deepest nesting of a request.
const DEPTH_MAX: usize = 6;

/// Texts that are neither ids nor part of the world.
const TEXTS: [(&str, &str); 8] = [
    ("assignee", "user:ann"),
    ("carrier_service", "sandbox_ground"),
    ("consumer", "acme"),
    ("country_code", "US"),
    ("currency_code", "USD"),
    ("description", "on its way"),
    ("order_number", "N-1"),
    ("postal_code", "95814"),
];

/// Codes that say why, by method.
const REASONS: [(&str, &str); 2] = [
    ("MoveStock", "RELOCATION"),
    ("ReportShortPick", "NOT_FOUND"),
];

/// Makes requests.
pub(crate) struct Requests {
    pool: DescriptorPool,
}

impl Requests {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET)?;
        Ok(Self { pool })
    }

    /// The request of the method with this path, without the fields of these names.
    pub(crate) fn make(
        &self,
        path: &str,
        values: &Values,
        without: &[&str],
    ) -> anyhow::Result<Vec<u8>> {
        let (service, name) = path
            .trim_start_matches('/')
            .split_once('/')
            .context("no path")?;
        let service = self
            .pool
            .get_service_by_name(service)
            .context("no service")?;
        let method = service
            .methods()
            .find(|method| method.name() == name)
            .context("no method")?;
        if let Some(order) = new_order_for(name, values, without) {
            return Ok(order);
        }
        let fill = Fill {
            method: name,
            values,
            without,
        };
        Ok(fill.message(&method.input(), 0).encode_to_vec())
    }
}

/// The requests that hold a whole new order, which has rules of its own.
fn new_order_for(method: &str, values: &Values, without: &[&str]) -> Option<Vec<u8>> {
    let mut order = shop::new_order(&[("a", 1)]);
    order.channel_id.clone_from(values.get("channel_id")?);
    let order = Some(order);
    match method {
        "PlaceOrder" => {
            let request_id = if without.contains(&"request_id") {
                String::new()
            } else {
                fresh_id()
            };
            let request = o::PlaceOrderRequest {
                request_id,
                order,
                ..Default::default()
            };
            Some(request.encode_to_vec())
        }
        "ValidateOrder" => Some(o::ValidateOrderRequest { order }.encode_to_vec()),
        _ => None,
    }
}

struct Fill<'a> {
    method: &'a str,
    values: &'a Values,
    without: &'a [&'a str],
}

impl Fill<'_> {
    fn message(&self, descriptor: &MessageDescriptor, depth: usize) -> DynamicMessage {
        let mut message = DynamicMessage::new(descriptor.clone());
        for field in descriptor.fields() {
            if self.without.contains(&field.name()) || depth > DEPTH_MAX || field.is_map() {
                continue;
            }
            let Some(value) = self.value(&field, depth) else {
                continue;
            };
            let value = if field.is_list() {
                Value::List(vec![value])
            } else {
                value
            };
            message.set_field(&field, value);
        }
        message
    }

    fn value(&self, field: &FieldDescriptor, depth: usize) -> Option<Value> {
        match field.kind() {
            Kind::String => self.text(field.name()).map(Value::String),
            Kind::Int64 => Some(Value::I64(i64::from(number(field.name())))),
            Kind::Int32 => Some(Value::I32(number(field.name()))),
            // What comes back is shipped for the returns service alone.
            Kind::Enum(_) if field.name() == "direction" => Some(Value::EnumNumber(1)),
            Kind::Enum(kind) if !field.is_list() => {
                // The first ones are what things begin as, which nobody may ask for.
                let last = kind.values().map(|value| value.number()).max()?;
                Some(Value::EnumNumber(last))
            }
            Kind::Message(kind) if kind.full_name() == "google.protobuf.Timestamp" => {
                // Bounds of lists stay open, and nothing is put off.
                let is_bound = field.name().starts_with("created_") || field.name() == "release_at";
                let now = oms_proto::time_to_proto(SystemClock.now());
                let mut time = DynamicMessage::new(kind);
                time.transcode_from(&now).ok().filter(|()| !is_bound)?;
                Some(Value::Message(time))
            }
            Kind::Message(kind) => {
                let mut part = self.message(&kind, depth + 1);
                if field.name() == "to" && kind.name() == "StockPlace" {
                    // Another place than where the units are.
                    part.set_field_by_name("lot", Value::String("L-2".to_owned()));
                }
                Some(Value::Message(part))
            }
            _ => None,
        }
    }

    fn text(&self, field: &str) -> Option<String> {
        if field == "request_id" {
            return Some(fresh_id());
        }
        if field == "reason" {
            let known = REASONS.iter().find(|(method, _)| *method == self.method);
            return Some(known.map_or("LOST", |(_, reason)| reason).to_owned());
        }
        // `skus` is a list of what `sku` is one of.
        let one = field.strip_suffix('s').unwrap_or(field);
        let found = self.values.get(field).or_else(|| self.values.get(one));
        let known = || TEXTS.iter().find(|(name, _)| *name == field);
        found
            .cloned()
            .or_else(|| known().map(|(_, text)| (*text).to_owned()))
    }
}

/// Sizes that fit everywhere; pages have their default size.
fn number(field: &str) -> i32 {
    match field {
        "quantity" | "delta" | "package_number" | "minor_units" => 1,
        "mass_grams" => 500,
        "length_mm" | "width_mm" | "height_mm" => 100,
        _ => 0,
    }
}
