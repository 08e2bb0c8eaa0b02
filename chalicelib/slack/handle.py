"""What people asked for in Slack → actions, silences, a rollback, answers. Runs after Slack was answered.

Whatever changes an incident goes on the webhooks queue as anybody's act would; the messages in Slack, PagerDuty and
mail follow from there. Every act has the id of the press, so that a message that comes twice does it once. What cannot
be done is sent to the person alone, by the address that came with the press.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from chalicelib.api import requests, views
from chalicelib.api.acting import accepted, open_incident
from chalicelib.api.paging import Paging
from chalicelib.api.times import is_zone, parse_when
from chalicelib.api.warnings import warnings
from chalicelib.core.access import Role, role_of
from chalicelib.core.alert_snapshot import deploys_before
from chalicelib.core.context import Silence
from chalicelib.core.delivery.notification import Deploy
from chalicelib.core.errors import NotFoundError, OverError, RequestError, TargetRejectedError, TargetUnavailableError
from chalicelib.core.event import Action, ActionKind, fingerprint
from chalicelib.core.incident import Incident
from chalicelib.core.match import Matcher
from chalicelib.core.matcher_words import is_matcher
from chalicelib.core.mute import silences_of
from chalicelib.core.outcome import Outcome, Result, outcome, sentence
from chalicelib.core.ports import Clients, Store
from chalicelib.core.rule import Rules
from chalicelib.core.sign_in import KEY, PAGE_URL, Person, new_link
from chalicelib.messages.interaction import ACTION_ROLL_BACK_CONFIRMED, ANSWER, Interaction
from chalicelib.messages.queue import (
    Handled,
    Queues,
    SetSilence,
    action_message,
    set_silence_message,
    unsilence_message,
)
from chalicelib.process.silences import check_room
from chalicelib.process.silences import find as find_silence
from chalicelib.slack import answers, command, membership, rollback, silence_answers, silence_modal, vendors
from chalicelib.slack.answers import Question

Reply = str | Question
"""What a person is answered; empty where the message shows it."""
VIA = "slack"
AGAIN = timedelta(seconds=5)
ANSWERED_WITHIN = timedelta(minutes=30)
"""How long Slack takes answers: https://docs.slack.dev/interactivity/handling-user-interaction."""


def act(asked: Interaction, *, rules: Rules, store: Store, queues: Queues, clients: Clients, now: datetime) -> Handled:
    """Do what was asked and answer the person. Twice does it once; only the answer comes twice."""
    request = SlackRequest(asked, rules, store, queues, clients, now)
    said: Reply
    try:
        said = _served(request) if asked.kind in _KINDS else ""
    except RequestError as error:
        said = f"⚠️ {command.dated(command.escaped(str(error)))}"
    if not said:
        return Handled(note=f"{asked.kind} of a person")
    return _told(request, said)


def _served(request: "SlackRequest") -> Reply:
    """Do what was asked, for a person who may."""
    why = "" if request.asked.kind == ANSWER else _refusal(request) or _without_role(request)
    return f"⚠️ {why[:1].upper()}{why[1:]}." if why else _KINDS[request.asked.kind](request)


def _refusal(request: "SlackRequest") -> str:
    """Return why the person may not use Tocsin; empty when they may. What Slack does not answer refuses nobody."""
    asked, slack = request.asked, vendors.slack()
    is_guest, is_stranger = slack.standing(asked.user, request.clients, now=request.now)
    return membership.refusal(
        asked,
        slack.home(request.clients, now=request.now) if asked.team else None,
        membership.teams_of(request.clients.setting("SLACK_TEAMS")),
        is_guest=is_guest,
        is_stranger=is_stranger,
        guests_allowed=request.clients.setting("SLACK_GUESTS").strip().lower() == "yes",
    )


def _without_role(request: "SlackRequest") -> str:
    """Return why `access:` of the rules file does not let the person do this; empty where it does, or says nothing.

    Without the block people go on rolling back in Slack: a message has had that button for longer than there are roles.
    """
    access = request.rules.access
    needed = _needed(request.asked)
    if not access.declared or role_of(request.account, access) >= needed:
        return ""
    return f"no list of `access:` in the rules file lets you do this: it takes the role {needed.name.lower()}"


def _needed(asked: Interaction) -> Role:
    if asked.kind in ("roll_back", "roll_back_confirmed"):
        return Role.ADMIN
    word = asked.words.split(maxsplit=1)[0].lower() if asked.kind == "command" and asked.words.strip() else ""
    return Role.VIEWER if word in command.LOOKING or (asked.kind == "command" and not word) else Role.RESPONDER


def _told(request: "SlackRequest", said: Reply) -> Handled:
    asked, slack = request.asked, vendors.slack()
    try:
        if isinstance(said, Question):
            slack.respond(
                asked.reply_to, said.text, request.clients, now=request.now, blocks=said.blocks, replaces=said.replaces
            )
        elif asked.reply_to or not asked.channel:
            slack.respond(asked.reply_to, said, request.clients, now=request.now)
        else:
            slack.post_ephemeral(asked.channel, asked.user, said, request.clients, now=request.now)
    except TargetUnavailableError as error:
        if request.now < asked.at + ANSWERED_WITHIN:
            return Handled(retry_after=error.retry_after or AGAIN, note=f"{asked.kind}: the answer waits: {error}")
        return Handled(note=f"{asked.kind}: the answer came too late: {error}")
    except TargetRejectedError as error:
        return Handled(note=f"{asked.kind}: the answer was refused: {error}")
    return Handled(note=f"{asked.kind} of a person, answered")


@dataclass(slots=True)
class SlackRequest:
    """One request and what it takes to serve it."""

    asked: Interaction
    rules: Rules
    store: Store
    queues: Queues
    clients: Clients
    now: datetime

    @property
    def by(self) -> str:
        """Return the person's name; what Slack's request called them where Slack does not name them."""
        asked = self.asked
        found = vendors.slack().person(asked.user, self.clients, now=self.now)
        return requests.person(found or asked.name or asked.user)

    @property
    def account(self) -> str:
        """Return the person's account, as timelines store it."""
        return f"{VIA}:{self.asked.team}/{self.asked.user}"

    @property
    def zone(self) -> str:
        """Return the person's time zone; where Slack names none that is known here, that of the rules file."""
        found = vendors.slack().zone(self.asked.user, self.clients, now=self.now)
        return found if is_zone(found) else self.rules.options.timezone

    def incident(self, id: str) -> Incident:
        """Return the open incident of an id. Raise RequestError when there is none, or it has ended."""
        return open_incident(id, store=self.store, now=self.now)

    def action(self, kind: ActionKind, id: str, note: str = "") -> Action:
        """Return an act of the person on the incident that they named by its id."""
        asked = self.asked
        return Action(
            kind,
            self.by,
            asked.at,
            incident=id,
            via=VIA,
            note=note[: requests.MAX_TEXT_CHARACTERS],
            id=asked.id,
            account=self.account,
            reply_to=asked.reply_to,
            channel=asked.channel,
        )

    def accept(self, kind: ActionKind, id: str, note: str = "") -> tuple[Outcome, Action]:
        """Return what an act comes to, after it was handed on where it changes something."""
        action = self.action(kind, id, note)
        return accepted(action, store=self.store, webhooks=self.queues.webhooks, now=self.now)

    def silence(self, matchers: tuple[Matcher, ...], until: str, comment: str) -> Silence:
        """Hand a silence on. A request that comes again changes nothing. RequestError when it has no room."""
        id, context = fingerprint(self.asked.id)[:8], self.store.context()
        if (known := find_silence(context, id)) is not None:
            return known
        made = requests.new_silence(
            matchers,
            ends_at=parse_when(until, self.asked.at, self.zone),
            by=self.by,
            at=self.asked.at,
            comment=comment,
            id=id,
        )
        wanted = SetSilence(made, only_new=True)
        check_room(context, wanted, self.now)
        self.queues.webhooks.put([set_silence_message(wanted)])
        return made

    def silenced(self, made: Silence, *, shown_by: str = "") -> str:
        """Return the answer about a new silence; empty when the message of that incident shows all that it mutes."""
        firing = views.fires(self.store, [made] if made.active(self.now) else [])
        row = views.silence(made, self.now, firing)
        if shown_by and silence_answers.is_shown(row, shown_by):
            return ""
        return silence_answers.made(row, warnings(made, row, self.store, self.rules))

    def release(self, id: str) -> None:
        """End a silence."""
        self.queues.webhooks.put([unsilence_message(id, self.by, self.asked.at)])


# ---------------------------------------------------------------------------------------------------------------------
# Buttons, menu and modal


def _press(kind: ActionKind) -> Callable[[SlackRequest], str]:
    """Return what serves a button: its message shows what was done, so only another result is answered."""

    def press(request: SlackRequest) -> str:
        found, action = request.accept(kind, request.asked.incident)
        shown = found.result is Result.DONE and not found.still
        return "" if shown else answers.answered(found, action)

    return press


def _answer(request: SlackRequest) -> str:
    return command.dated(command.escaped(request.asked.words))


def _silence(request: SlackRequest) -> str:
    found = request.incident(request.asked.incident)
    return request.silenced(request.silence(requests.matchers_of(found), request.asked.words, ""), shown_by=found.id)


def _silence_opened(request: SlackRequest) -> str:
    """Fill the modal with the incident's matchers. A person who was faster, or closed it, keeps what they have.

    Where nothing is left to silence the modal says so in place of its fields: that is the one answer.
    """
    slack, asked = vendors.slack(), request.asked
    try:
        view = _filled(request, _active_incident(request))
    except (NotFoundError, OverError) as error:
        view = silence_modal.notice(command.dated(command.escaped(str(error))))
    slack.fill_view(asked.view, asked.view_hash, view, request.clients, now=request.now)
    return ""


def _active_incident(request: SlackRequest) -> Incident:
    """Return the incident of a request while something of it fires. Raise OverError after."""
    found = request.incident(request.asked.incident)
    if not found.firing:
        raise OverError(f"nothing of the incident {found.id} fires any more: there is nothing to silence")
    return found


def _filled(request: SlackRequest, found: Incident) -> dict[str, Any]:
    named = command.escaped(views.incident(found, request.store, request.rules, request.now)["title"])
    return silence_modal.view(
        found.id,
        channel=request.asked.channel,
        about=f"*{named}*",
        matchers=[each.written() for each in requests.matchers_of(found)],
        filled=True,
    )


def _silence_asked(request: SlackRequest) -> str:
    fields = request.asked.fields
    found = request.incident(request.asked.incident)
    matchers = requests.parse_text(fields.get("matchers", "")) or requests.matchers_of(found)
    return request.silenced(request.silence(matchers, fields.get("until", ""), fields.get("comment", "")))


def _unsilence(request: SlackRequest) -> str:
    """End the silences that mute the incident alone; ask about those that mute more."""
    found = request.incident(request.asked.incident)
    active = request.store.context().silences
    muting = {each.id: each for alert in found.firing for each in silences_of(alert, active, request.now)}
    firing = views.fires(request.store, list(muting.values()))
    questions = []
    for silence in muting.values():
        if question := silence_answers.asks(views.silence(silence, request.now, firing), found.id):
            questions.append(question)
        else:
            request.release(silence.id)
    return "\n".join(questions) if muting else f"🔔 Nothing silences `{found.id}` now."


def _roll_back(request: SlackRequest) -> Reply:
    """Take production back to before the deploy, where nothing speaks against it."""
    return _rolled_back(request, request.asked.words, "")


def _roll_back_confirmed(request: SlackRequest) -> Reply:
    """Take production back all the same; the answer takes the place of the question."""
    confirmed, _, id = request.asked.words.partition(":")
    said = _rolled_back(request, id, confirmed)
    return replace(said, replaces=True) if isinstance(said, Question) else Question(said, replaces=True)


def _rolled_back(request: SlackRequest, id: str, confirmed: str) -> Reply:
    """Return the answer to a press of Roll back; what came of it is in the incident's timeline either way."""
    asked = request.asked
    action = request.action(ActionKind.ROLL_BACK, asked.incident)
    found = views.candidates(request.store, asked.incident, request.now)
    newer = request.store.load(found[0].key) if len(found) == 1 else None
    result = outcome(found, action, request.now, newer=newer)
    if result.result in (Result.UNKNOWN, Result.SEVERAL, Result.NOT_ALLOWED):
        return answers.answered(result, action)
    reason = "" if result.result is Result.DONE else sentence(result, action)
    press = rollback.Press(asked.id, found[0].id, action.by, asked.at, reason=reason, confirmed=confirmed)
    deploy = _deploy(request, found[0], id)
    done = rollback.press(press, deploy, store=request.store, clients=request.clients, now=request.now)
    if done.note:
        _write(request, replace(action, incident=press.incident, note=done.note), done)
    if done.confirm:
        value = f"{press.incident}:{done.confirm}:{id}"
        return Question(answers.of_rollback(done), "Roll back all the same", ACTION_ROLL_BACK_CONFIRMED, value)
    is_shown = done.note and not done.failed and not confirmed
    return "" if is_shown else answers.of_rollback(done)


def _deploy(request: SlackRequest, found: Incident, id: str) -> Deploy:
    known = deploys_before(found, request.store.context())
    deploy = next((each for each in known if each.id == id), None)
    if deploy is None:
        raise RequestError("that deploy is not known any more: roll back at Vercel")
    return deploy


def _write(request: SlackRequest, action: Action, done: rollback.Answered) -> None:
    """Write what came of a press in the timeline. A failure has an id of its own: its press may succeed later."""
    id = f"{action.id}:failed" if done.failed else action.id
    note = done.note[: requests.MAX_TEXT_CHARACTERS]
    request.queues.webhooks.put([action_message(replace(action, kind=ActionKind.NOTE, id=id, note=note))])


# ---------------------------------------------------------------------------------------------------------------------
# Commands


def _command(request: SlackRequest) -> str:
    asked = command.parsed(request.asked.words)
    return _COMMANDS[asked.word](request, asked)


def _list(request: SlackRequest, asked: command.Command) -> str:
    matchers, paging = requests.parse_words(asked.about), Paging(limit=command.MAX_ROWS)
    found = views.incidents(request.store, request.rules, request.now, matchers=matchers, asked=paging)
    return command.listed(found.rows, found.total)


def _show(request: SlackRequest, asked: command.Command) -> str:
    found = views.find(request.store, asked.about[0], request.now)
    return command.shown(views.incident(found, request.store, request.rules, request.now))


def _act_on(kind: ActionKind) -> Callable[[SlackRequest, command.Command], str]:
    """Return what serves a command on one incident or several: a line for each."""

    def act_on(request: SlackRequest, asked: command.Command) -> str:
        return "\n".join(answers.answered(*request.accept(kind, each, asked.said)) for each in asked.about)

    return act_on


def _assign(request: SlackRequest, asked: command.Command) -> str:
    """Return assign to a name, or to the person that a mention names."""
    user = command.mentioned(asked.said)
    name = vendors.slack().person(user, request.clients, now=request.now) if user else ""
    to = requests.person(name or user or asked.said)
    return answers.answered(*request.accept(ActionKind.REASSIGN, asked.about[0], to))


def _silence_words(request: SlackRequest, asked: command.Command) -> str:
    if is_matcher(asked.about[0]):
        matchers = requests.parse_words(asked.about)
    else:
        matchers = requests.matchers_of(request.incident(asked.about[0]))
    return request.silenced(request.silence(matchers, asked.until, asked.said))


def _silences(request: SlackRequest, asked: command.Command) -> str:
    return command.silences_listed(views.silences(request.store, request.now).rows)


def _unsilence_words(request: SlackRequest, asked: command.Command) -> str:
    found = views.silence_named(request.store, asked.about[0], request.now)
    if found["state"] == "ended":
        raise OverError(f"the silence {found['id']} ended at {found['ends_at']}")
    request.release(found["id"])
    return f"🔔 `{found['id']}` is ended."


def _who(request: SlackRequest, asked: command.Command) -> str:
    on_call = vendors.pager().on_call(request.clients, now=request.now)
    if is_matcher(asked.about[0]):
        labels = {each.label: each.value for each in requests.parse_words(asked.about) if each.operator == "="}
        service = views.service_of(request.rules, labels)
        return command.audiences(views.who(request.rules, labels, request.now), on_call, service)
    found = views.find(request.store, asked.about[0], request.now)
    shown = views.incident(found, request.store, request.rules, request.now)
    return command.audience(shown, shown["who"], on_call)


def _page(request: SlackRequest, asked: command.Command) -> str:
    """Answer with a link that signs the person in at the page; only they see it."""
    clients = request.clients
    url, keys = clients.setting(PAGE_URL), tuple(filter(None, map(str.strip, (clients.secret(KEY) or "").split(","))))
    if not url:
        raise RequestError(f"the address of the page is not known: {PAGE_URL} is not set; deploy the stage again")
    person = Person(request.by, request.account)
    link = f"{url.rstrip('/')}/login/{new_link(person, keys, request.now)}"
    return f"🔗 <{link}|Open the page>: it signs you in as {command.said(person.name)}, once, within 5 minutes."


_COMMANDS: dict[str, Callable[[SlackRequest, command.Command], str]] = {
    "list": _list,
    "show": _show,
    "ack": _act_on(ActionKind.ACK),
    "unack": _act_on(ActionKind.UNACK),
    "resolve": _act_on(ActionKind.RESOLVE),
    "keep": _act_on(ActionKind.KEEP),
    "note": _act_on(ActionKind.NOTE),
    "assign": _assign,
    "silence": _silence_words,
    "silences": _silences,
    "unsilence": _unsilence_words,
    "who": _who,
    "page": _page,
}
_KINDS: dict[str, Callable[[SlackRequest], Reply]] = {
    "ack": _press(ActionKind.ACK),
    "unack": _press(ActionKind.UNACK),
    "resolve": _press(ActionKind.RESOLVE),
    "keep": _press(ActionKind.KEEP),
    "silence": _silence,
    "silence_opened": _silence_opened,
    "silence_asked": _silence_asked,
    "unsilence": _unsilence,
    "roll_back": _roll_back,
    "roll_back_confirmed": _roll_back_confirmed,
    "command": _command,
    ANSWER: _answer,
}


# ---------------------------------------------------------------------------------------------------------------------
# What PagerDuty did not say


def asked_back(action: Action, *, queues: Queues, clients: Clients, now: datetime) -> Handled:
    """Return an act at PagerDuty that names only PagerDuty's incident: ask which of ours it is, and hand it on.

    Incidents with child alerts have no incident_key; the key of their alert is ours.
    """
    try:
        keys = vendors.pager().alert_keys(action.alias.partition(":")[2], clients, now=now)
    except TargetUnavailableError as error:
        if now < action.at + timedelta(hours=1):
            return Handled(retry_after=error.retry_after or AGAIN, note=f"PagerDuty's alerts: {error}")
        return Handled(note=f"PagerDuty's alerts: {error}")
    except TargetRejectedError as error:
        return Handled(note=f"PagerDuty's alerts: {error}")
    queues.webhooks.put([action_message(replace(action, incident=key)) for key in keys])
    return Handled(note="asked PagerDuty what it is about")
