"""The body of a webhook as a message or the table keeps it: zlib's format, whichever library wrote it."""

import random
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.messages.webhook import compressed, uncompressed

FIXTURES = Path(__file__).parent.parent / "sources" / "fixtures" / "sentry"
LARGE = 16 * 1024


def some(count: int, kind: str) -> bytes:
    """Bytes of a kind: as varied as noise, as JSON, or all the same."""
    chance = random.Random(count)
    if kind == "noise":
        return chance.randbytes(count)
    return (b'{"a":%d}' % chance.randrange(9)) * (count // 7) if kind == "json" else b"a" * count


@pytest.mark.parametrize("size", [0, 1, LARGE - 1, LARGE, LARGE + 1, 100_000, 1_500_000])
@pytest.mark.parametrize("kind", ["noise", "json", "same"])
def test_the_version_before_reads_what_is_written(size: int, kind: str) -> None:
    """Given a body of any size → plain zlib, which is all that the version before knows, reads it."""
    body = some(size, kind)
    assert zlib.decompress(compressed(body)) == uncompressed(compressed(body)) == body


@pytest.mark.parametrize("size", [LARGE - 1, LARGE])
@pytest.mark.parametrize("level", [0, 1, 6, 9])
def test_what_the_version_before_wrote_is_read(size: int, level: int) -> None:
    """Given a body that zlib compressed, at any level → it is read."""
    body = some(size, "json")
    assert uncompressed(zlib.compress(body, level)) == body


@given(st.binary(max_size=300), st.integers(0, 200))
def test_a_large_body_of_anything_comes_back(piece: bytes, more: int) -> None:
    """Given any bytes again and again, with some of their own behind → they come back."""
    body = piece * (LARGE // max(1, len(piece)) + 1) + bytes(range(more))
    assert zlib.decompress(compressed(body)) == body


def test_a_large_body_is_about_as_small_as_zlib_would_leave_it() -> None:
    """Given a Sentry event of 300 kB → it takes at most a tenth more of a message than by zlib's fastest level."""
    body = (FIXTURES / "derived_event_alert_over_256k.json").read_bytes()
    assert len(compressed(body)) <= 1.1 * len(zlib.compress(body, 1))
