"""The smoke test of a stage: it answers, it runs this stage, and it stores a webhook."""

import hashlib
import hmac
import json
import urllib.error
import urllib.request
from collections.abc import Mapping

from deploy.clients import is_local
from deploy.errors import DeployError
from deploy.waiting import Wait

REQUEST_SECONDS = 20.0
SETTLED_SECONDS = 90.0
"""New rights of roles and a new API are seen everywhere some seconds later."""
UNSETTLED = (0, 403, 500, 502, 503)
SMOKE_EVENT = {"action": "created", "data": {"installation": {"uuid": "tocsin-smoke-test", "status": "installed"}}}
"""A Sentry webhook that is about no fault: it is recorded as information, and nobody is notified."""

Answer = tuple[int, str]


def smoke_test(url: str, stage: str, secret: str, *, wait: Wait) -> None:
    """Raise DeployError unless the API at `url` runs this stage and stores a webhook, signed with Sentry's secret.

    Without a secret only the first is tested. An answer that a change of a moment ago explains is asked for again.
    """
    _expect(wait, f"{url}health", 200, f'"{stage}"')
    if secret:
        content = json.dumps(SMOKE_EVENT).encode()
        signature = hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()
        headers = {"Sentry-Hook-Resource": "installation", "Sentry-Hook-Signature": signature}
        _expect(wait, f"{url}webhooks/sentry", 202, "", content, headers)


def _expect(
    wait: Wait, url: str, status: int, part: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> None:
    found, text = wait.until(
        lambda: request(url, body, headers), lambda answer: answer[0] not in UNSETTLED, seconds=SETTLED_SECONDS
    )
    if found != status or part not in text:
        raise DeployError(
            f"smoke test: {url} answered {found or 'nothing'} where {status} is right: {text[:200]}. "
            "What was deployed stays; read the logs of the function, then deploy again"
        )


def request(url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Answer:
    """Return status and body of an answer; 0 and why when there is none."""
    asked = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json", **(headers or {})})
    handlers = [urllib.request.ProxyHandler({})] if is_local(url) else []
    try:
        with urllib.request.build_opener(*handlers).open(asked, timeout=REQUEST_SECONDS) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(errors="replace")
    except OSError as error:
        return 0, str(getattr(error, "reason", error))
