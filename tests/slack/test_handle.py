"""What becomes of a person's request when something is away: acts are done once, answers come when they can."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from chalicelib.core.access import Access
from chalicelib.core.context import Context, Silence
from chalicelib.core.errors import NotStoredError
from chalicelib.core.event import Action, ActionKind
from chalicelib.core.match import Matcher
from chalicelib.core.rule import RouteOptions, Rules
from chalicelib.core.sign_in import link_of
from chalicelib.deliver.dispatch import served
from chalicelib.messages.interaction import Interaction, read, written
from chalicelib.messages.queue import Queues, action_message, read_message
from chalicelib.process.context_size import MAX_SILENCES
from chalicelib.process.silences import applied
from chalicelib.slack.handle import act, asked_back
from simulation.memory_store import MemoryStore
from tests.fakes import MemoryQueue
from tests.rule_files import KINDS
from tests.targets.samples import NOW, TOKEN, FakeClients

ASKED = Interaction("slack:1", "command", "U1", NOW, name="ana", words="list", reply_to="https://hooks.slack.com/x")
LINK = Action(ActionKind.ACK, "ben", NOW, incident="pagerduty:Q1", via="pagerduty", id="e1", alias="pagerduty:Q1")


class SlackHarness:
    """A worker with nothing in its store."""

    def __init__(self, *answers, secrets=None, person=None, rules=None):
        left = list(answers)
        self.rules = rules or Rules(kinds=KINDS)

        def handle(request):
            if request.url.path.endswith("users.info"):
                return httpx.Response(200, json=person or {"ok": False, "error": "missing_scope"})
            found = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(found, Exception):
                raise found
            return found

        self.clients = FakeClients(handle, secrets=secrets or {"SLACK_BOT_TOKEN": TOKEN})
        self.store = MemoryStore()
        self.webhooks = MemoryQueue()
        self.queues = Queues(self.webhooks, MemoryQueue(), MemoryQueue())

    def act(self, asked=ASKED, now=NOW):
        """Serve one request."""
        return act(asked, rules=self.rules, store=self.store, queues=self.queues, clients=self.clients, now=now)


@pytest.mark.parametrize(
    ("answer", "again"),
    [
        (httpx.Response(200, text="ok"), None),
        (httpx.Response(404), None),
        (httpx.Response(500), timedelta(seconds=5)),
        (httpx.Response(429, headers={"Retry-After": "9"}), timedelta(seconds=9)),
        (httpx.ReadTimeout("x"), timedelta(seconds=5)),
    ],
)
def test_an_answer_comes_when_slack_takes_it(answer, again):
    """Outages come back by the queue; an address that is used up does not."""
    outcome = SlackHarness(answer).act()
    assert (outcome.retry_after, outcome.dead_lettered) == (again, None)
    assert "hooks.slack.com" not in outcome.note


def test_an_answer_is_given_up_when_slack_would_not_take_it_any_more():
    """After half an hour the address is dead."""
    assert SlackHarness(httpx.Response(500)).act(now=NOW + timedelta(minutes=31)).retry_after is None


def test_a_request_of_a_later_version_is_acknowledged():
    """A kind that this code does not know does nothing and harms nothing."""
    desk = SlackHarness(httpx.Response(500))
    outcome = desk.act(Interaction("slack:2", "dance", "U1", NOW))
    assert (outcome.retry_after, outcome.dead_lettered, desk.clients.requests) == (None, None, [])


def test_a_press_on_nothing_is_told_to_the_person():
    """An incident that nobody knows: a sentence, and no act."""
    desk = SlackHarness(httpx.Response(200))
    desk.act(
        Interaction("slack:3", "ack", "U1", NOW, incident="0123456789abcdef", reply_to="https://hooks.slack.com/x")
    )
    assert b"No incident of the last 90 days" in desk.clients.requests[-1].content
    assert desk.webhooks.bodies == []


def test_what_a_form_asked_for_in_vain_is_told_to_the_person_in_the_channel():
    """A submission brings no address for answers: the person alone sees why there is no silence."""
    desk = SlackHarness(httpx.Response(200, json={"ok": True}))
    asked = Interaction("slack:7", "silence_asked", "U1", NOW, incident="0123456789abcdef", channel="C1")
    assert "answered" in desk.act(asked).note
    request = desk.clients.requests[-1]
    assert request.url.path.endswith("/chat.postEphemeral")
    assert json.loads(request.content)["user"] == "U1"
    assert b"no incident of the last 90 days" in request.content


def test_without_an_address_to_answer_nothing_comes_back():
    """What cannot be done is logged."""
    outcome = SlackHarness(httpx.Response(200)).act(
        Interaction("slack:4", "ack", "U1", NOW, incident="0123456789abcdef")
    )
    assert "without a response_url" in outcome.note


def test_a_silence_that_comes_twice_is_one():
    """The message may come again after the act: the silence has the same id."""
    desk = SlackHarness(httpx.Response(200))
    asked = Interaction(
        "slack:5", "command", "U1", NOW, name="ana", words="silence service=api 2h", reply_to="https://x/y"
    )
    desk.act(asked)
    desk.act(asked)
    first, second = (read_message(body).silence for body in desk.webhooks.bodies)
    assert first == second
    assert (first.by, first.ends_at) == ("ana", NOW + timedelta(hours=2))


@pytest.mark.parametrize(
    ("tz", "typed", "ends_at"),
    [
        ("America/Sao_Paulo", "tomorrow", "2026-03-06T12:00"),
        ("America/Sao_Paulo", "tomorrow 14:00 the move", "2026-03-06T17:00"),
        ("America/Sao_Paulo", "18:30 UTC", "2026-03-05T18:30"),
        ("Mars/Olympus", "tomorrow", "2026-03-06T07:00"),
        (None, "tomorrow", "2026-03-06T07:00"),
    ],
)
def test_a_time_is_one_of_the_persons_zone(tz, typed, ends_at):
    """Given a zone that the person set in Slack → times are in it; without one in that of the rules file."""
    rules = Rules(options=RouteOptions(timezone="Europe/Riga"))
    desk = SlackHarness(httpx.Response(200), person={"ok": True, "user": {"name": "ana", "tz": tz}}, rules=rules)
    now = datetime(2026, 3, 5, 12, tzinfo=UTC)
    asked = replace(ASKED, words=f"silence service=api until {typed}", at=now)
    desk.act(asked, now=now)
    (body,) = desk.webhooks.bodies
    assert read_message(body).silence.ends_at == datetime.fromisoformat(f"{ends_at}:00+00:00")


def test_a_silence_that_is_known_is_not_asked_for_again():
    """Given a command that Slack delivers again after the worker stored it → nothing is queued, the answer is the same."""
    desk = SlackHarness(httpx.Response(200))
    asked = replace(ASKED, words="silence service=api 2h why")
    desk.act(asked)
    (body,) = desk.webhooks.bodies
    first = desk.clients.requests[-1].content
    applied(read_message(body), store=desk.store, now=NOW)
    desk.act(replace(asked, at=NOW + timedelta(seconds=3)), now=NOW + timedelta(seconds=3))
    assert (len(desk.webhooks.bodies), desk.clients.requests[-1].content) == (1, first)


def test_a_silence_that_mutes_nothing_says_so():
    """Given a misspelt label → the answer says that nothing is muted, and that nothing has such a label."""
    desk = SlackHarness(httpx.Response(200))
    desk.act(replace(ASKED, words="silence servise=checkout 2h"))
    text = desk.clients.requests[-1].content.decode()
    assert "mutes nothing that fires now" in text
    assert "no firing alert and no rule has a label servise" in text


def silence(name, **fields):
    """A silence that is active now."""
    return replace(Silence(name, (Matcher("service", "=", "api"),), NOW, NOW + timedelta(hours=1), "ana"), **fields)


@pytest.mark.parametrize(
    ("typed", "ended"),
    [
        ("9c1d", "9c1d2e3f"),
        ("`9C1D2E3F`", "9c1d2e3f"),
        ("#9c1d…", "9c1d2e3f"),
        ("failover", "Failover"),
        ("fail", None),
        ("9c1", None),
        ("s1", "s1"),
        ("s", None),
        ("`#…", None),
    ],
)
def test_a_silence_is_ended_by_four_characters(typed, ended):
    """Given an id as answers show it, or four characters of one → that silence ends; else none."""
    desk = SlackHarness(httpx.Response(200))
    names = ("9c1d2e3f", "Failover", "failover-1", "s1")
    desk.store.save_context(Context(silences=tuple(silence(name) for name in names), version=1))
    desk.act(replace(ASKED, words=f"unsilence {typed}"))
    assert [read_message(body).id for body in desk.webhooks.bodies] == ([ended] if ended else [])


def test_a_silence_without_room_is_refused_to_the_person():
    """Where the context is full of active silences the person reads why, and nothing is handed on."""
    desk = SlackHarness(httpx.Response(200))
    one = Silence("n", (Matcher("service", "=", "api"),), NOW, NOW + timedelta(hours=1), "ana")
    full = Context(silences=tuple(replace(one, id=f"n{number}") for number in range(MAX_SILENCES)), version=1)
    desk.store.save_context(full)
    words = "silence service=web 2h"
    desk.act(
        Interaction("slack:8", "command", "U1", NOW, name="ana", words=words, reply_to="https://hooks.slack.com/x")
    )
    assert "allowed are 500 silences" in desk.clients.requests[-1].content.decode()
    assert desk.webhooks.bodies == []


def test_a_queue_that_is_away_brings_the_request_back():
    """Nothing is answered as done that was not stored."""
    desk = SlackHarness(httpx.Response(200))
    desk.webhooks.fail_at = {1}
    with pytest.raises(NotStoredError):
        desk.act(Interaction("slack:6", "command", "U1", NOW, name="ana", words="silence service=api 2h"))
    assert all("users.info" in str(request.url) for request in desk.clients.requests)


@pytest.mark.parametrize(
    ("answer", "again"),
    [(httpx.Response(500), timedelta(seconds=5)), (httpx.Response(404), None), (httpx.Response(401), None)],
)
def test_pagerduty_that_cannot_be_asked_is_asked_again_or_not(answer, again):
    """Outages come back, refusals do not, and nothing is acted upon."""
    desk = SlackHarness(answer, secrets={"PAGERDUTY_API_TOKEN": "very-secret"})
    outcome = asked_back(LINK, queues=desk.queues, clients=desk.clients, now=NOW)
    assert (outcome.retry_after, desk.webhooks.bodies) == (again, [])
    assert "very-secret" not in outcome.note


def test_what_pagerduty_says_names_our_incident():
    """Each key of its alerts; the act keeps its id and PagerDuty's own name."""
    alerts = {"alerts": [{"alert_key": "inc-1"}, {"alert_key": "inc-1"}, {"alert_key": None}, "x"]}
    desk = SlackHarness(httpx.Response(200, json=alerts), secrets={"PAGERDUTY_API_TOKEN": "t"})
    outcome = served(
        action_message(LINK), rules=Rules(), store=MemoryStore(), queues=desk.queues, clients=desk.clients, now=NOW
    )
    assert outcome.retry_after is None
    (named,) = map(read_message, desk.webhooks.bodies)
    assert (named.incident, named.alias, named.id) == ("inc-1", "pagerduty:Q1", "e1")


def test_without_a_token_pagerduty_is_not_asked():
    """The note names the setting."""
    desk = SlackHarness(httpx.Response(200))
    assert "PAGERDUTY_API_TOKEN" in asked_back(LINK, queues=desk.queues, clients=desk.clients, now=NOW).note
    assert desk.clients.requests == []


def test_an_interaction_is_read_as_it_was_written():
    """Every field, and none that is empty."""
    asked = Interaction("i", "silence_asked", "U1", NOW, fields={"until": "2h", "comment": "ünï"}, incident="x")
    text = written(asked)
    assert read_message(text) == asked
    assert text.isascii() and "view" not in text
    assert read({"id": "i", "kind": "ack", "user": "U1", "at": NOW.timestamp(), "later": 1}).kind == "ack"


ACCESS = Access(viewer=["U024BE7LH"], responder=["U111"], admin=["U777"])
ROLES = [
    ("U111", "silence service=api 2h", ""),
    ("U111", "list", ""),
    ("U777", "silence service=api 2h", ""),
    ("U024BE7LH", "list", ""),
    ("U024BE7LH", "silence service=api 2h", "it takes the role responder"),
    ("U999", "list", "it takes the role viewer"),
    ("U999", "silence service=api 2h", "it takes the role responder"),
]


@pytest.mark.parametrize(("user", "words", "refused"), ROLES)
def test_the_rules_file_says_who_may_do_what(user, words, refused):
    """Given `access:` → a viewer looks, a responder silences, and who is in no list is refused with the role it takes."""
    desk = SlackHarness(httpx.Response(200), rules=replace(Rules(kinds=KINDS), access=ACCESS))
    desk.act(replace(ASKED, user=user, team="T1", words=words))
    said = desk.clients.requests[-1].content.decode()
    assert (refused or "`access:`") in said if refused else "`access:`" not in said
    assert bool(desk.webhooks.bodies) is (words.startswith("silence") and not refused)


@pytest.mark.parametrize(("user", "refused"), [("U111", True), ("U777", False), ("U024BE7LH", True)])
@pytest.mark.parametrize("kind", ["roll_back", "roll_back_confirmed"])
def test_only_an_admin_rolls_back_where_there_are_roles(user, refused, kind):
    """Given `access:` → Roll back is an admin's; without the block it is everybody's, as before."""
    asked = replace(ASKED, kind=kind, user=user, team="T1", words="dpl_1", incident="0123456789abcdef")
    for rules, refuses in ((replace(Rules(kinds=KINDS), access=ACCESS), refused), (Rules(kinds=KINDS), False)):
        desk = SlackHarness(httpx.Response(200), rules=rules)
        desk.act(asked)
        assert ("it takes the role admin" in desk.clients.requests[-1].content.decode()) is refuses


def test_the_page_is_reached_by_a_link_that_is_ones_own():
    """Given the address and the key of the stage → a link that signs the person in by the account; without them why not."""
    key = "k" * 32
    desk = SlackHarness(httpx.Response(200), secrets={"SLACK_BOT_TOKEN": TOKEN, "SESSION_KEY": f"{key},old"})
    desk.clients._settings = {"PAGE_URL": "https://tocsin.example.com/"}
    desk.act(replace(ASKED, user="U111", words="page", team="T1"))
    said = json.loads(desk.clients.requests[-1].content)["text"]
    code = said.partition("https://tocsin.example.com/login/")[2].partition("|")[0]
    link = link_of(code, (key,), NOW + timedelta(minutes=4))
    assert link is not None and (link.person.name, link.person.account) == ("ana", "slack:T1/U111")
    assert link_of(code, (key,), NOW + timedelta(minutes=6)) is None
    bare = SlackHarness(httpx.Response(200))
    bare.act(replace(ASKED, words="page"))
    assert "PAGE_URL is not set" in bare.clients.requests[-1].content.decode()
