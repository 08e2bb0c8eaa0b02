"""A name in the address finds a file, else an entry of the rules, else nothing."""

import json
from datetime import UTC, datetime

import pytest

from chalicelib.core.errors import RulesError, SignatureError, UnknownSourceError
from chalicelib.ingest.registry import DeclaredSource, declared, find_source


@pytest.mark.parametrize(
    "name", ["nobody", "", ".", "..", "__init__", "generic", "_shared", "../core/event", "a" * 99, "Sentry"]
)
def test_names_without_a_source_are_unknown(name):
    """Neither a path nor a part of the package nor the generic plug-in is a sender."""
    with pytest.raises(UnknownSourceError):
        find_source(name)


@pytest.mark.parametrize("name", ["sentry", "cloudflare"])
def test_files_are_sources(name):
    """A file of sources/ is found by its name and has the shape of a source."""
    source = find_source(name)
    assert source.SECRETS
    with pytest.raises(SignatureError):
        source.verify({}, b"{}", ["some-secret"])


def test_entries_of_the_rules_are_sources(tmp_path):
    """The compiled rules name declared senders; without the file there are none."""
    path = tmp_path / "compiled-rules.json"
    assert declared(path) == {}
    declared.cache_clear()
    entry = {"name": "builds", "auth": {"type": "bearer", "secret": "BUILDS_TOKEN"}}
    path.write_text(json.dumps({"v": 1, "sha256": "x", "rules": {"sources": [entry]}}))
    assert declared(path) == {"builds": entry}
    declared.cache_clear()
    path.write_text(json.dumps({"v": 1, "sha256": "x", "rules": {}}))
    assert declared(path) == {}
    declared.cache_clear()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"v":1}', '{"rules":{"sources":[{}]}}', '{"rules":{"sources":5}}'])
def test_a_damaged_file_is_our_mistake(tmp_path, text):
    """It raises what becomes a 503, not a 404 that a sender takes for final."""
    path = tmp_path / "compiled-rules.json"
    path.write_text(text)
    declared.cache_clear()
    with pytest.raises(RulesError):
        declared(path)
    declared.cache_clear()


class Generic:
    """Records what it is given."""

    def __init__(self):
        self.given = []

    def secrets(self, mapping):
        """The names of an entry."""
        return [mapping["secret"]]

    def verify(self, headers, body, secrets, *, path_secret, mapping, now):
        """Remember."""
        self.given.append((headers, body, secrets, path_secret, mapping, now))

    def delivery_id(self, headers, body, *, mapping):
        """By the entry."""
        return headers.get(mapping["id"])


def test_a_declared_source_is_the_generic_one_with_its_entry():
    """Everything is handed on, with the entry."""
    generic, mapping = Generic(), {"name": "builds", "secret": "BUILDS_TOKEN", "id": "x-build-id"}
    now = datetime(2026, 11, 24, tzinfo=UTC)
    source = DeclaredSource(generic, mapping, now)
    assert source.SECRETS == ("BUILDS_TOKEN",)
    source.verify({"a": "b"}, b"{}", ["s"], path_secret="p")
    assert generic.given == [({"a": "b"}, b"{}", ["s"], "p", mapping, now)]
    assert source.delivery_id({"x-build-id": "7"}, b"{}") == "7"
