"""The door of heartbeats: an address for each job, called as healthchecks' ping addresses are → webhooks queue.

    /heartbeats/<name>/<token>            success        …/start   a run began      …/fail   it failed
                              …/<0-255>   an exit code   …/log     kept, changes nothing

GET, HEAD and POST; the body of a POST is kept as evidence, cut to MAX_OUTPUT_BYTES. `?rid=<uuid>` pairs the start and the
end of a run. The answers are healthchecks', as text: 200 `OK`, 400, 404 `not found` for a wrong token as for a name that
the rules file does not have, 503 where it could not be stored. Loads only the standard library.
"""

import hmac
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

from chalicelib.core.errors import NotStoredError
from chalicelib.core.payload.signing import one_of
from chalicelib.ingest.receive import RETRY_AFTER_SECONDS, HttpResponse, Secrets
from chalicelib.messages.webhook import Webhook, compressed, written

SOURCE = "heartbeat"
SECRETS = ("HEARTBEAT_SECRET",)
MAX_OUTPUT_BYTES = 10_000
TOKEN_CHARACTERS = 32
"""Hexadecimal, so 128 bits."""
MAX_EXIT_CODE = 255
WORDS = ("start", "fail", "log")
HEADERS = {
    "Content-Type": "text/plain; charset=utf-8",
    "Access-Control-Allow-Origin": "*",
    "Ping-Body-Limit": str(MAX_OUTPUT_BYTES),
}
_CODE = re.compile(r"[0-9]{1,40}", re.ASCII)
_RUN = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


def token_of(secret: str, name: str) -> str:
    """Return the token of a heartbeat under a secret. It is derived, so that nothing but the secret is kept."""
    return hmac.new(secret.encode(), f"heartbeat:{name}".encode(), "sha256").hexdigest()[:TOKEN_CHARACTERS]


def receive_beat(
    name: str,
    token: str,
    word: str,
    run: str,
    body: bytes,
    *,
    names: Collection[str],
    secrets: Secrets,
    put: Callable[[Sequence[str]], None],
    now: datetime,
) -> HttpResponse:
    """Verify one signal and store it by `put`. `word` is what stands behind the token, `run` the value of `rid`."""
    try:
        if not (_is_proved(name, token, secrets) and name in names):
            return _text(404, "not found")
        reported = _reported(word)
        if reported is None:
            return _text(404, "not found")
        if int(reported.get("exit_code") or 0) > MAX_EXIT_CODE:
            return _text(400, "invalid url format")
        if run and not _RUN.fullmatch(run):
            return _text(400, "invalid uuid format")
        put([_message(name, {**reported, **({"run": run.lower()} if run else {})}, body, now)])
    except NotStoredError as error:
        headers = {**HEADERS, "Retry-After": str(RETRY_AFTER_SECONDS)}
        return HttpResponse(503, "could not be stored; try again", headers, reason=str(error))
    return _text(200, "OK")


def _text(status: int, text: str) -> HttpResponse:
    return HttpResponse(status, text, HEADERS, reason="" if status == 200 else text)


def _is_proved(name: str, token: str, secrets: Secrets) -> bool:
    """Return whether the token is the name's under a live secret.

    Secrets are kept for minutes. So that a new address works right after a rotation, a token that does not fit is
    compared once more with values that are read anew, at most every 15 seconds.
    """
    values = list(secrets.values(SECRETS))
    if one_of(token, [token_of(value, name) for value in values]):
        return True
    renewed = list(secrets.renewed(SECRETS))
    return renewed != values and one_of(token, [token_of(value, name) for value in renewed])


def _reported(word: str) -> Mapping[str, str] | None:
    """Return what the last part of an address reports; None for one that does not exist."""
    if word in ("", *WORDS):
        return {"signal": word} if word else {}
    if not _CODE.fullmatch(word):
        return None
    return {"signal": "fail", "exit_code": str(int(word))} if int(word) else {}


def _message(name: str, reported: Mapping[str, str], body: bytes, now: datetime) -> str:
    output = body[:MAX_OUTPUT_BYTES]
    webhook = Webhook(f"{name}:{now.isoformat()}", SOURCE, output, now, {"heartbeat": name, **reported})
    return written(webhook, compressed(output))
