"""Who may act from Slack: the app's own workspace, those that a setting names, and guests where they are allowed."""

from datetime import timedelta

import httpx
import pytest

from chalicelib.core.rule import Rules
from chalicelib.messages.interaction import ANSWER, Interaction
from chalicelib.messages.queue import Queues
from chalicelib.slack.handle import act
from chalicelib.slack.membership import refusal, teams_of, unreadable
from simulation.memory_store import MemoryStore
from tests.fakes import MemoryQueue
from tests.targets.samples import NOW, TOKEN, FakeClients


def asked(team="", enterprise="", workspace="", **more):
    """A request of a person of that workspace."""
    fields = {"kind": "ack", "reply_to": "https://hooks.slack.com/x", **more}
    return Interaction("slack:1", user="U1", at=NOW, team=team, enterprise=enterprise, workspace=workspace, **fields)


HOME, GRID = ("T1", ""), ("T1", "E1")


@pytest.mark.parametrize(
    ("person", "home", "teams", "refused"),
    [
        (asked("T1", workspace="T1"), HOME, (), False),
        (asked("T9", workspace="T1"), HOME, (), True),
        (asked("T9", workspace="T9"), HOME, (), True),
        (asked("T9", workspace="T1"), HOME, ("T9",), False),
        (asked("T9", workspace="T1"), HOME, ("T8",), True),
        (asked("T9"), HOME, (), True),
        (asked("E1", workspace="T1"), GRID, (), False),
        (asked("E9", workspace="T1"), GRID, (), True),
        (asked("E9", workspace="T1"), GRID, ("E9",), False),
        (asked("T2", enterprise="E1", workspace="T2"), GRID, (), False),
        (asked("T2", enterprise="E9", workspace="T2"), GRID, (), True),
        (asked("T2", enterprise="E9"), GRID, ("E9",), False),
        (asked("E1", workspace="T1"), ("", "E1"), (), False),
        (asked("T1", workspace="T1"), None, (), False),
        (asked("T9", workspace="T1"), None, (), True),
        (asked("T9"), None, (), False),
        (asked(), HOME, (), False),
        (asked("T1"), ("", ""), (), False),
    ],
)
def test_whose_workspace_may_act(person, home, teams, refused):
    """Given the person's workspace, the app's own and the named ones → only a known difference is refused, by its id."""
    why = refusal(person, home, teams)
    assert bool(why) is refused
    assert not refused or (person.team in why and "SLACK_TEAMS" in why)


@pytest.mark.parametrize("team", ["T1", "T2", ""])
@pytest.mark.parametrize(
    ("guest", "stranger", "allowed", "refused"),
    [
        (False, False, False, False),
        (True, False, False, True),
        (True, False, True, False),
        (False, True, True, False),
    ],
)
def test_guests_may_act_where_a_setting_says_so(team, guest, stranger, allowed, refused):
    """Given a guest, also one of a named workspace → refused unless guests are allowed."""
    why = refusal(asked(team), HOME, ("T2",), is_guest=guest, is_stranger=stranger, guests_allowed=allowed)
    assert bool(why) is refused
    assert not refused or "SLACK_GUESTS" in why


@pytest.mark.parametrize(("team", "refused"), [("T1", True), ("T2", False), ("", True)])
def test_a_stranger_of_a_named_workspace_may_act(team, refused):
    """Given a person whom Slack calls a stranger → refused unless their workspace is named."""
    assert bool(refusal(asked(team), HOME, ("T2",), is_stranger=True)) is refused


@pytest.mark.parametrize(
    ("setting", "teams", "wrong"),
    [
        ("", set(), []),
        ("T1A", {"T1A"}, []),
        ("T1A, E2B T3C", {"T1A", "E2B", "T3C"}, []),
        ("acme,T1A", {"T1A"}, ["acme"]),
        ("*", set(), ["*"]),
    ],
)
def test_a_setting_names_workspaces(setting, teams, wrong):
    """Given ids with commas or spaces between → these; any other word is none and lets nobody in."""
    assert (teams_of(setting), unreadable(setting)) == (teams, wrong)


class SlackHarness:
    """A worker that reaches a Slack whose app is of the workspace T1."""

    def __init__(self, *, user=None, home=True, **settings):
        self.answers, self.users = [], 0
        self.user, self.home = user, home
        self.clients = FakeClients(self._slack, secrets={"SLACK_BOT_TOKEN": TOKEN}, settings=settings)
        self.webhooks = MemoryQueue()

    def _slack(self, request):
        if request.url.path.endswith("auth.test"):
            return httpx.Response(200, json={"ok": True, "team_id": "T1"} if self.home else {"ok": False, "error": "x"})
        if request.url.path.endswith("users.info"):
            self.users += 1
            found = {"ok": True, "user": self.user} if self.user else {"ok": False, "error": "missing_scope"}
            return httpx.Response(200, json=found)
        self.answers.append((request.url.host, request.content.decode()))
        return httpx.Response(200, json={"ok": True})

    def act(self, given):
        """Serve one request."""
        queues = Queues(self.webhooks, MemoryQueue(), MemoryQueue())
        act(given, rules=Rules(), store=MemoryStore(), queues=queues, clients=self.clients, now=NOW)
        return self.answers


SILENCE = {"kind": "command", "words": "silence service=api 2h", "name": "eve"}


@pytest.mark.parametrize(
    "what",
    [
        SILENCE,
        {"kind": "command", "words": "list"},
        {"kind": "ack", "incident": "0123"},
        {"kind": "unsilence", "incident": "0123"},
        {"kind": "roll_back", "incident": "0123", "words": "dpl_bad"},
        {"kind": "roll_back_confirmed", "incident": "0123", "words": "-:dpl_bad"},
        {"kind": "silence", "incident": "0123", "words": "1h"},
        {"kind": "silence_opened", "incident": "0123", "channel": "C1", "reply_to": ""},
        {"kind": "silence_asked", "incident": "0123", "channel": "C1", "reply_to": "", "fields": {"matchers": "a=b"}},
    ],
    ids=lambda what: what["kind"],
)
def test_a_person_of_another_workspace_is_answered_and_nothing_is_done(what):
    """Given whatever a person of another workspace does → they alone are answered why, and nothing is put."""
    desk = SlackHarness()
    ((_, answer),) = desk.act(asked("T9", workspace="T1", **what))
    assert "eople of another workspace (T9) may not use Tocsin here" in answer
    assert desk.webhooks.bodies == []


def test_a_named_workspace_may_act():
    """Given SLACK_TEAMS with the workspace → done."""
    desk = SlackHarness(SLACK_TEAMS="T8XY, T9XY")
    desk.act(asked("T9XY", workspace="T1", **SILENCE))
    assert len(desk.webhooks.bodies) == 1


@pytest.mark.parametrize("flag", ["is_restricted", "is_ultra_restricted", "is_stranger"])
@pytest.mark.parametrize(("setting", "puts"), [("", 0), ("no", 0), ("yes", 1), (" Yes ", 1)])
def test_guests_are_refused_unless_a_setting_lets_them(flag, setting, puts):
    """Given a guest of our workspace by users.info → refused, unless SLACK_GUESTS is yes."""
    desk = SlackHarness(user={"name": "eve", flag: True}, SLACK_GUESTS=setting)
    ((_, answer),) = desk.act(asked("T1", workspace="T1", **SILENCE))
    assert ("uests may not use Tocsin here" in answer) is (puts == 0)
    assert len(desk.webhooks.bodies) == puts


def test_what_slack_does_not_answer_refuses_nobody():
    """Given neither users.info nor auth.test → the workspace of the request decides, and guests cannot be known."""
    desk = SlackHarness(home=False)
    desk.act(asked("T1", workspace="T1", **SILENCE))
    assert len(desk.webhooks.bodies) == 1
    desk.act(asked("T9", workspace="T1", **SILENCE))
    assert len(desk.webhooks.bodies) == 1


def test_an_answer_of_the_worker_reaches_whoever_acted():
    """Given words for a person who was let in before → they are sent, and nobody is asked about."""
    desk = SlackHarness()
    ((_, answer),) = desk.act(asked(kind=ANSWER, words="somebody was first"))
    assert "somebody was first" in answer
    assert desk.users == 0


def test_the_workspace_is_asked_for_once():
    """Given several requests of one process → auth.test and users.info are called once."""
    desk = SlackHarness(user={"name": "ana"})
    for _ in range(3):
        desk.act(asked("T1", workspace="T1", kind="command", words="list"))
    asked_for = [request.url.path.rpartition("/")[2] for request in desk.clients.requests]
    assert (asked_for.count("auth.test"), asked_for.count("users.info")) == (1, 1)
    act(
        asked("T1", workspace="T1", kind="command", words="list"), rules=Rules(), store=MemoryStore(),
        queues=Queues(MemoryQueue(), MemoryQueue(), MemoryQueue()), clients=desk.clients, now=NOW + timedelta(hours=2),
    )  # fmt: skip
    assert [request.url.path.rpartition("/")[2] for request in desk.clients.requests].count("auth.test") == 2
