"""tocsin test: the tests of a rules file, promtool's rule tests, and what is said of those that fail."""

import argparse
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.metrics.sample import MAX_VALUE
from cli import test as command
from simulation.promtool import PromtoolError, series_of, values_of
from simulation.rule_test import compared, fits

RULES = """\
metrics: [up]
alerts:
  - {name: High Error Rate, condition: "error_rate > 1%", for: 2m, severity: critical,
     notification: [{slack_channel: "#incidents"}, {pagerduty: true}]}
  - {name: InstanceDown, condition: "up == 0", for: 5m, severity: critical, labels: {team: infra},
     summary: "Instance {{ labels.instance }} down", notification: [{slack_channel: "#alerts"}]}
"""

RIGHT = (
    RULES
    + """\
tests:
  - name: pending, then told
    given:
      - {at: 0, sample: {metric: error_rate, value: 0.03, labels: {service: api}}}
      - {at: 120, sample: {metric: error_rate, value: 0.03, labels: {service: api}}}
    expect:
      - {at: 119, states: [{name: High Error Rate, state: pending}]}
      - {at: 150, reason: opened, target: {slack_channel: "#incidents"}, text: "=~(?s).*3 %.*", delivered: true}
      - {at: 150, reason: opened, target: {pagerduty: true}}
      - {at: 150, states: [{name: High Error Rate, state: firing, labels: {service: api}}]}
  - name: one per cent is not over one per cent
    input_series: [{series: 'error_rate{service="api"}', values: "0.01x10"}]
    expect: []
"""
)


@pytest.fixture
def tested(tmp_path, capsys):
    """Run the command over files of these names and texts: exit status, what was printed, and what was complained of."""

    def run(*options, **files):
        for name, text in files.items():
            (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
        names = [str(tmp_path / f"{name}.yaml") for name in files if name != "rules" or len(files) == 1]
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        arguments = parser.parse_args([*names, *options])
        status = command.run(arguments)
        found = capsys.readouterr()
        return status, found.out.replace(f"{tmp_path}/", ""), found.err.replace(f"{tmp_path}/", "")

    return run


def test_tests_that_hold_exit_0(tested):
    """Each test is one line with its place; notifications and states are both compared, at their times."""
    assert tested(rules=RIGHT) == (
        0,
        "rules.yaml:8: pending, then told: ok\nrules.yaml:17: one per cent is not over one per cent: ok\n\n2 passed.\n",
        "",
    )


def test_a_test_that_fails_shows_the_difference(tested):
    """What was expected stands beside what came, by the same keys, as YAML that could stand in the file."""
    wrong = RIGHT.replace("{pagerduty: true}}\n      - {at: 150", "{email: ops@example.com}}\n      - {at: 150")
    status, printed, _ = tested(rules=wrong.replace("state: pending", "state: firing"))
    assert status == 1
    assert printed.splitlines() == [
        "rules.yaml:8: pending, then told: FAILED",
        "    - expected, + came",
        "      {at: 150, reason: opened, target: {slack_channel: '#incidents'}, text: '=~(?s).*3 %.*', delivered: true}",
        "    - {at: 150, reason: opened, target: {email: ops@example.com}}",
        "    + {at: 150, reason: opened, target: {pagerduty: true}}",
        "    - {at: 119, name: High Error Rate, state: firing}",
        "    + {at: 119, name: High Error Rate, state: pending}",
        "      {at: 150, name: High Error Rate, state: firing, labels: {service: api}}",
        "rules.yaml:17: one per cent is not over one per cent: ok",
        "",
        "1 passed, 1 failed.",
    ]


def test_what_was_not_expected_fails(tested):
    """A notification that no expectation names is told with where it went and about what."""
    status, printed, _ = tested(rules=RIGHT.replace('values: "0.01x10"', 'values: "0.02x10"'))
    assert status == 1
    assert (
        "    + {at: 150, reason: opened, status: firing, target: {slack_channel: '#incidents'}, delivered: true, alerts: "
        "[{name: High Error Rate, labels: {service: api}}]}" in printed.splitlines()
    )
    assert "1 passed, 1 failed." in printed


def test_tools_get_one_object_of_tests(tested):
    """`--json` names each test with what is missing and what was not expected."""
    status, printed, _ = tested("--json", rules=RIGHT.replace("pagerduty: true}}", "pagerduty: other}}"))
    found = json.loads(printed)
    assert (status, found["passed"], found["failed"]) == (1, 1, 1)
    first = found["tests"][0]
    assert (first["name"], first["line"], first["passed"]) == ("pending, then told", 8, False)
    assert first["missing"] == [{"at": 150, "reason": "opened", "target": {"pagerduty": "other"}}]
    assert first["unexpected"] == [{"at": 150, "reason": "opened", "target": {"pagerduty": True}}]


CANNOT = [
    # what stands in the test, in which line of it the mistake is told, what is told
    ("given: [{sample: {}}]\n    expect: []", 1, "`at` is missing; expected are seconds from 0 or RFC 3339"),
    ("given: [{at: 5, end: true}, {at: 0, end: true}]\n    expect: []", 1, "`at` is before the line above; expected"),
    ("given:\n      - {at: 0, smple: 1}\n    expect: []", 2, "expected is exactly one of webhook, event, sample"),
    ("expect: [{at: 0, states: [], x: 1}]", 0, "expect: 'x' stands beside states; allowed is {at: 60, states: ["),
    ("expect: [{states: []}]", 0, "expect: states stand without at; allowed is {at: 60, states: [{name: …, state"),
    ("alert_rule_test: [{eval_time: 5, alertname: A}]", 0, "eval_time '5' is not a duration; allowed is a number and"),
    ("alert_rule_test: [{eval_time: 5m}]", 0, "alert_rule_test: alertname is missing; allowed are eval_time, alertn"),
    ("alert_rule_test: [{alertname: A, exp_alerts: [{labels: {}}]}]", 0, "exp_alerts: 'labels' is not a key; allowed"),
    (
        "given: [{at: 1.0e+300, end: true}]\n    expect: []",
        0,
        "`at` is not a time: the number is no time of the years 1870",
    ),
    ("expect: [{at: '0001-01-01T00:00:00+14:00'}]", 0, "`at` is not a time: '0001-01-01T00:00:00+14:00' is no time of"),
    ("expect: [{at: 1.0e+300, states: []}]", 0, "`at` is not a time: the number is no time of the years 1870 to 2199"),
    ("interval: 99999999999d\n    expect: []", 0, "interval '99999999999d' is not a duration; allowed"),
    ("alert_rule_test: [{eval_time: 99999999999999d, alertname: A}]", 0, "eval_time '99999999999999d' is not a"),
    ("input_series: [{series: a, values: 1e400}]\n    expect: []", 0, "value '1e400' is too large; allowed are numb"),
    ("input_series: [{series: a, values: 1e99}, {series: a, values: 1e101}]\n    expect: []", 0, "`value` of `sample`"),
    ("interval: 3660d\n    input_series: [{series: a, values: 1x99}]\n    expect: []", 0, "`at` is not a time"),
    ("input_series: [{series: 'a b', values: 1}]\n    expect: []", 0, "series 'a b' is not understood; allowed is nam"),
    ("input_series: [{series: a, value: 1}]\n    expect: []", 0, "'value' is not a key of input_series; allowed are s"),
    (
        "input_series: [{series: a, values: '{{x}}'}]\n    expect: []",
        0,
        "values are native histograms, which Tocsin doe",
    ),
]


@pytest.mark.parametrize(("test", "line", "message"), CANNOT, ids=[row[2] for row in CANNOT])
def test_a_test_that_cannot_be_run_says_why_and_exits_2(tested, test, line, message):
    """What a test should be is told, with the line of the file where that is known."""
    status, printed, _ = tested(rules=f"{RULES}tests:\n  - name: t\n    {test}\n")
    assert status == 2
    assert printed.startswith(f"rules.yaml:{RULES.count(chr(10)) + 2 + line}: t: cannot be run: {message}")


def test_files_with_mistakes_are_not_run(tested, tmp_path):
    """Every mistake of the file is told, and none of its tests run."""
    status, printed, complained = tested(rules='alerts: [{name: A, condition: "eror_rate > 1%"}]\ntests: [{nme: x}]')
    assert (status, printed) == (2, "")
    assert "rules.yaml:1:32: 'eror_rate' is not a known metric" in complained
    assert "rules.yaml:2:10: 'nme' is not a key of a test" in complained
    assert tested(str(tmp_path / "none.yaml"))[0] == 2


def test_a_file_without_tests_says_so(tested):
    """Nothing to run is no failure."""
    assert tested(rules=RULES) == (0, "no tests.\n", "")


# ---------------------------------------------------------------------------------------------------------------------
# promtool

PROMTOOL = """\
rule_files: [rules.yaml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: 'up{job="prometheus", instance="localhost:9090"}'
        values: '0 0 0 0 0 0 0 0 0 0 0 0 0 0 0'
      - series: 'up{job="node_exporter", instance="localhost:9100"}'
        values: '1+0x6 0 0 0 0 0 0 0 0'
      - series: 'go_goroutines{job="prometheus", instance="localhost:9090"}'
        values: '10+10x2 30+20x5'
    alert_rule_test:
      - eval_time: 4m
        alertname: InstanceDown
      - eval_time: 10m
        alertname: InstanceDown
        exp_alerts:
          - exp_labels: {severity: critical, team: infra, instance: 'localhost:9090', job: prometheus}
            exp_annotations: {summary: "Instance localhost:9090 down"}
    promql_expr_test:
      - {expr: go_goroutines > 5, eval_time: 4m, exp_samples: []}
"""


def test_a_test_file_of_promtool_is_run(tested):
    """Series are samples, firing alerts are compared with labels and summary; what cannot be checked is counted and fails."""
    assert tested(rules=RULES, promtool=PROMTOOL) == (
        1,
        "promtool.yaml:4: test 1: ok\n    not checked: promql_expr_test: Tocsin has no PromQL\n\n1 passed, 1 not checked.\n",
        "",
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("team: infra, ", ""),
        ("job: prometheus}", "job: other}"),
        ("Instance localhost:9090 down", "Instance localhost:9100 down"),
        ("eval_time: 4m", "eval_time: 5m"),
        ("eval_time: 10m", "eval_time: 13m"),
    ],
)
def test_expected_alerts_must_be_those_that_fire(tested, old, new):
    """All labels must be named, annotations and times must be right, and no other alert of the name may fire."""
    status, printed, _ = tested(rules=RULES, promtool=PROMTOOL.replace(old, new))
    assert status == 1
    assert "    + {eval_time: " in printed


@pytest.mark.parametrize(
    ("rule_files", "message"),
    [
        ("[]", "promtool.yaml:1: rule_files names no file; allowed is one rules file, or --rules FILE"),
        ("[none.yaml]", "promtool.yaml:1: rule_files names 0 files; allowed is one rules file"),
        ("['*.yaml']", "promtool.yaml:1: rule_files names 2 files; allowed is one rules file"),
    ],
)
def test_one_rules_file_must_be_named(tested, rule_files, message):
    """Tocsin has one rules file; where the test file names another number, that is told."""
    promtool = PROMTOOL.replace("[rules.yaml]", rule_files)
    assert tested(rules=RULES, promtool=promtool) == (2, "", f"{message}\n")


def test_rules_of_prometheus_are_not_understood(tested, tmp_path):
    """PromQL is not Tocsin's language; `--rules` names a file that is."""
    promtool = PROMTOOL.replace("rules.yaml", "prometheus.yaml")
    (tmp_path / "prometheus.yaml").write_text("groups: [{name: a, rules: [{alert: A, expr: up == 0}]}]\n", "utf-8")
    status, _, complained = tested(rules=RULES, promtool=promtool)
    assert status == 2
    assert complained == (
        "prometheus.yaml: is a rules file of Prometheus; allowed is a rules file of Tocsin, or --rules FILE\n"
    )
    status, printed, _ = tested("--rules", str(tmp_path / "rules.yaml"), rules=RULES, promtool=promtool)
    assert (status, printed.splitlines()[-1]) == (1, "1 passed, 1 not checked.")


NAN = math.nan
EXPANDED = [
    # What promtool 2.42 of Debian 12 makes of each, asked with `last_over_time(m[30s])` a minute apart.
    ("1+2x3", [1, 3, 5, 7]),
    ("1-2x4", [1, -1, -3, -5, -7]),
    ("-2+4x3", [-2, 2, 6, 10]),
    (" 1x4", [1, 1, 1, 1, 1]),
    ("1 _x3 stale", [1, None, None, None, NAN]),
    ("_ 1 _", [None, 1, None]),
    ("0.1+0.1x2", [0.1, 0.2, 0.3]),
    ("1e2x1", [100, 100]),
    (".5x1", [0.5, 0.5]),
    ("1.x2", [1, 1, 1]),
    ("-1-0.5x2", [-1, -1.5, -2]),
    ("1 2 3", [1, 2, 3]),
    ("_x0 1", [1]),
    ("1x0", [1]),
    ("+1+1x2", [1, 2, 3]),
    ("1e1+1e0x2", [10, 11, 12]),
    ("0x10", [0] * 11),
    ("1 -1", [1, -1]),
    ("01", [1]),
    ("1+0x3", [1, 1, 1, 1]),
    ("", []),
    # Prometheus keeps these as values; a sample of Tocsin has a finite value or none: the largest stands for infinity.
    ("Inf NaN -Inf 1 +inf", [MAX_VALUE, NAN, -MAX_VALUE, 1, MAX_VALUE]),
]


@pytest.mark.parametrize(("text", "values"), EXPANDED)
def test_values_expand_as_promtool_expands_them(text, values):
    """The expanding notation, missing and stale samples."""
    assert values_of(text) == pytest.approx(values, nan_ok=True)


REFUSED = ["1X2", "5+-1x2", "stalex3", "1x", "1_", "1.5.5", "1e", "--1", "1-1", "1+1", "0x3+1x2", "Infx2", "1+Infx2"]
REFUSED += ["1e400", "-1e400", "1e308+1e308x9", "1e999999999999999999999", "1+1e999999999x2", "9" * 400]
REFUSED += ["_x", "1__", "1x-1", "1x999999999999", "1 + 2x3"]


@pytest.mark.parametrize("text", REFUSED)
def test_values_that_promtool_refuses_are_refused(text):
    """What promtool 2.42 does not parse is no value here either."""
    with pytest.raises(PromtoolError):
        values_of(text)


@given(st.integers(-50, 50), st.integers(-9, 9), st.integers(0, 30))
def test_a_step_is_added_so_often(first, step, more):
    """`a+bxn` is n + 1 samples, each larger by b."""
    assert values_of(f"{first}{step:+d}x{more}") == [first + step * count for count in range(more + 1)]


def test_series_are_names_with_labels():
    """Quotes of three kinds, escapes, commas at the end; the name may be a label."""
    assert series_of("up") == ("up", {})
    assert series_of("up{}") == ("up", {})
    assert series_of("""a:b{x="1,2", y='"', z=`\\n`, q="a\\"b",}""") == (
        "a:b",
        {"x": "1,2", "y": '"', "z": "\\n", "q": 'a"b'},
    )
    assert series_of('{__name__="up", job="x"}') == ("up", {"job": "x"})
    assert series_of('up{job="", a="b"}') == ("up", {"a": "b"})
    for text in ("", "{}", "up{job}", 'up{job="x"', "up{job=x}", 'up{job="x" y="z"}', 5, None):
        with pytest.raises(PromtoolError):
            series_of(text)


# What fires of `up == 0` a minute apart, as promtool 2.42 answers it for each minute: F fires, . does not.
PROMETHEUS = [
    ("0m", "0m", "1 0 1 0 1 0 1 0 1 0 0 0 1 0", ".F.F.F.F.FFF.F"),
    ("1m", "0m", "0 1 0 0 0 0 1 1 0 1 0 0 0 1 0 0 1 0 1 0", "...FFF.....FF..F...."),
    ("3m", "2m", "0 0 1 0 0 0 0 0 0 0 1 1 1 0 0 1 1 0 0 1", "......FFFFFF........"),
    ("2m", "4m", "0 1 1 0 0 0 0 1 0 1 0 0 1 0 0 1 1 1 0 1", ".....FFFFFFFFFFFFFFF"),
    ("2m", "0m", "1 0 0 1 0 0 0 0 1 1", "......FF.."),
    ("5m", "1m", "1 0 0 0 0 1 0 0 0 0 1 1 1", "............."),
    ("0m", "1m", "1 1 0 0 0 _ 0 0 1 1 0 _ 1 0 _ 1 0 0 1 0", "..FFFFFFF.FFFFFFFFFF"),
    ("0m", "4m", "0 1 1 1 1 1 1 0", "FFFFF..F"),
    ("2m", "2m", "0 1 0 1 0 0 1 0", "........"),
    ("2m", "2m", "0 0 0 1 1 0 0 1 1 1 1", "..FFFFFFF.."),
    ("1m", "1m", "0 0 1 0 1 1 0 0 1 0 1", ".FFFF..FFFF"),
]


@pytest.mark.parametrize(("hold", "keep", "values", "answer"), PROMETHEUS)
def test_for_and_keep_firing_for_are_those_of_prometheus(tested, hold, keep, values, answer):
    """Pending drops at once when the condition ends; a firing alert holds for its time, and longer when it returns."""
    rule = f"name: A, condition: 'up == 0', for: {hold}, keep_firing_for: {keep}, flapping: false"
    rules = f"metrics: [up]\nalerts: [{{{rule}, notification: [{{slack_channel: '#a'}}]}}]\n"
    fires = [
        f"      - {{eval_time: {minute}m, alertname: A, exp_alerts: {'[{}]' if sign == 'F' else '[]'}}}"
        for minute, sign in enumerate(answer)
    ]
    promtool = (
        f"rule_files: [rules.yaml]\ntests:\n  - input_series: [{{series: up, values: '{values}'}}]\n"
        "    alert_rule_test:\n" + "\n".join(fires) + "\n"
    )
    status, printed, _ = tested(rules=rules, promtool=promtool)
    assert status == 0, printed


# ---------------------------------------------------------------------------------------------------------------------
# Comparing


def test_what_is_wanted_fits_what_has_it():
    """Mappings by their keys, lists entry by entry, true only true, and `=~` and `!~` regular expressions."""
    assert fits({"a": 1}, {"a": 1.0, "b": 2})
    assert not fits({"a": None}, {})
    assert fits([{"a": 1}], [{"a": 1, "b": 2}])
    assert not fits([], [1])
    assert not fits(True, 1)
    assert fits("=~a.+", "abc") and not fits("=~a", "abc")
    assert fits("!~a", "abc") and not fits("!~a.+", "a\nc")
    assert not fits("=~(a+)+$", "a" * 32 + "!")


def test_a_wrong_pattern_is_a_mistake_of_the_test():
    """What RE2 refuses stops the test with the pattern and its column."""
    with pytest.raises(PromtoolError, match=r"'\(\?=a\)' is no regular expression of RE2: column 1: look-ahead"):
        fits({"text": "=~(?=a)"}, {"text": "a"})


@given(st.lists(st.integers(0, 3), max_size=8), st.lists(st.integers(0, 3), max_size=8))
def test_a_difference_has_both_sides_and_no_more(want, got):
    """Without the lines that came it is what was expected, without those that were expected what came."""
    found = list(compared([{"at": each} for each in want], [{"at": each, "alerts": []} for each in got]))
    assert [each.what["at"] for each in found if each.sign in " -"] == want
    assert [each.what["at"] for each in found if each.sign in " +"] == got
    if want == got:
        assert {each.sign for each in found} <= {" "}
