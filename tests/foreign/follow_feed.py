#!/usr/bin/env python3
"""Follows the event feed of a service into an SQLite file, as a connector does: from proto/ alone.

    python3 tests/foreign/follow_feed.py --address 127.0.0.1:7001 --db mirror.sqlite

The file holds what was made of the events, and the cursor: how far they were read. Both change in one
transaction, so it may be killed at any moment and started again, and neither misses an event nor applies
one twice. docs/events.md tells the rules. It needs what place_get_list.py needs, and goes on until it is
stopped; with --until-head it ends where the feed ended at the start.

Exit codes: 3 when the feed has another epoch, 4 when the position is not kept any more. Both want a human,
or a consumer that can begin anew: delete the file and start.
"""

import argparse
import sqlite3
import sys
import tempfile
import time

# Says which packages are missing, if any are.
from place_get_list import error_details_pb2, generate, grpc, module, rpc_status

EXIT_EPOCH_CHANGED, EXIT_POSITION_GONE = 3, 4
WAIT_FIRST, WAIT_MOST = 0.1, 5.0

# A connection that is dead is noticed by pings; a feed that lives sends something every five seconds anyway.
CHANNEL_OPTIONS = [
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.max_receive_message_length", 16 << 20),
]

SCHEMA = """
CREATE TABLE IF NOT EXISTS cursor (
    one_row INTEGER PRIMARY KEY CHECK (one_row = 1), epoch TEXT NOT NULL, pos INTEGER NOT NULL);
-- Before the first batch: no epoch, and the beginning.
INSERT OR IGNORE INTO cursor VALUES (1, '', 0);
CREATE TABLE IF NOT EXISTS aggregates (
    kind TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, last_type TEXT NOT NULL, events INTEGER NOT NULL,
    PRIMARY KEY (kind, id));
CREATE TABLE IF NOT EXISTS orders (
    id TEXT PRIMARY KEY, number TEXT NOT NULL, state TEXT NOT NULL);
"""


class Missed(Exception):
    """The feed did not keep its promise, or the file is not what it was: stop, and let somebody look."""


class Mirror:
    """What was made of the events, and how far they were read."""

    def __init__(self, path):
        # Transactions begin and end where this program says so.
        self.db = sqlite3.connect(path, isolation_level=None, timeout=30)
        self.db.executescript(SCHEMA)

    def cursor(self):
        return self.db.execute("SELECT epoch, pos FROM cursor").fetchone()

    def apply(self, batch):
        """Applies a batch and moves the cursor, both or neither. False when the cursor is elsewhere."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            epoch, pos = self.cursor()
            if epoch not in ("", batch.epoch) or pos != batch.from_pos:
                self.db.execute("ROLLBACK")
                return False
            for event in batch.events:
                self.apply_event(event)
            self.db.execute("UPDATE cursor SET epoch = ?, pos = ?", (batch.epoch, batch.through_pos))
            self.db.execute("COMMIT")
            return True
        except BaseException:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            raise

    def apply_event(self, event):
        """The effect of one event: counting, which is wrong as soon as one is missed or comes twice."""
        key = (event.aggregate_type, event.aggregate_id)
        found = self.db.execute("SELECT version FROM aggregates WHERE kind = ? AND id = ?", key).fetchone()
        last = found[0] if found else 0
        if event.aggregate_version != last + 1:
            raise Missed(f"{key} is at version {last}, and event {event.id} is number {event.aggregate_version}")
        self.db.execute(
            "INSERT INTO aggregates VALUES (?, ?, ?, ?, 1) ON CONFLICT (kind, id) DO UPDATE"
            " SET version = excluded.version, last_type = excluded.last_type, events = events + 1",
            (*key, event.aggregate_version, event.type),
        )
        told = content(event)
        if told is not None and "order" in told.DESCRIPTOR.fields_by_name:
            self.mirror_order(told.order)

    def mirror_order(self, order):
        state = module("order.v1.order_pb2").OrderState.Name(order.state)
        self.db.execute("INSERT OR REPLACE INTO orders VALUES (?, ?, ?)", (order.order_id, order.order_number, state))

    def summary(self):
        (events, aggregates) = self.db.execute("SELECT coalesce(sum(events), 0), count(*) FROM aggregates").fetchone()
        (orders,) = self.db.execute("SELECT count(*) FROM orders").fetchone()
        return f"{events} events of {aggregates} aggregates, {orders} orders"


def content(event):
    """The message inside of the payload; None when it is of a later contract than ours."""
    events = module(f"{event.source}.v1.{event.source}_events_pb2")
    payload = getattr(events, f"{event.source.capitalize()}Event").FromString(event.payload)
    kind = payload.WhichOneof("event")
    return getattr(payload, kind) if kind else None


def lost(error):
    """Why a feed cannot be followed from here, as (exit code, text); None when trying again may help."""
    status = rpc_status.from_call(error)
    info = error_details_pb2.ErrorInfo()
    if not status or not any(detail.Unpack(info) for detail in status.details):
        return None
    if info.reason != "FEED_EPOCH_CHANGED":
        return None
    if "first_pos" in info.metadata:
        kept = f"{info.metadata['first_pos']} to {info.metadata['head_pos']}"
        return EXIT_POSITION_GONE, f"the position is not kept any more; the feed keeps {kept}"
    return EXIT_EPOCH_CHANGED, f"the feed has another epoch, {info.metadata['epoch']}: its database was restored"


class Feed:
    """The feed of one service."""

    def __init__(self, address, principal, batch_size):
        self.messages = module("events.v1.event_feed_service_pb2")
        channel = grpc.insecure_channel(address, options=CHANNEL_OPTIONS)
        self.stub = module("events.v1.event_feed_service_pb2_grpc").EventFeedServiceStub(channel)
        self.metadata = [("oms-principal", principal)]
        self.batch_size = batch_size

    def head(self):
        request = self.messages.GetHeadRequest()
        return self.stub.GetHead(request, metadata=self.metadata, timeout=30, wait_for_ready=True).pos

    def batches(self, epoch, pos):
        request = self.messages.SubscribeRequest(
            consumer="follow-feed", epoch=epoch, after_pos=pos, batch_size_max=self.batch_size
        )
        return self.stub.Subscribe(request, metadata=self.metadata)


def follow(feed, mirror, until):
    """Applies batches until the cursor is there; subscribes as often as it takes."""
    wait = WAIT_FIRST
    while mirror.cursor()[1] < until:
        batches = feed.batches(*mirror.cursor())
        why = "the feed ended"
        try:
            for batch in batches:
                wait = WAIT_FIRST
                if not mirror.apply(batch):
                    why = "somebody else moved the cursor"
                    break
                if batch.events:
                    print(f"through position {batch.through_pos}", flush=True)
                if batch.through_pos >= until:
                    return
        except grpc.RpcError as error:
            if reason := lost(error):
                print(reason[1], file=sys.stderr)
                sys.exit(reason[0])
            if error.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
                sys.exit(f"not allowed: {error.details()}")
            why = error.details()
        finally:
            batches.cancel()
        print(f"{why}; subscribing again", file=sys.stderr)
        time.sleep(wait)
        wait = min(2 * wait, WAIT_MOST)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--address", default="127.0.0.1:7001", help="the service whose feed is followed")
    parser.add_argument("--db", required=True, help="the SQLite file; made when it is not there")
    parser.add_argument("--principal", default="user:foreign", help="who calls")
    parser.add_argument("--batch-size", type=int, default=0, help="most events of a transaction; 0 lets the server choose")
    parser.add_argument("--until-head", action="store_true", help="end where the feed ended at the start")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as target:
        generate(target)
        mirror = Mirror(arguments.db)
        feed = Feed(arguments.address, arguments.principal, arguments.batch_size)
        follow(feed, mirror, feed.head() if arguments.until_head else sys.maxsize)
    print(f"done: position {mirror.cursor()[1]}, {mirror.summary()}")


if __name__ == "__main__":
    main()
