"""docs/getting-started.md, word for word: its commands run in their order on the embedded AWS, and print what it says."""

import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.cloud import Cloud
from local.guard import key_headers
from tests.project import ROOT, copied

pytestmark = pytest.mark.acceptance

PAGE = (ROOT / "docs" / "getting-started.md").read_text("utf-8")
BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
REPLACED = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)
DOCTOR = ".venv/bin/tocsin doctor --stage dev"
ADDRESS = "https://….amazonaws.com/"
AWS = '''#!{python}
"""The few words of the AWS command line: aws SERVICE OPERATION --option value."""
import json, sys
import boto3
from botocore import xform_name
service, operation, *words = sys.argv[1:]
client = boto3.client(service)
method = operation.replace("-", "_")
shape = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[method]).input_shape
names = {{xform_name(name, "-"): name for name in (shape.members if shape else ())}}
given = {{names[word[2:]]: value for word, value in zip(words[::2], words[1::2], strict=True)}}
for name, value in given.items():
    if value.startswith("file://"):
        given[name] = open(value[7:]).read()
answer = getattr(client, method)(**given)
answer.pop("ResponseMetadata", None)
print(json.dumps(answer, default=str))
'''


def blocks() -> list[tuple[str, str]]:
    """The fenced blocks of the page in order, each with its language."""
    return BLOCK.findall(PAGE)


class Newcomer:
    """Somebody who follows the page in a checkout of their own, in one shell."""

    def __init__(self, home: Path, cloud: Cloud) -> None:
        self.home = home
        self.replaced: dict[str, str] = {"you@your.domain": "ana@example.com"}
        self.said: list[str] = []
        self._state = home / "shell.state"
        bare = {
            name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TOCSIN_", "VIRTUAL"))
        }
        self._environment = {
            **bare,
            **cloud.environment(),
            "PATH": f"{home / 'bin'}:{bare['PATH']}",
            "TOCSIN_CONFIG": "",
        }

    def run(self, commands: str) -> None:
        """Run a block; fails with what it printed. The embedded AWS has no alarms, so `doctor` may report those alone."""
        commands = self.written(commands).replace("/$default/", r"/\$default/")
        kept_going = commands.replace(DOCTOR, f"{DOCTOR} || looked=$?")
        script = f"set -euo pipefail; looked=0\n[ ! -e {self._state} ] || . {self._state}\n{kept_going}\nexport -p > {self._state}; exit $looked"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.home,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
        self.said = (done.stdout + done.stderr).splitlines()
        wrong = [line.split()[1] for line in self.said if line.startswith("WRONG")]
        if done.returncode and not (done.returncode == 1 and wrong and set(wrong) == {"alarms"}):
            pytest.fail(f"{commands}\nended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")

    def written(self, text: str) -> str:
        """A text of the page with what it says to replace replaced."""
        for old, new in self.replaced.items():
            text = text.replace(old, new)
        return text


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """An embedded AWS, as empty as a new account."""
    with Cloud(tmp_path / "cloud", persist=False) as found:
        yield found


@pytest.fixture
def newcomer(tmp_path: Path, cloud: Cloud) -> Newcomer:
    """Somebody with a checkout whose `.venv` is that of the tests."""
    (tmp_path / "checkout").mkdir()
    home = copied(tmp_path / "checkout")
    for name in ("cli", "deploy", "local", "simulation", "docs"):
        shutil.copytree(ROOT / name, home / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (".env.example", "Makefile", "README.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, home)
    _program(
        home / ".venv" / "bin" / "tocsin", f'#!/bin/sh\nPYTHONPATH="{home}" exec "{sys.executable}" -m cli.main "$@"\n'
    )
    _program(home / "bin" / "make", '#!/bin/sh\n[ "$*" = setup ]\n')
    _program(home / "bin" / "aws", AWS.format(python=sys.executable))
    return Newcomer(home, cloud)


def _program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def mails(cloud: Cloud) -> str:
    """The mails that SES took, as text."""
    asked = urllib.request.Request(f"{cloud.url}/_ministack/ses/messages", headers=key_headers(cloud.key.id))
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked) as answer:
        return str(answer.read().decode())


def test_the_page_leads_to_the_first_real_alert(newcomer: Newcomer, cloud: Cloud) -> None:
    """Given an empty account → each command of the page works, prints what the page says, and the mails arrive."""
    newcomer.replaced |= {"AWS_PROFILE=sandbox ": "", "eu-west-1": "us-east-1"}
    for language, text in blocks():
        if language == "sh":
            newcomer.run(text)
            if "tocsin deploy" in text:
                newcomer.replaced[ADDRESS] = _address(newcomer.said)
            continue
        for line in text.splitlines():
            assert any(newcomer.written(line) in each for each in newcomer.said), (line, newcomer.said)
    sent = mails(cloud)
    assert "This is a test of Tocsin" in sent
    assert "[critical]" in sent
    assert "/var is 93 % full" in sent
    assert "Re: [critical]" in sent
    assert "resolved" in sent.lower()


def _address(lines: list[str]) -> str:
    """The address that the deploy printed."""
    (found,) = [line.rpartition(" ")[2] for line in lines if line.startswith("stage dev answers at ")]
    return found


def test_the_page_replaces_only_what_it_names() -> None:
    """Given what the test replaces → the page names each of it in its table, and uses it in a command."""
    named = set(REPLACED.findall(PAGE))
    assert named == {"sandbox", "eu-west-1", "you@your.domain", ADDRESS}
    commands = "".join(text for language, text in blocks() if language == "sh")
    assert all(word in commands for word in named)
