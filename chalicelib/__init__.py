"""Tocsin: everything that is shipped to Lambda. Start reading at `receive`, `process` and `deliver`."""

VERSION = "0.1.0"
