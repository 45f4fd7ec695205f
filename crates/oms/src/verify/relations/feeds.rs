//! Consumers' places in the feeds of others.

use crate::verify::facts::{Facts, Feed};
use crate::verify::invariant::{Database, Relation, Violation};
use crate::verify::snapshot::Cursor;

/// Every place that the contract asks for, with the feed it lies in; the place is `None` when nothing was read yet.
fn places(facts: &Facts) -> impl Iterator<Item = (Database, Database, &Feed, Option<&Cursor>)> {
    Database::ALL.into_iter().flat_map(move |consumer| {
        consumer.sources().iter().map(move |source| {
            let cursors = &facts.feed(consumer).cursors;
            let cursor = cursors
                .iter()
                .find(|cursor| cursor.source == source.service());
            (consumer, *source, facts.feed(*source), cursor)
        })
    })
}

pub(in crate::verify) fn cursors_are_within_feeds(facts: &Facts) -> Relation {
    let mut relation = Relation::default();
    for (consumer, source, feed, cursor) in places(facts) {
        let Some(cursor) = cursor else { continue };
        relation.checked += 1;
        let (consumer, source) = (consumer.service(), source.service());
        let what = if cursor.epoch != feed.head.epoch {
            format!("{consumer} reads another epoch of the feed of {source}")
        } else if cursor.pos > feed.head.pos {
            let (pos, head) = (cursor.pos, feed.head.pos);
            format!("{consumer} has read {pos} of {source}, which ends at {head}")
        } else {
            continue;
        };
        relation.violations.push(Violation { what, order: None });
    }
    relation
}

pub(in crate::verify) fn cursors_keep_up(facts: &Facts) -> Relation {
    let mut relation = Relation::default();
    for (consumer, source, feed, cursor) in places(facts) {
        relation.checked += 1;
        let pos = cursor.map_or(0, |cursor| cursor.pos);
        let is_behind = pos < feed.head.pos;
        let is_late = feed.late_after.contains(&pos);
        if is_behind && (facts.at_rest || is_late) {
            let (consumer, source, head) = (consumer.service(), source.service(), feed.head.pos);
            let what = format!("{consumer} has read {pos} of {head} events of {source}");
            relation.violations.push(Violation { what, order: None });
        }
    }
    relation
}
