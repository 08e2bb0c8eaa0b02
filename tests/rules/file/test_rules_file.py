"""alert-rules.yaml: what loads, what it comes to, and what is said of every mistake."""

import json
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.core.calendar import Days
from chalicelib.core.delivery.target_kind import Capabilities
from chalicelib.core.errors import RulesError
from chalicelib.core.event import Severity
from chalicelib.core.language.units import KNOWN_METRICS
from chalicelib.core.rule import ALL_LABELS, Matcher, Rules, Target
from chalicelib.parameters import of_deliveries
from chalicelib.rules.compiled import COMPILED_NAME, RULES_NAME
from chalicelib.rules.file import check, compile_rules, from_compiled, json_schema, load
from chalicelib.rules.file.__main__ import PACKAGE, main
from chalicelib.rules.file.outside import PROMTOOL_FIELDS, missing_headings, probe_meanings
from chalicelib.rules.loader import load_rules
from chalicelib.targets import capabilities
from tests.rule_files import but_unmeasured

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / RULES_NAME

HERE = Path(__file__).parent
FOUR = (HERE / "four_rules.yaml").read_text(encoding="utf-8")
"""The first file anyone writes, as the design shows it."""
FORM = (HERE / "whole_form.yaml").read_text(encoding="utf-8")
"""The whole form as the design shows it; `[...]` stands for entries of one's own."""

WHOLE = """
defaults:      {group_by: [service, environment], group_wait: 30s, group_interval: 5m, repeat_interval: 4h,
                resolve_timeout: 24h, ack_timeout: 8h, max_alerts: 500, timezone: America/Sao_Paulo}
receivers:     {incidents: [{slack_channel: "#incidents"}, {pagerduty: true}]}
alerts:
  - name: Error spike
    match: {source: sentry, kind: error.created, service: "=~api|web", team: "!=ops"}
    condition: "events[1m] > 10"
    for: 2m
    clear: "events[1m] < 3"
    keep_firing_for: 10m
    no_data: keep
    severity: critical
    labels: {team: web}
    group_by: [service]
    group_wait: 0s
    repeat_interval: 4h
    notification: [{receiver: incidents}, {email: ops@example.com, send_resolved: false, timeout: 5s}]
    escalate: [{after: 15m, notification: [{pagerduty: true}, {pagerduty: team-x}]}]
    ack_timeout: 8h
    mute: [nights]
    runbook: spikes
    summary: "{{ value }} errors a minute in {{ labels.service }}"
    flapping: {changes: 4, within: 10m}
  - name: Anything else
    group_by: [...]
routes:
  - match: {severity: critical}
    notification: [{receiver: incidents}]
    repeat_interval: 1h
    escalate: [{after: 5m, notification: [{email: boss@example.com}]}]
    continue: true
    routes:
      - match: {service: api}
        group_by: []
      - match: {service: web}
        notification: [{webhook: "https://example.com/hook"}, {webhook: chatops}]
        active: [whole]
  - match: {team: db}
default:  {notification: [{slack_channel: "#alerts"}], repeat_interval: 12h}
fallback: {notification: [{email: ops@example.com}]}
inhibit:
  - {cause: {alertname: Service Downtime}, symptom: {severity: warning}, equal: [service]}
windows:
  nights: {days: [mon, tue, wed, thu, fri], from: "22:00", to: "06:00", timezone: Europe/Riga}
  whole:  {days: [sat, sun], from: "00:00", to: "24:00"}
  always: {}
probes:
  uptime: [{name: api, url: "https://api.example.com/health"}]
  heartbeat:
    - {name: backup, every: 1d, grace: 1h}
    - {name: report, cron: "0 10 * * *", timezone: Europe/Riga, grace: 5m}
sources: [{name: uptimerobot, auth: bearer, title: alert}]
"""


def listed(words):
    """The words as a message lists them."""
    return ", ".join(words)


def cases():
    """The wrong files of mistakes.txt: name, file, and what is said of it."""
    text = (Path(__file__).parent / "mistakes.txt").read_text(encoding="utf-8")
    text = text.replace("<targets>", listed(capabilities())).replace("<probes>", listed(probe_meanings()))
    text = re.sub(
        "<metrics( [a-z]+)?>", lambda found: listed(sorted({*KNOWN_METRICS, *(found[1] or "").split()})), text
    )
    for case in text.split("\n=== ")[1:]:
        name, _, rest = case.partition("\n")
        content, _, messages = rest.partition("\n--- \n")
        yield pytest.param(content.replace("→", "\t") + "\n", messages.strip().splitlines(), id=name)


# ---------------------------------------------------------------------------------------------------------------------
# What loads


def test_the_four_rules_load_as_they_stand():
    """The first file anyone writes means what it says."""
    rules = load(FOUR).rules
    assert [rule.name for rule in rules] == [
        "High Error Rate",
        "High Latency Warning",
        "Service Downtime",
        "Database Growth",
    ]
    assert [rule.condition.text for rule in rules] == [
        "error_rate > 1%",
        "p95_latency_ms > 500",
        "uptime < 99%",
        "db_size_gb > threshold",
    ]
    assert [rule.severity for rule in rules] == [
        Severity.CRITICAL,
        Severity.WARNING,
        Severity.CRITICAL,
        Severity.WARNING,
    ]
    assert rules[0].route.targets == (Target("slack_channel", "#incidents"), Target("email", "ops@example.com"))
    assert rules[2].route.targets == (Target("pagerduty", "default"), Target("slack_channel", "#incidents"))
    assert (rules[3].threshold, rules[3].runbook, rules[3].route.id) == (8.0, "database-growth", "rule/Database Growth")


def test_the_whole_form_of_a_rule():
    """Every key of a rule arrives where it belongs."""
    rule = load(WHOLE).rules[0]
    assert rule.matchers == (
        Matcher("kind", "=", "error.created"),
        Matcher("service", "=~", "api|web"),
        Matcher("source", "=", "sentry"),
        Matcher("team", "!=", "ops"),
    )
    assert (rule.hold, rule.keep_firing_for) == (timedelta(minutes=2), timedelta(minutes=10))
    assert (rule.clear.text, rule.no_data, rule.labels) == ("events[1m] < 3", "keep", {"team": "web"})
    assert (rule.runbook, rule.flap_changes, rule.flap_window) == ("spikes", 4, timedelta(minutes=10))
    assert rule.route.targets == (
        Target("slack_channel", "#incidents"),
        Target("pagerduty", "default"),
        Target("email", "ops@example.com", send_resolved=False, timeout=timedelta(seconds=5)),
    )
    assert rule.route.escalate[0].after == timedelta(minutes=15)
    assert [target.key for target in rule.route.escalate[0].targets] == ["pagerduty:default", "pagerduty:team-x"]
    assert (rule.route.mute, rule.route.options.group_by) == (("nights",), ("service",))
    assert (rule.route.options.group_wait, rule.options) == (timedelta(0), rule.route.options)
    assert rule.route.options.timezone == "America/Sao_Paulo"


ENTRIES = {
    "uptime": '{name: api, url: "https://api.example.com/health"}',
    "database": "{name: main, dsn: DATABASE_URL}",
    "redis": "{name: cache, url: REDIS_URL}",
    "cloudflare": "{name: site, zone: 023e105f4ecef8ad9ca31a8372d0c353}",
    "heartbeat": "{name: backup, every: 1d, grace: 1h}, {name: report, cron: '0 10 * * *', timezone: Europe/Riga}",
    "journey": '{name: sign-in, base: "https://example.com", steps: [{name: open, get: /}]}',
    "tests": "{name: nothing, given: [{at: 0, end: true}], expect: []}",
}


def filled_form():
    """The whole form with an entry wherever the design leaves them to the reader."""
    return re.sub(r"(\w+):(\s+)\[\.\.\.\]", lambda place: f"{place[1]}:{place[2]}[{ENTRIES[place[1]]}]", FORM)


def test_the_whole_form_loads_as_it_stands():
    """The form that the design shows has no mistakes once its `[...]` have entries, and every part of it counts."""
    text = filled_form()
    assert "[...]" not in text
    report = check(text)
    assert (report.mistakes, report.warnings) == ((), ())
    rules = load(text)
    assert rules == from_compiled(compile_rules(text))
    assert [rule.name for rule in rules.rules] == ["Error spike"]
    assert sorted(rules.probes) == sorted(ENTRIES.keys() - {"tests"})
    assert (rules.routes[0].continues, rules.default.targets) == (True, (Target("slack_channel", "#alerts"),))
    assert (rules.windows["whole"].days.week, rules.windows["nights"].timezone) == ({5, 6}, "America/Sao_Paulo")
    assert rules.inhibitions[0].equal == ("service",)


def test_a_rule_that_names_no_one_leaves_it_to_the_routes():
    """Such a rule has no route of its own, but keeps the rhythm it says."""
    rules = load(WHOLE)
    rule = rules.rules[1]
    assert (rule.route, rule.options.group_by, rule.runbook) == (None, (ALL_LABELS,), "anything-else")
    assert [route.id for route in rules.routes_for(rule, {"severity": "critical", "service": "web"})] == [
        "route/severity=critical/service=web"
    ]
    assert [route.id for route in rules.routes_for(rule, {"severity": "info"})] == ["default"]


def test_routes_inherit_what_they_do_not_say():
    """Targets, rhythm and escalation come from above; windows do not."""
    rules = load(WHOLE)
    parent, child, other = rules.routes[0], *rules.routes[0].routes
    assert (parent.id, child.id, other.id) == (
        "route/severity=critical",
        "route/severity=critical/service=api",
        "route/severity=critical/service=web",
    )
    assert (parent.continues, child.targets, child.escalate) == (True, parent.targets, parent.escalate)
    assert (child.options.repeat_interval, child.options.group_by) == (timedelta(hours=1), ())
    assert [target.key for target in other.targets] == ["webhook:https://example.com/hook", "webhook:chatops"]
    assert (other.active, child.active) == (("whole",), ())
    assert rules.routes[1].targets == rules.default.targets == (Target("slack_channel", "#alerts"),)
    assert rules.default.options.repeat_interval == timedelta(hours=12)
    assert rules.fallback.targets == (Target("email", "ops@example.com"),)


def test_windows_probes_and_inhibitions():
    """Windows have minutes and zones; probes and sources are kept as read."""
    rules = load(WHOLE)
    nights, whole, always = (rules.windows[name] for name in ("nights", "whole", "always"))
    assert (nights.days.week, nights.from_minute, nights.to_minute) == (frozenset(range(5)), 1320, 360)
    assert (nights.timezone, whole.timezone) == ("Europe/Riga", "America/Sao_Paulo")
    assert (whole.days.week, whole.to_minute, always.days, always.to_minute) == ({5, 6}, 1440, Days(), 1440)
    assert rules.probes["heartbeat"][0] == {"name": "backup", "every": "1d", "grace": "1h"}
    assert rules.sources == ({"name": "uptimerobot", "auth": "bearer", "title": "alert"},)
    assert rules.inhibitions[0].equal == ("service",)


@pytest.mark.parametrize("text", ["alerts: []", "routes: [{notification: [{email: a@b.c}]}]", "probes:\nalerts: []"])
def test_files_without_rules_load(text):
    """Routes alone, or nothing at all, are a rules file."""
    assert load(text).rules == ()


def test_without_a_default_the_fallback_hears():
    """Nothing is unrouted while anybody is named for what could not be delivered."""
    rules = load("fallback: {notification: [{email: a@b.c}]}")
    assert rules.default.targets == rules.fallback.targets


def test_anchors_and_merges_are_read():
    """A file may say a thing once and use it twice."""
    rules = load(
        "alerts:\n  - &a {name: A, severity: info, notification: &n [{email: a@b.c}]}\n  - {<<: *a, name: B}\n"
        "default: {notification: *n}\n"
    )
    assert [(rule.name, rule.severity) for rule in rules.rules] == [("A", "info"), ("B", "info")]


def test_a_threshold_has_a_number_in_the_unit_of_the_condition():
    """`8GB` beside a metric in GB is 8."""
    rules = load('alerts: [{name: A, condition: "db_size_gb > threshold", threshold: 8GB}]')
    assert rules.rules[0].threshold == 8.0


def test_flapping_can_be_switched_off():
    """`flapping: false` never holds an alert open."""
    assert load("alerts: [{name: A, flapping: false}]").rules[0].flap_changes == -1


# ---------------------------------------------------------------------------------------------------------------------
# Mistakes


@pytest.mark.parametrize(("text", "messages"), list(cases()))
def test_every_mistake_is_told(text, messages):
    """A wrong file is refused with exactly these lines."""
    with pytest.raises(RulesError) as caught:
        load(text, filename="rules.yaml")
    assert str(caught.value).splitlines() == messages


def test_there_are_enough_wrong_files():
    """The table stays as large as it was meant to be."""
    assert len(list(cases())) >= 40


def test_all_mistakes_are_told_at_once():
    """Mistakes of form, sense and YAML come together, in the order of their lines."""
    text = (
        'alerts:\n  - name: A\n    condition: "eror_rate > 1%"\n    severity: bad\n'
        "    notification: [{receiver: nobody}]\n  - name: A\n    labels: {x: no}\nwindows: {w: {from: 7}}\n"
    )
    found = check(text).mistakes
    assert [mistake.line for mistake in found] == [3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize("secret", ["http://hooks.slack.com/services/T0/B0/SECRET", "https://u:SECRET@x.example/"])
def test_no_secret_is_repeated(secret):
    """What could be a secret is not shown in a mistake."""
    for kind in ("slack_channel", "webhook", "email", "pagerduty", "receiver"):
        report = check(f"default: {{notification: [{{{kind}: {json.dumps(secret)}}}]}}\n")
        assert report.mistakes
        assert not any("SECRET" in str(mistake) for mistake in report.mistakes)


TESTS = [
    ("{nme: a, expect: []}", "1:10: 'nme' is not a key of a test; allowed is name, given, expect, interval,"),
    ("{name: a}", "1:9: the test expects nothing; allowed is expect: [] where nobody must be notified"),
    ("{expect: [], given: 5}", "1:29: given is not a list of mappings; allowed is a list, such as [{at: 0, …}]"),
    ("{expect: {}}", "1:18: expect is not a list of mappings; allowed is a list, such as [{at: 0, …}]"),
]


@pytest.mark.parametrize(("test", "message"), TESTS, ids=[row[0] for row in TESTS])
def test_a_wrong_test_is_told_and_stops_no_router(test, message):
    """The form of a test is checked before the deploy; at run time tests do not matter."""
    text = f"tests: [{test}]"
    assert [str(each).startswith(f"alert-rules.yaml:{message}") for each in check(text).mistakes] == [True]
    assert load(text) == from_compiled(compile_rules(text)) == Rules(kinds=capabilities())


def test_templates_may_be_tolerated():
    """As in production, a rule with a broken template is loaded, and named."""
    text = 'alerts: [{name: A, summary: "{{ valeu }}"}, {name: B, summary: "{{ value }}"}]'
    with pytest.raises(RulesError):
        load(text)
    rules = load(text, tolerate_templates=True)
    assert list(rules.broken_templates) == ["A"]
    assert "did you mean value" in rules.broken_templates["A"]


@pytest.mark.parametrize(("count", "refused"), [(3_000, False), (3_001, True)])
def test_more_probes_than_a_stage_runs_are_refused(count, refused):
    """Given more than 3,000 probes → refused with what is allowed; heartbeats are none."""
    probes = "".join(f"\n    - {{name: p{number}, host: a, port: 1}}" for number in range(count))
    probes += "\n  heartbeat:\n    - {name: backup, every: 1h}"
    report = check(f"{WHOLE.partition('probes:')[0]}probes:\n  tcp:{probes}\n")
    said = [str(each) for each in report.mistakes if "than a stage runs" in str(each)]
    assert len(said) == refused and all("3,001 probes are more than a stage runs" in each for each in said)


def test_lists_of_kinds_begin_with_those_that_are_used_most():
    """Given the kinds of targets and probes → their lists begin in the order of `place` and PLACE, not of the alphabet."""
    assert list(capabilities())[:6] == ["slack_channel", "email", "pagerduty", "webhook", "discord", "teams"]
    probes = ["uptime", "database", "redis", "cloudflare", "heartbeat", "journey", "supabase", "tcp", "dns", "domain"]
    assert list(probe_meanings())[:10] == probes


def test_every_metric_of_a_probe_is_known():
    """What the probes write as samples can be named in a condition."""
    written = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "chalicelib" / "probes").glob("*.py"))
    found = set(re.findall(r'(?:Sample|Rate|\.add)\(\s*"(\w+)"|measured\["(\w+)"\]', written))
    names = {name for pair in found for name in pair if name}
    assert names >= {"uptime", "latency_ms"}
    unknown = sorted(names - set(KNOWN_METRICS))
    assert not unknown, f"add to KNOWN_METRICS in chalicelib/core/language/units.py: {', '.join(unknown)}"


def test_metrics_can_be_declared():
    """A metric of the team's own is known when the file or the caller names it."""
    rule = '\nalerts: [{name: A, condition: "queue_depth > 5"}]'
    assert load("metrics: [queue_depth]" + rule).rules[0].condition.metrics == {"queue_depth"}
    assert load(rule, metrics=["queue_depth"]).rules
    with pytest.raises(RulesError, match="'queue_depth' is not a known metric"):
        load(rule)
    assert load(rule, tolerate_templates=True).rules
    with pytest.raises(RulesError, match="did you mean error_rate"):
        load(rule.replace("queue_depth > 5", "eror_rate > 5%"), tolerate_templates=True)


PAGE = "# A\n\n## Meaning\n\n## Impact\n\n## Diagnosis\n\n## Mitigation\n"

WARNINGS = [
    ("alerts: [{name: My Rule}]", {}, "1:17: the rule has no page runbook/my-rule.md"),
    ("alerts: [{name: A, runbook: pag}]", {"page": PAGE}, "1:29: the rule has no page runbook/pag.md"),
    ("alerts: [{name: A}]", {"a": PAGE.replace("## Impact", "```\n## Impact\n```")}, "lacks Impact"),
    ("routes: [{}, {match: {service: api}}]", None, "1:14: the route is never reached: route/0 takes all"),
    ("routes: [{match: {a: x}}, {match: {a: x, b: y}}]", None, "1:27: the route is never reached: route/0 takes"),
    ('routes: [{match: {a: "=~x|y"}}, {match: {a: x}}]', None, "the route is never reached"),
    ("routes: [{match: {a: x}, routes: [{match: {a: y}}]}]", None, "route is never reached: a=x and a=y exclude"),
    ("windows: {w: {days: []}}", None, "the window w never opens: days is empty"),
    ("windows: {w: {from: '09:00', to: '09:00'}}", None, "the window w never opens: it ends where it begins"),
    (
        "windows: {w: {from: '08:00', to: '18:00'}}\nroutes: [{mute: [w], active: [w]}]",
        None,
        "nobody is ever notified: w, w leave no time",
    ),
    ("windows: {w: {dates: []}}", None, "the window w never opens: dates is empty"),
    ("windows: {w: {months: [jul]}}\nroutes: [{mute: [w], active: [w]}]", None, "w, w leave no time"),
    ("defaults: {repeat_interval: 1m}", None, "1:29: repeat_interval is shorter than group_interval"),
    ("defaults: {group_interval: 5h}", None, "1:28: repeat_interval is shorter than group_interval"),
    (
        'alerts: [{name: A, condition: "forecast(db_size_gb[1h], 14d) > 8GB"}]',
        None,
        "1:32: 14d are foretold from 1h, which says little; allowed is a window of at least a tenth: 1d9h36m",
    ),
    (
        "alerts: [{name: High Error Rate}]\ninhibit: [{cause: {alertname: Hihg Error Rate}, symptom: {severity: info}}]",
        None,
        "2:31: alertname: no rule is named 'Hihg Error Rate'; allowed is the name of a rule, or what a sender calls its "
        "alert; did you mean High Error Rate",
    ),
    (
        "alerts: [{name: A, match: {servcie: api}}]",
        None,
        "1:28: 'servcie' is a label that nothing known carries; allowed is a label that docs/sources.md has, or that a sender "
        "sets; did you mean service",
    ),
    (
        "alerts: [{name: A}]\ndefaults: {group_by: [servise]}",
        None,
        "2:23: 'servise' is a label that nothing known carries; allowed is a label that docs/sources.md has, or that a sender "
        "sets; did you mean service",
    ),
    (
        "alerts: [{name: A}]\ninhibit: [{cause: {alertname: A}, symptom: {severity: info}, equal: [enviroment]}]",
        None,
        "did you mean environment",
    ),
    ("alerts: [{name: A}]\ncorrelate: {by: [sevice]}", None, "did you mean service"),
    ("alerts: [{name: A, match: {source: sentry, kind: error}}]", None, "the kind 'error', so this never matches"),
    ("alerts: [{name: A, match: {kind: error.creatd}}]", None, "did you mean error.created"),
    ("alerts: [{name: A, match: {source: vercel, kind: '=~deploy[.].+'}}]", None, "no event of vercel has the kind"),
    (
        "alerts: [{name: A, condition: 'error_rate > 1%'}]",
        None,
        "1:31: no probe of the file measures error_rate: this rule cannot fire; allowed is an entry under probes: of the kind "
        "cloudflare (docs/probes.md)",
    ),
    (
        "alerts: [{name: A, condition: 'db_size_gb > 8', match: {probe: man}}]\n"
        "probes: {database: [{name: main, dsn: DATABASE_URL}]}",
        None,
        "1:31: no probe that measures db_size_gb has probe=man: this rule cannot fire; allowed is labels of main",
    ),
]
NO_DOUBTS = [
    "alerts: [{name: A, match: {kind: HighCpu, resource: x, services: y}}]",
    "alerts: [{name: A, match: {source: sentry, kind: '=~issue[.].+'}}]",
    "alerts: [{name: A, match: {source: sentry, kind: '!=error'}}]",
    "alerts: [{name: A, match: {source: shop, kind: order}}]\nsources: [{name: shop, auth: bearer, id: id}]",
    "alerts: [{name: A, labels: {sevice: x}}, {name: B, match: {sevice: x}}]",
    "alerts: [{name: A, condition: 'errors_per_min > 5'}]",
    "alerts: [{name: A, condition: 'mine > 5'}]\nmetrics: [mine]",
    "alerts: [{name: A, condition: 'uptime < 99%', match: {service: api}}]\nprobes: {tcp: [{name: api, host: a.test, port: 25}]}",
    "alerts: [{name: A, condition: 'requests_per_min > 1', match: {zone: '=~.+'}}]\n"
    "probes: {cloudflare: [{name: site, zone: 023e105f4ecef8ad9ca31a8372d0c353}]}",
    "alerts: [{name: A, condition: 'uptime < 99%', match: {service: shop}}]\n"
    "probes: {tcp: [{name: api, host: a.test, port: 25}]}\nservices: {shop: {aliases: {probe: [api]}}}",
]


@pytest.mark.parametrize("text", NO_DOUBTS)
def test_what_may_come_is_not_doubted(text):
    """Labels and kinds that a sender may name, and metrics that a probe measures or that the file declares, have no warning."""
    assert check(text).warnings == ()


@pytest.mark.parametrize(("text", "pages", "message"), WARNINGS, ids=[row[2] for row in WARNINGS])
def test_doubts_are_warnings(text, pages, message):
    """What works but helps nobody is a warning, and a mistake only when strict."""
    report = check(text, runbooks=pages)
    assert not report.mistakes
    found = report.warnings if "measures" in message else but_unmeasured(report.warnings)
    assert [message in str(warning) for warning in found] == [True], report.warnings
    assert load(text, runbooks=pages)
    with pytest.raises(RulesError):
        load(text, runbooks=pages, strict=True)


ROUND = """\
inhibit:
  - {cause: {alertname: A}, symptom: {alertname: "=~B|X"}, equal: [service]}
  - cause: {alertname: B}
    symptom: {alertname: C, team: web}
  - {cause: {alertname: C}, symptom: {alertname: A}}
"""
BOTH_WAYS = (
    "inhibit: [{cause: {alertname: A}, symptom: {alertname: B}},\n {cause: {alertname: B}, symptom: {alertname: A}}]"
)
LEVELS = (
    "inhibit: [{cause: {alertname: A}, symptom: {severity: warning}}, {cause: {alertname: B}, symptom: {alertname: A}}]"
)
CIRCLES = [
    ("two ways", BOTH_WAYS, ["alertname=A mutes alertname=B (line 1), alertname=B mutes alertname=A (line 2)"]),
    (
        "three ways, by an alternative of a pattern",
        ROUND,
        [
            "alertname=A mutes alertname=~B|X (line 2), alertname=B mutes alertname=C team=web (line 3), "
            "alertname=C mutes alertname=A (line 5)"
        ],
    ),
    ("a pattern that leaves the cause out", ROUND.replace("=~B|X", "=~D|X"), []),
    ("a pattern that takes the cause in", ROUND.replace("=~B|X", "=~[BX]"), ["mutes alertname=~[BX] (line 2)"]),
    (
        "a pattern that excludes the cause leaves a shorter circle",
        ROUND.replace("=~B|X", "!~A|B.*"),
        ["circle: alertname=A mutes alertname!~A|B.* (line 2), alertname=C mutes alertname=A (line 5);"],
    ),
    ("labels that exclude each other", ROUND.replace("{alertname: C}, s", "{alertname: C, team: db}, s"), []),
    (
        "labels of equal carry what a cause says",
        BOTH_WAYS.replace("A}, symptom: {alertname: B}", "A, env: x}, symptom: {alertname: B}, equal: [env]").replace(
            "{cause: {alertname: B}", "{cause: {alertname: B, env: y}"
        ),
        [],
    ),
    ("a severity that may be", LEVELS, ["alertname=A mutes severity=warning (line 1), alertname=B mutes alertname=A"]),
    ("a severity that its rule excludes", f"alerts: [{{name: B, severity: critical}}]\n{LEVELS}", []),
    (
        "a severity that its rule has",
        f"alerts: [{{name: B, severity: warning}}]\n{LEVELS}",
        ["severity=warning (line 2)"],
    ),
    (
        "two circles that share an inhibition",
        f"{BOTH_WAYS[:-1]},\n {{cause: {{alertname: B, a: x}}, symptom: {{alertname: A}}}}]",
        ["alertname=B a=x mutes alertname=A (line 3)", "alertname=B mutes alertname=A (line 2)"],
    ),
    ("one that matches itself in part", 'inhibit: [{cause: {a: x}, symptom: {a: "=~x|y", b: z}}]', []),
    ("a chain", "inhibit: [{cause: {a: x}, symptom: {a: y}}, {cause: {a: y}, symptom: {a: z}}]", []),
]


@pytest.mark.parametrize(("text", "paths"), [row[1:] for row in CIRCLES], ids=[row[0] for row in CIRCLES])
def test_circles_of_inhibitions_are_warnings(text, paths):
    """Each circle is one warning, with the clauses and the line of every inhibition on it."""
    report = check(text)
    assert report.mistakes == ()
    assert len(report.warnings) == len(paths)
    for warning, path in zip(report.warnings, paths, strict=True):
        assert "inhibitions can form a circle: " in warning.what
        assert path in warning.what


def test_many_circles_are_reported_in_part():
    """Given a hundred inhibitions that all follow each other, fifty circles are reported."""
    entries = ", ".join(f"{{cause: {{a: x{n}}}, symptom: {{b: y{n}}}}}" for n in range(100))
    assert len(check(f"inhibit: [{entries}]").warnings) == 50


def test_routes_that_continue_let_others_be_reached():
    """A route after one that continues, or that matches less, is reached."""
    text = "routes: [{continue: true}, {match: {a: x, b: y}}, {match: {a: x}}, {match: {a: '=~x|y'}}, {}]"
    assert check(text).warnings == ()


def test_four_headings_make_a_page():
    """Their level and case do not matter; headings in code do not count."""
    assert missing_headings(PAGE) == []
    assert missing_headings(PAGE.replace("## Impact", "### impact ##")) == []
    assert missing_headings("text") == ["Meaning", "Impact", "Diagnosis", "Mitigation"]


YAMLISH = ["alerts:", "\n", "  - ", "name: ", "A", "[", "]", "{", "}", "routes:", "&a ", "*a", ": "]


@settings(max_examples=150)
@given(
    st.one_of(
        st.text(max_size=80),
        st.lists(st.sampled_from(YAMLISH), max_size=20).map("".join),
    )
)  # fmt: skip
def test_no_text_breaks_the_loader(text):
    """Any text loads or is a RulesError with places."""
    try:
        assert isinstance(load(text), Rules)
    except RulesError as error:
        assert str(error).startswith("alert-rules.yaml:")


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=6) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
KEYS = ["defaults", "receivers", "alerts", "routes", "default", "inhibit", "windows", "probes", "sources", "tests"]
RULE_KEYS = [
    "name",
    "match",
    "condition",
    "notification",
    "escalate",
    "mute",
    "labels",
    "summary",
    "flapping",
    "threshold",
]


@settings(max_examples=200)
@given(
    st.dictionaries(st.sampled_from(KEYS), JSONISH, max_size=3),
    st.dictionaries(st.sampled_from(RULE_KEYS), JSONISH, max_size=4),
)
def test_no_wrong_form_breaks_the_loader(content, rule):
    """Whatever stands where something else belongs is told, not a crash."""
    text = json.dumps({**content, "alerts": [rule], "routes": content.get("routes", [rule])})
    try:
        load(text)
    except RulesError as error:
        assert str(error).startswith("alert-rules.yaml:")


@pytest.mark.parametrize(
    "text",
    [
        "!!bool ale",
        "a: " + "9" * 5000,
        "a: &a [*a]",
        "a: " + "[" * 500 + "]" * 500,
        "x: &x [1,1]\n" + "".join(f"y{n}: [*x, *x]\n" for n in range(9)),
    ],
)
def test_files_that_blow_up_are_refused(text):
    """Aliases of themselves and deep nesting end as a mistake."""
    with pytest.raises(RulesError):
        load(text)


# ---------------------------------------------------------------------------------------------------------------------
# The compiled form


@pytest.mark.parametrize("text", [FOUR, WHOLE], ids=["four", "whole"])
def test_compiled_rules_are_the_same_rules(text):
    """What is shipped means what the file says."""
    assert from_compiled(compile_rules(text)) == load(text)


def test_compiled_rules_need_no_yaml():
    """A worker that loads compiled rules imports neither YAML nor pydantic."""
    code = (
        "import sys; from chalicelib.rules.compiled import from_compiled\n"
        "rules = from_compiled(sys.stdin.read())\n"
        "assert len(rules.rules) == 4\n"
        "assert not {'yaml', 'pydantic', 'pydantic_core'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], input=compile_rules(FOUR), text=True, check=True, cwd=ROOT)


def test_a_worker_reads_from_compiled_rules_what_its_targets_need():
    """Given compiled rules, when a delivery asks for its parameters → those of the files, of which none is imported."""
    code = (
        "import app, sys; from chalicelib import parameters; from chalicelib.rules.compiled import from_compiled\n"
        "from chalicelib.deliver.dispatch import dispatch; from chalicelib.process.worker import process\n"
        "from chalicelib.schedule.tick import tick; from chalicelib import wiring\n"
        "print(*parameters.of_deliveries(from_compiled(sys.stdin.read())))\n"
        "heavy = {'boto3', 'botocore', 'httpx', 'httpcore', 'yaml', 'pydantic'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert not [name for name in sys.modules if name.startswith('chalicelib.targets.')]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=compile_rules(FOUR), text=True, check=True, cwd=ROOT, capture_output=True
    )
    assert done.stdout.split() == [*of_deliveries(load(FOUR))]


def test_compiled_rules_name_what_every_kind_can_do():
    """A worker that loads compiled rules knows the kinds of targets, and has imported no file of targets/."""
    code = (
        "import sys; from chalicelib.rules.compiled import from_compiled\n"
        "rules = from_compiled(sys.stdin.read())\n"
        "assert not [name for name in sys.modules if name.startswith('chalicelib.targets')]\n"
        "print({kind for kind, can in rules.kinds.items() if can.pages})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=compile_rules(FOUR), text=True, check=True, cwd=ROOT, capture_output=True
    )
    assert done.stdout == "{'pagerduty'}\n"
    assert from_compiled(compile_rules(FOUR)).kinds == capabilities()


def test_rules_that_the_version_before_compiled_are_read_from_their_text(tmp_path):
    """A compiled file without kinds counts as none: the rules know what every kind can do, and what the file says now."""
    (tmp_path / RULES_NAME).write_text(FOUR, encoding="utf-8")
    content = json.loads(compile_rules(FOUR))
    (tmp_path / COMPILED_NAME).write_text(
        json.dumps({"v": 1, "sha256": content["sha256"], "rules": content["rules"]}), encoding="utf-8"
    )
    assert load_rules(tmp_path) == load(FOUR)
    assert load_rules(tmp_path).kinds == capabilities()


def test_what_a_later_version_says_of_a_kind_is_left_out():
    """A capability that this code does not know, and one that is missing, harm nothing."""
    content = json.loads(compile_rules(FOUR))
    content["kinds"] = {"siren": {"pages": True, "sings": True}}
    assert from_compiled(json.dumps({**content, "rules": {}})).kinds == {"siren": Capabilities(pages=True)}


def test_the_loader_prefers_what_belongs_to_the_file(tmp_path):
    """Compiled rules are used while they are of the same text; a changed file counts at once."""
    (tmp_path / RULES_NAME).write_text(FOUR, encoding="utf-8")
    assert load_rules(tmp_path) == load(FOUR)
    compiled = json.loads(compile_rules(FOUR))
    compiled["rules"]["alerts"] = compiled["rules"]["alerts"][:1]
    (tmp_path / COMPILED_NAME).write_text(json.dumps(compiled), encoding="utf-8")
    assert len(load_rules(tmp_path).rules) == 1
    (tmp_path / RULES_NAME).write_text(FOUR + "# changed\n", encoding="utf-8")
    assert load_rules(tmp_path) == load(FOUR)
    (tmp_path / COMPILED_NAME).write_text("{broken", encoding="utf-8")
    assert load_rules(tmp_path) == load(FOUR)


def test_a_folder_is_compiled_for_a_deploy(tmp_path, capsys):
    """The command writes what the loader takes, and stops a deploy with every mistake."""
    (tmp_path / RULES_NAME).write_text(FOUR, encoding="utf-8")
    assert main(["compile", str(tmp_path)]) == 0
    assert from_compiled((tmp_path / COMPILED_NAME).read_text(encoding="utf-8")) == load(FOUR)
    (tmp_path / RULES_NAME).write_text("alerts: 5", encoding="utf-8")
    assert main(["compile", str(tmp_path)]) == 2
    assert "alerts is the number 5; allowed is a list" in capsys.readouterr().err
    assert main([]) == 2


def test_a_missing_or_broken_file_is_told(tmp_path):
    """Without rules the router says so; compiled rules of another version are refused."""
    with pytest.raises(RulesError, match="cannot be read"):
        load_rules(tmp_path)
    (tmp_path / RULES_NAME).write_bytes(b"\xff\xfe\xff")
    with pytest.raises(RulesError, match="UTF-8"):
        load_rules(tmp_path)
    for text in ("", "[]", '{"v": 1}', '{"v": 99, "rules": {}}'):
        with pytest.raises(RulesError, match="compile again"):
            from_compiled(text)
    with pytest.raises(RulesError):
        compile_rules("alerts: 5")


# ---------------------------------------------------------------------------------------------------------------------
# What is shipped


def test_the_shipped_file_has_no_mistakes():
    """The file that a team starts from is right, begins with the four rules, and is what Lambda gets.

    Its four thresholds have a warning each until the team writes its probes.
    """
    text = SHIPPED.read_text(encoding="utf-8")
    report = check(text)
    assert (report.mistakes, but_unmeasured(report.warnings)) == ((), [])
    named = [re.search(r"measures (\w+):", each.what)[1] for each in report.warnings]
    assert named == ["error_rate", "p95_latency_ms", "uptime", "db_size_gb"]
    assert [rule.condition for rule in report.rules.rules[:4]] == [rule.condition for rule in load(FOUR).rules]
    assert (ROOT / "chalicelib" / RULES_NAME).resolve() == SHIPPED.resolve()
    assert text.startswith("# yaml-language-server: $schema=docs/alert-rules.schema.json\n")


def test_the_compile_command_finds_the_shipped_rules():
    """Without a folder, `compile` works on the package that holds alert-rules.yaml."""
    assert (PACKAGE / RULES_NAME).resolve() == SHIPPED.resolve()
    assert (PACKAGE.parent / "docs" / "alert-rules.schema.json").is_file()


def test_the_schema_is_up_to_date():
    """docs/alert-rules.schema.json is what the model says: `python -m chalicelib.rules.file schema` writes it."""
    published = json.loads((ROOT / "docs" / "alert-rules.schema.json").read_text(encoding="utf-8"))
    assert published == json_schema()


SCHEMA_REFUSES = [
    "alerts: [{nam: A}]",
    "alerts: [{condition: 'events[1m] > 1'}]",
    "alerts: {name: A}",
    "alerts: [{name: A, severity: bad}]",
    "alerts: [{name: A, for: 5}]",
    "alerts: [{name: A, for: 5 minutes}]",
    "alerts: [{name: A, no_data: never}]",
    "alerts: [{name: A, notification: {slack_channel: '#a'}}]",
    "alerts: [{name: A, notification: [{slack: '#a'}]}]",
    "alerts: [{name: A, notification: [], match: [a]}]",
    "defaults: {max_alerts: 0}",
    "default: {for: 5m}",
    "inhibit: [{cause: {a: b}}]",
    "windows: {w: {days: [monday]}}",
    "windows: {w: {from: '9:00'}}",
    "routes: [{continue: 'yes'}]",
    "tests: [{nme: a}]",
    "tests: [{given: 5}]",
    "tests: [{name: a}]",
    "default: {notification: [{}]}",
    "default: {notification: [{slack_channel: '#a', email: a@example.com}]}",
    "default: {notification: [{slack_channel: incidents}]}",
    "default: {notification: [{email: ops}]}",
    "default: {notification: [{pagerduty: false}]}",
    "x: 1",
]


def test_editors_say_what_every_key_means():
    """Each key of the schema has its sentence; what of promtool does not apply has none."""
    schema = json_schema()
    forms = [schema, *schema["$defs"].values(), schema["properties"]["tests"]["anyOf"][0]["items"]]
    mute = {name for form in forms for name, key in form["properties"].items() if not key.get("description")}
    assert mute == set(PROMTOOL_FIELDS)


def test_the_schema_takes_right_files_and_refuses_wrong_ones():
    """Editors see the same form as the loader."""
    import jsonschema
    import yaml

    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for text in (FOUR, WHOLE, filled_form(), SHIPPED.read_text(encoding="utf-8")):
        assert list(validator.iter_errors(yaml.safe_load(text))) == []
    for text in SCHEMA_REFUSES:
        assert list(validator.iter_errors(yaml.safe_load(text))), text


def test_a_threshold_comes_from_the_defaults():
    """Given a rule without a threshold and a default of its metric → the rule has that one; its own counts before it."""
    rules = load(
        "defaults: {thresholds: {db_size_gb: 8GB, uptime: 99%}}\n"
        "alerts:\n"
        '  - {name: Growth, condition: "db_size_gb > threshold", notification: [{email: a@example.com}]}\n'
        '  - {name: Own, condition: "db_size_gb > threshold", threshold: 9, notification: [{email: a@example.com}]}\n'
        '  - {name: None, condition: "db_size_gb > 7", notification: [{email: a@example.com}]}\n'
    )
    assert [rule.threshold for rule in rules.rules] == [8.0, 9.0, None]
