"""Words of Prometheus and Alertmanager in a rules file, and what stands for them here.

https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/ and
https://prometheus.io/docs/alerting/latest/configuration/
"""

from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.rules.file.finding import Finding, Path

_OF_FILE = {
    "groups": "alerts",
    "global": "defaults",
    "route": "default and routes",
    "inhibit_rules": "inhibit",
    "time_intervals": "windows",
    "mute_time_intervals": "windows",
    "rules": "alerts",
}
_OF_RULE = {"alert": "name", "expr": "condition", "interval": "for", "notifications": "notification"}
_OF_ROUTE = {
    "receiver": "notification: [{receiver: …}]",
    "matchers": "match",
    "match_re": 'match with "=~…"',
    "mute_time_intervals": "mute",
    "active_time_intervals": "active",
    "timezone": "timezone in a window",
}
_OF_INHIBITION = {
    "source_match": "cause",
    "source_match_re": 'cause with "=~…"',
    "source_matchers": "cause",
    "target_match": "symptom",
    "target_match_re": 'symptom with "=~…"',
    "target_matchers": "symptom",
}
_OF_WINDOW = {"times": "from and to", "weekdays": "days", "location": "timezone", "years": "dates"}
_OF_TARGET = {"channel": "slack_channel", "to": "email", "routing_key": "pagerduty", "service_key": "pagerduty"}
_WORDS = {
    "the rules file": _OF_FILE,
    "a rule": _OF_RULE,
    "a route": _OF_ROUTE,
    "the default": _OF_ROUTE,
    "an inhibition": _OF_INHIBITION,
    "a window": _OF_WINDOW,
    "a target": _OF_TARGET,
}


def meant(container: str, key: str) -> str:
    """Return what stands here for a key of Prometheus or Alertmanager; empty where it is none."""
    return _WORDS.get(container, {}).get(key, "")


def whole_file(data: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what a file is that was written for Prometheus or Alertmanager: the first thing its reader needs to know."""
    place: Path
    if isinstance(data.get("groups"), list):
        place = ("groups",)
        yield Finding(
            place,
            "this is a rules file of Prometheus, whose expressions Tocsin does not read",
            "leaving it to Prometheus, which sends its alerts to /api/v2/alerts (docs/alertmanager.md), and conditions "
            "here over what Tocsin measures",
            at_key=True,
        )
    elif isinstance(data.get("route"), Mapping):
        place = ("route",)
        yield Finding(
            place,
            "this is a configuration of Alertmanager",
            "default and routes; docs/alertmanager.md says what stands here for each of its keys",
            at_key=True,
        )
