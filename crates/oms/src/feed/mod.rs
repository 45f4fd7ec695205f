//! `oms feed`: the event feed of a service for people, scripts and connectors. How feeds work is told in `docs/events.md`.
//!
//! | module | what it is |
//! |---|---|
//! | [`tail`] | the command: prints events as they come |
//! | [`follow`] | a feed as one stream of batches that survives the end of connections |
//! | [`line`] | an event as a line, for people or as a CloudEvent in JSON |

mod follow;
mod line;
pub(crate) mod tail;
