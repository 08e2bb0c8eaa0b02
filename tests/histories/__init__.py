"""Tests of the readers of vendors' histories."""
