"""The forms of queue messages and of stored values."""
