"""The kinds that a source says it has, against the events of real bodies."""

import pytest

from chalicelib import plugins
from chalicelib.core.unknown_values import LABEL
from tests.sources.bodies import FOLDERS, events, files, raw

NAMING = [name for name in plugins.names("sources") if hasattr(plugins.load_source(name), "kinds")]
BODIES = [(source, name) for source in NAMING for name in files(*FOLDERS[source])]


@pytest.mark.parametrize(("source", "name"), BODIES, ids=[name for _, name in BODIES])
def test_the_kind_of_a_real_body_is_known(source: str, name: str) -> None:
    """Given a real body, when it is read → its kind is one that `tocsin check` knows, unless the body has a word that nobody knows."""
    known = plugins.load_source(source).kinds()  # type: ignore[attr-defined]
    found = [each for each in events(source, raw(name)) if each.source == source and LABEL not in each.labels]
    assert [each.kind for each in found if each.kind not in known] == []
