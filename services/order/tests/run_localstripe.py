"""Runs localstripe on a free port of the loopback, keeps nothing on disk, and prints the port."""

import socket

from aiohttp import web
from localstripe import resources, server

resources.Store.dump_to_disk = lambda _: None
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
web.run_app(server.app, sock=listener, print=None, access_log=None)
