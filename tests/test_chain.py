"""Sentry's bodies through the whole chain: API Gateway → Lambda → SQS → Lambda → DynamoDB → the vendors' stand-ins."""

import json
import random
import urllib.request
import uuid
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from chalicelib.rules.file import load
from deploy.smoke import request
from simulation.engine import Replay
from tests.deployed import Stage, compact, deployed_stage
from tests.project import ROOT
from tests.sources.bodies import alertmanager_body

pytestmark = pytest.mark.acceptance

BODIES = ROOT / "tests" / "sources" / "fixtures" / "sentry"
SIGNED = sorted(path.stem for path in BODIES.glob("*.json") if not path.stem.startswith("legacy"))
RESOURCES = ("event_alert", "metric_alert", "issue", "error", "comment", "installation", "seer", "activity_alert")
COPIES = 10


def rules() -> str:
    """The shipped rules in a quicker rhythm without storms, since tests share a stage, and issues reach PagerDuty too."""
    content = yaml.safe_load((ROOT / "alert-rules.yaml").read_text())
    (issue,) = [rule for rule in content["alerts"] if rule["name"] == "Sentry Issue"]
    issue |= {"group_wait": "0s", "severity": "critical", "notification": [{"receiver": "incidents"}]}
    content["defaults"]["group_interval"] = "1s"
    content["correlate"]["storm"] = "off"
    told = [{"webhook": "default"}, {"pagerduty": True}, {"slack_channel": "#stories"}]
    content["routes"].insert(
        0, {"match": {"team": "stories"}, "group_by": ["service"], "notification": told, "group_wait": "0s"}
    )
    return yaml.safe_dump({**content, "tests": []})


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One deployed stage for this file."""
    with deployed_stage(tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("cloud"), rules()) as found:
        yield found


def body(name: str) -> Any:
    """A body of Sentry."""
    return json.loads((BODIES / f"{name}.json").read_text())


def error(service: str, number: int) -> bytes:
    """One occurrence of an error that happened now in a service."""
    content = body("error_created_docs")
    now = datetime.now(UTC)
    content["data"]["error"] |= {
        "event_id": uuid.UUID(int=number, version=4).hex,
        "datetime": now.isoformat(),
        "timestamp": now.timestamp(),
        "received": now.timestamp(),
        "url": f"https://sentry.io/api/0/projects/acme/{service}/events/{number}/",
    }
    return compact(content)


def occurrence(number: int) -> bytes:
    """The captured alert about one issue, as another occurrence of it that happened now."""
    content = body("event_alert_message_python")
    now = datetime.now(UTC)
    content["data"]["event"] |= {
        "event_id": uuid.UUID(int=number, version=4).hex,
        "datetime": now.isoformat(),
        "timestamp": now.timestamp(),
        "received": now.timestamp(),
    }
    return compact(content)


def resolution() -> bytes:
    """The captured body of the same issue, resolved now."""
    content = body("issue_created_message_2020")
    content["action"] = content["data"]["issue"]["status"] = "resolved"
    content["data"]["issue"]["lastSeen"] = datetime.now(UTC).isoformat()
    return compact(content)


def about(found: list[dict[str, Any]], word: str) -> list[dict[str, Any]]:
    """Messages or incidents that hold a word."""
    return [each for each in found if word in json.dumps(each, ensure_ascii=False)]


def test_ten_occurrences_of_an_issue_are_told_once_and_end_together(stage: Stage) -> None:
    """One incident, one Slack message that is updated in place, one page; the resolve closes all of it."""
    title = body("event_alert_message_python")["data"]["event"]["title"]
    for number in range(COPIES):
        assert stage.post_sentry("event_alert", occurrence(number)) == 202
    stage.eventually(lambda: about(stage.inbox.incidents, title) and not stage.waiting(), "nobody was paged")
    assert stage.post_sentry("issue", resolution()) == 202

    def ended() -> bool:
        return [each["status"] for each in about(stage.inbox.incidents, title)] == ["resolved"]

    def message() -> dict[str, Any]:
        found = about(stage.inbox.messages, title)
        (first,) = [each for each in found if each.get("thread_ts") in (None, each["ts"])]
        return dict(first)

    stage.eventually(lambda: ended() and not stage.waiting(), "the page was not resolved")
    stage.eventually(lambda: message()["text"].startswith("✅ [resolved]"), "the message was not resolved")
    asked = about([each.summary() for each in stage.inbox.requests], title)
    posts = [each for each in asked if each["operation"] == "chat.postMessage"]
    threads = [json.loads(each["body"]).get("thread_ts") for each in posts]
    pages = [json.loads(each["body"])["event_action"] for each in asked if each["service"] == "pagerduty"]
    assert threads.count(None) == 1
    assert pages.count("trigger") == 1
    assert f"{COPIES}" in json.dumps(message()["blocks"])
    assert stage.waiting(dead=True) == 0


def test_eleven_errors_in_a_minute_page_once_and_ten_do_not(stage: Stage) -> None:
    """The error spike of the shipped rules counts by the time of the errors, for each service."""
    for number in range(11):
        if number < 10:
            assert stage.post_sentry("error", error("quiet", 100 + number)) == 202
        assert stage.post_sentry("error", error("noisy", 200 + number)) == 202
    stage.eventually(lambda: about(stage.inbox.incidents, "(noisy)"), "the spike was not paged")
    stage.eventually(lambda: not stage.waiting(), "the queues do not become empty")
    assert len(about(stage.inbox.incidents, "(noisy)")) == 1
    assert about(stage.inbox.incidents, "quiet") == []
    assert about(stage.inbox.messages, "quiet") == []


def test_a_body_of_600_kb_passes(stage: Stage) -> None:
    """A whole event that hardly compresses is stored, read and told like any other."""
    content = deepcopy(body("event_alert_triggered_docs"))
    noise = random.Random(5).randbytes(300_000).hex()
    event = content["data"]["event"]
    event |= {"title": "A very large event", "datetime": datetime.now(UTC).isoformat(), "extra": {"noise": noise}}
    large = compact(content)
    assert len(large) > 600_000
    assert stage.post_sentry("event_alert", large) == 202
    stage.eventually(lambda: about(stage.inbox.messages, "A very large event"), "the large event was not told")
    assert stage.waiting(dead=True) == 0


Step = dict[str, Any]
"""A line of a timeline, and how often the webhook has been notified once the step is done."""


def alert(name: str, at: datetime, *, ends: bool = False) -> Step:
    """A webhook of Alertmanager; its end has no labels but the name."""
    labels = {} if ends else {"severity": "critical", "team": "stories", "service": name}
    content = json.loads(alertmanager_body({"alertname": name, **labels}, at, status="resolved" if ends else "firing"))
    content["alerts"][0]["fingerprint"] = name
    if ends:
        content["alerts"][0]["endsAt"] = at.isoformat()
    return {"webhook": {"source": "alertmanager", "headers": {}, "body": content}}


def stories(begins: datetime) -> list[tuple[Step, list[str]]]:
    """A fire and its end with other labels; an acknowledgement; a silence. Each step with what is sent of it by then."""
    times = iter(begins + timedelta(seconds=number) for number in range(99))
    silence = {"matchers": {"service": "s-muted"}, "until": (begins + timedelta(hours=1)).isoformat(), "by": "ana"}
    return [
        (alert("s-bare", next(times)), ["opened"]),
        (alert("s-bare", next(times), ends=True), ["opened", "resolved"]),
        (alert("s-acked", next(times)), ["opened"]),
        ({"ack": {"matchers": {"service": "s-acked"}, "by": "ana"}}, ["opened"]),
        (alert("s-acked", next(times), ends=True), ["opened", "resolved"]),
        ({"silence": {"id": "s1", **silence}}, []),
        (alert("s-muted", next(times)), []),
        ({"unsilence": "s1"}, ["opened"]),
        (alert("s-muted", next(times), ends=True), ["opened", "resolved"]),
    ]


def replayed(begins: datetime) -> dict[tuple[str, str], list[str]]:
    """What `tocsin replay` sends, by story and target. A minute passes between two steps."""
    lines = []
    for number, (step, _) in enumerate(stories(begins)):
        lines.append((number + 1, {"at": (begins + timedelta(minutes=1 + number)).isoformat(), **step}))
    lines.append((len(lines) + 1, {"at": (begins + timedelta(hours=1)).isoformat(), "end": True}))
    found: dict[tuple[str, str], list[str]] = {}
    for line in Replay(load(rules(), filename="alert-rules.yaml"), lines).run():
        if line["type"] == "notification":
            key = (line["alerts"][0]["labels"]["service"], next(iter(line["target"])))
            found.setdefault(key, []).append(line["reason"])
    return found


def received(stage: Stage) -> dict[tuple[str, str], list[str]]:
    """What the inbox received of the stories, in the words of a replay. Bringing a message up to date is no notification."""
    found: dict[tuple[str, str], list[str]] = {}
    hooks = [each.json()["data"] for each in stage.inbox.requests if each.service == "hook"]
    names = {each["incident"]: each["alerts"][0]["labels"]["service"] for each in hooks if each["alerts"]}
    for each in hooks:
        found.setdefault((names[each["incident"]], "webhook"), []).append(each["reason"])
    for incident, name in names.items():
        pages = [each.json() for each in stage.inbox.requests if each.service == "pagerduty" and each.body]
        said = [each["event_action"] for each in pages if each.get("dedup_key") == incident]
        words = {"trigger": "opened", "resolve": "resolved"}
        found[name, "pagerduty"] = [words[action] for action in said if action in words]
    return found


def do(stage: Stage, step: Step) -> None:
    """Do over HTTP what a line of a timeline says."""
    api, token = f"{stage.deployed.url}api", {"Authorization": f"Bearer {stage.values['API_TOKEN']}"}
    if given := step.get("webhook"):
        secret = {"Authorization": f"Bearer {stage.values['ALERTMANAGER_SECRET']}"}
        body = compact(given["body"])
        stage.eventually(lambda: stage.post(given["source"], body, secret) == 202, "the webhook was not accepted")
    elif given := step.get("ack"):
        (incident,) = json.loads(
            request(f"{api}/incidents?match=service={given['matchers']['service']}", None, token)[1]
        )["incidents"]
        assert request(f"{api}/incidents/{incident['id']}/ack", compact({"by": given["by"]}), token)[0] == 202
        stage.eventually(lambda: acked(stage, incident["id"]), "PagerDuty was not asked to acknowledge")
    elif given := step.get("silence"):
        assert (
            request(f"{api}/silences", compact({key: each for key, each in given.items() if key != "id"}), token)[0]
            == 202
        )
    else:
        (silence,) = json.loads(request(f"{api}/silences", None, token)[1])["silences"]
        made = urllib.request.Request(f"{api}/silences/{silence['id']}?by=ana", headers=token, method="DELETE")
        with urllib.request.urlopen(made, timeout=30) as answer:
            assert answer.status == 202


def acked(stage: Stage, incident: str) -> bool:
    """Whether PagerDuty was asked to acknowledge the incident."""
    pages = [each.json() for each in stage.inbox.requests if each.service == "pagerduty" and each.body]
    return any(each.get("dedup_key") == incident and each.get("event_action") == "acknowledge" for each in pages)


def test_stories_are_sent_over_http_as_a_replay_sends_them(stage: Stage) -> None:
    """Given a timeline played over HTTP, then the inbox received what a replay of it sends, to each target."""
    begins = datetime.now(UTC)
    for number in range(len(stories(begins))):
        step, wanted = stories(datetime.now(UTC))[number]
        do(stage, step)
        arrives(stage, story_of(step), wanted)
    expected = {key: said for key, said in replayed(begins).items() if key[1] != "slack_channel"}
    assert received(stage) == expected
    assert len(expected) == 6


def arrives(stage: Stage, story: str, wanted: list[str]) -> None:
    """Wait until the webhook was sent this of a story, and nothing more waits."""
    stage.eventually(lambda: received(stage).get((story, "webhook"), []) == wanted, f"{wanted} of {story}")
    stage.eventually(lambda: not stage.waiting(), "the queues do not become empty")
    assert received(stage).get((story, "webhook"), []) == wanted


def story_of(step: Step) -> str:
    """The story that a step belongs to."""
    ((kind, given),) = step.items()
    if kind == "webhook":
        return str(given["body"]["alerts"][0]["fingerprint"])
    return "s-muted" if kind == "unsilence" else str(given["matchers"]["service"])


@pytest.mark.parametrize("name", SIGNED)
def test_every_kind_of_body_is_taken(stage: Stage, name: str) -> None:
    """Whatever Sentry sends, signed as Sentry does, byte by byte, is accepted."""
    resource = next(each for each in RESOURCES if name.removeprefix("derived_").startswith((each, "unicode")))
    resource = "issue" if "unicode" in name else resource
    assert stage.post_sentry(resource, (BODIES / f"{name}.json").read_bytes()) == 202


def test_and_every_kind_is_read(stage: Stage) -> None:
    """Nothing of what was accepted ends in a dead-letter queue; no worker failed but to bring a message back."""
    stage.eventually(lambda: not stage.waiting(), "the queues do not become empty")
    assert stage.waiting(dead=True) == 0
    assert [line for line in stage.said().splitlines() if '"failed": true' in line and "BatchError" not in line] == []
    assert "AccessDenied" not in stage.said()
