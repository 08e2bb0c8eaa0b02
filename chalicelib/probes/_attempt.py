"""One try of a probe: what is asked, with what and until when, and what was found so far.

The engine (`chalicelib/schedule/probing.py`) makes an Attempt, awaits `check(attempt)` of the probe's module within the
probe's time limit, and closes what the try opened, whatever happens. What was found until then stays when the limit passes.
"""

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from chalicelib.core.event import Event
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.observed import RESULT
from chalicelib.core.payload.addresses import plain
from chalicelib.probes._common import probe_failed, secret
from chalicelib.probes._errors import Down
from chalicelib.probes._names import Names, NoAddressError, RefusedAddressError
from chalicelib.probes._sockets import first_of, headstart

if TYPE_CHECKING:
    from chalicelib.core.ports import Clients


Progress = Callable[[str, float | None, str], object]
"""Takes a step of a walk by its name, when it begins (None) and when it has ended: its seconds, and why it failed."""


def unwatched(step: str, seconds: float | None, why: str) -> None:
    """Do nothing: nobody looks at the steps as they are taken."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection over asyncio. `address` is the IP address that took it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    address: str

    @property
    def tls(self) -> ssl.SSLObject | None:
        """Return the TLS object of the connection; None when it is plain."""
        found: ssl.SSLObject | None = self.writer.get_extra_info("ssl_object")
        return found


@dataclass(slots=True)
class Attempt:
    """One try. `split` is how many seconds each step took, by its name for people; `split_open` the one that did not end.

    `expected` and `address` are what people read of a failure beside its reason: neither holds a secret. `is_far`: it has
    connected to another machine. An answer from there leads to nothing on this one.
    """

    kind: str
    params: Mapping[str, Any]
    clients: "Clients"
    now: datetime
    limit: timedelta
    names: Names = field(default_factory=Names)
    started: float = field(default_factory=time.monotonic)
    labels: dict[str, str] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    split: dict[str, float] = field(default_factory=dict)
    split_open: str = ""
    address: str = ""
    expected: str = ""
    is_far: bool = False
    closing: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)
    progress: Progress = unwatched

    @property
    def elapsed(self) -> float:
        """Return the seconds since the try began."""
        return time.monotonic() - self.started

    @property
    def left(self) -> float:
        """Return the seconds until its time limit; the engine ends the try then, wherever it waits."""
        return max(0.0, self.limit.total_seconds() - self.elapsed)

    def add(self, metric: str, value: float | None, **labels: str) -> None:
        """Keep a measured value. `labels` come beside those of the probe."""
        self.samples.append(Sample(metric, value, self.now, {**self.labels, **labels}))

    def up(self) -> None:
        """Say that what is watched is up."""
        self.add("uptime", 1.0)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Note how long a step takes, also when it fails or is cut off."""
        began, self.split_open = time.monotonic(), name
        try:
            yield
        finally:
            self.split[name] = self.split.get(name, 0.0) + time.monotonic() - began
        self.split_open = ""

    def broke(self, part: str, reason: str, *, limited: bool = False, retry_after: timedelta | None = None) -> None:
        """Note that a part could not be measured, while the rest is. `limited` and `retry_after` as in probe_failed."""
        self.events.append(
            probe_failed(
                self.kind, self.params, reason, now=self.now, part=part, limited=limited, retry_after=retry_after
            )
        )

    def secret(self, name: str) -> str:
        """Return a secret's value. Raise RulesError when it is not set."""
        return secret(self.clients, name)

    def ends_with(self, close: Callable[[], object]) -> None:
        """Call `close` when the try has ended, whatever happens."""
        self.closing.callback(close)

    async def addresses(self, host: str, port: int) -> list[str]:
        """Return the IP addresses of a host, IPv4 first.

        Raise Down when the name has none, UnmeasuredError when the resolver is in trouble, RulesError when an address
        is one that nothing may connect to.
        """
        with self.step("DNS"):
            try:
                found = await self.names.addresses(host, port)
            except NoAddressError as error:
                raise Down(str(error)) from None
        if self.is_far and any(plain(each).is_loopback for each in found):
            raise RefusedAddressError("addresses of this machine are not probed after those of another one")
        return found

    async def connect(
        self, host: str, port: int, *, tls: ssl.SSLContext | None = None, name: str | None = None
    ) -> Connection:
        """Return a connection to the first address of a host that takes one; with TLS when there is a context.

        Every address is tried: the next one after a short time, beside those that have not answered yet. Raise Down
        when none takes it, or when TLS fails. The connection is closed at the end of the try.
        """
        found = await self.addresses(host, port)
        with self.step("connect"):
            reader, writer, address = await first_of(
                found, port, self.names.spare, pause=headstart(self.left, len(found))
            )
        self.ends_with(writer.transport.abort)
        self.is_far = self.is_far or not plain(address).is_loopback
        if tls is not None:
            with self.step("TLS"):
                await _secured(writer, tls, name or host)
        return Connection(reader, writer, address)

    def down(self, reason: str) -> None:
        """Note that what is watched is down: `uptime` 0 with what was expected, what came and where the time went."""
        self.samples = [each for each in self.samples if each.metric != "uptime"]
        observed = {"address": self.address, "expected": self.expected, RESULT: self.result_words(reason)}
        seen = {name: text for name, text in observed.items() if text}
        self.samples.append(Sample("uptime", 0.0, self.now, dict(self.labels), seen))

    def result_words(self, reason: str) -> str:
        """Return a reason with how long it took, and which steps took how long."""
        split = ", ".join(f"{name} {time_words(seconds)}" for name, seconds in self.split.items())
        return f"{reason}, after {time_words(self.elapsed)}" + (f" ({split})" if split else "")


def time_words(seconds: float) -> str:
    """Return a short time in words: `140 ms`, `12.5 s`."""
    return f"{seconds:.1f} s" if seconds >= 9.9995 else f"{seconds * 1000:.0f} ms"


async def _secured(writer: asyncio.StreamWriter, context: ssl.SSLContext, host: str) -> None:
    try:
        await writer.start_tls(context, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        raise Down(f"the certificate is refused: {error.verify_message}") from error
    except (OSError, EOFError) as error:
        reason = getattr(error, "reason", None) or "the connection ended"
        raise Down(f"no TLS connection: {str(reason).lower().replace('_', ' ')}") from None
