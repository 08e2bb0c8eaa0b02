"""A deploy from end to end: checks, what Chalice does not create, `chalice deploy`, what it cannot set, a smoke test.

The same steps against AWS and against the embedded AWS. Safe to repeat: a step that fails ends the deploy with one line,
and the next deploy goes on from there, since every step looks first at what the account has. What the Parameter Store keeps
beside the stage (`/tocsin-deployed/<stage>`) is the API whose address senders use, and what was deployed last.

A new stage gets an HTTP API. One that has a REST API, which Chalice made for it before there were HTTP APIs, keeps that.
"""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import plugins, redact
from chalicelib.aws import PARTITIONS, dns_suffix
from chalicelib.core.errors import RulesError
from chalicelib.core.language.tokens import nearest
from chalicelib.core.rule import Rules
from chalicelib.rules.compiled import COMPILED_NAME, RULES_NAME
from chalicelib.rules.file import check, compile_rules
from chalicelib.rules.loader import load_rules
from chalicelib.targets import kinds
from deploy.alarms import watched
from deploy.chalice_record import answers, named_only_here, record, rest_apis
from deploy.clients import Clients, is_local
from deploy.company_tags import company_tags
from deploy.concurrency import account_concurrency
from deploy.errors import DeployError
from deploy.functions import feedback_failures, loops, mappings, scheduled
from deploy.http_api import http_apis, made_http_api
from deploy.lock import Lock, this_process
from deploy.logs import retain
from deploy.mail import is_mailed
from deploy.memory import kept_api, memory_name, remembered
from deploy.names import API_STAGE, APP, STAGES
from deploy.package import fingerprint, inspect
from deploy.parameters import own_secrets, page_address, parameters
from deploy.policies import CONFIGURATION, FUNCTIONS, WITHOUT_REST_API, configure, stale
from deploy.provision import queues_and_mail, stage_table
from deploy.rest_api import limit_rest_api
from deploy.smoke import smoke_test
from deploy.stage_name import problem
from deploy.table import has_table
from deploy.tagging import tag_what_is_there, tag_what_others_made
from deploy.waiting import PATIENT, Wait

ROOT = Path(__file__).resolve().parent.parent
OLDEST_ON_AWS = (3, 12)
KEPT_ZIPS = 2
HTTP_API = "http_api"
"""The name under which a deploy keeps the id of the HTTP API. cli/remote.py reads it."""
DOES = ("Creating ", "Updating ", "Deleting ", "Deploying ")
"""How Chalice's lines begin about what it does."""
GOES_ON = "what was made stays, and the next deploy goes on from there"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Deployed:
    """What runs now: the API's id and address (with a slash at the end), what the operator must know, and what was done.

    `did` has a line for each thing beside the functions that was made or changed.
    """

    api_id: str
    url: str
    notes: tuple[str, ...] = ()
    did: tuple[str, ...] = ()
    new_code: bool = True
    seconds: float = 0.0

    @property
    def summary(self) -> str:
        """Return what was done, for people."""
        count = len(self.did)
        things = (
            f"{count} {'thing' if count == 1 else 'things'} made or changed beside"
            if count
            else "nothing changed beside"
        )
        code = "new code and settings for" if self.new_code else "the same code as before for"
        return f"{things} the functions; {code} {len(FUNCTIONS)} functions; smoke test passed; {self.seconds:.0f} s"


@dataclass(frozen=True, slots=True)
class Gateways:
    """The APIs that call a stage: its HTTP API, if it has one, and its REST APIs, the one that is used first."""

    http: str = ""
    rest: tuple[str, ...] = ()

    @property
    def used(self) -> str:
        """Return the id of the API whose address senders use; empty before there is one."""
        return self.http or next(iter(self.rest), "")

    @property
    def used_rest(self) -> str:
        """Return the id of the REST API whose address senders use; empty where that is an HTTP API."""
        return "" if self.http else self.used

    @property
    def spare(self) -> tuple[str, ...]:
        """Return the REST APIs whose address nobody was given."""
        return self.rest if self.http else self.rest[1:]


@dataclass(frozen=True, slots=True)
class Deploy:
    """One deploy of the project in `root` to `stage`. `environment` is that of Chalice; `say` gets each line of progress."""

    stage: str
    clients: Clients
    environment: Mapping[str, str]
    root: Path = ROOT
    say: Say = print
    python: tuple[int, ...] = tuple(sys.version_info[:2])
    wait: Wait = PATIENT
    given: Mapping[str, str] = MappingProxyType({})

    @property
    def partition(self) -> str:
        """Return the partition of AWS that the Region of the deploy is in."""
        return str(self.clients("sts").meta.partition)

    @property
    def endpoint(self) -> str | None:
        """Return the embedded AWS, or None for AWS."""
        return self.environment.get("AWS_ENDPOINT_URL")

    def run(self, *, alarm_email: str = "", alarm_actions: bool = True, skip_unchanged: bool = False) -> Deployed:
        """Do all of it. With `skip_unchanged` a stage that has this code already is only looked at."""
        started = self.wait.clock()
        try:
            self.check()
            self.prepare()
            self.step("the table and its indexes")
            made = self._say_all(stage_table(self.clients, self.stage, wait=self.wait))
            with self.lock().held():
                new_code = self._kept().get("fingerprint") != self.mark()
                found = self._run(alarm_email, alarm_actions, skip_unchanged)
        except (ClientError, BotoCoreError) as error:
            raise DeployError(f"AWS refused: {' '.join(str(error).split())}") from None
        seconds = self.wait.clock() - started
        return dataclasses.replace(found, did=(*made, *found.did), new_code=new_code, seconds=seconds)

    def lock(self) -> Lock:
        """Return the lock of the stage, which one deploy holds at a time."""
        return Lock(self.clients("dynamodb"), f"{APP}-{self.stage}", this_process())

    def step(self, what: str) -> None:
        """Announce a part of the deploy that may take a while. `make run` prints its own lines."""
        if self.stage != "local":
            self.say(f"… {what}")

    def _run(self, alarm_email: str, alarm_actions: bool, skip_unchanged: bool) -> Deployed:
        deployed, found = self.changes(alarm_email, alarm_actions=alarm_actions, skip_unchanged=skip_unchanged)
        secret = parameters(self.clients("ssm"), self.stage).get("SENTRY_CLIENT_SECRET", "").split(",")[0].strip()
        self.step("smoke test: a new address may take a minute")
        smoke_test(deployed.url, self.stage, secret, wait=self.wait)
        return dataclasses.replace(deployed, notes=(*deployed.notes, *self.tag(found)))

    def changes(
        self, alarm_email: str, *, alarm_actions: bool = True, skip_unchanged: bool = False
    ) -> tuple[Deployed, Gateways]:
        """Make or change all that the stage has beside its table, but for tags. A plan (deploy/planned.py) goes through it too."""
        share = account_concurrency(self.clients("lambda"))
        if not is_local(self.endpoint):
            self.say(f"{share.text}; workers: {share.words}")
        mails = is_mailed(self.rules())
        self.step("queues, topics and the way back of mails")
        did = self._say_all(queues_and_mail(self.clients, self.stage, mails=mails, wait=self.wait))
        did += self._say_all(own_secrets(self.clients("ssm"), self.stage))
        check_masks(parameters(self.clients("ssm"), self.stage))
        found = self._chalice(skip_unchanged)
        self.step("what Chalice cannot set: mappings, retries, logs")
        if found.used_rest:
            did += self._say_all(limit_rest_api(self.clients("apigateway"), found.used_rest))
        did += self._say_all(mappings(self.clients("lambda"), self.stage, share, wait=self.wait))
        loops(self.clients("lambda"), self.stage, wait=self.wait)
        feedback_failures(self.clients, self.stage, wait=self.wait)
        scheduled(self.clients("lambda"), self.stage, wait=self.wait)
        retain(self.clients("logs"), self.stage)
        notes = [*self.missing(), *self._spare(found.spare), *share.notes]
        if not is_local(self.endpoint):
            self.step("alarms")
            notes += watched(self.clients, self.stage, alarm_email, http_api=found.http, with_actions=alarm_actions)
        url = self.url(found)
        page_address(self.clients("ssm"), self.stage, url)
        return Deployed(found.used, url, tuple(notes), tuple(did)), found

    def _say_all(self, lines: Iterable[str]) -> list[str]:
        said = []
        for line in lines:
            self.say(line)
            said.append(line)
        return said

    def _spare(self, apis: Iterable[str]) -> Iterator[str]:
        """Yield a line for each REST API that an earlier version left when its deploy ended half-way."""
        for api in apis:
            url = self.url(Gateways(rest=(api,)))
            yield f"REST API {api} calls this stage as well, at {url}: delete it when no sender posts there"

    # Before ----------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise DeployError unless this can be deployed: stage, Python, policies, links, rules."""
        if wrong := problem(self.stage):
            raise DeployError(wrong)
        if self.partition not in PARTITIONS:
            raise DeployError(f"Tocsin is deployed to {', '.join(PARTITIONS)}, not to the partition {self.partition}")
        company_tags(self.environment)
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
        doubts = check_rules(self.root, strict=not local)
        self._say_all(doubts if not local else ())

    def rules(self) -> Rules:
        """Return the rules as the stage will have them."""
        return load_rules(self.root, self.value)

    def value(self, name: str) -> str | None:
        """Return the value of a variable of the rules file: that of the stage's parameter, else of the environment."""
        ssm = self.clients("ssm")
        if given := self.given.get(name):
            return given
        try:
            return str(ssm.get_parameter(Name=f"/{APP}/{self.stage}/{name}", WithDecryption=True)["Parameter"]["Value"])
        except ssm.exceptions.ParameterNotFound:
            return self.environment.get(name)

    def check_known(self) -> None:
        """Raise DeployError for a stage that is not there and has a name of its own: it may be a misspelt one."""
        if self.stage in STAGES or has_table(self.clients("dynamodb"), f"{APP}-{self.stage}"):
            return
        near = nearest(self.stage, STAGES)
        raise DeployError(
            f"there is no stage {self.stage!r} in this account and Region{f'; did you mean {near}' if near else ''}? "
            "--new-stage makes it"
        )

    def prepare(self) -> None:
        """Leave nothing in chalicelib/ that must not be shipped; write the compiled rules there."""
        for cache in list((self.root / "chalicelib").rglob("__pycache__")):
            shutil.rmtree(cache, ignore_errors=True)
        text = (self.root / RULES_NAME).read_text(encoding="utf-8")
        try:
            compiled = compile_rules(text, variables=self.value)
        except RulesError as error:
            raise DeployError(str(error)) from None
        _write(self.root / "chalicelib" / COMPILED_NAME, compiled)

    # Chalice ---------------------------------------------------------------------------------------------------------

    def package(self, folder: Path) -> Path:
        """Return the deployment package, built and looked through; Chalice uses the same one for a deploy. It is that of any stage."""
        listed = self.stage if self.stage in STAGES else STAGES[-1]
        self._run_chalice("package", "--stage", listed, str(folder))
        found = folder / "deployment.zip"
        inspect(found, (self.root / "requirements.txt").read_text(encoding="utf-8"))
        return found

    def _chalice(self, skip_unchanged: bool) -> Gateways:
        """Let Chalice deploy, unless this very code is there. Return the APIs of the stage."""
        kept, mark = self._kept(), self.mark()
        found = self._gateways(kept)
        if skip_unchanged and found.used and kept.get("fingerprint") == mark:
            return found
        self.say(f"building the package and deploying it to stage {self.stage}")
        self._build()
        record_before = record(self.clients, self.stage, api=found.used_rest or None)
        _write(self._file, json.dumps(record_before, indent=2) + "\n")
        try:
            with tempfile.TemporaryDirectory() as folder:
                own_config = configure(Path(folder), self.partition, company_tags(self.environment), [self.stage])
                more = {CONFIGURATION: str(own_config), WITHOUT_REST_API: "" if found.used_rest else "1"}
                self._run_chalice("deploy", "--stage", self.stage, "--no-autogen-policy", more=more)
        except DeployError as error:
            raise DeployError(f"{error}; {GOES_ON}") from None
        if not found.used_rest:
            http = made_http_api(self.clients, self.stage, found.http or None, self.environment)
            found = dataclasses.replace(found, http=http)
        self._keep(mark, found)
        return found

    def mark(self) -> str:
        """Return what differs from the mark of the last deploy whenever code or configuration does."""
        return fingerprint(self.root, {"partition": self.partition, **company_tags(self.environment)})

    def _build(self) -> None:
        """Build the package and look through it; Chalice takes the same one for its deploy."""
        package = self.package(self.root / ".chalice" / "deployments" / "package")
        shutil.rmtree(package.parent)
        zips = sorted(self.root.glob(".chalice/deployments/*.zip"), key=lambda path: path.stat().st_mtime)
        for old in zips[:-KEPT_ZIPS]:
            old.unlink()

    def _run_chalice(self, *arguments: str, more: Mapping[str, str] = MappingProxyType({})) -> None:
        command = [sys.executable, "-m", "deploy.chalice_cli", "--project-dir", str(self.root), *arguments]
        environment = {**self.environment, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(ROOT), **more}
        status, said = self._ran(command, environment)
        if "Could not install dependencies" in said:
            raise DeployError(f"chalice {arguments[0]}: a requirement has no wheel for Lambda:\n{said.strip()}")
        if status != 0:
            lines = [line for line in said.splitlines() if line.strip()]
            raise DeployError(f"chalice {arguments[0]} failed: {lines[-1].strip() if lines else 'it said nothing'}")

    def _ran(self, command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
        """Run a program to its end, or kill it where the deploy ends first. Return its status and all that it printed.

        What it does is announced while it runs: Chalice prints a line for each function and role.
        """
        said = []
        started = subprocess.Popen(
            command,
            cwd=self.root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        with started as process:
            try:
                for line in process.stdout or ():
                    said.append(line)
                    if line.startswith(DOES):
                        self.step(line.strip())
            except BaseException:
                process.kill()
                raise
        return process.returncode, "".join(said)

    # What a deploy finds of the ones before --------------------------------------------------------------------------

    @property
    def _file(self) -> Path:
        return self.root / ".chalice" / "deployed" / f"{self.stage}.json"

    def _kept(self) -> dict[str, Any]:
        return remembered(self.clients("ssm"), self.stage)

    def _keep(self, mark: str, gateways: Gateways) -> None:
        """Keep what was deployed, which API senders use, and Chalice's record: the version before reads it when it is deployed again.

        Only what Chalice cannot find by name: a parameter of the free tier holds 4 KB. `chalice delete` reads the file.
        Chalice's own one names a log group that `retain` deletes, at which it would end half-way.
        """
        found = record(self.clients, self.stage, api=gateways.used_rest or None)
        _write(self._file, json.dumps(found, indent=2) + "\n")
        kept = {"fingerprint": mark, "chalice": named_only_here(found)}
        text = json.dumps({**kept, **({HTTP_API: gateways.http} if gateways.http else {})}, separators=(",", ":"))
        self.clients("ssm").put_parameter(
            Name=memory_name(self.stage), Value=text, Type="String", Tier="Intelligent-Tiering", Overwrite=True
        )

    def _gateways(self, kept: Mapping[str, Any]) -> Gateways:
        """Return the stage's APIs: an HTTP API where it has one, and REST APIs. First is the one that a deploy has kept.

        A REST API that was never deployed has no address: a stage with nothing else gets an HTTP API.
        """
        rest, used = self._rest_apis(kept), kept.get(HTTP_API)
        http = next(iter(http_apis(self.clients("apigatewayv2"), self.stage, used=used)), "")
        return Gateways(http, tuple(rest))

    def _rest_apis(self, kept: Mapping[str, Any]) -> list[str]:
        """Return the REST APIs that can be used: first the one whose address senders use, which a deploy has kept."""
        gateway, used = self.clients("apigateway"), kept_api(kept)
        found = [api for api in rest_apis(gateway, self.stage, used=used) if api == used or answers(gateway, api)]
        return sorted(found, key=lambda api: api != used)

    # After -----------------------------------------------------------------------------------------------------------

    def url(self, gateways: Gateways) -> str:
        """Return where the API answers that senders use, with a slash at the end. An HTTP API has no name of a stage in it."""
        if self.endpoint and is_local(self.endpoint):
            path = (
                f"_aws/execute-api/{gateways.http}/$default"
                if gateways.http
                else f"restapis/{gateways.used}/api/_user_request_"
            )
            return f"{self.endpoint.rstrip('/')}/{path}/"
        region = self.clients("apigateway").meta.region_name
        stage = "" if gateways.http else f"{API_STAGE}/"
        return f"https://{gateways.used}.execute-api.{region}.{dns_suffix(region)}/{stage}"

    def tag(self, gateways: Gateways) -> list[str]:
        """Put the tags of the stage on what has none yet; what could not be tagged, as lines for people."""
        failed = tag_what_others_made(self.clients, self.stage, gateways.used_rest, self.environment)
        if company_tags(self.environment):
            failed += tag_what_is_there(self.clients, self.stage, gateways.http, self.environment)
        return failed

    def missing(self) -> list[str]:
        """Return what has no value in the Parameter Store though senders or targets need it, as lines for people."""
        there = parameters(self.clients("ssm"), self.stage)
        text = (self.root / RULES_NAME).read_text(encoding="utf-8")
        return [f"/{APP}/{self.stage}/{name} is not set: {why}" for name, why in needed(text) if not there.get(name)]


def check_rules(root: Path, *, strict: bool) -> list[str]:
    """Return what may be meant otherwise in the rules file, a line each.

    Raise DeployError with every mistake; `strict` counts warnings as mistakes, but not the doubts that are returned.
    """
    path = root / RULES_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DeployError(f"{RULES_NAME} cannot be read: {error}") from None
    pages = {page.stem: page.read_text(encoding="utf-8", errors="replace") for page in root.glob("runbook/*.md")}
    report = check(text, filename=RULES_NAME, runbooks=pages)
    doubts = [each for each in report.warnings if each.kind == "doubt"]
    wrong = [*report.mistakes, *(each for each in report.warnings if strict and each not in doubts)]
    if wrong:
        raise DeployError("\n".join(str(each) for each in wrong))
    return [f"{each} (warning)" for each in doubts]


def check_masks(there: Mapping[str, str]) -> None:
    """Raise DeployError for a pattern of REDACT_PATTERNS that RE2 refuses: every worker would stop at it."""
    try:
        redact.compiled(there.get(redact.ENVIRONMENT, ""))
    except RulesError as error:
        raise DeployError(str(error)) from None


def needed(rules: str) -> Iterable[tuple[str, str]]:
    """Return parameters by name, each with who needs it."""
    for source in plugins.names("sources"):
        for name in plugins.load_source(source).SECRETS[:1]:
            yield name, f"webhooks of {source} are refused"
    for kind, declared in kinds().items():
        if f"{kind}:" in rules:
            yield from declared.needs
    yield "RUNBOOK_BASE_URL", "messages show the first steps of a runbook page, but cannot link it"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
