//! Follow-up work that survives the process: kinds of tasks and their handlers.

pub(crate) mod release_hold_in_time;
