"""A deploy from end to end: checks, what Chalice does not create, `chalice deploy`, what it cannot set, a smoke test.

The same steps against AWS and against the embedded AWS. Safe to repeat; a step that fails ends the deploy with one
line, and the next deploy goes on from there. What Chalice must remember between deploys (the id of the REST API) is kept in
the Parameter Store beside the stage, so that any machine can deploy.
"""

import compileall
import hashlib
import hmac
import json
import os
import py_compile
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import plugins, redact
from chalicelib.core.errors import RulesError
from chalicelib.rules.compiled import COMPILED_NAME, RULES_NAME
from chalicelib.rules.file import check, compile_rules
from chalicelib.targets import kinds
from deploy.alarms import alarm_topic, alarms
from deploy.clients import Clients, is_local
from deploy.errors import DeployError
from deploy.functions import feedback_failures, mappings
from deploy.names import APP, STAGES
from deploy.package import fingerprint, inspect
from deploy.parameters import parameters
from deploy.policies import stale
from deploy.provision import provision
from deploy.smoke import SMOKE_EVENT, request

ROOT = Path(__file__).resolve().parent.parent
OLDEST_ON_AWS = (3, 12)
KEPT_ZIPS = 2

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Deployed:
    """What runs now: the REST API's id and address (with a slash at the end), and what was new or is missing."""

    api_id: str
    url: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Deploy:
    """One deploy of the project in `root` to `stage`. `environment` is that of Chalice; `say` hears of progress."""

    stage: str
    clients: Clients
    environment: Mapping[str, str]
    root: Path = ROOT
    say: Say = print
    python: tuple[int, ...] = tuple(sys.version_info[:2])

    @property
    def endpoint(self) -> str | None:
        """The embedded AWS, or None for AWS."""
        return self.environment.get("AWS_ENDPOINT_URL")

    def run(self, *, alarm_email: str = "", skip_unchanged: bool = False) -> Deployed:
        """Do all of it. With `skip_unchanged` a stage that has this code already is only looked at."""
        try:
            return self._run(alarm_email, skip_unchanged)
        except (ClientError, BotoCoreError) as error:
            raise DeployError(f"AWS refused: {' '.join(str(error).split())}") from None

    def _run(self, alarm_email: str, skip_unchanged: bool) -> Deployed:
        self.check()
        self.prepare()
        made = provision(self.clients, self.stage)
        for name in made:
            self.say(f"made {name}")
        check_masks(parameters(self.clients("ssm"), self.stage))
        kept = self._kept()
        mark = fingerprint(self.root)
        if not (skip_unchanged and kept.get("fingerprint") == mark and self._api_is_there(kept)):
            self._remember(kept)
            self._chalice()
            kept = {"fingerprint": mark, "chalice": self._chalice_file()}
            self._keep(kept)
        mappings(self.clients("lambda"), self.stage)
        feedback_failures(self.clients, self.stage)
        if not is_local(self.endpoint):
            topic = alarm_topic(self.clients("sns"), self.stage, alarm_email) if alarm_email else ""
            alarms(self.clients("cloudwatch"), self.stage, [topic] if topic else [])
        api_id = _api_id(kept["chalice"])
        found = Deployed(api_id, self.url(api_id), tuple(self.missing()))
        self.smoke(found.url)
        return found

    # Before ----------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise DeployError unless this can be deployed: stage, Python, policies, links, rules."""
        if self.stage not in STAGES:
            raise DeployError(f"there is no stage {self.stage!r}; allowed is {', '.join(STAGES)}")
        local = is_local(self.endpoint)
        if not local and self.python < OLDEST_ON_AWS:
            raise DeployError(
                f"Chalice ships the Python that runs it, and AWS gets 3.12 or 3.13, not {self.python[0]}.{self.python[1]}: "
                f"run `make deploy STAGE={self.stage} PYTHON=python3.12`"
            )
        if out_of_date := stale(self.root / ".chalice"):
            raise DeployError(f".chalice/{out_of_date[0]} is out of date: run `.venv/bin/python -m deploy.policies`")
        for link in [*self.root.glob("chalicelib/*"), *self.root.glob("vendor/*/*")]:
            if link.is_symlink() and not link.exists():
                raise DeployError(f"{link.relative_to(self.root)} points to nothing: {os.readlink(link)} is missing")
        check_rules(self.root, strict=not local)

    def prepare(self) -> None:
        """Leave nothing in chalicelib/ that must not be shipped; write the compiled rules there, and compile the code.

        A compiled file is used while it is of the source beside it, which its hash tells: times do not survive a zip.
        """
        for cache in list((self.root / "chalicelib").rglob("__pycache__")):
            shutil.rmtree(cache, ignore_errors=True)
        text = (self.root / RULES_NAME).read_text(encoding="utf-8")
        try:
            compiled = compile_rules(text)
        except RulesError as error:
            raise DeployError(str(error)) from None
        _write(self.root / "chalicelib" / COMPILED_NAME, compiled)
        hashed = py_compile.PycInvalidationMode.CHECKED_HASH
        compileall.compile_dir(self.root / "chalicelib", ddir="chalicelib", quiet=2, invalidation_mode=hashed)

    # Chalice ---------------------------------------------------------------------------------------------------------

    def package(self, folder: Path) -> Path:
        """The deployment package, built and looked through; Chalice uses the same one for a deploy."""
        self._run_chalice("package", "--stage", self.stage, str(folder))
        found = folder / "deployment.zip"
        inspect(found, (self.root / "requirements.txt").read_text(encoding="utf-8"))
        return found

    def _chalice(self) -> None:
        self.say(f"building the package and deploying it to stage {self.stage}")
        package = self.package(self.root / ".chalice" / "deployments" / "package")
        shutil.rmtree(package.parent)
        self._run_chalice("deploy", "--stage", self.stage, "--no-autogen-policy")
        zips = sorted(self.root.glob(".chalice/deployments/*.zip"), key=lambda path: path.stat().st_mtime)
        for old in zips[:-KEPT_ZIPS]:
            old.unlink()

    def _run_chalice(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "deploy.chalice_cli", "--project-dir", str(self.root), *arguments]
        environment = {**self.environment, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            command, cwd=self.root, env=environment, capture_output=True, text=True, check=False, start_new_session=True
        )
        said = done.stdout + done.stderr
        if "Could not install dependencies" in said:
            raise DeployError(f"chalice {arguments[0]}: a requirement has no wheel for Lambda:\n{said.strip()}")
        if done.returncode != 0:
            lines = [line for line in said.splitlines() if line.strip()]
            raise DeployError(f"chalice {arguments[0]} failed: {lines[-1].strip() if lines else 'it said nothing'}")

    # What Chalice must remember --------------------------------------------------------------------------------------

    @property
    def _memory(self) -> str:
        return f"/{APP}-deployed/{self.stage}"

    @property
    def _file(self) -> Path:
        return self.root / ".chalice" / "deployed" / f"{self.stage}.json"

    def _kept(self) -> dict[str, Any]:
        ssm = self.clients("ssm")
        try:
            found = json.loads(ssm.get_parameter(Name=self._memory)["Parameter"]["Value"])
        except ssm.exceptions.ParameterNotFound:
            return {}
        return found if isinstance(found, dict) else {}

    def _keep(self, kept: Mapping[str, Any]) -> None:
        text = json.dumps(kept, separators=(",", ":"))
        self.clients("ssm").put_parameter(
            Name=self._memory, Value=text, Type="String", Tier="Intelligent-Tiering", Overwrite=True
        )

    def _remember(self, kept: Mapping[str, Any]) -> None:
        """Give Chalice its file. A local one without a copy is of an embedded AWS that is gone."""
        if "chalice" in kept:
            _write(self._file, json.dumps(kept["chalice"], indent=2) + "\n")
        elif is_local(self.endpoint):
            self._file.unlink(missing_ok=True)

    def _chalice_file(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._file.read_text(encoding="utf-8"))
        return found

    def _api_is_there(self, kept: Mapping[str, Any]) -> bool:
        gateway = self.clients("apigateway")
        try:
            gateway.get_rest_api(restApiId=_api_id(kept["chalice"]))
        except (gateway.exceptions.NotFoundException, KeyError, DeployError):
            return False
        return True

    # After -----------------------------------------------------------------------------------------------------------

    def url(self, api_id: str) -> str:
        """Where the REST API answers, with a slash at the end."""
        if self.endpoint and is_local(self.endpoint):
            return f"{self.endpoint.rstrip('/')}/restapis/{api_id}/api/_user_request_/"
        region = self.clients("apigateway").meta.region_name
        return f"https://{api_id}.execute-api.{region}.amazonaws.com/api/"

    def missing(self) -> list[str]:
        """What has no value in the Parameter Store though senders or targets need it, as lines for people."""
        there = parameters(self.clients("ssm"), self.stage)
        text = (self.root / RULES_NAME).read_text(encoding="utf-8")
        return [f"/{APP}/{self.stage}/{name} is not set: {why}" for name, why in needed(text) if not there.get(name)]

    def smoke(self, url: str) -> None:
        """Raise DeployError unless the API runs this stage and stores a webhook, signed where Sentry's secret is set."""
        status, body = request(f"{url}health")
        if status != 200 or f'"{self.stage}"' not in body:
            raise DeployError(f"smoke test: {url}health answered {status}: {body[:200]}")
        secret = parameters(self.clients("ssm"), self.stage).get("SENTRY_CLIENT_SECRET", "").split(",")[0]
        if not secret:
            return
        content = json.dumps(SMOKE_EVENT).encode()
        signature = hmac.new(secret.strip().encode(), content, hashlib.sha256).hexdigest()
        headers = {"Sentry-Hook-Resource": "installation", "Sentry-Hook-Signature": signature}
        status, body = request(f"{url}webhooks/sentry", content, headers)
        if status != 202:
            raise DeployError(f"smoke test: a signed webhook was answered {status}: {body[:200]}")


def check_rules(root: Path, *, strict: bool) -> None:
    """Raise DeployError with every mistake of the rules file, a line each; `strict` counts warnings as mistakes."""
    path = root / RULES_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DeployError(f"{RULES_NAME} cannot be read: {error}") from None
    pages = {page.stem: page.read_text(encoding="utf-8", errors="replace") for page in root.glob("runbook/*.md")}
    report = check(text, filename=RULES_NAME, runbooks=pages)
    wrong = [*report.mistakes, *(report.warnings if strict else [])]
    if wrong:
        raise DeployError("\n".join(str(each) for each in wrong))


def check_masks(there: Mapping[str, str]) -> None:
    """Raise DeployError for a pattern of REDACT_PATTERNS that RE2 refuses: every worker would stop at it."""
    try:
        redact.compiled(there.get(redact.ENVIRONMENT, ""))
    except RulesError as error:
        raise DeployError(str(error)) from None


def needed(rules: str) -> Iterable[tuple[str, str]]:
    """Parameters by name, each with who needs it."""
    for source in plugins.names("sources"):
        for name in plugins.load_source(source).SECRETS[:1]:
            yield name, f"webhooks of {source} are refused"
    for kind, declared in kinds().items():
        if f"{kind}:" in rules:
            yield from declared.needs
    yield "RUNBOOK_BASE_URL", "messages show the first steps of a runbook page, but cannot link it"


def _api_id(chalice: Mapping[str, Any]) -> str:
    for each in chalice.get("resources", []):
        if each.get("resource_type") == "rest_api":
            return str(each["rest_api_id"])
    raise DeployError("Chalice deployed no REST API")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
