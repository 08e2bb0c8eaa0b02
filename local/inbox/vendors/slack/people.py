"""What a person does in Slack: presses a button, chooses from a menu, submits a modal, types a command.

Each becomes the request that Slack would send (https://docs.slack.dev/interactivity/handling-user-interaction), signed,
and Slack's three seconds hold: to an answer that is late, or not 200, the person sees what Slack shows.
"""

import json
import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from local.inbox.exchange import Json
from local.inbox.memory import Memory
from local.inbox.outside import Connections, Outcome, post, slack_headers
from local.inbox.vendors.slack.api import Slack
from local.inbox.vendors.slack.workspace import APP, PEOPLE, TEAM, TEAM_DOMAIN, SlackError, handle_of

TIMEOUT_SECONDS = 3.0
DEFAULT_PERSON = next(iter(PEOPLE))
NOT_CONNECTED = "Nothing is connected: the inbox was started without the address of Tocsin"
NOT_SIGNED = "Nothing is connected: the inbox was started without Slack's signing secret"


class People:
    """Acts on one Slack, towards one Tocsin. Every act returns {"ok": …, "problem": "…"}."""

    def __init__(
        self,
        slack: Slack,
        memory: Memory,
        connections: Connections,
        clock: Callable[[], float],
        base: str,
    ) -> None:
        self._slack = slack
        self._memory = memory
        self._connections = connections
        self._clock = clock
        self._base = base
        self.timeout_seconds = TIMEOUT_SECONDS

    def press(
        self,
        channel: str,
        ts: str,
        action_id: str,
        *,
        block_id: str | None = None,
        value: str | None = None,
        user: str = DEFAULT_PERSON,
    ) -> Json:
        """Press a button of a message, or choose the option `value` of a menu.

        Nothing is sent, and a problem returned, when the message has no such element any more.
        """
        with self._memory.lock:
            message = self._slack.message(channel, ts)
            found = _element(message, action_id, block_id) if message else None
            if message is None or found is None:
                return _problem("The message has changed: it has no such button any more")
            action = self._action(*found, value)
            if action is None:
                return _problem("The menu has no such option")
            payload = self._block_actions(message, action, user)
        return self._told(self._send("slack/actions", {"payload": _compact(payload)}))

    def submit(self, view_id: str, values: Json, *, user: str = DEFAULT_PERSON) -> Json:
        """Submit a modal. `values` maps block_id to action_id to what was entered (text, or an option's value).

        Mistakes that Tocsin finds come back as {"ok": false, "errors": {block_id: text}}.
        """
        with self._memory.lock:
            view = self._slack.modals.find(view_id)
            if view is None:
                return _problem("The modal is closed")
            state, missing = _state(view, values)
            if missing:
                return {"ok": False, "errors": dict.fromkeys(missing, "Please complete this required field.")}
            filled = {**view, "state": {"values": state}}
            payload = {**self._who(user), "type": "view_submission", "view": filled, "response_urls": []}
            payload |= {
                "is_enterprise_install": False,
                "enterprise": None,
                "trigger_id": self._slack.modals.new_trigger(),
            }
        outcome = self._send("slack/actions", {"payload": _compact(payload)})
        return self._submitted(view_id, outcome)

    def close(self, view_id: str, *, user: str = DEFAULT_PERSON) -> Json:
        """Close a modal. Tocsin gets `view_closed` when the modal asked for it."""
        with self._memory.lock:
            view = self._slack.modals.find(view_id)
        self._slack.modals.close(view_id)
        if view is None or not view.get("notify_on_close"):
            return {"ok": True}
        payload = {**self._who(user), "type": "view_closed", "view": view, "is_cleared": False}
        return self._told(self._send("slack/actions", {"payload": _compact(payload)}))

    def command(self, channel: str, text: str, *, user: str = DEFAULT_PERSON) -> Json:
        """Type `/command words` into a channel. The answer is shown there."""
        name, _, rest = text.strip().partition(" ")
        if not name.startswith("/") or len(name) < 2:
            return _problem("Only commands can be typed here: try /tocsin list")
        with self._memory.lock:
            known = self._memory.channels.get(channel)
        if known is None:
            return _problem("There is no such channel")
        place = {"channel": channel, "ts": "", "user": user}
        response_url = self._slack.responses.new_url(self._base, "commands", channel, "", user)
        fields = {
            "token": "inbox-verification-token",
            "team_id": TEAM,
            "team_domain": TEAM_DOMAIN,
            "channel_id": channel,
            "channel_name": known["name"],
            "user_id": user,
            "user_name": handle_of(user),
            "command": name,
            "text": rest.strip(),
            "api_app_id": APP,
            "is_enterprise_install": "false",
            "response_url": response_url,
            "trigger_id": self._slack.modals.new_trigger(),
        }
        return self._answered(self._send("slack/commands", fields), place, name)

    # What is sent ----------------------------------------------------------------------------------------------

    def _block_actions(self, message: Json, action: Json, user: str) -> Json:
        channel, ts = message["channel"], message["ts"]
        container = {"type": "message", "message_ts": ts, "channel_id": channel}
        container |= {"is_ephemeral": bool(message.get("only_for"))}
        if thread := message.get("thread_ts"):
            container["thread_ts"] = thread
        names = ("user", "type", "ts", "bot_id", "app_id", "text", "team", "blocks", "attachments", "thread_ts")
        return {
            "type": "block_actions",
            **self._who(user),
            "container": container,
            "trigger_id": self._slack.modals.new_trigger(),
            "enterprise": None,
            "is_enterprise_install": False,
            "channel": {"id": channel, "name": self._memory.channels[channel]["name"]},
            "message": {name: message[name] for name in names if name in message},
            "state": {"values": _chosen(action)},
            "response_url": self._slack.responses.new_url(self._base, "actions", channel, ts, user),
            "actions": [action],
        }

    def _who(self, user: str) -> Json:
        name = handle_of(user)
        return {
            "user": {"id": user, "username": name, "name": name, "team_id": TEAM},
            "api_app_id": APP,
            "token": "inbox-verification-token",
            "team": {"id": TEAM, "domain": TEAM_DOMAIN},
        }

    def _action(self, element: Json, block_id: str, value: str | None) -> Json | None:
        """Return the entry of `actions`, None when a menu has no option of that value."""
        action: Json = {"action_id": element.get("action_id", ""), "block_id": block_id, "type": element["type"]}
        if element["type"] == "button":
            action |= {name: element[name] for name in ("text", "value", "style", "url") if name in element}
        else:
            option = next((each for each in _options(element) if each.get("value") == value), None)
            if option is None:
                return None
            action["selected_option"] = option
            if "placeholder" in element:
                action["placeholder"] = element["placeholder"]
        return {**action, "action_ts": f"{self._clock():.6f}"}

    def _send(self, path: str, fields: dict[str, Any]) -> Outcome:
        connections = self._connections
        if not connections.tocsin:
            return Outcome(problem=NOT_CONNECTED)
        if not connections.slack_signing_secret:
            return Outcome(problem=NOT_SIGNED)
        body = urlencode(fields).encode()
        headers = slack_headers(connections.slack_signing_secret, body, self._clock())
        url = f"{connections.tocsin.rstrip('/')}/{path}"
        outcome = post(url, body, headers, timeout_seconds=self.timeout_seconds)
        with self._memory.lock:
            self._memory.deliveries.append(
                {"at": self._clock(), "to": f"/{path}", "status": outcome.status, "problem": outcome.problem}
            )
            self._memory.changed()
        return outcome

    # What comes back -------------------------------------------------------------------------------------------

    def _told(self, outcome: Outcome) -> Json:
        return {"ok": True} if outcome.is_ok else _problem(_explained(outcome))

    def _submitted(self, view_id: str, outcome: Outcome) -> Json:
        """Do what the answer to a submission asks for; an empty one closes: https://docs.slack.dev/surfaces/modals."""
        if not outcome.is_ok:
            return _problem(_explained(outcome))
        answer = _object(outcome.body)
        action = answer.get("response_action")
        if action == "errors":
            return {"ok": False, "errors": answer.get("errors") or {}}
        if action in ("update", "push") and isinstance(answer.get("view"), dict):
            self._slack.modals.push(answer["view"], over=view_id)
        else:
            self._slack.modals.close(view_id)
        return {"ok": True}

    def _answered(self, outcome: Outcome, place: Json, command: str) -> Json:
        if not outcome.is_ok:
            said = "operation_timeout" if outcome.problem == "timed_out" else _error_name(outcome)
            return _problem(f"{command} failed with the error “{said}”")
        answer = _object(outcome.body)
        words = outcome.body.decode("utf-8", "replace").strip()
        fields = answer or ({"text": words} if words else {})
        try:
            with self._memory.lock:
                if fields:
                    self._slack.responses.write(place, fields)
        except SlackError as refused:
            return _problem(f"{command} answered with something that Slack does not show: {refused.code}")
        return {"ok": True}


def _explained(outcome: Outcome) -> str:
    if outcome.problem == "timed_out":
        return "Operation timed out. Apps need to respond within 3 seconds."
    if outcome.problem == "refused":
        return "Slack could not reach the app"
    return outcome.problem or f"This app responded with Status Code {outcome.status}"


def _error_name(outcome: Outcome) -> str:
    if outcome.problem == "refused":
        return "dispatch_failed"
    return outcome.problem or f"http_service_error ({outcome.status})"


def _problem(text: str) -> Json:
    return {"ok": False, "problem": text}


def _compact(payload: Json) -> str:
    return json.dumps(payload, separators=(",", ":"))


def _object(body: bytes) -> Json:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _element(message: Json, action_id: str, block_id: str | None) -> tuple[Json, str] | None:
    """Return the element of that action_id, and its block's id."""
    attached = [block for each in message.get("attachments") or () for block in each.get("blocks") or ()]
    for block in [*(message.get("blocks") or ()), *attached]:
        elements = [*(block.get("elements") or ()), block.get("accessory")]
        for element in elements:
            if not isinstance(element, dict) or element.get("action_id") != action_id:
                continue
            if block_id in (None, block.get("block_id", "")):
                return element, str(block.get("block_id", ""))
    return None


def _options(element: Json) -> list[Json]:
    groups = element.get("option_groups") or ()
    return [*(element.get("options") or ()), *(option for group in groups for option in group.get("options") or ())]


def _chosen(action: Json) -> Json:
    if "selected_option" not in action:
        return {}
    value = {"type": action["type"], "selected_option": action["selected_option"]}
    return {action["block_id"]: {action["action_id"]: value}}


def _state(view: Json, values: Json) -> tuple[Json, list[str]]:
    """Return `state.values` of a modal, and the ids of blocks that must be filled in and are not."""
    state: Json = {}
    missing: list[str] = []
    for block in view["blocks"]:
        if block.get("type") != "input":
            continue
        element, block_id = block["element"], block["block_id"]
        action_id = element.get("action_id") or secrets.token_hex(3)
        entered = (values.get(block_id) or {}).get(action_id)
        state[block_id] = {action_id: _entered(element, entered)}
        if not entered and not block.get("optional"):
            missing.append(block_id)
    return state, missing


def _entered(element: Json, entered: Any) -> Json:
    kind = element["type"]
    if kind in ("static_select", "radio_buttons"):
        option = next((each for each in _options(element) if each.get("value") == entered), None)
        return {"type": kind, "selected_option": option}
    if kind in ("checkboxes", "multi_static_select"):
        wanted = entered if isinstance(entered, list) else [entered]
        return {"type": kind, "selected_options": [each for each in _options(element) if each.get("value") in wanted]}
    if kind == "datepicker":
        return {"type": kind, "selected_date": entered or None}
    if kind == "timepicker":
        return {"type": kind, "selected_time": entered or None}
    if kind == "datetimepicker":
        return {"type": kind, "selected_date_time": int(entered) if entered else None}
    if kind == "users_select":
        return {"type": kind, "selected_user": entered or None}
    return {"type": kind, "value": entered or None}
