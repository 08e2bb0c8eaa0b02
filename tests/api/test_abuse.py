"""Abuse of the doors of people by real requests: tokens that open less, edits at once, cursors that no answer had, huge lists."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest

from chalicelib.api import admission, paging
from tests.api.test_tokens import ACCESS, Stage
from tests.api_door import READER, door
from tests.api_harness import RULES, ApiHarness, fire

SILENCE = {"matchers": [{"name": "service", "value": "api"}], "createdBy": "ana", "comment": ""}
LISTS = ("incidents", "alerts", "silences")


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """A stage with two incidents whose shared token is an admin's."""
    admission._used.clear()
    desk = ApiHarness(fire("api"), fire("web"), rules=RULES + ACCESS)
    with door(monkeypatch, desk) as served:
        yield Stage(desk, served)


def writes(incident: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Return every request that changes something; none of them would be refused for what it asks."""
    act = {"by": "ana", "note": "n", "to": "bo"}
    silence = {"by": "ana", "for": "1h", "matchers": ["service=api"]}
    return [
        *[("POST", f"incidents/{incident}/{each}", act) for each in ("ack", "unack", "resolve", "note", "assign")],
        ("POST", "silences", silence),
        ("PUT", "silences/3f2a91c0", silence),
        ("DELETE", "silences/3f2a91c0", {"by": "ana"}),
        ("POST", "v2/silences", {**SILENCE, "endsAt": "2026-11-26T15:00:00Z"}),
        ("DELETE", "v2/silence/3f2a91c0", {}),
        ("POST", "tokens", {"name": "eve", "scope": "admin", "by": "ana"}),
        ("DELETE", "tokens/3f2a91c0", {"by": "ana"}),
    ]


def stored(stage: Stage) -> str:
    """Return what writes change: silences, tokens, and incidents with their timelines."""
    store = stage.desk.router.store
    tokens = [(each.id, each.scope, each.revoked_by) for each in store.tokens().tokens]
    return repr((store.context().silences, tokens, sorted(store.incidents(), key=lambda each: each.id)))


@pytest.mark.parametrize("who", ["reader", "read scope", "viewer"])
def test_who_may_only_look_changes_nothing_by_any_door(stage: Stage, who: str) -> None:
    """Given a token of PAGE_TOKEN, one with the scope `read`, or one of a viewer → 403 for every write, and nothing changes."""
    tokens = {"reader": ("", ""), "read scope": ("ana", "read"), "viewer": ("guest", "act")}
    token = stage.made(*tokens[who])[1] if who != "reader" else READER
    incident, before = stage.incident(), stored(stage)
    for method, path, body in writes(incident):
        assert (method, path, stage.call(method, path, body, token=token)[0]) == (method, path, 403)
    stage.desk.router.settle()
    assert stored(stage) == before


def test_a_revoked_token_opens_no_door(stage: Stage) -> None:
    """Given a token that was revoked → 401 for every write, every list and Alertmanager's, and nothing changes.

    They are 20: one more within a minute is answered 429.
    """
    id, token = stage.made("ana", "admin")
    assert stage.call("GET", "v2/alerts", token=token)[0] == 200
    assert stage.call("DELETE", f"tokens/{id}?by=root")[0] == 200
    incident, before = stage.incident(), stored(stage)
    reads = [*LISTS, *(f"v2/{each}" for each in ("status", "receivers", "alerts", "alerts/groups", "silences"))]
    asked = [*writes(incident), *(("GET", path, None) for path in reads)]
    for method, path, body in asked:
        assert (method, path, stage.call(method, path, body, token=token)[0]) == (method, path, 401)
    stage.desk.router.settle()
    assert stored(stage) == before


def test_two_edits_at_once_leave_one_silence(stage: Stage) -> None:
    """Given eight edits of one silence at the same time, by both APIs → one silence, with what one of them asked for whole."""
    status, made = stage.call("POST", "v2/silences", {**SILENCE, "endsAt": "2026-11-26T13:00:00Z"})
    assert status == 200
    id = made["silenceID"]

    def edit(hour: int) -> int:
        """Edit by Alertmanager's API at even hours, by Tocsin's own at odd ones."""
        ends_at = f"2026-11-26T{hour}:00:00Z"
        if hour % 2:
            body = {"by": "ana", "until": ends_at, "comment": str(hour)}
            return int(stage.call("PUT", f"silences/{id}", body)[0])
        body = {**SILENCE, "id": id, "endsAt": ends_at, "comment": str(hour)}
        return int(stage.call("POST", "v2/silences", body)[0])

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(edit, range(14, 22))) <= {200, 202}
    stage.desk.router.settle()
    (found,) = stage.desk.router.store.context().silences
    assert (found.id, f"{found.ends_at:%H}") == (id, found.comment)


FORGED = [
    "x", "====", "../..", "%00", "\u202e", "9" * 5_000, paging.cursor("others", "1"), paging.cursor("", ""), "AAAA" * 200,
]  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_a_forged_cursor_is_refused_or_lists_nothing_more(stage: Stage, name: str) -> None:
    """Given cursors that no answer had → 400; one with a place of its maker's lists only what its token may see anyway."""
    for each in FORGED:
        assert (each, stage.call("GET", f"{name}?after={quote(each, safe='')}")[0]) == (each, 400)
    whole = {json.dumps(each, sort_keys=True) for each in stage.call("GET", name)[1][name]}
    for place in ("", "\x00", "0", "~", "9" * 600, "\U0010ffff"):
        status, found = stage.call("GET", f"{name}?after={paging.cursor(name, place)}", token=READER)
        assert status == 200 and {json.dumps(each, sort_keys=True) for each in found[name]} <= whole


def test_no_page_is_larger_than_allowed(stage: Stage) -> None:
    """Given a limit that is none, or too large → 400 names what is allowed."""
    for limit in ("0", "-1", "1001", "1e3", "9" * 5_000, "1;2"):
        for name in LISTS:
            status, found = stage.call("GET", f"{name}?limit={limit}")
            assert (name, limit, status) == (name, limit, 400)
            assert "1 to 1000" in found["detail"]
