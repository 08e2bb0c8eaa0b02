"""Changed rules tried on what was recorded: what would be told differently, and when."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.messages.queue import Events
from chalicelib.process.record import Recorder, record
from cli.main import main
from simulation.compare import ComparedIncident, compared, outcome, paired
from simulation.timeline import Fields, Times, event_of
from tests.api_harness import ApiHarness, open_desk
from tests.fakes import MemoryQueue
from tests.rule_files import rules_of

NOW = datetime(2026, 11, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TODAY = """
alerts:
  - name: Boom
    match: {kind: boom}
    group_by: [service]
    group_wait: 0s
    notification: [{slack_channel: "#a"}, {pagerduty: true}]
  - name: Errors
    match: {kind: error}
    condition: "events[5m] > 2"
    group_by: [service]
    group_wait: 0s
    notification: [{slack_channel: "#a"}]
default: {notification: [{slack_channel: "#rest"}]}
"""


def at(minutes):
    """A time of the recorded hours."""
    return (NOW + minutes * MINUTE).isoformat()


def event(minutes, kind="boom", service="api", status="firing", **fields):
    """A recorded event."""
    labels = {"kind": kind, "service": service, **fields}
    said = {"name": kind, "labels": labels, "status": status, "id": f"{kind}-{service}-{minutes}-{status}"}
    return {"at": at(minutes), "event": said}


HISTORY = [
    event(0),
    event(10, status="resolved"),
    *(event(60 + n / 10, "error", n=str(n)) for n in range(6)),
    event(200, service="web"),
    event(203, service="web", status="resolved"),
    {"at": at(300), "end": True},
]


def difference(new, history=HISTORY, today=TODAY):
    """What the new rules change on the history."""
    lines = list(enumerate(history, 1))
    return compared(outcome(rules_of(today), lines), outcome(rules_of(new), lines), lines)


def titles(rows):
    """The alerts of the rows, with their service."""
    return [(each["alerts"][0], each["labels"].get("service")) for each in rows]


def test_the_same_rules_change_nothing():
    """Every incident is told at the same time, with as many messages."""
    found = difference(TODAY)
    assert found["before"] == found["after"]
    assert (found["same"], found["before"]["incidents"], found["before"]["pages"]) == (3, 3, 2)
    for name in ("later", "earlier", "not_at_all", "new", "in_another", "on_its_own"):
        assert found[name] == []


def test_a_rule_that_holds_longer_tells_later_or_not_at_all():
    """What lasts is told after the hold; what ends before it is not told any more."""
    found = difference(TODAY.replace("match: {kind: boom}", "match: {kind: boom}\n    for: 5m"))
    assert titles(found["later"]) == [("Boom", "api")]
    assert found["later"][0]["seconds"] == 300
    assert titles(found["not_at_all"]) == [("Boom", "web")]
    assert found["not_at_all"][0]["pages"] == 1
    assert found["after"]["pages"] == 1
    assert found["by_rule"]["Boom"] == [8, 4]


def test_a_lower_threshold_tells_earlier():
    """The count is complete sooner."""
    found = difference(TODAY.replace("> 2", "> 0"))
    assert titles(found["earlier"]) == [("Errors", "api")]
    assert found["earlier"][0]["seconds"] == -12


def test_a_rule_that_holds_for_less_tells_what_was_not_told():
    """The other way round: what was too short to be told is told, and the rest is told earlier."""
    found = difference(TODAY, today=TODAY.replace("match: {kind: boom}", "match: {kind: boom}\n    for: 5m"))
    assert titles(found["new"]) == [("Boom", "web")]
    assert titles(found["earlier"]) == [("Boom", "api")]


def test_a_renamed_rule_is_the_same_incident():
    """Its labels find it again."""
    found = difference(TODAY.replace("name: Boom", "name: Bang"))
    assert (found["same"], found["not_at_all"], found["new"]) == (3, [], [])


def test_incidents_that_become_one_are_told_within_it():
    """Two services told together: the second one is no incident of its own, and is not lost either."""
    history = [event(0), event(2, service="web"), {"at": at(60), "end": True}]
    found = difference(TODAY.replace("group_by: [service]", "group_by: []"), history)
    assert titles(found["in_another"]) == [("Boom", "web")]
    assert found["not_at_all"] == []
    assert titles(difference(TODAY, history, TODAY.replace("group_by: [service]", "group_by: []"))["on_its_own"]) == [
        ("Boom", "web")
    ]


def told(minutes, name="a", until=None, **labels):
    """An incident as people heard of it."""
    alerts = frozenset({(name, tuple(sorted(labels.items())))})
    end = None if until is None else NOW + until * MINUTE
    return ComparedIncident(f"{name}{minutes}", NOW + minutes * MINUTE, alerts, name, until=end, ever=set(alerts))


PAIRS = [
    ("the same", [told(0, until=5)], [told(0, until=5)], [("a0", "a0")]),
    ("later", [told(0, until=60)], [told(30, until=60)], [("a0", "a30")]),
    ("days later is another", [told(0, until=5)], [told(3_000, until=3_005)], []),
    ("still open days later", [told(0)], [told(3_000)], [("a0", "a3000")]),
    ("the nearest", [told(0, until=50), told(40, until=50)], [told(41, until=50)], [("a40", "a41")]),
    ("another alert", [told(0, z="1")], [told(0, "b", z="2")], []),
    ("another name near by", [told(0, z="1")], [told(5, "b", z="1")], [("a0", "b5")]),
    ("the name before the labels", [told(0, z="1")], [told(0, "b", z="1"), told(9, z="1")], [("a0", "a9")]),
]


@pytest.mark.parametrize(("before", "after", "pairs"), [row[1:] for row in PAIRS], ids=[row[0] for row in PAIRS])
def test_an_incident_is_found_again_by_what_it_is_about(before, after, pairs):
    """The nearest in time with the same alert; each is found once."""
    assert [(one.id, other.id) for one, other in paired(before, after).both] == pairs


def written(folder, new, today=TODAY, history=HISTORY):
    """The files of a comparison."""
    (folder / "today.yaml").write_text(today)
    (folder / "new.yaml").write_text(new)
    (folder / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in history))
    return ["replay", "--from-history", str(folder / "history.jsonl"), "--today", str(folder / "today.yaml"),
            "--rules", str(folder / "new.yaml")]  # fmt: skip


def test_the_difference_is_told_to_people(tmp_path, capsys):
    """Totals, what changed by target and rule, and each incident that moved or went."""
    words = written(tmp_path, TODAY.replace("match: {kind: boom}", "match: {kind: boom}\n    for: 5m"))
    assert main(words) == 0
    said = capsys.readouterr().out
    for part in (
        "2026-11-01 00:00 to 2026-11-01 05:00",
        "sent later (1)",
        "01 Nov 00:00:00 +5m",
        "sent today, and no longer (1)",
        "boom (web)  [Boom]  paged",
        "sent at the same time (1)",
    ):
        assert part in said, said
    assert [line.split()[:4] for line in said.splitlines() if line.startswith("pages")] == [["pages", "2", "1", "-1"]]


def test_the_difference_is_there_for_tools(tmp_path, capsys):
    """The whole of it as JSON."""
    assert main([*written(tmp_path, TODAY), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["same"] == 3


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["replay"], "expected are RULES.yaml"),
        (["replay", "--from-history", "none.jsonl"], "`--rules` is missing"),
        (["replay", "--from-history", "none.jsonl", "--rules", "x.yaml", "--today", "y.yaml"], "y.yaml"),
    ],
)
def test_what_is_missing_is_told(words, says, capsys):
    """One line and the status 2."""
    assert main(words) == 2
    error = capsys.readouterr().err
    assert says in error
    assert len(error.splitlines()) == 1


def test_an_empty_history_says_so(tmp_path, capsys):
    """There is nothing to compare on."""
    assert main(written(tmp_path, TODAY, history=[])) == 2
    assert "nothing was recorded" in capsys.readouterr().err


TOKEN = "0123456789abcdef"


LATELY = (datetime.now(UTC) - timedelta(hours=1)).replace(microsecond=0)


@pytest.fixture
def stage(monkeypatch):
    """The address of the API of a stage that recorded three events an hour ago."""
    desk, queue = ApiHarness(), MemoryQueue()
    recorder = Recorder(desk.router.store, LATELY)
    for number, service in enumerate(("api", "web", "web")):
        line = {"name": "boom", "labels": {"kind": "boom", "service": service}, "id": f"{number}"}
        recorder.add(Events((event_of(Fields("event", line, Times(text=True)), LATELY, number),)))
    recorder.put(history=queue, webhooks=MemoryQueue())
    record(queue, store=desk.router.store, dead=MemoryQueue())
    with open_desk(desk, TOKEN) as url:
        monkeypatch.setenv("TOCSIN_URL", url)
        monkeypatch.setenv("TOCSIN_TOKEN", TOKEN)
        yield url


def test_a_stage_gives_what_it_recorded(stage, capsys):
    """As a timeline, from when it is asked for on, until when it is asked for."""
    assert main(["history", "--since", "2h"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"]["labels"]["service"] for line in lines] == ["api", "web", "web"]
    for words in (["--since", "30m"], ["--since", "2d", "--until", "90m"]):
        assert main(["history", *words]) == 0
        assert capsys.readouterr().out == ""


def test_rules_are_compared_on_a_stage(stage, tmp_path, capsys):
    """Without a file the recording is asked for from the stage."""
    (tmp_path / "rules.yaml").write_text(TODAY)
    rules = str(tmp_path / "rules.yaml")
    assert main(["replay", "--from-history", "--since", "1d", "--rules", rules, "--today", rules, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["lines"], found["same"]) == ({"event": 3}, 2)


def test_check_counts_messages_a_day_on_a_recording(tmp_path, capsys):
    """What `tocsin history` wrote is what `tocsin check --history` reads."""
    (tmp_path / "rules.yaml").write_text(TODAY)
    (tmp_path / "h.jsonl").write_text("".join(json.dumps(line) + "\n" for line in HISTORY))
    main(["check", str(tmp_path / "rules.yaml"), "--history", str(tmp_path / "h.jsonl"), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert "Boom" in json.dumps(found)


def test_check_counts_on_what_a_stage_recorded(stage, tmp_path, capsys):
    """The last 30 days are asked for from the stage; one that does not answer is told and is no mistake."""
    (tmp_path / "rules.yaml").write_text(TODAY)
    words = ["check", str(tmp_path / "rules.yaml"), "--json", "--url"]
    main([*words, stage])
    counts = {rule["name"]: rule["messages_a_day"] for rule in json.loads(capsys.readouterr().out)["rules"]}
    assert counts["Boom"] > counts["Errors"] == 0
    main([*words, "http://127.0.0.1:9"])
    said = capsys.readouterr()
    assert "does not answer" in said.err
    assert "messages_a_day" not in said.out
