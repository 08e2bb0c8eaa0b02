"""Words of senders that this version does not know: counted by their value, and reported once a day.

A source takes what it does not know, as information or as it looks. So that somebody sees it, its event has the label
`unknown_value`: which field, and which value.
"""

LABEL = "unknown_value"
METRIC = "unknown_values"
"""How often each value came: labels `source` and `value`."""
