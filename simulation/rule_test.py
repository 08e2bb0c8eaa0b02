"""One test of a rules file as a story in time: its timeline, the real decisions, and what came beside what was expected."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from chalicelib.core.alert import Alert, AlertState
from chalicelib.core.alert_snapshot import variables_of
from chalicelib.core.language.template import render
from chalicelib.core.pattern import Pattern, PatternError, compiled
from chalicelib.core.rule import Rules
from simulation import promtool
from simulation.engine import Replay
from simulation.promtool import PromtoolError
from simulation.timeline import Times

Line = tuple[int, dict[str, Any]]
"""A line of a timeline behind its number in the file; 0 and below for those that are not in it."""
SHOWN_KEYS = ("at", "reason", "status", "target", "delivered")
"""What is shown of a notification that no expectation is about."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One line of a comparison: `-` was expected and did not come, `+` came and was not expected, blank is as it was."""

    sign: str
    what: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """What must be seen at a time: the states of all alerts, or (`alertname`) those of one name that fire.

    `about` is how the file says when and of what.
    """

    at: datetime
    want: Sequence[Mapping[str, Any]]
    about: Mapping[str, Any]
    alertname: str = ""


@dataclass(frozen=True, slots=True)
class Story:
    """A test as one timeline of numbered lines, and what must come of it; `told` None: anything may be told."""

    lines: list[Line]
    told: Sequence[Mapping[str, Any]] | None
    questions: dict[int, list[Question]] = field(default_factory=dict)


def entries(test: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """Return the mappings of a list; PromtoolError when it is something else."""
    found = test.get(key) or []
    if not isinstance(found, list) or not all(isinstance(each, Mapping) for each in found):
        raise PromtoolError(f"{key} is not a list of mappings; allowed is a list, such as [{{at: 0, …}}]")
    return found


def story_of(test: Mapping[str, Any], interval: timedelta, numbers: Iterator[int]) -> Story:
    """Return the timeline of a test: what is given, its series, and a look at the alerts wherever their states are expected."""
    given = [(next(numbers), dict(line)) for line in entries(test, "given")]
    times = Times(any(isinstance(line.get("at"), str) for _, line in given))
    step = timedelta(seconds=promtool.seconds_of(test["interval"], "interval")) if "interval" in test else interval
    samples = [(0, line) for each in entries(test, "input_series") for line in promtool.sample_lines(each, step)]
    expected = entries(test, "expect")
    questions = [_question(each, times) for each in expected if "states" in each]
    questions += [_alert_rule_test(each, times) for each in entries(test, "alert_rule_test")]
    notifications = [each for each in expected if "states" not in each]
    looks, shows = _looks(questions, times)
    ends = _ends(notifications, times)
    moment = partial(_moment, times)
    samples.sort(key=moment)
    lines = list(heapq.merge(given, samples, ends, shows, key=moment))
    return Story(lines, notifications if "expect" in test else None, looks)


def _moment(times: Times, numbered: Line) -> datetime:
    return times.read(numbered[1].get("at", 0), "`at`")


def _ends(notifications: Sequence[Mapping[str, Any]], times: Times) -> list[Line]:
    """Run timers on until the last time at which something is expected."""
    latest = max((times.read(each["at"], "`at`") for each in notifications if "at" in each), default=None)
    return [] if latest is None else [(0, {"at": times.write(latest), "end": True})]


def _looks(questions: Sequence[Question], times: Times) -> tuple[dict[int, list[Question]], list[Line]]:
    """Return one `show` for each time that is asked about, by a number below zero, and its questions."""
    looks: dict[int, list[Question]] = {}
    shows: list[Line] = []
    for question in sorted(questions, key=lambda each: each.at):
        line = {"at": times.write(question.at), "show": "alerts"}
        if not shows or shows[-1][1] != line:
            shows.append((-1 - len(shows), line))
        looks.setdefault(shows[-1][0], []).append(question)
    return looks, shows


def _question(expected: Mapping[str, Any], times: Times) -> Question:
    unknown = expected.keys() - {"at", "states"}
    if unknown or "at" not in expected:
        what = f"{min(unknown)!r} stands beside states" if unknown else "states stand without at"
        raise PromtoolError(f"expect: {what}; allowed is {{at: 60, states: [{{name: …, state: firing}}]}}")
    return Question(times.read(expected["at"], "`at`"), entries(expected, "states"), {"at": expected["at"]})


def _alert_rule_test(expected: Mapping[str, Any], times: Times) -> Question:
    unknown = expected.keys() - {"eval_time", "alertname", "exp_alerts"}
    if unknown or "alertname" not in expected:
        what = f"{min(unknown)!r} is not a key" if unknown else "alertname is missing"
        raise PromtoolError(f"alert_rule_test: {what}; allowed are eval_time, alertname, exp_alerts")
    seconds = promtool.seconds_of(expected.get("eval_time", 0), "eval_time")
    wanted = [_wanted(each) for each in entries(expected, "exp_alerts")]
    about = {"eval_time": expected.get("eval_time", 0), "alertname": expected["alertname"]}
    return Question(times.read(seconds, "eval_time"), wanted, about, str(expected["alertname"]))


def _wanted(alert: Mapping[str, Any]) -> dict[str, Any]:
    unknown = alert.keys() - {"exp_labels", "exp_annotations"}
    if unknown:
        raise PromtoolError(f"exp_alerts: {min(unknown)!r} is not a key; allowed are exp_labels, exp_annotations")
    labels = {str(name): str(text) for name, text in (alert.get("exp_labels") or {}).items() if name != "alertname"}
    annotations = {str(name): str(text) for name, text in (alert.get("exp_annotations") or {}).items()}
    return {"exp_labels": labels, **({"exp_annotations": annotations} if annotations else {})}


def differences_of(story: Story, rules: Rules, file: str) -> Iterator[Difference]:
    """Run the timeline and compare; what is as expected is there too, for its place."""
    replay = Replay(rules, story.lines, name=file, folder=Path(file).parent, seed=None)
    shows = iter([number for number, line in story.lines if line.get("show") == "alerts"])
    found: list[dict[str, Any]] = []
    looked: list[Difference] = []
    for line in replay.run():
        if line["type"] == "notification":
            found.append(line)
        elif line["type"] == "alerts":
            for question in story.questions.get(next(shows), []):
                looked += _answers(question, line, replay)
    if story.told is not None:
        yield from compared(story.told, found)
    yield from looked


def _answers(question: Question, line: Mapping[str, Any], replay: Replay) -> Iterator[Difference]:
    if question.alertname:
        alerts = _firing(question, replay)
    else:
        ended = any(each.get("state") == "resolved" for each in question.want)
        alerts = [each for each in line["alerts"] if ended or each["state"] != "resolved"]
    unmatched = list(alerts)
    for want in question.want:
        same = next((each for each in unmatched if fits(want, each)), None)
        if same is not None:
            unmatched.remove(same)
        yield Difference(" " if same is not None else "-", {**question.about, **want})
    keys = {key for want in question.want for key in want} or {"name", "labels", "state", "exp_labels"}
    for each in unmatched:
        if not question.alertname and each["state"] == "resolved":
            continue
        yield Difference("+", {**question.about, **{key: value for key, value in each.items() if key in keys}})


def _firing(question: Question, replay: Replay) -> list[dict[str, Any]]:
    """Return the alerts of the name that fire, with the labels that the expectations could name, as promtool compares them."""
    names_severity = any("severity" in each["exp_labels"] for each in question.want)
    found: dict[str, dict[str, Any]] = {}
    for incident in replay.simulator.store.incidents():
        for alert in incident.alerts.values():
            if alert.state is AlertState.FIRING and question.alertname in (alert.name, alert.sender.event_name):
                labels = dict(alert.labels) | ({"severity": alert.severity.value} if names_severity else {})
                annotations = _annotations(alert, incident.group, replay.simulator.rules)
                found[alert.fingerprint] = {"exp_labels": Exact(labels), "exp_annotations": annotations}
    return sorted(found.values(), key=lambda each: sorted(each["exp_labels"].items()))


def _annotations(alert: Alert, group: Mapping[str, str], rules: Rules) -> dict[str, str]:
    rule = rules.by_name.get(alert.rule)
    if rule is None or not rule.summary or rule.name in rules.broken_templates:
        return dict(alert.text.annotations)
    return {**alert.text.annotations, "summary": render(rule.summary, variables_of(alert, group))}


class Exact(dict[str, str]):
    """Labels that an expectation must name all of."""


# ---------------------------------------------------------------------------------------------------------------------
# Comparing


def fits(want: Any, got: Any) -> bool:
    """Return whether what is wanted is there; what it does not name may be anything. `=~` and `!~` begin a regular expression."""
    if isinstance(want, Mapping):
        if not isinstance(got, Mapping) or (isinstance(got, Exact) and want.keys() != got.keys()):
            return False
        return all(key in got and fits(value, got[key]) for key, value in want.items())
    if isinstance(want, list):
        return isinstance(got, list) and len(want) == len(got) and all(map(fits, want, got))
    if isinstance(want, str) and want.startswith("=~"):
        return isinstance(got, str) and _pattern(want[2:]).matches(got)
    if isinstance(want, str) and want.startswith("!~"):
        return isinstance(got, str) and not _pattern(want[2:]).matches(got)
    return type(want) is type(got) and bool(want == got) if isinstance(want, bool) else bool(want == got)


def _pattern(text: str) -> Pattern:
    try:
        return compiled(text, dot_newline=True)
    except PatternError as error:
        raise PromtoolError(f"expect: {text[:60]!r} is no regular expression of RE2: {error}") from None


def compared(want: Sequence[Mapping[str, Any]], got: Sequence[Mapping[str, Any]]) -> Iterator[Difference]:
    """Yield both in their order, as a difference with as many equal lines as there can be."""
    lengths = _common(want, got)
    missing: list[Mapping[str, Any]] = []
    extra: list[Mapping[str, Any]] = []
    i = j = 0
    while i < len(want) or j < len(got):
        if i < len(want) and j < len(got) and fits(want[i], got[j]):
            yield from _changed(missing, extra)
            missing, extra = [], []
            yield Difference(" ", want[i])
            i, j = i + 1, j + 1
        elif j == len(got) or (i < len(want) and lengths[i + 1][j] >= lengths[i][j + 1]):
            missing.append(want[i])
            i += 1
        else:
            extra.append(got[j])
            j += 1
    yield from _changed(missing, extra)


def _common(want: Sequence[Any], got: Sequence[Any]) -> list[list[int]]:
    """Return for each pair of rests, how many of their entries fit in order."""
    found = [[0] * (len(got) + 1) for _ in range(len(want) + 1)]
    for i in reversed(range(len(want))):
        for j in reversed(range(len(got))):
            if fits(want[i], got[j]):
                found[i][j] = found[i + 1][j + 1] + 1
            else:
                found[i][j] = max(found[i + 1][j], found[i][j + 1])
    return found


def _changed(missing: Sequence[Mapping[str, Any]], extra: Sequence[Mapping[str, Any]]) -> Iterator[Difference]:
    """Yield what was expected, each beside what came in its place, shown by the same keys."""
    for place in range(max(len(missing), len(extra))):
        keys: tuple[str, ...] = SHOWN_KEYS
        if place < len(missing):
            yield Difference("-", missing[place])
            keys = ("at", *(key for key in missing[place] if key != "at"))
        if place < len(extra):
            shown = {key: extra[place][key] for key in keys if key in extra[place]}
            if place >= len(missing):
                shown["alerts"] = [{"name": each["name"], "labels": each["labels"]} for each in extra[place]["alerts"]]
            yield Difference("+", shown)
