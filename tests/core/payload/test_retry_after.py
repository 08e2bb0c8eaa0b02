"""The wait that a server asks for, from every text that it may send."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.core.payload.retry_after import asked_wait

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
WAITS = [
    ("30", timedelta(seconds=30)),
    (" 1.5 ", timedelta(seconds=1.5)),
    ("0", timedelta(0)),
    ("999999999999", timedelta(seconds=999_999_999_999)),
    ("9" * 40, timedelta.max),
    ("9" * 99, timedelta.max),
    ("Tue, 24 Nov 2026 09:01:30 GMT", timedelta(seconds=90)),
    ("Tue, 24 Nov 2026 10:01:30 +0100", timedelta(seconds=90)),
    ("Tuesday, 24-Nov-26 09:01:30 GMT", timedelta(seconds=90)),
    ("Tue Nov 24 09:01:30 2026", timedelta(seconds=90)),
    ("Mon, 23 Nov 2026 09:00:00 GMT", timedelta(0)),
    ("Mon, 01 Jan 0001 00:00:00 +2359", timedelta(0)),
    (
        "Fri, 31 Dec 9999 23:59:59 -2359",
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(-timedelta(hours=23, minutes=59))) - NOW,
    ),
    ("Fri, 31 Dec 99999 23:59:59 GMT", None),
    ("Tue, 24 Nov 2026 09:01:30 +9999", None),
    ("-5", None),
    ("+5", None),
    ("1e9", None),
    ("inf", None),
    ("nan", None),
    ("Infinity", None),
    ("0x10", None),
    ("1.2.3", None),
    (".", None),
    ("", None),
    ("soon", None),
    ("٣٠", None),
    ("9" * 10_000, None),
]


@pytest.mark.parametrize(("text", "wait"), WAITS, ids=lambda each: str(each)[:20])
def test_a_wait(text: str, wait: timedelta | None) -> None:
    """A number of seconds or a date → the wait, not below zero; anything else → None."""
    assert asked_wait(text, NOW) == wait


_WORDS = st.sampled_from(["Tue,", "24", "Nov", "2026", "09:01:30", "GMT", "+0100", "-", ":", ",", "99", "0", "(", ")"])


@given(st.text(max_size=120) | st.lists(_WORDS, max_size=9).map(" ".join))
@example("24 Nov")
def test_no_text_raises(text: str) -> None:
    """Any text, also one that is nearly a date → a wait or None, never an error."""
    found = asked_wait(text, NOW)
    assert found is None or found >= timedelta(0)
