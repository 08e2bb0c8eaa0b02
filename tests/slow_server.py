"""Servers on loopback that take their time: each connection is handed to a function that may trickle, stall or read slowly."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Connection:
    """One connection of a client, and whether the test is over."""

    socket: socket.socket
    stopped: threading.Event

    def request(self) -> bytes:
        """Read the head of a request; empty when the client has gone."""
        found = b""
        while b"\r\n\r\n" not in found and (read := self.socket.recv(65_536)):
            found += read
        return found

    def trickle(self, data: bytes, every: float) -> None:
        """Send one byte after another until the test is over."""
        for byte in data:
            if self.stopped.wait(every):
                return
            self.socket.sendall(bytes([byte]))

    def drain(self, count: int, every: float) -> None:
        """Read so many bytes after each pause until the test is over or the client has gone."""
        while not self.stopped.wait(every) and self.socket.recv(count):
            pass

    def stall(self) -> None:
        """Do nothing until the test is over."""
        self.stopped.wait()


@dataclass
class Slow:
    """The server. `accepted` counts its connections; `heads` are the request heads that `Connection.request` read."""

    port: int = 0
    accepted: int = 0
    heads: list[bytes] = field(default_factory=list)

    def url(self, scheme: str = "http") -> str:
        """Return its address."""
        return f"{scheme}://127.0.0.1:{self.port}/"


@contextmanager
def slow_server(talk: Callable[[Connection], None]) -> Iterator[Slow]:
    """Serve each connection by `talk` for as long as the block runs."""
    stopped, server, slow = threading.Event(), socket.create_server(("127.0.0.1", 0)), Slow()
    slow.port = server.getsockname()[1]
    threads: list[threading.Thread] = []

    def serve(client: socket.socket) -> None:
        # A client that gives up closes its side while the server still sends.
        with closing(client), suppress(OSError):
            client.settimeout(10)
            talk(Connection(client, stopped))

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = server.accept()
                slow.accepted += 1
                threads.append(threading.Thread(target=serve, args=(client,), daemon=True))
                threads[-1].start()

    door = threading.Thread(target=accept, daemon=True)
    door.start()
    try:
        yield slow
    finally:
        stopped.set()
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        for thread in (door, *threads):
            thread.join(10)
