"""Slack, PagerDuty, SES and a webhook receiver for simulated lives: fast, and each with outages of its own.

They keep what the targets need back (channels, messages with their metadata) and write down every request: what it was
about, and whether it was taken. A request in doubt fails for the router although it may have been taken.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import httpx
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, ReadTimeoutError

from chalicelib.core.waves import incident_named, wave_named
from simulation.faulty import Calls
from simulation.simulator import NOWHERE

SECRETS = {
    "SLACK_BOT_TOKEN": "xoxb-1",
    "PAGERDUTY_ROUTING_KEY_DEFAULT": "0123456789abcdef0123456789abcdef",
    "WEBHOOK_OPS_URL": f"https://{NOWHERE}/hook/ops",
    "WEBHOOK_OPS_SECRET": "whsec_dG9jc2luLXRlc3RzLW9ubHk=",
}
SETTINGS = {
    "SLACK_API_URL": f"https://{NOWHERE}/slack",
    "PAGERDUTY_EVENTS_URL": f"https://{NOWHERE}/pagerduty",
    "SES_FROM": "tocsin@example.com",
    "DELIVERY_MAX_AGE": "20m",
    "TARGET_GRACE": "5m",
}
MODES = ("busy", "doubtful", "unreachable", "slow", "refusing")
READS = ("conversations.list", "conversations.history", "conversations.replies")


@dataclass(frozen=True, slots=True)
class Request:
    """One request to a vendor. `what` is the vendor's word (chat.postMessage, trigger, mail, hook).

    `notification` is the id that the request carries, `incident` the id of its incident, as far as it names them.
    `thread` is that of a reply in Slack, at PagerDuty the number of the wave.
    """

    at: datetime
    target: str
    what: str
    incident: str
    notification: str
    taken: bool
    in_doubt: bool
    thread: str = ""
    reason: str = ""
    """What a webhook's body says that it is."""
    in_channel: bool = False
    """Whether a reply in Slack is also sent to its channel: a sound."""

    def __str__(self) -> str:
        """Return one line of a trace."""
        fate = "taken" if self.taken and not self.in_doubt else "taken, in doubt" if self.taken else "not taken"
        return f"{self.target} {self.what} {self.notification} {fate}"


@dataclass
class Vendors:
    """All vendors. `outages` maps the name of a target (`#incidents`, `hook`) to how it fails now."""

    calls: Calls
    outages: dict[str, str] = field(default_factory=dict)
    doubt: float = 0.0
    """The share of all requests whose answer is lost."""
    requests: list[Request] = field(default_factory=list)
    seen: Callable[[Request], None] = lambda request: None

    def __post_init__(self) -> None:
        self._channels: dict[str, str] = {}
        self._messages: dict[str, list[dict[str, Any]]] = {}
        self._http = httpx.Client(transport=httpx.MockTransport(self._serve), trust_env=False)

    def __hash__(self) -> int:
        return id(self)

    # -- the port of the product -------------------------------------------------------------------------------------

    def http(self) -> httpx.Client:
        """Return a client that reaches these vendors only."""
        return self._http

    def aws(self, service: str) -> Any:
        """Return SES."""
        return SimpleNamespace(send_email=self._send_email)

    def secret(self, name: str) -> str | None:
        """Return a secret of these vendors."""
        return SECRETS.get(name)

    def setting(self, name: str, default: str = "") -> str:
        """Return a setting of these vendors."""
        return SETTINGS.get(name, default)

    # -- requests ----------------------------------------------------------------------------------------------------

    def _serve(self, request: httpx.Request) -> httpx.Response:
        service, _, method = request.url.path.strip("/").partition("/")
        take: Callable[[httpx.Request, str], httpx.Response] = getattr(self, f"_{service}")
        self.calls.reach(f"{service}.{method}", None if method in READS else lambda: _quiet(take, request, method))
        return take(request, method)

    def _slack(self, request: httpx.Request, method: str) -> httpx.Response:
        if request.method == "GET":
            body: dict[str, Any] = {name: values[0] for name, values in parse_qs(request.url.query.decode()).items()}
        else:
            body = json.loads(request.content)
        channel = self._channel_name(str(body.get("channel", "")))
        payload = (body.get("metadata") or {}).get("event_payload") or {}
        named = ("#" + channel, method, str(payload.get("incident", "")), str(payload.get("id", "")))

        def take() -> httpx.Response:
            return httpx.Response(200, json=getattr(self, f"_{method.replace('.', '_')}")(channel, body))

        if method in READS:
            mode = self.outages.get(named[0], "")
            if mode == "refusing" and method != "conversations.list":
                return httpx.Response(200, json={"ok": False, "error": "channel_not_found"})
            return self._failed(request, mode) if mode and mode != "refusing" else take()
        in_channel = bool(body.get("reply_broadcast"))
        return self._answered(request, named, take, str(body.get("thread_ts", "")), in_channel=in_channel)

    def _channel_name(self, named: str) -> str:
        return next((name for name, id in self._channels.items() if id == named), named.removeprefix("#"))

    def _chat_postMessage(self, channel: str, body: dict[str, Any]) -> dict[str, Any]:
        identifier = self._channels.setdefault(channel, f"C{len(self._channels):09d}")
        at = self.calls.clock.now.timestamp()
        messages = self._messages.setdefault(channel, [])
        ts = f"{at + len(messages) / 10_000:.6f}"
        messages.append({"ts": ts, "metadata": body.get("metadata"), "thread_ts": body.get("thread_ts")})
        return {"ok": True, "channel": identifier, "ts": ts, "message": {}}

    def _chat_postEphemeral(self, channel: str, body: dict[str, Any]) -> dict[str, Any]:
        return {"ok": True, "message_ts": f"{self.calls.clock.now.timestamp():.6f}"}

    def _chat_update(self, channel: str, body: dict[str, Any]) -> dict[str, Any]:
        for message in self._messages.get(channel, ()):
            if message["ts"] == body["ts"]:
                message["metadata"] = body.get("metadata") or message["metadata"]
                return {"ok": True, "channel": self._channels[channel], "ts": body["ts"], "message": {}}
        return {"ok": False, "error": "message_not_found"}

    def _conversations_list(self, channel: str, body: dict[str, Any]) -> dict[str, Any]:
        return {"ok": True, "channels": [{"id": id, "name": name} for name, id in self._channels.items()]}

    def _conversations_history(self, channel: str, body: dict[str, Any]) -> dict[str, Any]:
        found = [each for each in self._messages.get(channel, ()) if not each["thread_ts"]]
        oldest = float(body.get("oldest", 0))
        return {"ok": True, "messages": [each for each in reversed(found) if float(each["ts"]) >= oldest][:200]}

    def _conversations_replies(self, channel: str, body: dict[str, Any]) -> dict[str, Any]:
        found = [each for each in self._messages.get(channel, ()) if body["ts"] in (each["ts"], each["thread_ts"])]
        return {"ok": True, "messages": found}

    def _pagerduty(self, request: httpx.Request, method: str) -> httpx.Response:
        body = json.loads(request.content)
        if "change" in method:
            return httpx.Response(202, json={"status": "success"})
        key = str(body["dedup_key"])
        named = ("pagerduty", str(body["event_action"]), incident_named(key), "")
        answer = {"status": "success", "dedup_key": key}
        return self._answered(request, named, lambda: httpx.Response(202, json=answer), str(wave_named(key)))

    def _hook(self, request: httpx.Request, method: str) -> httpx.Response:
        data = json.loads(request.content)["data"]
        named = ("hook", "hook", str(data["incident"]), request.headers["webhook-id"])
        return self._answered(request, named, lambda: httpx.Response(200, text="ok"), reason=str(data["reason"]))

    def _send_email(self, **request: Any) -> Mapping[str, str]:
        tags = {tag["Name"]: tag["Value"] for tag in request.get("EmailTags", ())}
        (address,) = request["Destination"]["ToAddresses"]
        named = (str(address), "mail", str(tags.get("incident", "")), str(tags["notification"]))
        plain = httpx.Request("POST", f"https://{NOWHERE}/ses")

        def send() -> Mapping[str, str]:
            try:
                answer = self._answered(plain, named, lambda: httpx.Response(200))
            except httpx.ConnectError:
                raise EndpointConnectionError(endpoint_url="ses") from None
            except httpx.HTTPError:
                raise ReadTimeoutError(endpoint_url="ses") from None
            if answer.status_code >= 300:
                raise _ses_error(answer.status_code)
            return {"MessageId": f"mail-{len(self.requests)}"}

        self.calls.reach("ses.send_email", lambda: _quiet(send))
        return send()

    def _answered(
        self,
        request: httpx.Request,
        named: tuple[str, str, str, str],
        take: Callable[[], httpx.Response],
        thread: str = "",
        reason: str = "",
        *,
        in_channel: bool = False,
    ) -> httpx.Response:
        mode = self.outages.get(named[0], "")
        if not mode and self.calls.happens(self.doubt):
            mode = "doubtful"
        in_doubt = mode in ("doubtful", "slow")
        answer = take() if not mode or (in_doubt and self.calls.chance.random() < 0.5) else None
        taken = answer is not None and b'"ok": false' not in answer.content and b'"ok":false' not in answer.content
        target, what, incident, notification = named
        now = self.calls.clock.now
        written = Request(now, target, what, incident, notification, taken, in_doubt, thread, reason, in_channel)
        self.requests.append(written)
        self.seen(written)
        if answer is not None and not mode:
            return answer
        if mode == "refusing" and what.startswith("chat."):
            return httpx.Response(200, json={"ok": False, "error": "channel_not_found"})
        return self._failed(request, mode)

    def _failed(self, request: httpx.Request, mode: str) -> httpx.Response:
        if mode == "busy":
            return httpx.Response(429, headers={"Retry-After": "20"}, text="")
        if mode == "doubtful":
            return httpx.Response(503, text="")
        if mode == "unreachable":
            raise httpx.ConnectError("refused", request=request)
        if mode == "slow":
            self.calls.clock.spend(timedelta(seconds=10))
            raise httpx.ReadTimeout("timed out", request=request)
        return httpx.Response(403, text="")


def _quiet(make: Callable[..., object], *given: object) -> None:
    """Make a request whose worker dies: nobody is there to hear of its failure."""
    with suppress(httpx.HTTPError, ClientError, BotoCoreError):
        make(*given)


def _ses_error(status: int) -> ClientError:
    codes = {429: "TooManyRequestsException", 503: "ServiceUnavailable"}
    code = codes.get(status, "MessageRejected")
    return ClientError(
        {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "SendEmail",
    )
