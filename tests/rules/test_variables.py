"""`${NAME}` in the place of a target: checked without a stage, filled in for one, and never the name of a channel."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib.core.errors import RulesError
from chalicelib.core.routing import all_targets
from chalicelib.rules.compiled import from_compiled
from chalicelib.rules.file import check, compile_rules, load, variables_of
from chalicelib.rules.loader import load_rules
from chalicelib.targets import kinds
from cli import main
from deploy.deployment import Deploy
from deploy.errors import DeployError
from deploy.known_names import known_names
from tests.project import ROOT

TEXT = """
receivers:
  team: [{email: "${TEAM_MAIL}"}]
alerts:
  - name: A
    condition: "error_rate > 1%"
    severity: critical
    notification: [{slack_channel: "${SLACK_ALERTS}"}, {receiver: team}]
    escalate: [{after: 5m, notification: [{pagerduty: "${PAGED}"}]}]
tests:
  - name: the channel of the stage is notified
    given: [{at: 0, sample: {metric: error_rate, value: 0.5, labels: {service: web}}}]
    expect:
      - {at: 30, reason: opened, target: {slack_channel: "${SLACK_ALERTS}"}}
      - {at: 30, reason: opened, target: {email: "${TEAM_MAIL}"}}
"""
VALUES = {"TEAM_MAIL": "ops@example.com", "SLACK_ALERTS": "#alerts-qa", "PAGED": "qa"}
KEYS = {"slack_channel:#alerts-qa", "email:ops@example.com", "pagerduty:qa"}
TIMELINE = (
    '{"at": 0, "sample": {"metric": "error_rate", "value": 0.5, "labels": {"service": "web"}}}\n{"at": 60, "end": 1}\n'
)


def test_without_a_stage_variables_are_listed_and_nothing_is_wrong() -> None:
    """Given a file with variables → no mistake, and each with its first line."""
    report = check(TEXT)
    assert (report.mistakes, dict(report.variables)) == ((), {"SLACK_ALERTS": 8, "PAGED": 9, "TEAM_MAIL": 3})
    assert variables_of(TEXT) == ("SLACK_ALERTS", "PAGED", "TEAM_MAIL")


@pytest.mark.parametrize("kind", kinds())
def test_a_target_of_any_kind_may_be_a_variable(kind: str) -> None:
    """Given a variable in the place of a target of each kind → it is read, and fills in as written."""
    text = f'default: {{notification: [{{{kind}: "${{CHOSEN}}"}}]}}'
    assert check(text).mistakes == ()
    with pytest.raises(RulesError, match="the variable CHOSEN has no value"):
        load(text, variables={}.get)


def test_values_take_the_places_of_variables() -> None:
    """Given values → rules, and rules that were compiled and read again, have them as if they had been written."""
    loaded = load(TEXT, variables=VALUES.get)
    shipped = from_compiled(compile_rules(TEXT, variables=VALUES.get))
    for rules in (loaded, shipped):
        assert {target.key for target in all_targets(rules)} == KEYS
    assert "${" not in compile_rules(TEXT, variables=VALUES.get)
    written = TEXT
    for name, value in VALUES.items():
        written = written.replace(f"${{{name}}}", value)
    assert repr(load(written)) == repr(loaded)


@pytest.mark.parametrize("missing", VALUES)
@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_variable_without_a_value_is_a_mistake(missing: str, value: str | None) -> None:
    """Given a value that is missing or empty → one mistake, with its name, its place and what to do; nothing is compiled."""
    values = {**VALUES, missing: value}
    with pytest.raises(
        RulesError, match=rf"rules.yaml:\d+:\d+: the variable {missing} has no value; .*secrets set {missing}"
    ):
        load(TEXT, filename="rules.yaml", variables=values.get)
    with pytest.raises(RulesError, match=f"{missing} has no value"):
        compile_rules(TEXT, variables=values.get)


def test_a_value_is_checked_as_if_it_were_written() -> None:
    """Given a value that is no channel → the mistake is at the variable."""
    with pytest.raises(RulesError, match=r"rules\.yaml:8:36: slack_channel is not a Slack channel: 'incidents'"):
        load(TEXT, filename="rules.yaml", variables={**VALUES, "SLACK_ALERTS": "incidents"}.get)


@pytest.mark.parametrize("value", ["#alerts-${TEAM}", "${slack}", "${}", "${A B}", "a${X}b", "${X", "${X}${Y}"])
def test_a_variable_is_a_whole_target(value: str) -> None:
    """Given a part of a target, or a name that is none → a mistake with and without a stage, never a channel of that name."""
    text = f"default: {{notification: [{{slack_channel: '{value}'}}]}}"
    for values in (None, {"X": "#x", "Y": "#y", "TEAM": "a"}.get):
        report = check(text, variables=values)
        assert "is no variable" in str(report.mistakes[0])
        assert report.rules is None


def test_values_of_variables_are_not_read_again() -> None:
    """Given a value that looks like a variable → it is no channel, and is not filled in a second time."""
    with pytest.raises(RulesError, match="the value of SLACK_ALERTS is a variable again"):
        load(TEXT, variables={**VALUES, "SLACK_ALERTS": "${PAGED}"}.get)


def test_elsewhere_such_text_stays() -> None:
    """Given `${NAME}` in a summary or a request of one's own → it is text, and no variable."""
    text = """
    alerts: [{name: A, condition: "error_rate > 1%", summary: "see ${PLACE}", notification: [{webhook: x}]}]
    webhooks: [{name: x, url: "https://example.com/", body: {slack_channel: "${PLACE}"}}]
    """
    report = check(text)
    assert (report.mistakes, dict(report.variables)) == ((), {})


def test_production_without_compiled_rules_notifies_no_such_channel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a folder with the rules file alone → its rules are refused where the environment has no values."""
    (tmp_path / "alert-rules.yaml").write_text(TEXT)
    for name in VALUES:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RulesError, match="has no value"):
        load_rules(tmp_path)
    for name, value in VALUES.items():
        monkeypatch.setenv(name, value)
    assert {target.key for target in all_targets(load_rules(tmp_path))} == KEYS


def test_names_of_variables_may_be_set() -> None:
    """Given a file with variables → `tocsin secrets` and a parameters file take their names."""
    known = known_names(load("alerts: []"), ROOT, variables_of(TEXT))
    assert all(known.is_known(name) and name in known.used for name in VALUES)
    assert not known.is_known("SLACK_ALERT")


# The commands --------------------------------------------------------------------------------------------------------


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A rules file with variables that the environment does not have."""
    for name in VALUES:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "rules.yaml").write_text(TEXT)
    (tmp_path / "timeline.jsonl").write_text(TIMELINE)
    (tmp_path / "qa.env").write_text("".join(f'{name}="{value}"\n' for name, value in VALUES.items()))
    return tmp_path / "rules.yaml"


def test_check_says_which_variables_a_stage_needs(rules: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given a check without a stage → the names with their lines, for people and for tools."""
    main.main(["check", str(rules)])
    said = capsys.readouterr().out
    assert "Variables: SLACK_ALERTS (line 8), PAGED (line 9), TEAM_MAIL (line 3); each stage gives them a value" in said
    main.main(["check", str(rules), "--json"])
    assert json.loads(capsys.readouterr().out)["variables"] == ["SLACK_ALERTS", "PAGED", "TEAM_MAIL"]


def test_tests_take_values_from_a_file_or_the_environment(
    rules: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given a rule test that expects a variable's channel → it passes with a file or the environment, and names what is missing."""
    assert main.main(["test", str(rules)]) == 2
    assert "the variable SLACK_ALERTS has no value" in capsys.readouterr().err
    assert main.main(["test", str(rules), "--variables", str(rules.with_name("qa.env"))]) == 0
    for name, value in VALUES.items():
        monkeypatch.setenv(name, value)
    assert main.main(["test", str(rules)]) == 0
    assert main.main(["test", str(rules), "--variables", str(rules.with_name("none.env"))]) == 2
    assert "there is no such file" in capsys.readouterr().err


def test_a_replay_notifies_the_values(rules: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given a timeline through rules with variables → the channel of the file is notified; without values nothing runs."""
    timeline = str(rules.with_name("timeline.jsonl"))
    assert main.main(["replay", str(rules), timeline, "--variables", str(rules.with_name("qa.env"))]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    notified = [line for line in found if line["type"] == "notification"]
    assert notified and "#alerts-qa" in str(notified) and "${" not in str(found)
    assert main.main(["replay", str(rules), timeline]) == 2
    assert "the variable SLACK_ALERTS has no value" in capsys.readouterr().err


def test_what_notifies_nobody_needs_no_values(rules: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given `tocsin parse` and `tocsin probe` with such rules → the variables are not asked for."""
    body = rules.with_name("body.json")
    body.write_text('{"alerts": []}')
    main.main(["parse", "alertmanager", str(body), "--rules", str(rules)])
    main.main(["probe", "none", "--rules", str(rules)])
    assert "has no value" not in capsys.readouterr().err


# The deploy ----------------------------------------------------------------------------------------------------------


class Ssm:
    """A Parameter Store with these parameters of the stage qa."""

    exceptions = SimpleNamespace(ParameterNotFound=KeyError)

    def __init__(self, there: Mapping[str, str]) -> None:
        self._there = there

    def get_parameter(self, Name: str, WithDecryption: bool) -> dict[str, dict[str, str]]:
        """One of them."""
        assert Name.startswith("/tocsin/qa/") and WithDecryption
        return {"Parameter": {"Value": self._there[Name.removeprefix("/tocsin/qa/")]}}


def job(folder: Path, there: Mapping[str, str], environment: Mapping[str, str], given: Mapping[str, str]) -> Deploy:
    """A deploy of a project that is nothing but rules."""
    (folder / "chalicelib").mkdir(exist_ok=True)
    (folder / "alert-rules.yaml").write_text(TEXT)
    clients: Any = lambda service: Ssm(there)  # noqa: E731
    return Deploy("qa", clients, environment, folder, given=given)


def test_a_deploy_ships_the_values_of_its_stage(tmp_path: Path) -> None:
    """Given a parameters file, parameters of the stage and an environment → the first that has a value, in this order."""
    there, environment = (
        {"PAGED": "store", "TEAM_MAIL": "store@example.com"},
        {"PAGED": "shell", "SLACK_ALERTS": "#shell"},
    )
    job(tmp_path, there, environment, {"TEAM_MAIL": "file@example.com"}).prepare()
    shipped = from_compiled((tmp_path / "chalicelib" / "compiled-rules.json").read_text())
    keys = {target.key for target in all_targets(shipped)}
    assert keys == {"slack_channel:#shell", "pagerduty:store", "email:file@example.com"}


def test_a_deploy_without_a_value_is_refused(tmp_path: Path) -> None:
    """Given a variable that nothing has a value for → DeployError with its place, and nothing is written."""
    with pytest.raises(DeployError, match=r"alert-rules.yaml:8:\d+: the variable SLACK_ALERTS has no value"):
        job(tmp_path, {"PAGED": "a"}, {"TEAM_MAIL": "a@example.com"}, {}).prepare()
    assert not (tmp_path / "chalicelib" / "compiled-rules.json").exists()
