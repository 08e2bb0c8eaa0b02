"""Words from outside that become no date, duration or number of Python: each door refuses or ignores them in words."""

TIMES = (
    "0001-01-01T00:00+14:00",
    "0001-01-01T00:00:00+14:00",
    "0001-01-01T00:00",
    "1969-12-31T23:59:59Z",
    "2200-01-01T00:00:00Z",
    "9999-12-31T23:59:59-14:00",
    "9999-12-31T23:59:59",
    "9999-12-31",
)
"""Times outside of the years 1970 to 2199. The first ones and `-14:00` are in no year at all in UTC."""

DURATIONS = ("99999999999999d", "36501d", "9" * 90 + "s", "9" * 400 + "w", "9" * 5_000 + "ms", "1" * 60_000)
"""Durations with which no date can be made, and digits that a careless pattern reads again from each of them."""
