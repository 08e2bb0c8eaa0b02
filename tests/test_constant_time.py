"""Secrets, tokens and signatures are compared in constant time wherever a request proves itself."""

import ast
import base64
import hashlib
import hmac
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chalicelib import plugins
from chalicelib.api.access import holder
from chalicelib.core.errors import NotAllowedError, SignatureError
from chalicelib.slack.receive import verify as verify_slack
from tests.fakes import FixedSecrets

ROOT = Path(__file__).parent.parent
NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
SECRETS = ["the-new-secret-0001", "the-old-secret-0002"]
BODY = b'{"data": {}}'
COMPARING = ("chalicelib/core/payload/signing.py", "chalicelib/api/access.py")


@contextmanager
def comparisons() -> Iterator[list[str]]:
    """One entry for each call of hmac.compare_digest inside the block."""
    calls: list[str] = []

    def note(frame, event, called):
        if event == "c_call" and called is hmac.compare_digest:
            calls.append(frame.f_code.co_name)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(before)


def mac(algorithm, content=BODY, secret=SECRETS[0]):
    """HMAC in hex under the first live secret: who stops at the first fit compares fewer."""
    return hmac.new(secret.encode(), content, algorithm).hexdigest()


def basic(secret):
    """A Basic authorization."""
    return "Basic " + base64.b64encode(f"tocsin:{secret}".encode()).decode()


STANDARD = base64.b64encode(hmac.new(SECRETS[0].encode(), b"1.1764000000." + BODY, hashlib.sha256).digest()).decode()
STANDARD_HEADERS = {"webhook-id": "1", "webhook-timestamp": "1764000000"}
SLACK_AT = str(int(NOW.timestamp()))
SLACK = mac("sha256", f"v0:{SLACK_AT}:".encode() + BODY)

PROOFS = [
    ("sentry", {"sentry-hook-signature": mac("sha256")}, None, None),
    ("sentry", {}, SECRETS[0], None),
    ("vercel", {"x-vercel-signature": mac("sha1")}, None, None),
    ("pagerduty", {"x-pagerduty-signature": f"v1={mac('sha256')}"}, None, None),
    ("cloudflare", {"cf-webhook-auth": SECRETS[0]}, None, None),
    ("cloudflare", {}, SECRETS[0], None),
    ("alertmanager", {"authorization": f"Bearer {SECRETS[0]}"}, None, None),
    ("alertmanager", {"authorization": basic(SECRETS[0])}, None, None),
    ("alertmanager", {}, SECRETS[0], None),
    ("prometheus", {"authorization": f"Bearer {SECRETS[0]}"}, None, None),
    ("generic", {"x-signature": mac("sha256")}, None, {"auth": "hmac-sha256"}),
    (
        "generic",
        {"x-signature": base64.b64encode(bytes.fromhex(mac("sha256"))).decode()},
        None,
        {"auth": {"type": "hmac-sha256", "encoding": "base64"}},
    ),
    ("generic", {"authorization": f"Bearer {SECRETS[0]}"}, None, {"auth": "bearer"}),
    ("generic", {"authorization": basic(SECRETS[0])}, None, {"auth": "basic"}),
    ("generic", {"x-token": SECRETS[0]}, None, {"auth": {"type": "bearer", "header": "X-Token"}}),
    ("generic", {}, SECRETS[0], {"auth": "path"}),
    ("generic", {**STANDARD_HEADERS, "webhook-signature": f"v1,{STANDARD}"}, None, {"auth": "standard-webhooks"}),
]


WITHOUT_SECRET = {
    "cloudwatch": "has no address: IAM proves what the queue takes",
    "eventbridge": "has no address: IAM proves what the queue takes",
    "sns": "is proved by a certificate; tests/ingest/test_sns.py",
}
"""Sources that share no secret with their sender, so that there is nothing to guess."""


def test_every_source_has_a_proof_here():
    """A new source is not let in untested."""
    missing = set(plugins.names("sources")) - {row[0] for row in PROOFS} - set(WITHOUT_SECRET)
    assert not missing, f"add a right proof to PROOFS in this file for {', '.join(sorted(missing))}"


@pytest.mark.parametrize(("source", "headers", "path_secret", "mapping"), PROOFS)
def test_a_source_compares_every_live_secret_in_constant_time(source, headers, path_secret, mapping):
    """The right proof, and one that differs in its last character, cost the same number of such comparisons."""
    more = {} if mapping is None else {"mapping": mapping}
    plugin = plugins.load("sources", source)
    with comparisons() as right:
        plugin.verify(headers, BODY, SECRETS, path_secret=path_secret, **more)
    wrong_headers = {
        name: wrong(value) if not name.startswith("webhook-t") else value for name, value in headers.items()
    }
    with comparisons() as refused, suppress(SignatureError):
        plugin.verify(wrong_headers, BODY, SECRETS, path_secret=path_secret and wrong(path_secret), **more)
        raise AssertionError("the wrong proof was taken")
    assert len(right) == len(refused) >= len(SECRETS)


def wrong(proof):
    """The proof with its last letter or digit changed."""
    place = max(number for number, character in enumerate(proof) if character.isalnum())
    return f"{proof[:place]}{'0' if proof[place] != '0' else '1'}{proof[place + 1 :]}"


def test_slack_is_verified_in_constant_time():
    """Each live signing secret is compared, for a right signature as for a wrong one."""
    headers = {"x-slack-request-timestamp": SLACK_AT, "x-slack-signature": f"v0={SLACK}"}
    with comparisons() as right:
        verify_slack(headers, BODY, SECRETS, NOW)
    with comparisons() as refused, pytest.raises(SignatureError):
        verify_slack({**headers, "x-slack-signature": wrong(f"v0={SLACK}")}, BODY, SECRETS, NOW)
    assert len(right) == len(refused) == len(SECRETS)


def test_tokens_of_the_api_are_compared_in_constant_time():
    """Every live token is compared with the one that was sent, the others too when the first one fits."""
    secrets = FixedSecrets({"API_TOKEN": ",".join(SECRETS)})
    with comparisons() as right:
        holder({"authorization": f"Bearer {SECRETS[0]}"}, secrets, writes=False)
    with comparisons() as refused, pytest.raises(NotAllowedError):
        holder({"authorization": f"Bearer {wrong(SECRETS[0])}"}, secrets, writes=False)
    assert len(right) == len(SECRETS)
    assert len(refused) == 2 * len(SECRETS), "once more with values read again"


@pytest.mark.parametrize("name", COMPARING)
def test_where_secrets_are_compared_nothing_else_is(name):
    """In these modules `==`, `!=` and `in` compare with a text of the source code only, never two values."""
    for node in ast.walk(ast.parse((ROOT / name).read_text())):
        if isinstance(node, ast.Compare) and any(isinstance(each, ast.Eq | ast.NotEq | ast.In) for each in node.ops):
            sides = [node.left, *node.comparators]
            assert any(isinstance(each, ast.Constant) for each in sides), f"{name}:{node.lineno} compares two values"
