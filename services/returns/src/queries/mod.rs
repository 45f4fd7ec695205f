//! What is read of returns: one file per read.

mod get_return;
mod list_returns;

pub(crate) use get_return::get_return;
pub(crate) use list_returns::{Filter, list_returns};
