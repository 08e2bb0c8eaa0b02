"""Slack beside messages: channels by name, people by id, answers to a press, and what `tocsin doctor` asks."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import validators

from chalicelib.core.errors import TargetRejectedError, TargetUnavailableError
from chalicelib.targets import slack_channel as slack
from tests.project import ROOT
from tests.targets.samples import NOTIFICATION, NOW, FakeClients
from tests.targets.test_slack_channel import POSTED, FakeSlack, refused

CHANNELS = [
    {"ok": True, "channels": [{"id": "C0AAAAAA1", "name": "alerts"}], "response_metadata": {"next_cursor": "p2"}},
    {"ok": True, "channels": [{"id": "C0SECRET1", "name": "incidents"}], "response_metadata": {"next_cursor": ""}},
]
SCOPES = "chat:write,channels:read,groups:read,channels:history,users:read"


def test_a_name_that_slack_takes_is_not_looked_up_and_its_id_is_kept() -> None:
    """A public channel is posted to by its name once; the id of the answer is used from then on."""
    server = FakeSlack()
    server.tell(NOTIFICATION)
    server.tell(NOTIFICATION)
    assert server.methods == ["chat.postMessage"] * 2
    assert [body["channel"] for _, body in server.calls] == ["incidents", POSTED["channel"]]


@pytest.mark.parametrize("code", ["channel_not_found", "team_not_found"])
def test_a_name_that_slack_does_not_take_is_looked_up_once(code: str) -> None:
    """A private channel, or an organisation's token: the list is read page by page, and only the first time."""
    server = FakeSlack(chat_postMessage=[refused(code), POSTED], conversations_list=CHANNELS)
    server.tell(NOTIFICATION)
    server.tell(NOTIFICATION)
    posts = [body["channel"] for method, body in server.calls if method == "chat.postMessage"]
    assert server.methods.count("conversations.list") == 2
    assert posts == ["incidents", "C0SECRET1", "C0ALERTS1"]


@pytest.mark.parametrize(
    ("listing", "advice"),
    [(CHANNELS, "/invite"), (refused("missing_scope"), "/invite"), ({"ok": True, "channels": []}, "/invite")],
)
def test_a_channel_that_is_missing_is_a_permanent_error_with_advice(listing: Any, advice: str) -> None:
    """Not there, or not to be seen by the bot: given up, with what to do."""
    server = FakeSlack(chat_postMessage=refused("channel_not_found"), conversations_list=listing)
    with pytest.raises(TargetRejectedError, match=advice):
        server.tell(NOTIFICATION, "#nowhere")


def test_an_outage_of_the_look_up_comes_back() -> None:
    """The list that answers 429 is no reason to give up; the wait is Slack's."""
    busy = httpx.Response(429, headers={"Retry-After": "7"}, json=refused("ratelimited"))
    server = FakeSlack(chat_postMessage=refused("channel_not_found"), conversations_list=busy)
    with pytest.raises(TargetUnavailableError) as caught:
        server.tell(NOTIFICATION)
    assert caught.value.retry_after is not None and caught.value.retry_after.total_seconds() == 7


def test_an_id_that_leads_nowhere_is_not_looked_up() -> None:
    """A wrong id is told at once."""
    server = FakeSlack(chat_postMessage=refused("channel_not_found"))
    with pytest.raises(TargetRejectedError):
        server.tell(NOTIFICATION, "C0GONE001")
    assert server.methods == ["chat.postMessage"]


def test_a_name_whose_id_went_away_is_looked_up_again() -> None:
    """A channel was deleted and made anew under its name."""
    server = FakeSlack(chat_postMessage=[POSTED, refused("channel_not_found"), POSTED], conversations_list=CHANNELS)
    server.tell(NOTIFICATION)
    server.tell(NOTIFICATION)
    assert [body["channel"] for method, body in server.calls if method == "chat.postMessage"][-1] == "C0SECRET1"


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (
            {"ok": True, "user": {"name": "ana", "profile": {"real_name": "Ana Souza", "display_name": "ana"}}},
            "Ana Souza",
        ),
        ({"ok": True, "user": {"name": "ana", "profile": {"real_name": "", "display_name": ""}}}, "ana"),
        (refused("missing_scope"), ""),
        (refused("user_not_found"), ""),
        (httpx.Response(500), ""),
    ],
)
def test_people_have_names(answer: Any, name: str) -> None:
    """By users.info; where Slack does not tell, the caller has what the request said."""
    server = FakeSlack(users_info=answer)
    assert slack.person("U0ANA0001", server.clients, now=NOW) == name


def test_a_name_is_asked_for_once() -> None:
    """One person, one question; and no token, no question."""
    server = FakeSlack(users_info={"ok": True, "user": {"name": "ana"}})
    assert [slack.person("U1", server.clients, now=NOW) for _ in range(3)] == ["ana"] * 3
    assert server.methods == ["users.info"]
    assert slack.person("U1", FakeClients(secrets={}), now=NOW) == ""


@pytest.mark.parametrize(
    ("answer", "zone"),
    [
        ({"ok": True, "user": {"name": "ana", "tz": "America/Sao_Paulo"}}, "America/Sao_Paulo"),
        ({"ok": True, "user": {"name": "ana", "tz": None}}, ""),
        (refused("missing_scope"), ""),
    ],
)
def test_people_have_a_time_zone(answer: Any, zone: str) -> None:
    """Given a person → the zone that the person set in Slack, from the same call as the name; else none."""
    server = FakeSlack(users_info=answer)
    assert slack.zone("U0ANA0001", server.clients, now=NOW) == zone
    slack.person("U0ANA0001", server.clients, now=NOW)
    assert server.methods == ["users.info"] * (1 if answer["ok"] else 2)


def test_an_answer_goes_to_the_person_alone() -> None:
    """Ephemeral, and the message stays; without the bot's token, since the address is the permission."""
    clients = FakeClients(lambda request: httpx.Response(200, text="ok"))
    slack.respond("https://hooks.slack.com/actions/T1/2/x", "done", clients, now=NOW)
    (request,) = clients.requests
    assert json.loads(request.content) == {"response_type": "ephemeral", "replace_original": False, "text": "done"}
    assert "authorization" not in request.headers


@pytest.mark.parametrize(
    ("status", "fate"), [(404, TargetRejectedError), (500, TargetUnavailableError), (429, TargetUnavailableError)]
)
def test_an_answer_that_fails_tells_no_address(status: int, fate: type[Exception]) -> None:
    """A used-up address is given up, an outage comes back; neither error holds the address."""
    clients = FakeClients(lambda request: httpx.Response(status))
    with pytest.raises(fate) as caught:
        slack.respond("https://hooks.slack.com/actions/T1/2/secretpath", "done", clients, now=NOW)
    assert "secretpath" not in str(caught.value)


def test_a_form_that_cannot_be_filled_stays_as_it_is() -> None:
    """Closed, sent or changed meanwhile: nothing to tell anyone."""
    server = FakeSlack(views_update=refused("hash_conflict"))
    slack.fill_view("V1", "h", {"type": "modal"}, server.clients, now=NOW)
    assert server.calls == [("views.update", {"view_id": "V1", "view": {"type": "modal"}, "hash": "h"})]


def checked(
    info: Any = None, *, scopes: str = SCOPES, channel: str = "#incidents", **answers: Any
) -> list[tuple[str, str]]:
    """What the check says of one channel."""
    given = {
        "auth_test": httpx.Response(200, json={"ok": True}, headers={"X-OAuth-Scopes": scopes}),
        "conversations_list": CHANNELS,
        "conversations_info": {"ok": True, "channel": info or {"is_member": True}},
        **answers,
    }
    return slack.check(FakeSlack(**given).clients, [channel, channel], NOW)


def test_a_good_set_up_is_ok() -> None:
    """Token, scopes and channel: two lines, both fine."""
    assert [level for level, _ in checked()] == ["ok", "ok"]


@pytest.mark.parametrize(
    ("given", "level", "words"),
    [
        ({"info": {"is_member": False}}, "wrong", "/invite it"),
        ({"info": {"is_member": False}, "scopes": SCOPES + ",chat:write.public"}, "ok", "may post"),
        (
            {"info": {"is_member": False, "is_private": True}, "scopes": SCOPES + ",chat:write.public"},
            "wrong",
            "/invite",
        ),
        ({"info": {"is_member": True, "is_archived": True}}, "wrong", "archived"),
        ({"channel": "#nowhere"}, "wrong", "no such channel"),
        ({"channel": "C0NOWHERE", "conversations_info": refused("channel_not_found")}, "wrong", "channel_not_found"),
        ({"conversations_list": refused("missing_scope")}, "warning", "missing_scope"),
        ({"channel": "https://hooks.slack.com/services/T/B/secretpath"}, "ok", "incoming webhook"),
        ({"conversations_info": httpx.Response(503)}, "warning", "try again"),
    ],
)
def test_what_is_wrong_with_a_channel_is_said_with_what_to_do(given: dict[str, Any], level: str, words: str) -> None:
    """Each channel once, by name or id; never an address that is a secret."""
    _, (found, text) = checked(**given)
    assert found == level
    assert words in text
    assert "secretpath" not in text


@pytest.mark.parametrize(
    ("scopes", "level", "words"),
    [
        ("chat:write", "warning", "users:read (names of people)"),
        ("channels:read", "wrong", "chat:write"),
        ("", "ok", "did not say"),
    ],
)
def test_missing_scopes_are_named(scopes: str, level: str, words: str) -> None:
    """What cannot be done without them, too."""
    (found, text), *_ = checked(scopes=scopes)
    assert (found, words in text) == (level, True)


def test_a_token_that_is_refused_ends_the_check() -> None:
    """One line that says what to do about the token."""
    ((level, text),) = checked(auth_test=refused("token_revoked"))
    assert level == "wrong" and "SLACK_BOT_TOKEN" in text


def test_the_manifest_of_the_app_is_valid_and_asks_for_what_the_check_wants() -> None:
    """By Slack's own schema; with the addresses of our two routes, and every scope that `check` names."""
    manifest = json.loads((ROOT / "docs" / "slack-app.json").read_text())
    schema = json.loads((Path(__file__).parent / "schemas" / "app-manifest.schema.2.0.0.json").read_text())
    validators.validator_for(schema)(schema).validate(manifest)
    scopes = set(manifest["oauth_config"]["scopes"]["bot"])
    assert {"chat:write", "commands", *(name for name, _ in slack.WANTED_SCOPES)} <= scopes
    (command,) = manifest["features"]["slash_commands"]
    assert command["command"] == "/tocsin" and command["url"].endswith("/slack/commands")
    assert manifest["settings"]["interactivity"]["request_url"].endswith("/slack/actions")


def test_an_answer_takes_the_place_of_a_question() -> None:
    """Given blocks and the wish to replace → the message whose button was pressed is replaced, for that person alone."""
    clients = FakeClients(lambda request: httpx.Response(200, text="ok"))
    block = {"type": "section", "text": {"type": "mrkdwn", "text": "done"}}
    slack.respond("https://hooks.slack.com/x", "done", clients, now=NOW, blocks=[block], replaces=True)
    assert json.loads(clients.requests[0].content) == {
        "response_type": "ephemeral", "replace_original": True, "text": "done", "blocks": [block],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ({"ok": True, "team_id": "T1", "user_id": "U1"}, ("T1", "")),
        ({"ok": True, "team_id": "T1", "enterprise_id": "E1"}, ("T1", "E1")),
        ({"ok": True, "team_id": None}, ("", "")),
        (refused("invalid_auth"), None),
        (httpx.Response(500), None),
    ],
)
def test_the_apps_own_workspace(answer: Any, found: Any) -> None:
    """Given auth.test → the workspace and the organisation of the app; nothing where Slack does not answer."""
    assert slack.home(FakeSlack(auth_test=answer).clients, now=NOW) == found
    assert slack.home(FakeClients(secrets={}), now=NOW) is None


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ({}, (False, False)),
        ({"is_restricted": True}, (True, False)),
        ({"is_ultra_restricted": True}, (True, False)),
        ({"is_stranger": True}, (False, True)),
        ({"is_restricted": "yes", "is_stranger": None}, (False, False)),
    ],
)
def test_guests_are_known_by_slack(flags: Any, found: Any) -> None:
    """Given users.info → whether the person is a guest or a stranger."""
    clients = FakeSlack(users_info={"ok": True, "user": {"name": "a", **flags}}).clients
    assert slack.standing("U1", clients, now=NOW) == found
