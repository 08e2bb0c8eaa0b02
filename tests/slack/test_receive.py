"""The door for Slack: who is let in, what is stored before the answer, and what the answer is."""

import hashlib
import hmac
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.api.requests import matchers_of, parse_text
from chalicelib.core.alert import Alert, AlertState
from chalicelib.core.errors import NotStoredError, SignatureError
from chalicelib.core.incident import Episode, Incident
from chalicelib.messages import interaction
from chalicelib.messages.queue import read_message
from chalicelib.slack import silence_modal
from chalicelib.slack.receive import MAX_BODY_BYTES, answered, verify
from tests import extremes
from tests.fakes import FixedSecrets

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
SECRET = "placeholder-slack-signing-secret-0001"
FORM = "application/x-www-form-urlencoded"

# The worked example of https://docs.slack.dev/authentication/verifying-requests-from-slack.
OFFICIAL_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
OFFICIAL_AT = datetime.fromtimestamp(1531420619, UTC)
OFFICIAL_HEADERS = {
    "x-slack-request-timestamp": "1531420618",
    "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
}
OFFICIAL_BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&"
    b"channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&"
    b"response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&"
    b"trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)


def signed(body, *, at=NOW, secret=SECRET, kind=FORM):
    """The headers of a request as Slack signs it."""
    timestamp = str(int(at.timestamp()))
    digest = hmac.new(secret.encode(), f"v0:{timestamp}:".encode() + body, hashlib.sha256).hexdigest()
    return {"Content-Type": kind, "X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": f"v0={digest}"}


LABEL_VALUES = st.text(max_size=10) | st.text(alphabet="a=~!,{}\"'“ \n\r\\", max_size=8)
GROUPS = st.dictionaries(st.sampled_from(["service", "zone", "app kind"]), LABEL_VALUES.filter(bool), max_size=2)


@dataclass
class SlackHarness:
    """What is behind the door: secrets, a queue, and Slack's views.open, which records the order of things."""

    secrets: FixedSecrets = field(default_factory=lambda: FixedSecrets({"SLACK_SIGNING_SECRET": SECRET}))
    events: list = field(default_factory=list)
    broken: bool = False

    def put(self, message):
        """Store."""
        if self.broken:
            raise NotStoredError("the queue is away")
        self.events.append(("put", read_message(message)))

    def open_view(self, trigger, view):
        """Open a modal."""
        if trigger == "expired":
            raise NotStoredError("views.open: Slack refused: trigger_expired")
        self.events.append(("open", trigger, view))
        return "V1", "1790000000.aa"

    def ask(self, body, *, headers=None, now=NOW, **options):
        """Knock."""
        given = signed(body, **options) if headers is None else headers
        return answered(given, body, secrets=self.secrets, put=self.put, open_view=self.open_view, now=now)

    @property
    def stored(self):
        """What was put on the queue."""
        return [each[1] for each in self.events if each[0] == "put"]


def form(**fields):
    """A form's bytes."""
    return urlencode(fields).encode()


def pressed(action_id="tocsin_ack", value="inc-1", *, option=None, **more):
    """The body of a press."""
    action = {"action_id": action_id, "block_id": "actions:n1", "type": "button", "action_ts": "1790000060.1"}
    action |= {"selected_option": {"value": option}, "type": "static_select"} if option else {"value": value}
    payload = {
        "type": "block_actions",
        "user": {"id": "U0ONCALL1", "username": "oncall.one", "name": "oncall.one", "team_id": "T00000001"},
        "container": {"type": "message", "message_ts": "1790000000.000100", "channel_id": "C0ALERTS1"},
        "trigger_id": "13345224609.738474920.8088930838d88f008e0",
        "team": {"id": "T00000001", "domain": "example"},
        "response_url": "https://hooks.slack.com/actions/T1/1/x",
        "actions": [action],
    }
    return form(payload=json.dumps(payload | more))


def submitted(*, until="2h", matchers="", comment="deploying"):
    """The body of the silence form, sent."""
    values = {
        "matchers:filled": {"matchers": {"type": "plain_text_input", "value": matchers or None}},
        "until": {"until": {"type": "plain_text_input", "value": until}},
        "comment": {"comment": {"type": "plain_text_input", "value": comment}},
    }
    view = {"id": "V1", "hash": "h", "callback_id": interaction.SILENCE_MODAL, "private_metadata": "inc-1"}
    payload = {"type": "view_submission", "user": {"id": "U0ONCALL1"}, "view": {**view, "state": {"values": values}}}
    return form(payload=json.dumps(payload))


def test_slacks_own_example_is_let_in():
    """The signature of Slack's documentation fits, and no longer once a byte is another."""
    verify(OFFICIAL_HEADERS, OFFICIAL_BODY, [OFFICIAL_SECRET], OFFICIAL_AT)
    with pytest.raises(SignatureError, match="does not fit"):
        verify(OFFICIAL_HEADERS, OFFICIAL_BODY + b"x", [OFFICIAL_SECRET], OFFICIAL_AT)


@pytest.mark.parametrize(
    ("age", "status"),
    [(0, 200), (299, 200), (301, 401), (-299, 200), (-301, 401), (86_400 * 365, 401)],
)
def test_a_request_is_good_for_five_minutes_either_way(age, status):
    """A recorded request cannot be played back later, nor one from a clock that runs ahead."""
    assert SlackHarness().ask(pressed(), at=NOW - timedelta(seconds=age)).status == status


GOOD = signed(pressed())
WRONG = [
    ("nothing", {}),
    ("no signature", {k: v for k, v in GOOD.items() if k != "X-Slack-Signature"}),
    ("no timestamp", {k: v for k, v in GOOD.items() if k != "X-Slack-Request-Timestamp"}),
    ("a timestamp that is no number", {**GOOD, "X-Slack-Request-Timestamp": "yesterday"}),
    ("a timestamp of other digits", {**GOOD, "X-Slack-Request-Timestamp": "١٧٩"}),
    ("an endless timestamp", {**GOOD, "X-Slack-Request-Timestamp": "9" * 5_000}),
    ("another version", {**GOOD, "X-Slack-Signature": GOOD["X-Slack-Signature"].replace("v0", "v1")}),
    ("no hex", {**GOOD, "X-Slack-Signature": "v0=ü"}),
    ("another secret", signed(pressed(), secret="guess")),
    ("another body", signed(pressed(value="inc-2"))),
]


@pytest.mark.parametrize("headers", [row[1] for row in WRONG], ids=[row[0] for row in WRONG])
def test_what_is_not_signed_is_refused_and_does_nothing(headers):
    """401, nothing stored, no modal opened, and no word of the secret."""
    desk = SlackHarness()
    answer = desk.ask(pressed(), headers=headers)
    assert (answer.status, desk.events) == (401, [])
    assert SECRET not in json.dumps(dict(answer.body)) + answer.reason


def test_without_a_secret_nothing_is_let_in():
    """A stage without SLACK_SIGNING_SECRET refuses everything, whatever it is signed with."""
    desk = SlackHarness(secrets=FixedSecrets({}))
    assert desk.ask(pressed(), secret="").status == 401


def test_two_secrets_are_live_during_a_rotation():
    """Old and new are both good, and a new one that was stored a moment ago is read again."""
    desk = SlackHarness(secrets=FixedSecrets({"SLACK_SIGNING_SECRET": f"new,{SECRET}"}))
    assert desk.ask(pressed()).status == desk.ask(pressed(), secret="new").status == 200
    late = SlackHarness()
    late.secrets.stored["SLACK_SIGNING_SECRET"] = "newest"
    assert late.ask(pressed(), secret="newest").status == 200


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("tocsin_ack", "ack"),
        ("tocsin_unack", "unack"),
        ("tocsin_resolve", "resolve"),
        ("tocsin_unsilence", "unsilence"),
    ],
)
def test_a_press_is_stored_before_it_is_answered(action, kind):
    """Who pressed what on which incident, and where they can be answered; Slack gets an empty 200."""
    desk = SlackHarness()
    answer = desk.ask(pressed(action))
    (stored,) = desk.stored
    assert (answer.status, dict(answer.body)) == (200, {})
    assert (stored.kind, stored.incident, stored.user, stored.at) == (kind, "inc-1", "U0ONCALL1", NOW)
    assert stored.reply_to == "https://hooks.slack.com/actions/T1/1/x"


def test_a_press_has_one_id_and_two_presses_have_two():
    """The same delivery twice is one act; the same person pressing again, or another person, is another."""
    desk = SlackHarness()
    desk.ask(pressed())
    desk.ask(pressed())
    desk.ask(pressed(user={"id": "U0OTHER01"}))
    first, again, other = desk.stored
    assert first.id == again.id != other.id


@pytest.mark.parametrize(
    ("action_ts", "late", "at"),
    [
        ("1795694340.250000", 0, NOW - timedelta(seconds=59.75)),
        ("1795694340.250000", 20, NOW - timedelta(seconds=59.75)),
        ("1795694402.000000", 0, NOW),
        ("1790000060.1", 0, NOW),
        ("", 0, NOW),
        ("soon", 0, NOW),
        ("nan", 0, NOW),
        ("9" * 400, 0, NOW),
    ],
)
def test_a_press_was_made_when_slack_took_it(action_ts, late, at):
    """Given action_ts within five minutes before now → that time in each delivery; else the time of the delivery."""
    action = {"action_id": "tocsin_ack", "type": "button", "action_ts": action_ts, "value": "inc-1"}
    desk = SlackHarness()
    now = NOW + timedelta(seconds=late)
    desk.ask(pressed(actions=[action]), at=now, now=now)
    assert desk.stored[0].at == at


def test_a_chosen_time_is_stored_with_its_incident():
    """The menu's option says how long and for which incident; no modal is needed."""
    desk = SlackHarness()
    desk.ask(pressed("tocsin_silence", option="4h:inc-1"))
    (stored,) = desk.stored
    assert (stored.kind, stored.words, stored.incident) == ("silence", "4h", "inc-1")


def test_the_form_is_opened_before_anything_else():
    """`Custom…` opens the modal by the trigger first, then stores that it is to be filled."""
    desk = SlackHarness()
    assert desk.ask(pressed("tocsin_silence", option="custom:inc-1")).status == 200
    (opened, trigger, view), (_, stored) = desk.events
    assert (opened, trigger) == ("open", "13345224609.738474920.8088930838d88f008e0")
    assert view["private_metadata"] == "inc-1 C0ALERTS1"
    assert (stored.kind, stored.view, stored.view_hash) == ("silence_opened", "V1", "1790000000.aa")


def test_a_form_that_does_not_open_is_told():
    """A trigger that is too old leaves the person with Slack's own warning, not with silence."""
    desk = SlackHarness()
    assert desk.ask(pressed("tocsin_silence", option="custom:inc-1", trigger_id="expired")).status == 503
    assert desk.events == []


def test_a_filled_form_is_stored_and_closed():
    """What was typed is kept by field."""
    desk = SlackHarness()
    answer = desk.ask(submitted(matchers="service=checkout\nseverity!=info"))
    (stored,) = desk.stored
    assert dict(answer.body) == {"response_action": "clear"}
    assert stored.kind == "silence_asked"
    assert stored.fields == {"matchers": "service=checkout\nseverity!=info", "until": "2h", "comment": "deploying"}


@pytest.mark.parametrize(
    ("fields", "block", "words"),
    [
        ({"until": "soon"}, "until", "expected is a duration"),
        ({"until": "2020-01-01T00:00"}, "until", "passed already"),
        ({"matchers": "checkout"}, "matchers:filled", "no matcher"),
        ({"matchers": "service=~("}, "matchers:filled", "regular expression"),
        ({"matchers": "service=~x(?=y)"}, "matchers:filled", "column 2: look-ahead"),
        ({"matchers": "service=~x{99999999999999}"}, "matchers:filled", "repeated too often"),
        ({"matchers": "service=~.*"}, "matchers:filled", "mute everything"),
        ({"matchers": "service!=checkout"}, "matchers:filled", "mute everything"),
        ({"until": "9999d"}, "until", "366 days"),
        *[({"until": word}, "until", "no time") for word in (*extremes.TIMES, *extremes.DURATIONS)],
    ],
)
def test_mistakes_are_shown_beside_what_was_typed(fields, block, words):
    """The form stays open and says under the field what is wrong and what is allowed; nothing is stored."""
    desk = SlackHarness()
    answer = desk.ask(submitted(**fields))
    assert answer.body["response_action"] == "errors"
    assert words in answer.body["errors"][block]
    assert desk.events == []


@pytest.mark.parametrize("values", [{"x": None}, {"x": "abc"}, {"x": ["a"]}, {"until": {"until": None}}, None, []])
def test_a_form_that_slack_would_not_send_is_no_failure(values):
    """Fields of another shape are empty ones."""
    view = {"callback_id": interaction.SILENCE_MODAL, "private_metadata": "inc-1", "state": {"values": values}}
    desk = SlackHarness()
    answer = desk.ask(form(payload=json.dumps({"type": "view_submission", "user": {"id": "U0ONCALL1"}, "view": view})))
    assert (answer.status, answer.body["response_action"], desk.stored) == (200, "errors", [])


def test_a_wall_time_is_no_mistake_while_it_is_ahead_in_some_zone():
    """The door does not know the incident's zone; the worker does, and says so when it is over there."""
    west = (NOW - timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M")
    desk = SlackHarness()
    assert desk.ask(submitted(until=west)).body == {"response_action": "clear"}


def test_the_form_remembers_where_it_was_opened():
    """The incident and the channel come back with it, so that the person can be answered."""
    desk = SlackHarness()
    desk.ask(pressed(interaction.ACTION_SILENCE, option="custom:inc-1"))
    (_, _, view) = desk.events[0]
    assert view["private_metadata"] == "inc-1 C0ALERTS1"
    sent = {"id": "V1", "callback_id": interaction.SILENCE_MODAL, "private_metadata": view["private_metadata"]}
    values = {"until": {"until": {"value": "2h"}}}
    payload = {"type": "view_submission", "user": {"id": "U0ONCALL1"}, "view": {**sent, "state": {"values": values}}}
    desk.ask(form(payload=json.dumps(payload)))
    assert (desk.stored[-1].incident, desk.stored[-1].channel) == ("inc-1", "C0ALERTS1")


@example([{"service": "~x"}, {"service": '"x"'}], {"zone": "a, b=c\nd"})
@given(st.lists(st.dictionaries(st.sampled_from(["service", "zone"]), LABEL_VALUES), min_size=1, max_size=3), GROUPS)
def test_a_form_that_is_sent_as_it_was_filled_is_what_the_menu_does(labels, group):
    """Given any incident → the form's lines, sent unchanged, are the matchers of the incident."""
    alerts = {
        str(n): Alert(str(n), name=f"a{n}, b=c", labels=each, state=AlertState.FIRING) for n, each in enumerate(labels)
    }
    matchers = matchers_of(Incident("k", group=group, alerts=alerts, episode=Episode(started_at=NOW)))
    view = silence_modal.view("i", matchers=[each.written() for each in matchers], filled=True)
    sent = view["blocks"][1]["element"]["initial_value"]
    assert parse_text(sent) == matchers
    assert silence_modal.mistakes({"matchers": sent, "until": "2h"}, {}, NOW) == {}


def command(text, **more):
    """The body of `/tocsin` with these words."""
    fields = {"command": "/tocsin", "text": text, "user_id": "U0ONCALL1", "user_name": "oncall.one", "trigger_id": "t1"}
    return form(**fields, channel_id="C1", response_url="https://hooks.slack.com/commands/x", **more)


def test_a_command_is_stored_and_answered_later():
    """An empty 200 at once; the words, the person and where to answer are on the queue."""
    desk = SlackHarness()
    assert dict(desk.ask(command(" show 3f2a ")).body) == {}
    (stored,) = desk.stored
    assert (stored.kind, stored.words, stored.reply_to) == (
        "command",
        "show 3f2a",
        "https://hooks.slack.com/commands/x",
    )


@pytest.mark.parametrize("text", ["", "help", "dance", "   "])
def test_help_is_answered_at_once(text):
    """Whatever is no command shows what there is, only to the person."""
    desk = SlackHarness()
    answer = desk.ask(command(text))
    assert answer.body["response_type"] == "ephemeral"
    assert "/tocsin silence" in answer.body["text"]
    assert desk.events == []


NOTHING = [
    ("a certificate check", form(ssl_check="1", token="x"), FORM, {}),
    ("a link", pressed("tocsin_link_0"), FORM, {}),
    ("another app's button", pressed("alert_ack"), FORM, {}),
    ("a button without a value", pressed(value=""), FORM, {}),
    ("a menu without a choice", pressed("tocsin_silence", option=None, value=""), FORM, {}),
    ("a closed form", form(payload='{"type":"view_closed","view":{}}'), FORM, {}),
    ("another app's form", form(payload='{"type":"view_submission","view":{"callback_id":"x"}}'), FORM, {}),
    ("a shortcut", form(payload='{"type":"shortcut"}'), FORM, {}),
    ("the Events API's question", b'{"type":"url_verification","challenge":"abc"}', "application/json", {"challenge": "abc"}),
    ("an event", b'{"type":"event_callback"}', "application/json", {}),
]  # fmt: skip


@pytest.mark.parametrize(("body", "kind", "said"), [row[1:] for row in NOTHING], ids=[row[0] for row in NOTHING])
def test_what_asks_for_nothing_is_acknowledged(body, kind, said):
    """200, so that nobody sees an error, and nothing stored; but only when it is signed."""
    desk = SlackHarness()
    answer = desk.ask(body, kind=kind)
    assert (answer.status, dict(answer.body), desk.events) == (200, said, [])
    assert desk.ask(body, kind=kind, secret="guess").status == 401


BAD = [
    ("no JSON", form(payload="{")),
    ("no object", form(payload="[]")),
    ("no payload", form(a="b")),
    ("nesting without end", form(payload="[" * 100_000)),
    ("no UTF-8", b"payload=\xff\xfe"),
    ("too many fields", b"&".join(b"a=b" for _ in range(200))),
]


@pytest.mark.parametrize("body", [row[1] for row in BAD], ids=[row[0] for row in BAD])
def test_what_slack_never_sends_is_a_bad_request(body):
    """400 with a reason, nothing stored."""
    desk = SlackHarness()
    assert (desk.ask(body).status, desk.events) == (400, [])


def test_a_body_that_is_too_large_is_refused_before_it_is_read():
    """413."""
    assert SlackHarness().ask(b"x" * (MAX_BODY_BYTES + 1), headers={}).status == 413


@pytest.mark.parametrize("body", [pressed(), command("list"), submitted()])
def test_what_cannot_be_stored_is_not_accepted(body):
    """503 and Retry-After: the person sees that it failed and presses again."""
    answer = SlackHarness(broken=True).ask(body)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "10")


def test_the_form_is_within_slacks_limits():
    """Opened and filled, with as many matchers as fit."""
    filled = silence_modal.view("i" * 200, about="*x*", matchers=[f"service=~{'a' * 90}"] * 200, filled=True)
    assert len(filled["title"]["text"]) <= silence_modal.MAX_TITLE_CHARACTERS
    which = next(block for block in filled["blocks"] if block["block_id"] == silence_modal.FILLED)
    assert len(which["element"]["initial_value"]) <= silence_modal.MAX_MATCHERS_CHARACTERS
    assert silence_modal.view("inc-1")["blocks"][1]["block_id"] != silence_modal.FILLED


HERE = {"id": "T1", "domain": "example"}


@pytest.mark.parametrize(
    ("user", "team", "found"),
    [
        ({"team_id": "T1"}, HERE, ("T1", "", "T1")),
        ({"team_id": "T9"}, HERE, ("T9", "", "T1")),
        ({}, HERE, ("T1", "", "T1")),
        ({"team_id": "E1"}, {**HERE, "enterprise_id": "E1"}, ("E1", "", "T1")),
        ({"team_id": "T1"}, {**HERE, "enterprise_id": "E1"}, ("T1", "E1", "T1")),
        ({"team_id": "T9"}, {**HERE, "enterprise_id": "E1"}, ("T9", "", "T1")),
        ({"team_id": "E1"}, None, ("E1", "", "")),
        ({"team_id": 5}, "T1", ("", "", "")),
    ],
)
@pytest.mark.parametrize("action", [{}, {"action_id": "tocsin_silence", "option": "custom:inc-1"}])
def test_whose_workspace_it_was_is_kept(user, team, found, action):
    """Given the workspaces of the person and of the place, also on Enterprise Grid → each is kept for what it is."""
    desk = SlackHarness()
    assert desk.ask(pressed(user={"id": "U1", **user}, team=team, **action)).status == 200
    (asked,) = desk.stored
    assert (asked.team, asked.enterprise, asked.workspace) == found


def test_the_workspace_of_a_command_is_kept():
    """Given a command → the workspace and the organisation of the person are kept."""
    desk = SlackHarness()
    desk.ask(form(command="/tocsin", text="list", team_id="T2", enterprise_id="E1", user_id="U1"))
    assert [(each.team, each.enterprise) for each in desk.stored] == [("T2", "E1")]


def test_a_confirmation_names_the_incident_the_live_deployment_and_the_deploy():
    """Given the button of the question → its incident and, as words, what was confirmed for which deploy."""
    desk = SlackHarness()
    desk.ask(pressed("tocsin_roll_back_confirmed", "inc-1:dpl_fix:dpl_bad"))
    (asked,) = desk.stored
    assert (asked.kind, asked.incident, asked.words) == ("roll_back_confirmed", "inc-1", "dpl_fix:dpl_bad")
