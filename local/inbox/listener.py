"""The inbox's server: uvicorn on loopback, in a thread of its own."""

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

HOST = "127.0.0.1"
BACKLOG = 128
THREADS = 64
"""How many requests are answered at once. A request that is held by a script needs no thread."""
KEEP_ALIVE_SECONDS = 24 * 60 * 60
"""uvicorn's usual 5 seconds would close a sender's idle connection at the moment that the sender uses it again."""
POLL_SECONDS = 0.02
MAX_HEAD_BYTES = 64 * 1024


class Listener:
    """Takes connections from the beginning, answers them from `start` to `stop`. Both only once each."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_server((HOST, port), backlog=BACKLOG)
        # uvicorn sends head and body apart: without this every answer waits 40 ms. Connections inherit it.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.url = f"http://{HOST}:{self._socket.getsockname()[1]}"
        self._server: Server | None = None
        self._thread: threading.Thread | None = None

    def start(self, app: ASGIApp) -> None:
        """Begin to answer."""
        self._server = Server(_config(app))
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="inbox-server", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Close all connections, and return once what was being answered is done."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join()
        self._socket.close()


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        loop="asyncio",
        lifespan="off",
        workers=1,
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        headers=[("server", "inbox")],
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
    )


class Connection(H11Protocol):
    """uvicorn's HTTP/1.1, with the connection in the state of each request, so that it can be closed unanswered."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin a connection."""
        super().connection_made(transport)
        self.app_state: dict[str, Any] = {**self.app_state, "connection": transport}


class Server(uvicorn.Server):
    """uvicorn's server, with threads that end with it, and a stop that waits for no caller."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, "inbox"))
        await super().startup(sockets)

    async def main_loop(self) -> None:
        """Wait for the stop, and look for it more often than uvicorn does: tests stop hundreds of inboxes."""
        while not await self.on_tick(0):  # noqa: ASYNC110 — `should_exit` is set by another thread
            await asyncio.sleep(POLL_SECONDS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the connections at once; wait for the requests being answered, since they still change the memory."""
        for server in self.servers:
            server.close()
        state = self.server_state
        while state.connections or state.tasks:
            for connection in list(state.connections):
                connection.transport.abort()
            await (asyncio.wait(state.tasks) if state.tasks else asyncio.sleep(0))
