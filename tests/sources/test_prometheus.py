"""Alertmanager's webhook under the name of Prometheus."""

from dataclasses import replace

import pytest

from tests.sources.bodies import events, files, raw


@pytest.mark.parametrize("name", files("alertmanager"))
def test_everything_is_as_in_alertmanager(name):
    """The source is another one, everything else is the same."""
    here, there = events("prometheus", raw(name)), events("alertmanager", raw(name))
    assert {each.source for each in here} == {"prometheus"}
    assert [replace(each, source="") for each in here] == [replace(each, source="") for each in there]
