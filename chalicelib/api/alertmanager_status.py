"""What Alertmanager's API v2 says of the router itself: its version, its receivers, and the rules in Alertmanager's form.

The configuration is made of the rules, so that `amtool config show` and `amtool config routes` work. It holds no address
and no secret: each receiver is a route by its id, without targets. Windows, escalation and correlation have no place there.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from chalicelib import VERSION
from chalicelib.api.alertmanager_alerts import stamp
from chalicelib.core.context import Context
from chalicelib.core.match import Matcher
from chalicelib.core.rule import Route, Rules

API_VERSION = "0.34.0"
"""The Alertmanager whose API v2 is answered."""
HEAD = (
    "# Made from the rules of this stage. A receiver is a route by its id; its targets are in alert-rules.yaml.\n"
    "# Windows, escalation, acknowledgements and correlation have no place in this form.\n"
)
NEVER = "10y"
"""Of a route that reminds nobody: Alertmanager knows no repeat_interval without an end."""
_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))

Shown = dict[str, Any]


def status(rules: Rules, context: Context, now: datetime) -> Shown:
    """Return what GET /api/v2/status answers. There is no cluster: the store is shared by all that runs."""
    return {
        "cluster": {"name": "", "status": "disabled", "peers": []},
        "versionInfo": {
            "version": API_VERSION,
            "revision": f"tocsin-{VERSION}",
            "branch": "tocsin",
            "buildUser": "",
            "buildDate": "",
            "goVersion": "",
        },
        "config": {"original": configuration(rules)},
        "uptime": _began(context, now),
    }


def receivers(rules: Rules) -> list[Shown]:
    """Return the routes as receivers, by name."""
    return [{"name": name, "labels": {}} for name in _names(rules)]


def configuration(rules: Rules) -> str:
    """Return the rules in the form of Alertmanager's configuration, as YAML."""
    own = [_of_rule(rule.name, rule.route) for rule in rules.rules if rule.route is not None]
    root = {**_route(rules.default), "routes": [*own, *map(_route, rules.routes)]}
    root.pop("matchers", None)
    root.pop("continue", None)
    found = {
        "global": {"resolve_timeout": duration(rules.options.resolve_timeout)},
        "route": root,
        "receivers": [{"name": name} for name in _names(rules)],
        "inhibit_rules": [
            {
                "source_matchers": _matchers(each.cause),
                "target_matchers": _matchers(each.symptom),
                "equal": list(each.equal),
            }
            for each in rules.inhibitions
        ],
    }
    return HEAD + "".join(f"{line}\n" for line in _mapping(found, ""))


def duration(length: timedelta) -> str:
    """Return a duration in the largest unit that has it whole: `90s`, `4h`."""
    left = length // timedelta(milliseconds=1)
    unit, size = next((unit, size) for unit, size in _UNITS if left % size == 0 and (left >= size or unit == "ms"))
    return f"{left // size}{unit}"


def _names(rules: Rules) -> list[str]:
    return sorted(rules.routes_by_id)


def _of_rule(name: str, route: Route) -> Shown:
    """Return the route of a rule: what it fires has its name, and comes to no other route."""
    return {**_route(route), "matchers": _matchers([Matcher("alertname", "=", name)])}


def _route(route: Route) -> Shown:
    options = route.options
    found: Shown = {"receiver": route.id}
    if route.matchers:
        found["matchers"] = _matchers(route.matchers)
    if route.continues:
        found["continue"] = True
    found |= {
        "group_by": list(options.group_by),
        "group_wait": duration(options.group_wait),
        "group_interval": duration(options.group_interval),
        "repeat_interval": NEVER if options.repeat_interval is None else duration(options.repeat_interval),
    }
    if route.routes:
        found["routes"] = [_route(each) for each in route.routes]
    return found


def _matchers(matchers: Sequence[Matcher]) -> list[str]:
    return [f"{each.label}{each.operator}{json.dumps(each.value, ensure_ascii=False)}" for each in matchers]


def _began(context: Context, now: datetime) -> str:
    return stamp(datetime.fromisoformat(found)) if (found := context.marks.get("began_at")) else stamp(now)


def _mapping(of: Mapping[str, Any], indent: str) -> Iterator[str]:
    """Yield a mapping as lines of YAML. A scalar or a list of texts is JSON, which is YAML too."""
    for name, value in of.items():
        if isinstance(value, Mapping):
            yield f"{indent}{name}:"
            yield from _mapping(value, f"{indent}  ")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            yield f"{indent}{name}:"
            for each in value:
                first, *rest = _mapping(each, f"{indent}    ")
                yield f"{indent}  - {first.strip()}"
                yield from rest
        else:
            yield f"{indent}{name}: {json.dumps(value, ensure_ascii=False)}"
