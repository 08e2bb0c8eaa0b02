"""The JSON Schema of a rules file, for editors: the form, and what each key means beside it."""

from collections.abc import Iterator
from typing import Any

from chalicelib.rules.file.form import FileForm
from chalicelib.rules.file.outside import probe_meanings
from chalicelib.targets import kinds

MEANINGS = {
    "ack_timeout": "How long an acknowledgement holds.",
    "active": "Windows outside of which nobody is notified.",
    "after": "How long after the first notification, with nobody acknowledging.",
    "alert_rule_test": "What fires at a time, as promtool asks it.",
    "access": "Who may look, act and change, at every door; without it everybody who is signed in may act.",
    "admin": "Who may also roll back, redrive and make tokens: names, Slack ids, mail addresses, or *.",
    "alerts": "The rules.",
    "after_ack": "A critical alert that begins later than this after an acknowledgement makes a sound; off: never.",
    "aliases": "What it is called elsewhere, by source or label: sentry: [api-backend], probe: [api-health].",
    "by": "Labels that the alerts of one incident have in common.",
    "cause": "Clauses that the alert matches which mutes others.",
    "changes": "How many changes; more are flapping.",
    "clear": "A condition: the alert ends when this holds, not when its condition stops to.",
    "condition": "When it is enough, such as error_rate > 1% or events[1m] > 10; without it every firing event is.",
    "continue": "Whether the routes after this one are tried too.",
    "correlate": "Which alerts are one incident, whatever their rules and routes; false: those of this one are not.",
    "dates": "The dates on which it opens: 2026-12-24, 12-24 for every year, or a range with to.",
    "days": "The days on which it opens; left out, every day.",
    "days_of_month": "The days of the month on which it opens: 1, -1 for the last, or a range with to.",
    "months": "The months in which it opens: jan to dec.",
    "holidays": "Lists of dates by their names; in a window, the lists on whose dates it opens.",
    "default": "Who is notified of what no rule and no route takes.",
    "defaults": "What every rule and route says that says nothing else.",
    "depends_on": "The services that it needs: with `correlate` a critical alert of one of them explains its alerts.",
    "equal": "Labels that must be the same in the cause and in the symptom.",
    "escalate": "Who else is notified when nobody acknowledges.",
    "expect": "Notifications in their order, and states of alerts at times.",
    "fallback": "Who is notified of what could not be delivered.",
    "flapping": "When an alert that comes and goes is notified once, as flapping; false: never.",
    "for": "How long the condition must hold first.",
    "from": "When it opens, such as 22:00 in quotes.",
    "given": "Lines of `tocsin replay`.",
    "group_by": "Labels: alerts with the same values are notified together. []: all; ... : each set of labels.",
    "group_interval": "How far apart changes of one incident are notified.",
    "group_wait": "How long the first message waits for others of its group.",
    "inhibit": "Causes that mute their symptoms.",
    "input_series": "Series in promtool's expanding notation.",
    "interval": "How far apart the samples of input_series are.",
    "join_within": "An alert joins an incident whose last news is at most so old.",
    "keep_firing_for": "How long it still fires after its end.",
    "annotations": "Texts that its messages show as fields, with templates.",
    "labels": "Labels that the alerts of the rule get.",
    "links": "Pages about it, by their titles; messages have a button for each.",
    "match": 'Clauses over labels: a value, or one after =, !=, =~ or !~, such as "=~api|web".',
    "max_age": "An alert joins an incident that began at most so long ago.",
    "max_alerts": "How many alerts an incident lists.",
    "metrics": "Further metrics that conditions may name.",
    "mute": "Windows in which nobody is notified.",
    "name": "Its name, once in the file.",
    "enabled": "false: the rule is checked and decides nothing; its open alerts end at the deploy.",
    "no_data": "What an unknown condition does: keep the state, ok, or alert.",
    "notification": "Who is notified.",
    "openings": "So many incidents of a target are sent as messages of their own.",
    "owner": "Whose it is; messages show it.",
    "probes": "What Tocsin measures itself.",
    "receiver": "The name of a list under receivers.",
    "receivers": "Named lists of targets.",
    "mention": "Whom Slack notifies by name: ids of people and groups, here, channel, everyone.",
    "nobody": "Why nobody is notified: the alerts are recorded and listed.",
    "repeat_interval": "How often people are reminded of what still fires; never: they are not.",
    "resolve_timeout": "When what its sender never ends is taken as over.",
    "responder": "Who may acknowledge, silence, resolve, note and assign: names, Slack ids, mail addresses, or *.",
    "routes": "Who is notified of alerts whose rule names no target; the first that matches wins.",
    "runbook": "The page runbook/<name>.md; left out, the name of the rule in kebab-case.",
    "send_resolved": "Whether the end is notified too.",
    "services": "What is watched, by its name here.",
    "severity": "How bad; left out, the event's own, and warning for what is measured.",
    "sources": "Senders without a plug-in of their own.",
    "storm": "When openings are a storm: the next incidents of a target are sent as one message; off: never.",
    "summary": "A template, such as {{ value }} errors in {{ labels.service }}.",
    "symptom": "Clauses that alerts match which are muted.",
    "tests": "Timelines and what must come of them: `tocsin test`.",
    "thresholds": "What the word threshold means in rules that say no threshold, by metric.",
    "threshold": "What the word threshold means in the condition: a number, a percentage, a duration or a size.",
    "tier": "How much it matters: 1 is most.",
    "timeout": "How long the target may take to answer: 100ms to 30s.",
    "timezone": "The name of a time zone, such as America/Sao_Paulo.",
    "to": "When it closes; before `from`, it is on the next day.",
    "viewer": "Who may look: names, Slack ids, mail addresses, or *.",
    "webhooks": "Requests of your own for `webhook: name`: method, headers, body of fields.",
    "windows": "Calendars that mute, or outside of which it is quiet.",
    "within": "In which time.",
}
"""What a key means, for whoever writes it in an editor; the same word means the same everywhere. A file of targets/ or probes/ says what its own word means."""


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the file, for editors. A section may be empty, as it is when all its entries are comments."""
    schema: dict[str, Any] = _without_nulls(FileForm.model_json_schema(by_alias=True))
    schema["properties"] = {name: {"anyOf": [each, {"type": "null"}]} for name, each in schema["properties"].items()}
    meanings = MEANINGS | probe_meanings() | {name: kind.meaning for name, kind in kinds().items()}
    for properties in _properties(schema):
        for name, each in properties.items():
            if name in meanings:
                each.setdefault("description", meanings[name])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "alert-rules.yaml",
        **{key: value for key, value in schema.items() if key != "title"},
    }


def _properties(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the properties of every mapping that the schema describes."""
    if isinstance(value, dict) and isinstance(value.get("properties"), dict):
        yield value["properties"]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inner:
        yield from _properties(each)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _without_nulls(each)
            for key, each in value.items()
            if not (key == "default" and each is None) and not (key == "title" and isinstance(each, str))
        }
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value
