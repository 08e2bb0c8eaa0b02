"""The API of a stage, for the commands that people use: where it is, which token, and one call.

TOCSIN_URL and TOCSIN_TOKEN name any Tocsin. Without them `--stage` does, else the stage that the configuration names
(`config.py`): one of the configuration has its address and token there, `local` is the one that `make run` keeps up on
this machine, any other is found in AWS as `tocsin deploy` finds it, with its address and token from the Parameter
Store. TOCSIN_USER is who acts, else the user of the configuration, else the name at this machine.
"""

import argparse
import getpass
import http.client
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chalicelib.api.access import TOKENS
from chalicelib.aws import dns_suffix
from chalicelib.aws.json_client import AwsError, AwsJsonClient
from chalicelib.core.errors import TocsinError
from cli.config import config, is_address
from cli.output import FORMS, add_output_arguments
from cli.running import START, running

"""What `make run` says of itself while it is up."""
LOCAL = "local"
_OF_ONE_REQUEST = (400, 403, 404, 409, 422)
TIMEOUT_SECONDS = 20.0
PAGE_ROWS = 1_000
MAX_ROWS = 20_000
"""A list of more rows is cut: nobody reads it."""


class RemoteError(TocsinError):
    """The stage cannot be reached or refused; the text says what to do."""


def add_api_arguments(parser: argparse.ArgumentParser, *, acts: bool = False, forms: Mapping[str, str] = FORMS) -> None:
    """Add the options that all these commands have; `acts` for those that do something in a person's name."""
    parser.add_argument(
        "--stage",
        help="local (make run), dev, prod, or one of the configuration; without it what TOCSIN_URL names, the configuration's, or local",
    )
    parser.add_argument("--url", help="the address of the API, as TOCSIN_URL; the token is TOCSIN_TOKEN")
    add_output_arguments(parser, forms)
    if acts:
        parser.add_argument("--by", default=None, help="who does this (TOCSIN_USER, else your name at this machine)")


def who_acts(arguments: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> str:
    """Return the name of who acts."""
    return str(arguments.by or environment.get("TOCSIN_USER") or config(environment).user or getpass.getuser())


class RefusedError(RemoteError):
    """The API refused one request for what it asks; another one may be taken."""


@dataclass(frozen=True, slots=True)
class Remote:
    """One API. `url` ends with a slash; `token` is not shown."""

    url: str
    token: str = field(repr=False)

    def get(self, path: str, query: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
        """Return what is there; RemoteError with what the API says when it refuses."""
        return self._call("GET", path + (f"?{urllib.parse.urlencode(query)}" if query else ""), None)

    def do(self, method: str, path: str, form: Mapping[str, Any]) -> dict[str, Any]:
        """Return what came of something that a person does."""
        return self._call(method, path, {name: value for name, value in form.items() if value not in (None, "")})

    def _call(self, method: str, path: str, form: Mapping[str, Any] | None) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.url}api/{path}",
            data=None if form is None else json.dumps(form).encode(),
            method=method,
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        try:
            with _opener(self.url).open(request, timeout=TIMEOUT_SECONDS) as answer:
                return _object(answer.read())
        except urllib.error.HTTPError as error:
            kind = RefusedError if error.code in _OF_ONE_REQUEST else RemoteError
            raise kind(_refusal(error.code, error.read())) from None
        except (OSError, http.client.HTTPException) as error:
            raise RemoteError(f"{self.url} does not answer ({_reason(error)})") from None


def _opener(url: str) -> urllib.request.OpenerDirector:
    """Return what opens addresses: never by a proxy when they are of this machine."""
    here = urllib.parse.urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
    return urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if here else []))


def remote(arguments: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> Remote:
    """Return the API that the arguments and the environment name."""
    url = arguments.url or ("" if arguments.stage else environment.get("TOCSIN_URL", ""))
    stage = "" if url else arguments.stage or config(environment).stage
    if stage and (found := config(environment)).url(stage):
        return _at(found.url(stage), found.token(stage, environment))
    if url:
        if not is_address(url):
            raise RemoteError(f"{url[:80]!r} is no address; expected is https://…")
        token = environment.get("TOCSIN_TOKEN", "")
        if not token:
            raise RemoteError("TOCSIN_TOKEN is not set: it is the value of the stage's secret API_TOKEN")
        return _at(url, token)
    return local_remote() if (stage or LOCAL) == LOCAL else _on_aws(stage, environment)


def _at(url: str, token: str) -> Remote:
    """Return the API at an address. The error does not quote a token that no header can hold."""
    if not (token.isascii() and token.isprintable()):
        raise RemoteError("the token is no token: expected is one line of printable ASCII")
    return Remote(url.rstrip("/") + "/", token)


def local_remote() -> Remote:
    """Return the API of the stage that `make run` keeps up. Raise RemoteError when nothing runs."""
    found = running()
    if found is None or "AWS_REGION" not in found.aws:
        raise RemoteError(
            f"nothing runs on this machine: start it by `{START}`, or name another by --stage or TOCSIN_URL"
        )
    client = AwsJsonClient(found.aws["AWS_REGION"], timeout_seconds=TIMEOUT_SECONDS, environment=found.aws)
    try:
        answer = client.call("ssm", "GetParameters", {"Names": _names(LOCAL), "WithDecryption": True})
    except AwsError as error:
        raise RemoteError(f"what `{START}` started does not answer ({error}): start it again") from None
    return Remote(found.url, _token(LOCAL, answer.get("Parameters", [])))


def _on_aws(stage: str, environment: Mapping[str, str]) -> Remote:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    session = boto3.Session(region_name=region)
    if session.region_name is None or session.get_credentials() is None:
        raise RemoteError("AWS is not set up: set AWS_PROFILE (or AWS_ACCESS_KEY_ID and …) and AWS_REGION")
    ssm = session.client("ssm", endpoint_url=environment.get("AWS_ENDPOINT_URL"))
    try:
        kept = ssm.get_parameters(Names=[f"/tocsin-deployed/{stage}"])["Parameters"]
        tokens = ssm.get_parameters(Names=_names(stage), WithDecryption=True)["Parameters"]
    except (BotoCoreError, ClientError) as error:
        raise RemoteError(f"AWS refused: {' '.join(str(error).split())}") from None
    if not kept:
        raise RemoteError(
            f"there is no stage {stage} in {session.region_name}: `tocsin deploy --stage {stage}` makes it"
        )
    return Remote(address_of(json.loads(kept[0]["Value"]), session.region_name), _token(stage, tokens))


def address_of(kept: Mapping[str, Any], region: str) -> str:
    """Return the address of the API that a deploy has kept: an HTTP API, or the REST API that Chalice's record names."""
    if http := kept.get("http_api"):
        return f"https://{http}.execute-api.{region}.{dns_suffix(region)}/"
    for resource in kept.get("chalice", {}).get("resources", []):
        if resource.get("resource_type") == "rest_api":
            return f"https://{resource['rest_api_id']}.execute-api.{region}.{dns_suffix(region)}/api/"
    raise RemoteError("the stage was deployed without an API: deploy it again")


def _names(stage: str) -> list[str]:
    return [f"/tocsin/{stage}/{name}" for name in TOKENS]


def _token(stage: str, parameters: Sequence[Mapping[str, Any]]) -> str:
    """Return the first live token, without the name of its holder: API_TOKEN before PAGE_TOKEN, which only reads."""
    values = {str(each["Name"]).rpartition("/")[2]: str(each["Value"]) for each in parameters}
    for name in TOKENS:
        live = [value.strip() for value in values.get(name, "").split(",") if value.strip()]
        if live:
            shared = [value for value in live if ":" not in value]
            return (shared or live)[0].rpartition(":")[2]
    raise RemoteError(f"the stage {stage} has no token: set /tocsin/{stage}/API_TOKEN in the Parameter Store")


def _refusal(status: int, body: bytes) -> str:
    try:
        said = json.loads(body)
    except ValueError:
        said = None
    if isinstance(said, dict) and said.get("error"):
        return str(said["error"])
    return f"the API answered {status}"


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise RemoteError("the API answered something that is no JSON object: is the address right?")
    return found


def _reason(error: OSError | http.client.HTTPException) -> str:
    if isinstance(error, http.client.HTTPException) and not isinstance(error, OSError):
        return "what it answered is no HTTP"
    reason = getattr(error, "reason", error)
    return str(getattr(reason, "strerror", None) or reason)


def listed(
    api: Remote, what: str, query: Sequence[tuple[str, str]], *, page: int = PAGE_ROWS, most: int = MAX_ROWS
) -> list[dict[str, Any]]:
    """Return the rows of a list over all its pages; say so where there are more than `most`."""
    rows: list[dict[str, Any]] = []
    after: list[tuple[str, str]] = []
    while True:
        answer = api.get(what, [*query, ("limit", str(min(page, most - len(rows)))), *after])
        rows += answer[what]
        following = answer.get("next")
        if not following:
            return rows
        if len(rows) >= most:
            shown = f"{len(rows):,} of {answer['total']:,} {what} are shown"
            print(f"tocsin: {shown}; choose fewer by matchers", file=sys.stderr)
            return rows
        after = [("after", str(following))]


def queries(matchers: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the matchers of a command line as query parameters."""
    return (("match", each) for each in matchers)
