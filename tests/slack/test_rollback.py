"""Vercel's rollback: when it is done, when it asks first, which deployment it leads to, and how it fails."""

import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from chalicelib.core.context import Context
from chalicelib.core.delivery.notification import Deploy
from chalicelib.core.errors import ConflictError
from chalicelib.core.event import Event, Severity, Status
from chalicelib.messages.interaction import ACTION_ROLL_BACK_CONFIRMED, Interaction
from chalicelib.messages.queue import events_messages
from chalicelib.slack import handle
from chalicelib.slack.rollback import Press, live_since, press, previous
from simulation.memory_store import MemoryStore
from simulation.simulator import Simulator
from tests.rule_files import rules_of
from tests.targets.samples import NOW, FakeClients
from tests.targets.samples import TOKEN as SLACK_TOKEN

BAD = Deploy("dpl_bad", NOW, "deployment.promoted", project="web", project_id="prj_1")
AT = int(NOW.timestamp() * 1000)
TOKEN = {"VERCEL_TOKEN": "very-secret"}
GIVEN = Press("slack:1", "inc-1", "Ana", NOW)


def one(name, age, **more):
    """A deployment made so many milliseconds before the bad one."""
    return {"uid": name, "created": AT - age, **more}


@pytest.mark.parametrize(
    ("deployments", "found"),
    [
        ([one("dpl_bad", 0), one("b", 10), one("c", 20)], "b"),
        ([one("newer", -10), one("dpl_bad", 0), one("c", 20), one("b", 10)], "b"),
        ([one("b", 10), one("c", 20)], "b"),
        ([one("dpl_bad", 100), one("b", 10), one("c", 200)], "c"),
        ([one("dpl_bad", 0)], None),
        ([one("newer", -10)], None),
        ([{"uid": 5}, "text", {"created": 1}], None),
        (None, None),
    ],
)
def test_it_leads_to_the_newest_before_the_bad_one(deployments, found):
    """Never to a newer one, never to itself; where the bad one is not listed its own time decides."""
    chosen = previous(deployments, BAD)
    assert (chosen and chosen["uid"]) == found


def pressed(handle, given=GIVEN, store=None, **more):
    """What becomes of a press, with Vercel as `handle` answers, and its requests."""
    clients = FakeClients(handle, **{"secrets": TOKEN, **more})
    return press(given, BAD, store=store or MemoryStore(), clients=clients, now=NOW), clients.requests


def test_it_asks_for_what_can_be_rolled_back_to_and_names_it():
    """Production deployments that are ready, of the team; the answer says from where to where Vercel was asked to go."""
    listed = {"deployments": [one("dpl_good", 5, meta={"githubCommitMessage": "Fix cart\n\nlong"})]}
    done, (asked, posted) = pressed(
        lambda request: httpx.Response(201) if request.method == "POST" else httpx.Response(200, json=listed),
        settings={"VERCEL_TEAM_ID": "team_1"},
    )
    assert done.note == "asked Vercel to roll back web from dpl_bad to dpl_good (Fix cart)"
    assert dict(asked.url.params) | {"limit": "20"} == {
        "projectId": "prj_1", "target": "production", "state": "READY", "rollbackCandidate": "true", "limit": "20",
        "teamId": "team_1",
    }  # fmt: skip
    assert posted.url.path == "/v1/projects/prj_1/rollback/dpl_good"
    assert posted.headers["Authorization"] == "Bearer very-secret"


FATES = [
    (httpx.Response(401), "rolling back failed"),
    (httpx.Response(403), "rolling back failed"),
    (httpx.Response(404), "rolling back failed"),
    (httpx.Response(429), "may not have taken the request"),
    (httpx.Response(500), "may not have taken the request"),
    (httpx.ReadTimeout("very-secret"), "may not have taken the request"),
]


def answering(answer, *, lists=False):
    """Vercel that answers a POST so, or already its list."""

    def handle(request):
        if request.method == "GET" and not lists:
            return httpx.Response(200, json={"deployments": [one("dpl_good", 5)]})
        if isinstance(answer, Exception):
            raise answer
        return answer

    return handle


@pytest.mark.parametrize(
    "answer",
    [
        *(each for each, _ in FATES),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json={"deployments": []}),
    ],
)
def test_without_a_list_it_fails_with_a_reason_and_without_the_token(answer):
    """Given whatever Vercel answers to the question what can be rolled back to → nothing is asked for."""
    done, requests = pressed(answering(answer, lists=True))
    assert done.failed
    assert done.note.startswith("rolling back failed: Vercel")
    assert "very-secret" not in done.note
    assert [each.method for each in requests] == ["GET"]


@pytest.mark.parametrize(("answer", "words"), FATES)
def test_it_fails_with_a_reason_and_without_the_token(answer, words):
    """Given whatever Vercel answers to the request → the reason is said, also that it may have been taken."""
    done, _ = pressed(answering(answer))
    assert done.failed
    assert words in done.note and "Vercel" in done.note
    assert "very-secret" not in done.note


def test_a_failed_press_that_comes_again_does_nothing_more_and_the_next_press_tries_again():
    """Given a refusal → the same press asks nothing, and the press of another person asks once more."""
    store = MemoryStore()
    first, _ = pressed(answering(httpx.Response(403)), store=store)
    again, requests = pressed(answering(httpx.Response(201)), store=store)
    assert (again, requests) == (first, [])
    other, _ = pressed(answering(httpx.Response(201)), Press("slack:2", "inc-1", "Ben", NOW), store=store)
    assert other.note.startswith("asked Vercel")


def test_a_worker_that_died_before_it_asked_asks_for_the_same():
    """Given a claim whose worker died → the press comes again and asks for the claimed deployment."""
    store = MemoryStore()

    class DiedError(Exception):
        """The worker is gone."""

    with pytest.raises(DiedError):
        pressed(answering(DiedError()), store=store)
    blocked, requests = pressed(answering(httpx.Response(201)), Press("slack:2", "inc-1", "Ben", NOW), store=store)
    assert ("Ana asked Vercel" in blocked.text, [each.method for each in requests]) == (True, ["GET"])
    done, requests = pressed(answering(httpx.Response(201)), store=store)
    assert done.note.startswith("asked Vercel")
    assert [each.method for each in requests] == ["POST"]


class Contended(MemoryStore):
    """A store in which another person is first between a worker's load and its save."""

    def __init__(self, first):
        super().__init__()
        self.first = first

    def save_context(self, context):
        """Let the other go first, once."""
        if self.first is not None:
            first, self.first = self.first, None
            first()
            raise ConflictError("others saved first")
        super().save_context(context)


def test_of_two_people_at_once_one_asks():
    """Given two presses through a conflict in the middle of the save → one request, and the second reads who was first."""
    asked = []

    def vercel(request):
        if request.method == "POST":
            asked.append(request.url.path)
        return answering(httpx.Response(201))(request)

    store = Contended(lambda: pressed(vercel, Press("slack:2", "inc-1", "Ben", NOW), store=store))
    done, _ = pressed(vercel, store=store)
    assert asked == ["/v1/projects/prj_1/rollback/dpl_good"]
    assert done.text == (
        "Ben asked Vercel to roll back web from dpl_bad to dpl_good already, at "
        f"{NOW.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    )
    assert done.note == ""


def test_a_fix_that_goes_live_between_the_look_and_the_claim_is_asked_about():
    """Given a fix that goes live in the middle of the save → the press asks about it, and nothing is asked of Vercel."""
    store = Contended(lambda: MemoryStore.save_context(store, Context(deploys=(fix(),), version=1)))
    done, requests = pressed(answering(httpx.Response(201)), store=store)
    assert (done.confirm, done.note) == ("dpl_fix", "")
    assert [each.method for each in requests] == ["GET"]


def test_without_a_token_nothing_is_asked():
    """The setting is named."""
    done, requests = pressed(None, secrets={})
    assert (done.failed, "VERCEL_TOKEN" in done.note, requests) == (True, True, [])


def fix(name="dpl_fix", minutes=31.0, *, is_live=True, project="prj_1"):
    """A marker of a deployment that went live so many minutes after the bad one."""
    at = NOW + timedelta(minutes=minutes)
    return Deploy(
        name, at, "deployment.created", title="Fix cart", by="ben", project_id=project, live_at=at, is_live=is_live
    )


@pytest.mark.parametrize(
    ("deploys", "listed", "found"),
    [
        ((), (), None),
        ((fix(),), (), ("dpl_fix", True)),
        ((fix(is_live=False),), (), ("dpl_fix", False)),
        ((fix(), fix("dpl_newer", 40)), (), ("dpl_newer", True)),
        ((fix(project="prj_2"),), (), None),
        ((fix(minutes=-5),), (), None),
        ((), (one("dpl_fix", -60_000),), ("dpl_fix", False)),
        ((fix(),), (one("dpl_fix", -60_000), one("dpl_newer", -3_600_000)), ("dpl_newer", False)),
        ((fix(minutes=70),), (one("dpl_newer", -3_600_000),), ("dpl_fix", True)),
        ((), (one("dpl_bad", -60_000), one("dpl_good", 60_000)), None),
        ((), ({"uid": "x", "created": "soon"}, {"uid": "y", "created": 1e300}, {"uid": "z"}, 5), None),
    ],
)
def test_what_went_live_since(deploys, listed, found):
    """Given webhooks and Vercel's list → the newest deployment of the project that went live after the bad one."""
    live = live_since(BAD, deploys, list(listed))
    assert (live and (live.id, live.is_live)) == found


def test_what_went_live_again_is_not_followed():
    """Given a bad deployment that was promoted again after the fix → nothing went live since."""
    again = Deploy("dpl_bad", NOW, "x", project_id="prj_1", live_at=NOW + timedelta(minutes=50), is_live=True)
    assert live_since(again, (fix(), again), [one("dpl_fix", -60_000)]) is None


# ---------------------------------------------------------------------------------------------------------------------
# From the press to the line in the timeline

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
RULES = """
defaults: {group_by: [service], group_wait: 0s, group_interval: 1m, repeat_interval: 4h}
alerts: [{name: Down, match: {kind: check}, severity: critical, notification: [{slack_channel: "#a"}]}]
default: {notification: [{slack_channel: "#rest"}]}
"""


class World:
    """A router whose service broke after a deployment, Vercel, and people in Slack."""

    def __init__(self):
        self.router = Simulator(rules_of(RULES), START)
        self.clients = FakeClients(self._outside, secrets={"SLACK_BOT_TOKEN": SLACK_TOKEN, **TOKEN})
        self.answers, self.rolled_back, self.refuses_answers = [], [], 0
        self.listed = [self.listing("dpl_good", -60)]
        self.vercel("promoted", "dpl_bad")
        self.wait(5)
        self.check(Status.FIRING)
        self.wait(1)
        self.id = self.incident.id

    def listing(self, name, minutes):
        """A deployment as Vercel lists it."""
        return {"uid": name, "created": (START + timedelta(minutes=minutes)).timestamp() * 1000}

    def _outside(self, request):
        if request.url.path.endswith(("users.info", "auth.test")):
            return httpx.Response(200, json={"ok": False, "error": "missing_scope"})
        if request.url.host == "api.vercel.com":
            if request.method == "GET":
                return httpx.Response(200, json={"deployments": self.listed})
            self.rolled_back.append(request.url.path.rpartition("/")[2])
            return httpx.Response(201)
        if self.refuses_answers:
            self.refuses_answers -= 1
            return httpx.Response(500)
        self.answers.append(json.loads(request.content))
        return httpx.Response(200, text="ok")

    def vercel(self, kind, deployment, *, title="Fix cart", late=0.0):
        """Vercel's webhook about a deployment of production."""
        labels = {
            "deployment": deployment, "project": "web", "project_id": "prj_1", "target": "production", "author": "ben",
        }  # fmt: skip
        at = self.router.now - timedelta(minutes=late)
        made = Event(
            f"{kind}{deployment}{at}", "vercel", f"deployment.{kind}", Status.INFO, Severity.INFO, title, at, deployment,
            service="web", labels=labels,
        )  # fmt: skip
        self.router.post(events_messages([made]))
        self.router.settle()

    def check(self, status):
        """The check of web fails, or is well again."""
        made = Event(
            f"check{status}{self.router.now}", "event", "check", status, Severity.CRITICAL, "Down", self.router.now, "check",
            name="Down", labels={"service": "web"},
        )  # fmt: skip
        self.router.post(events_messages([made]))
        self.router.settle()

    def wait(self, minutes):
        """Time passes."""
        self.router.run_until(self.router.now + timedelta(minutes=minutes), inclusive=True)

    @property
    def incident(self):
        """The incident."""
        return self.router.store.load("rule/Down|service=web")

    def press(self, who="ana", words="dpl_bad", kind="roll_back", id=""):
        """A person presses Roll back; the answers."""
        self.answers.clear()
        asked = Interaction(
            id or f"slack:{who}{kind}{self.router.now}", kind, f"U-{who}", self.router.now, name=who, team="T1",
            incident=self.id, words=words, channel="C1", reply_to="https://hooks.slack.com/x",
        )  # fmt: skip
        ports = {"rules": self.router.rules, "store": self.router.store, "queues": self.router.queues}
        outcome = handle.act(asked, clients=self.clients, now=self.router.now, **ports)
        self.router.settle()
        return self.answers if outcome.retry_after is None else outcome

    def confirm(self, question, who="ana"):
        """A person presses the button of a question."""
        (button,) = question["blocks"][1]["elements"]
        assert button["action_id"] == ACTION_ROLL_BACK_CONFIRMED
        incident, _, words = button["value"].partition(":")
        assert incident == self.id
        return self.press(who, words, "roll_back_confirmed")

    @property
    def lines(self):
        """What people and Vercel did, in the timeline of the incident that is pressed on."""
        found = next(each for each in self.router.store.remembered() if each.id == self.id)
        return [(each.by, each.text) for each in found.timeline.entries if each.by]


@pytest.fixture
def world():
    """A broken deployment."""
    return World()


ASKED = "asked Vercel to roll back web from dpl_bad to dpl_good"
DONE = ("Vercel", "rolled back web from dpl_bad to dpl_good")


def test_a_press_asks_vercel_and_vercel_says_when_it_is_done(world):
    """Given nothing else went live → Vercel is asked at once; the line "rolled back" comes with Vercel's webhook, once."""
    assert world.press() == []
    assert world.rolled_back == ["dpl_good"]
    assert world.lines == [("ana", ASKED)]
    world.wait(1)
    world.vercel("rollback", "dpl_good")
    world.vercel("promoted", "dpl_good")
    assert world.lines == [("ana", ASKED), DONE]


@pytest.mark.parametrize(
    ("kind", "deployment", "late"),
    [("promoted", "dpl_other", 0), ("promoted", "dpl_good", 90), ("ready", "dpl_good", 0)],
)
def test_what_vercel_says_of_something_else_ends_no_roll_back(world, kind, deployment, late):
    """Given another deployment, a promotion of before, or one that is only ready → no line says that it is done."""
    world.press()
    world.wait(1)
    world.vercel(kind, deployment, late=late)
    assert world.lines == [("ana", ASKED)]


def test_a_press_after_a_fix_went_live_asks_first(world):
    """Given a fix that went live since → nothing is asked of Vercel before the person confirms, by what is live."""
    world.wait(25)
    world.vercel("promoted", "dpl_fix")
    world.wait(1)
    (question,) = world.press()
    live = f"<!date^{int((START + timedelta(minutes=31)).timestamp())}^{{date_short_pretty}} {{time}}|2026-03-02 12:31 UTC>"
    assert question["text"] == f"⚠️ dpl_fix (Fix cart, ben) is live since {live}: roll back all the same?"
    assert (world.rolled_back, world.lines) == ([], [])
    (done,) = world.confirm(question)
    assert done["replace_original"] is True
    assert ASKED[1:] in done["text"] and ASKED[1:] in json.dumps(done["blocks"])
    assert (world.rolled_back, world.lines) == (["dpl_good"], [("ana", ASKED)])


def test_a_confirmation_of_what_is_not_live_any_more_asks_anew(world):
    """Given a second fix that went live after the question → the confirmation of the first one asks about the second."""
    world.vercel("promoted", "dpl_fix")
    (question,) = world.press()
    world.wait(1)
    world.vercel("promoted", "dpl_fix_2")
    (again,) = world.confirm(question)
    assert "dpl_fix_2" in again["text"] and again["replace_original"] is True
    assert world.rolled_back == []
    world.confirm(again)
    assert world.rolled_back == ["dpl_good"]


def test_two_people_roll_back_once(world):
    """Given Ana's press → Ben reads that Ana asked and when, also after Vercel did it; the timeline has one press."""
    world.press("ana")
    at = world.router.now
    world.wait(1)
    (answer,) = world.press("ben")
    assert f"⚠️ Ana {ASKED} already, at <!date^{int(at.timestamp())}^" in answer["text"]
    world.vercel("rollback", "dpl_good")
    world.wait(1)
    assert world.press("ben")[0]["text"].startswith("⚠️ Ana asked Vercel")
    assert (world.rolled_back, world.lines) == (["dpl_good"], [("ana", ASKED), DONE])


def test_two_people_confirm_once(world):
    """Given two people who were both asked → the second confirmation is answered that the first did it."""
    world.vercel("promoted", "dpl_fix")
    (question,) = world.press("ana")
    (other,) = world.press("ben")
    world.wait(1)
    world.confirm(question, "ana")
    (answer,) = world.confirm(other, "ben")
    assert "Ana asked Vercel" in answer["text"] and answer["replace_original"] is True
    assert world.rolled_back == ["dpl_good"]


def test_a_press_that_comes_again_does_nothing_more(world):
    """Given one press that is delivered three times → one request and one line."""
    for _ in range(3):
        assert world.press(id="slack:1") == []
    assert (world.rolled_back, world.lines) == (["dpl_good"], [("ana", ASKED)])


def test_a_roll_back_whose_answer_waits_is_done_once(world):
    """Given Slack that takes the answer to a confirmation later → the press comes again and is answered, and asks nothing."""
    world.vercel("promoted", "dpl_fix")
    (question,) = world.press()
    world.refuses_answers = 1
    words = question["blocks"][1]["elements"][0]["value"].partition(":")[2]
    assert world.press(words=words, kind="roll_back_confirmed", id="slack:9").retry_after is not None
    (answer,) = world.press(words=words, kind="roll_back_confirmed", id="slack:9")
    assert ASKED[1:] in answer["text"]
    assert (world.rolled_back, world.lines) == (["dpl_good"], [("ana", ASKED)])


def test_what_was_rolled_back_at_vercel_is_not_rolled_back_again(world):
    """Given a roll back by hand at Vercel → the presser reads that production is there already."""
    world.vercel("rollback", "dpl_good")
    (answer,) = world.press()
    assert "Production is at dpl_good (Fix cart, ben) since" in answer["text"]
    assert (world.rolled_back, world.lines) == ([], [])


def test_a_deployment_that_went_live_again_can_be_rolled_back_again(world):
    """Given a bad deployment that was promoted once more after a roll back → a new press asks Vercel again."""
    world.press()
    world.wait(1)
    world.vercel("rollback", "dpl_good")
    world.wait(1)
    world.vercel("promoted", "dpl_bad")
    world.wait(1)
    assert world.press("ben") == []
    assert world.rolled_back == ["dpl_good", "dpl_good"]


@pytest.mark.parametrize("end", ["resolved", "ended", "fires again"])
def test_on_what_does_not_fire_it_asks_first(world, end):
    """Given an incident that is resolved, ended or followed by another → its outcome is said, and only a confirmation acts."""
    world.wait(0.3)
    world.check(Status.RESOLVED)
    world.wait(0 if end == "resolved" else 2)
    if end == "fires again":
        world.check(Status.FIRING)
        world.wait(1)
    (question,) = world.press()
    words = {"resolved": "ires any more", "ended": "is resolved since", "fires again": f"again as {world.incident.id}"}
    assert words[end] in question["text"]
    assert "roll back from dpl_bad all the same?" in question["text"]
    assert world.rolled_back == []
    world.confirm(question)
    assert (world.rolled_back, world.lines[-1]) == (["dpl_good"], ("ana", ASKED))
    world.vercel("rollback", "dpl_good")
    assert world.lines[-1] == DONE


def test_on_what_is_unknown_nothing_is_rolled_back(world):
    """Given an id of no incident, or a deploy that is forgotten → a sentence, and no request."""
    assert "not known any more" in world.press(words="dpl_other")[0]["text"]
    world.id = "0123456789abcdef"
    assert "No incident of the last 90 days" in world.press()[0]["text"]
    assert world.rolled_back == []


def test_few_roll_backs_are_kept():
    """Given many roll backs → the context keeps the newest ten of a day."""
    store = MemoryStore()
    for number in range(15):
        deploy = Deploy(f"dpl_{number}", NOW, "x", project_id="prj_1")
        given = Press(f"slack:{number}", "inc-1", "Ana", NOW)
        clients = FakeClients(answering(httpx.Response(201)), secrets=TOKEN)
        press(given, deploy, store=store, clients=clients, now=NOW)
    assert [each.press for each in store.context().rollbacks] == [f"slack:{number}" for number in range(5, 15)]
    assert Context().rollbacks == ()
