"""The vendors' stand-ins: each answers as its vendor does, within its limits, and keeps what it was sent."""
