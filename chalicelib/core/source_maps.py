"""Releases whose errors come with minified frames: their source maps are missing, so nobody can read the stack."""

LABEL = "minified"
"""`yes` on an error whose own frames are minified."""
METRIC = "minified_errors"
"""How many such errors came: labels `source`, `service` and `release`."""
