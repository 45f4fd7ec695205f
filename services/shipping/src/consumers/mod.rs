//! What the service does with other services' events.

mod fulfillment;

pub(crate) use fulfillment::{
    CANCEL_TASK, CREATE_TASK, TYPES, cancel_task, create_task, on_fulfillment_event,
};
