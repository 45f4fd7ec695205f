//! `oms bench`: how fast things are, beside what the same work costs without this program. One run measures both in
//! turn on the same engines, and the ratio counts: figures of a shared machine say little by themselves.
//!
//! | module | what it is |
//! |---|---|
//! | [`reservations`] | stock reservations beside transactions written by hand |
//! | [`figures`] | speed and latency, medians over rounds, targets |
//! | [`pgbench`] | runs scripts of `bench/` against Postgres |
//! | [`report`] | what came of it, for people and for machines |
//! | [`facts`] | the machine and the engines |
//! | [`store`] | what the benches read of the databases, with SQL of their own |

mod facts;
mod figures;
mod pgbench;
mod report;
pub(crate) mod reservations;
mod store;
