#!/usr/bin/env python3
"""A receiver of webhooks: verifies, drops repeats, and prints what is new. Python's own library is all it needs.

    WEBHOOK_SECRET=whsec_.. receive_webhooks.py [--port 8080]
"""

import argparse
import base64
import hashlib
import hmac
import json
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def verify(secret, headers, body, tolerance=300):
    """The message's id, if whoever has the secret signed it within the tolerance; else ValueError."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    message_id, timestamp = headers["webhook-id"], headers["webhook-timestamp"]
    if not message_id or not timestamp or abs(time.time() - int(timestamp)) > tolerance:
        raise ValueError("too old, from the future, or without id or timestamp")
    signed = f"{message_id}.{timestamp}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    # Several while a secret is replaced: one that fits is enough.
    for signature in (headers["webhook-signature"] or "").split():
        version, _, value = signature.partition(",")
        if version == "v1" and hmac.compare_digest(value, expected):
            return message_id
    raise ValueError("no signature fits")


class Receiver(BaseHTTPRequestHandler):
    seen = set()  # in earnest: a table, written in the transaction that acts on the event

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        try:
            message_id = verify(os.environ["WEBHOOK_SECRET"], self.headers, body)
        except ValueError as error:
            self.send_response(401)
            self.end_headers()
            print(f"refused: {error}", flush=True)
            return
        if message_id not in self.seen:
            self.seen.add(message_id)
            event = json.loads(body)
            print(event["type"], event["subject"], event["aggregateversion"], flush=True)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8080)
    server = ThreadingHTTPServer(("127.0.0.1", parser.parse_args().port), Receiver)
    print(f"listening on {server.server_address[1]}", flush=True)
    server.serve_forever()
