"""Measured values: samples, and their roll-ups."""
