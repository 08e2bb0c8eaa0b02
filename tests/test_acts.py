"""Every act of a person × every state of an incident × every door: what is answered is what came of it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from chalicelib.api import routes
from chalicelib.core.errors import RequestError
from chalicelib.core.event import Action, ActionKind, Event, Severity, Status
from chalicelib.core.incident import Incident
from chalicelib.core.match import Matcher
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.outcome import Result
from chalicelib.messages.interaction import Interaction
from chalicelib.messages.queue import action_message, events_messages, samples_messages, silence_message
from chalicelib.slack import handle
from cli.main import main
from simulation.simulator import Simulator
from tests.api_harness import open_desk
from tests.rule_files import rules_of
from tests.targets.samples import TOKEN, FakeClients

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
RULES = """
defaults: {group_by: [service], group_wait: 1m, group_interval: 10m, repeat_interval: 4h}
alerts:
  - {name: Down, match: {kind: check}, severity: critical, notification: [{slack_channel: "#a"}, {pagerduty: true}]}
  - {name: Errors, condition: "error_rate > 1%", severity: critical, notification: [{slack_channel: "#a"}]}
inhibit: [{cause: {kind: power}, symptom: {kind: check}}]
default: {notification: [{slack_channel: "#rest"}]}
"""


class World:
    """A router with one incident of `api`, brought into a state, and its doors."""

    def __init__(self, *steps: str) -> None:
        self.router = Simulator(rules_of(RULES), START)
        self.answers: list[str] = []
        self.clients = FakeClients(self._slack, secrets={"SLACK_BOT_TOKEN": TOKEN})
        self.first = ""
        self.status = 0
        for step in steps:
            getattr(self, step)()

    def _slack(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith(("users.info", "auth.test")):
            return httpx.Response(200, json={"ok": False, "error": "missing_scope"})
        self.answers.append(request.content.decode())
        return httpx.Response(200, json={"ok": True})

    # -- steps to a state --------------------------------------------------------------------------------------------

    def fire(self, kind: str = "check", status: str = "firing", name: str = "Down") -> None:
        """A check of `api` fails."""
        at = self.router.now
        event = Event(
            f"{kind}{name}{status}{at.isoformat()}", "event", kind, Status(status), Severity.CRITICAL, name, at, f"{kind}/{name}",
            name=name, labels={"service": "api"},
        )  # fmt: skip
        self.router.post(events_messages([event]))
        self.router.settle()
        if kind == "check":
            self.first = self.first or self.incident.id

    def measured(self) -> None:
        """The error rate of `api` is 5 %."""
        self.router.post(samples_messages([Sample("error_rate", 0.05, self.router.now, {"service": "api"})]))
        self.router.settle()
        (found,) = self.router.store.incidents()
        self.first = found.id

    def power(self) -> None:
        """The power fails: a cause that inhibits."""
        self.fire("power", name="Power")

    def notified(self) -> None:
        """The group wait passes."""
        self.wait(2)

    def wait(self, minutes: float = 1) -> None:
        """Time passes."""
        self.router.run_until(self.router.now + minutes * MINUTE, inclusive=True)

    def resolve(self) -> None:
        """The check is well again."""
        self.fire(status="resolved")

    def end(self) -> None:
        """The end is notified."""
        self.wait(11)

    def acked(self) -> None:
        """Ana has it."""
        self.post(ActionKind.ACK, by="ana")

    def given_back(self) -> None:
        """Ana gave it back."""
        self.post(ActionKind.UNACK, by="ana")

    def assigned(self) -> None:
        """It is assigned to cy."""
        self.post(ActionKind.REASSIGN, by="ana", note="cy")

    def silenced(self) -> None:
        """A silence covers it."""
        ask = {"ends_at": self.router.now + 300 * MINUTE, "by": "ana", "at": self.router.now}
        made = routes.requests.new_silence([Matcher("service", "=", "api")], **ask)
        self.router.post([silence_message(made)])
        self.router.settle()
        self.wait()

    def maintained(self) -> None:
        """Maintenance covers it."""
        ask = {"ends_at": self.router.now + 300 * MINUTE, "by": "ana", "at": self.router.now}
        made = routes.requests.new_silence([Matcher("service", "=", "api")], **ask)
        self.router.post([silence_message(made, maintenance=True)])
        self.router.settle()

    def post(self, kind: ActionKind, by: str, note: str = "", via: str = "api") -> None:
        """An act that is only folded."""
        self.wait(0.1)
        act = Action(
            kind, by, self.router.now, incident=self.first, via=via, note=note, id=f"{kind}{by}{self.router.now}"
        )
        self.router.post([action_message(act)])
        self.router.settle()
        self.wait(0.1)

    # -- doors -------------------------------------------------------------------------------------------------------

    @property
    def incident(self) -> Incident:
        """The newest incident of the group."""
        found = self.router.store.load("rule/Down|service=api")
        assert found is not None
        return found

    @property
    def meant(self) -> Incident:
        """The incident that was there first."""
        return next(each for each in self.router.store.remembered() if each.id == self.first)

    def by_api(self, act: str, id: str, note: str, zone: str) -> routes.Reply:
        """The answer of the API to ben."""
        form: dict[str, Any] = {"by": "ben", **({"matchers": [f"zone={zone}"]} if zone else {})}
        form |= {"assign": {"to": note}, "note": {"note": note}}.get(act, {})
        office = routes.ApiContext(self.router.store, self.router.queues.webhooks, self.router.rules, self.router.now)
        reply = routes.act(
            office, routes.Request(body=httpx.Request("POST", "http://x", json=form).content), id=id, act=act
        )
        self.router.settle()
        return reply

    def ask(self, what: str, query: Any = None, body: bytes = b"", **names: str) -> Any:
        """The body of the API's answer, for the command line."""
        office = routes.ApiContext(self.router.store, self.router.queues.webhooks, self.router.rules, self.router.now)
        reply = getattr(routes, what)(office, routes.Request(query=query or {}, body=body), **names)
        self.router.settle()
        self.status = reply.status
        return reply.body

    def by_slack(self, kind: str, id: str, words: str = "", fields: dict[str, str] | None = None) -> list[str]:
        """What ben is answered in Slack."""
        self.answers.clear()
        asked = Interaction(
            f"slack:{kind}{words}", kind, "U2", self.router.now, name="ben", team="T1", incident=id, words=words, channel="C1",
            reply_to="https://hooks.slack.com/x",
            fields=fields or {},
        )  # fmt: skip
        ports = {"rules": self.router.rules, "store": self.router.store, "queues": self.router.queues}
        handle.act(asked, clients=self.clients, now=self.router.now, **ports)  # type: ignore[arg-type]
        self.router.settle()
        return self.answers


STATES: dict[str, tuple[str, ...]] = {
    "waiting for its group": ("fire",),
    "notified": ("fire", "notified"),
    "acknowledged": ("fire", "notified", "acked"),
    "acknowledged before": ("fire", "acked", "notified"),
    "given back": ("fire", "notified", "acked", "given_back"),
    "assigned": ("fire", "notified", "assigned"),
    "silenced": ("fire", "notified", "silenced"),
    "silenced before": ("silenced", "fire", "notified"),
    "silenced, acknowledged": ("fire", "notified", "silenced", "acked"),
    "maintenance": ("maintained", "fire", "notified"),
    "inhibited": ("power", "fire", "notified"),
    "resolved": ("fire", "notified", "resolve"),
    "resolved, acknowledged": ("fire", "notified", "acked", "resolve"),
    "resolved before": ("fire", "resolve"),
    "resolved, silenced": ("fire", "notified", "silenced", "resolve"),
    "ended": ("fire", "notified", "resolve", "end"),
    "ended, acknowledged": ("fire", "notified", "acked", "resolve", "end"),
    "fires again": ("fire", "notified", "resolve", "end", "fire"),
    "fires again, acknowledged": ("fire", "notified", "acked", "resolve", "end", "fire"),
    "flapped": ("fire", "notified", "resolve", "wait", "fire"),
}
ACTS = {
    "ack": ("ack", "", ""), "unack": ("unack", "", ""), "resolve": ("resolve", "", ""), "note": ("note", "disk full", ""),
    "assign": ("assign", "bo", ""), "assign the same": ("assign", "cy", ""), "ack none of it": ("ack", "", "nowhere"),
}  # fmt: skip


def expected(state: str, act: str) -> Result:
    """What is right, by the words of the state."""
    kind = ACTS[act][0]
    if kind == "note":
        return Result.DONE
    if state.startswith(("ended", "fires again")):
        return Result.ENDED
    if state.startswith("resolved"):
        return Result.RESOLVED
    if act == "ack none of it":
        return Result.NONE_CHOSEN
    held = "acknowledged" in state
    if (kind == "ack" and held) or (act == "assign the same" and state == "assigned"):
        return Result.ALREADY
    return Result.NOBODYS if kind == "unack" and not held else Result.DONE


CELLS = [pytest.param(state, act, id=f"{act}, {state}") for state in STATES for act in ACTS]
STATUS = {Result.DONE: 202, Result.ALREADY: 200, Result.NOBODYS: 200}


def _accepts(found: Result, act: str) -> bool:
    return found is Result.DONE or (found is Result.RESOLVED and act == "resolve")


@pytest.mark.parametrize(("state", "act"), CELLS)
def test_the_api_answers_what_came_of_it(state: str, act: str) -> None:
    """Given an incident in a state, when ben acts by the API → its status and words are true, and the store agrees."""
    world, (kind, note, zone) = World(*STATES[state]), ACTS[act]
    before, result = world.meant, expected(state, act)
    reply = world.by_api(kind, world.first, note, zone)
    accepts = _accepts(result, act)
    assert (reply.status, reply.body["status"]) == (
        202 if accepts else STATUS.get(result, 409),
        "accepted" if accepts else result.value,
    )
    assert (world.meant != before) == accepts
    if result is Result.ALREADY:
        assert reply.body["by"] in ("ana", "cy")
    if "fires again" in state and result is Result.ENDED:
        assert reply.body["again"] == world.incident.id != world.first


@pytest.mark.parametrize(("state", "act"), [cell for cell in CELLS if "none of it" not in str(cell.id)])
def test_a_command_answers_what_came_of_it(state: str, act: str) -> None:
    """Given an incident in a state, when ben types a command → he is answered once, and the store agrees."""
    world, (kind, note, _) = World(*STATES[state]), ACTS[act]
    before, result = world.meant, expected(state, act)
    (answer,) = world.by_slack("command", "", f"{kind} `{world.first[:8]}`, {note}".strip())
    assert (world.meant != before) == _accepts(result, act)
    words = {
        Result.DONE: world.first, Result.ALREADY: "already", Result.NOBODYS: "obody has", Result.RESOLVED: "ires any more",
        Result.ENDED: "is resolved",
    }  # fmt: skip
    assert words[result] in answer


@pytest.mark.parametrize("act", ["ack", "unack", "resolve"])
@pytest.mark.parametrize("state", STATES)
def test_a_press_is_answered_where_the_message_does_not_show_it(state: str, act: str) -> None:
    """Given an incident in a state, when ben presses a button → he is answered unless it is done and his message shows it."""
    world, result = World(*STATES[state]), expected(state, act)
    before = world.meant
    answers = world.by_slack(act, world.first)
    assert len(answers) == (0 if result is Result.DONE else 1)
    assert (world.meant != before) == _accepts(result, act)


@pytest.mark.parametrize("act", ["ack", "unack", "resolve", "note", "assign"])
@pytest.mark.parametrize("state", STATES)
def test_what_pagerduty_reports_changes_what_it_can(state: str, act: str) -> None:
    """Given an incident in a state, when a person acts at PagerDuty → the store changes only where the act has an effect."""
    world, (kind, note, _) = World(*STATES[state]), ACTS[act]
    world.wait(0.2)
    before, result = world.meant, expected(state, act)
    world.post(routes.ACTS[kind], by="ben", note=note, via="pagerduty")
    changed = [each for each in world.meant.timeline.entries if each.by == "ben"]
    assert bool(changed) == _accepts(result, act)
    assert before.id == world.meant.id


def _resolved_by_api(world: World) -> str:
    reply = world.by_api("resolve", world.first, "", "")
    assert reply.status == 202
    return str(reply.body["message"])


RESOLVES: dict[str, Callable[[World], str]] = {
    "api": _resolved_by_api,
    "command": lambda world: "".join(world.by_slack("command", "", f"resolve {world.first[:8]}")),
    "button": lambda world: "".join(world.by_slack("resolve", world.first)),
}


@pytest.mark.parametrize("door", RESOLVES)
@pytest.mark.parametrize("steps", [("measured", "notified"), ("measured", "notified", "silenced")])
def test_resolving_what_still_holds_says_that_it_fires_again(door: str, steps: tuple[str, ...]) -> None:
    """Given a measured alert whose condition holds, when ben resolves it → it is done, and he reads that it fires again."""
    world = World(*steps)
    answer = RESOLVES[door](world)
    assert "its condition still holds (Errors: 5 %" in answer and "it will fire again" in answer
    assert list(world.router.store.incidents()) == []


@pytest.mark.parametrize("act", ["ack", "unack", "resolve", "note", "assign"])
@pytest.mark.parametrize("state", STATES)
def test_the_command_line_prints_what_came_of_it(
    state: str, act: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an incident in a state, when ben acts by the command line → it prints what is true, and fails where refused."""
    world, (kind, note, _), result = World(*STATES[state]), ACTS[act], expected(state, act)
    before = world.meant
    with open_desk(world, TOKEN) as url:
        monkeypatch.setenv("TOCSIN_URL", url)
        monkeypatch.setenv("TOCSIN_TOKEN", TOKEN)
        status = main([kind, world.first[:8], *([note] if note else []), "--by", "ben"])
    printed, accepts = capsys.readouterr(), _accepts(result, act)
    assert status == (0 if accepts or result in STATUS else 1)
    assert (world.meant != before) == accepts
    words = {
        Result.DONE: "by ben", Result.ALREADY: "ana has acknowledged", Result.NOBODYS: "nobody has", Result.RESOLVED: "fires any more",
        Result.ENDED: "is resolved since",
    }  # fmt: skip
    assert words[result] in (printed.out if status == 0 else printed.err)


SILENCES = ("menu", "form", "command", "api")


def _silence(world: World, door: str) -> str:
    """What ben is answered who silences the incident for an hour."""
    if door == "api":
        form = {"incident": world.first, "for": "1h", "by": "ben"}
        try:
            return str(world.ask("make_silence", body=json.dumps(form).encode()))
        except RequestError as error:
            return f"{error.status}: {error}"
    asked = {
        "menu": ("silence", world.first, "1h", None),
        "form": ("silence_asked", world.first, "", {"until": "1h", "comment": "deploying"}),
        "command": ("command", "", f"silence {world.first[:8]} 1h deploying", None),
    }
    answers = world.by_slack(*asked[door])
    assert len(answers) <= 1
    return "".join(answers)


@pytest.mark.parametrize("door", SILENCES)
@pytest.mark.parametrize("state", STATES)
def test_a_silence_of_an_incident_is_answered_by_every_door(state: str, door: str) -> None:
    """Given an incident in a state, when ben silences it → it is made and shown, or the answer says since when it ended."""
    world = World(*STATES[state])
    before = len(world.router.store.context().silences)
    answer = _silence(world, door)
    after = world.router.store.context().silences
    if state.startswith(("ended", "fires again")):
        assert len(after) == before
        assert f"{world.first} is resolved since" in answer
        assert (f"fires again as {world.incident.id}" in answer) == state.startswith("fires again")
        return
    assert len(after) == before + 1
    assert after[-1].by == "ben"
    if door == "menu" and not state.startswith("resolved"):
        assert answer == "", "the message shows it"
    else:
        assert after[-1].id in answer
    assert all(alert.matched_by(after[-1].matchers) for alert in world.incident.shown)


@pytest.mark.parametrize("state", STATES)
def test_the_end_of_a_silence_is_answered(state: str) -> None:
    """Given an incident in a state, when ben presses End silence → its silence ends, or he reads why there is none."""
    world = World(*STATES[state])
    answers = world.by_slack("unsilence", world.first)
    active = [each for each in world.router.store.context().silences if each.active(world.router.now)]
    if state.startswith(("ended", "fires again")):
        assert "is resolved since" in answers[0]
    elif state in ("silenced", "silenced before", "silenced, acknowledged"):
        assert active == [] or "mutes" in answers[0]
    else:
        assert "Nothing silences" in answers[0]
