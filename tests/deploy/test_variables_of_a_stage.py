"""`${NAME}` of a stage: `tocsin check --stage` and a plan look it up in the Parameter Store of the stage."""

from pathlib import Path

import pytest

from cli import main
from deploy.parameters import put_parameters
from local.cloud import Cloud
from tests.project import clients, copied, environment

TEXT = """
default: {notification: [{slack_channel: "${SLACK_ALERTS}"}]}
fallback: {notification: [{email: ops@example.com}]}
"""


@pytest.fixture
def stage(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """An account, and a rules file with a variable in the current folder."""
    for name, value in environment(cloud).items():
        monkeypatch.setenv(name, value)
    (tmp_path / "rules.yaml").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    return cloud


def test_check_names_what_a_stage_lacks(stage: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    """Given a variable → a mistake while the stage has no value, none once it has one, and none of another stage's."""
    put_parameters(clients(stage)("ssm"), "dev", {"SLACK_ALERTS": "#alerts-dev"}, there={})
    assert main.main(["check", "rules.yaml", "--stage", "qa"]) == 2
    assert "rules.yaml:2:42: the variable SLACK_ALERTS has no value" in capsys.readouterr().out
    assert main.main(["check", "rules.yaml", "--stage", "dev"]) < 2
    assert "has no value" not in (said := capsys.readouterr().out) and "#alerts-dev" in said


def test_check_goes_on_where_the_stage_cannot_be_asked(
    stage: Cloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given no keys of AWS → the reason, and a check without the stage."""
    for name in environment(stage):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert main.main(["check", "rules.yaml", "--stage", "qa"]) < 2
    assert "variables: AWS is not set up" in capsys.readouterr().err


def test_a_plan_takes_the_values_of_a_parameters_file(
    stage: Cloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given rules with a variable → a plan is refused without its value, and drawn with it in the parameters file."""
    project = copied(tmp_path)
    (project / "requirements.txt").write_text("")
    (project / "alert-rules.yaml").write_text(TEXT)
    (project / "qa.env").write_text('SLACK_ALERTS="#alerts-qa"\n')
    command = ["deploy", "--stage", "qa", "--new-stage", "--plan", "--project-dir", str(project)]
    assert main.main(command) == 1
    assert "alert-rules.yaml:2:42: the variable SLACK_ALERTS has no value" in capsys.readouterr().err
    assert main.main([*command, "--parameters", str(project / "qa.env")]) == 0
    assert "+ parameter /tocsin/qa/SLACK_ALERTS" in capsys.readouterr().out
    assert "#alerts-qa" in (project / "chalicelib" / "compiled-rules.json").read_text()
