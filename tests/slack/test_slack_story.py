"""A night in Slack and PagerDuty on a virtual clock: what people press and type, and what becomes of it everywhere.

The inbox sends what Slack and PagerDuty would, signed, to the real doors; the rest is the router of tests/scenario.py.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from chalicelib.clients import http_client
from chalicelib.core.event import Action, ActionKind, Event, Severity, Status
from chalicelib.ingest.receive import receive
from chalicelib.ingest.registry import find_source
from chalicelib.messages.queue import action_message
from chalicelib.slack.receive import answered
from chalicelib.slack.wiring import SlackPorts
from tests import extremes
from tests.fakes import FixedSecrets
from tests.scenario import MINUTE, SECRETS, Router, rules_of

RULES = rules_of("""
defaults: {group_by: [service], group_wait: 0s, group_interval: 1m, repeat_interval: 30m, ack_timeout: 8h}
alerts:
  - name: Down
    match: {kind: check}
    severity: critical
    notification: [{slack_channel: "#incidents"}, {pagerduty: true}, {email: ops@example.com}]
default: {notification: [{slack_channel: "#alerts"}]}
fallback: {notification: [{slack_channel: "#alerts"}]}
""")
SIGNING, WEBHOOKS = "slack-signing-secret", "pagerduty-webhook-secret"
ANA, BEN = "U0ANASOUZA", "U0BENOKORO"


class StoryClients:
    """Clients of a worker that reaches the inbox by HTTP; `more` are further secrets and settings."""

    def __init__(self, url: str) -> None:
        self.more: dict[str, str] = {}
        self._settings = {
            "SLACK_API_URL": f"{url}/slack/api",
            "PAGERDUTY_EVENTS_URL": f"{url}/pagerduty",
            "PAGERDUTY_API_URL": f"{url}/pagerduty",
            "VERCEL_API_URL": f"{url}/vercel",
            "SES_FROM": "tocsin@example.com",
        }
        self._http = http_client()

    def http(self) -> httpx.Client:
        """A real client."""
        return self._http

    def aws(self, service: str) -> Any:
        """SES, which takes everything here."""
        return self

    def send_email(self, **request: Any) -> dict[str, str]:
        """Taken."""
        return {"MessageId": "m1"}

    def secret(self, name: str) -> str | None:
        """A secret of the story."""
        return self.more.get(name) or SECRETS.get(name)

    def setting(self, name: str, default: str = "") -> str:
        """A setting of the story."""
        return self.more.get(name) or self._settings.get(name, default)


class Story:
    """The router behind its real doors, and people at the inbox."""

    def __init__(self, router: Router, url: str) -> None:
        self.router = router
        self.clients = StoryClients(router.inbox.url)
        router.clients = self.clients  # type: ignore[assignment]
        self.secrets = FixedSecrets({"SLACK_SIGNING_SECRET": SIGNING, "PAGERDUTY_WEBHOOK_SECRET": WEBHOOKS})
        self.secrets.in_hand |= {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_API_URL": f"{router.inbox.url}/slack/api"}
        router.inbox.connections.tocsin = url
        router.inbox.connections.slack_signing_secret = SIGNING
        router.inbox.connections.pagerduty_webhook_secret = WEBHOOKS

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """What app.py answers."""
        router = self.router
        if path.startswith("/webhooks/"):
            found = receive(
                path.rpartition("/")[2], headers, body, path_secret=None, find=find_source, secrets=self.secrets,
                put=lambda message: router.webhooks.put([message]), keep=lambda name, data: None, now=router.now,
            )  # fmt: skip
        else:
            door = SlackPorts(router.notifications, self.secrets)  # type: ignore[arg-type]
            found = answered(
                headers, body, secrets=self.secrets, put=lambda message: router.notifications.put([message]),
                open_view=door.open_view, now=router.now,
            )  # fmt: skip
        text = httpx.Response(200, json=dict(found.body)).content if found.body else b""
        return found.status, text

    # -- what happens ------------------------------------------------------------------------------------------------

    def run(self, minutes: float = 0.2) -> None:
        """Let time pass, with PagerDuty's webhooks delivered as they come."""
        self.router.inbox.pagerduty.drain()
        self.router.run(minutes=minutes)
        self.router.inbox.pagerduty.drain()
        self.router.run(seconds=5)

    def press(self, action: str, value: str | None = None, user: str = ANA) -> Any:
        """Press a button of the incident's message, or choose from its menu."""
        message = self.message
        said = self.router.inbox.people.press(message["channel"], message["ts"], action, value=value, user=user)
        self.run()
        return said

    def type(self, text: str, user: str = ANA) -> str:
        """Type a command; what came back, to that person only."""
        known = len(self.private)
        channel = self.message["channel"]
        assert self.router.inbox.people.command(channel, f"/tocsin {text}", user=user) == {"ok": True}
        self.run()
        return "\n".join(each["text"] for each in self.private[known:])

    def page(self, act: str, text: str = "") -> None:
        """Do something at PagerDuty, as Ben."""
        assert self.router.inbox.pagerduty.act(self.paged["id"], act, who="PBENOKORO", text=text)["ok"]
        self.run()

    # -- what is seen ------------------------------------------------------------------------------------------------

    @property
    def messages(self) -> list[Any]:
        """Everything in #incidents that all can see, replies included."""
        found = self.router.inbox.messages
        home = next(each["channel"] for each in found)
        return [each for each in found if each["channel"] == home and not each.get("only_for")]

    @property
    def message(self) -> Any:
        """The incident's one message."""
        (found,) = [each for each in self.messages if not each.get("thread_ts")]
        return found

    @property
    def thread(self) -> list[str]:
        """What was said in its thread."""
        return [each["text"] for each in self.messages if each.get("thread_ts")]

    @property
    def private(self) -> list[Any]:
        """What only one person can see."""
        return [each for each in self.router.inbox.messages if each.get("only_for")]

    @property
    def text(self) -> str:
        """All text of the incident's message."""
        return str(self.message)

    @property
    def paged(self) -> Any:
        """PagerDuty's one incident."""
        (found,) = self.router.inbox.incidents
        return found

    @property
    def told(self) -> int:
        """How many requests reached PagerDuty's Events API."""
        return sum(each.service == "pagerduty" for each in self.router.inbox.requests)

    @property
    def incident(self) -> Any:
        """The stored incident."""
        (found,) = self.router.store.incidents()
        return found


@contextmanager
def served(story_of: list[Story]) -> Iterator[str]:
    """The doors by HTTP."""

    class Handler(BaseHTTPRequestHandler):
        """Hands every POST to the story."""

        def do_POST(self) -> None:
            """Answer as app.py does."""
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, content = story_of[0].answer(self.path, dict(self.headers.items()), body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def story() -> Iterator[Story]:
    """One incident burns and everybody was told."""
    found: list[Story] = []
    router = Router(RULES)
    router.inbox.start()
    try:
        with served(found) as url:
            found.append(Story(router, url))
            router.fire("Down", service="checkout")
            found[0].run()
            assert found[0].paged["status"] == "triggered"
            yield found[0]
    finally:
        router.close()


# Slack → everywhere ------------------------------------------------------------------------------------------------


def test_one_press_acknowledges_everywhere(story):
    """The message says who has it, its thread too, PagerDuty is acknowledged, and no reminder comes."""
    assert story.press("tocsin_ack") == {"ok": True}
    assert "👀" in story.message["text"]
    assert "*Acknowledged* by Ana Souza" in story.text
    assert story.thread == ["👀 Acknowledged by Ana Souza"]
    assert story.paged["status"] == "acknowledged"
    requests = len(story.router.inbox.requests)
    story.run(minutes=120)
    assert len(story.router.inbox.requests) == requests


def test_the_echo_of_our_own_act_changes_nothing(story):
    """PagerDuty tells of the acknowledgement that we sent; nobody is told again, and it stays Ana's."""
    story.press("tocsin_ack")
    told, updates = story.told, story.message["updates"]
    story.run(minutes=5)
    assert (story.told, story.message["updates"]) == (told, updates)
    assert [alert.ack.by for alert in story.incident.firing] == ["Ana Souza"]


def test_two_people_and_two_presses_acknowledge_once(story):
    """The first one has it; whoever was slower changes nothing, and their message is the new one."""
    message = story.message
    for user in (ANA, ANA, BEN):
        story.router.inbox.people.press(message["channel"], message["ts"], "tocsin_ack", user=user)
    story.run()
    assert story.thread == ["👀 Acknowledged by Ana Souza"]
    assert sum(each.text == "acknowledged" for each in story.incident.timeline.entries) == 1


def test_giving_back_starts_the_reminders_again(story):
    """The message burns again, and half an hour later everybody hears of it."""
    story.press("tocsin_ack")
    story.press("tocsin_unack", user=BEN)
    assert "🔴" in story.message["text"]
    assert story.thread[-1] == "↩️ Unacknowledged by Ben Okoro"
    story.run(minutes=31)
    assert "Still firing" in story.thread[-1]


def test_a_press_resolves_everywhere(story):
    """Slack and PagerDuty say that it is over and by whom; a press on the old message is answered to the presser."""
    old = story.message
    story.press("tocsin_resolve")
    assert "*Resolved*" in story.text
    assert story.paged["status"] == "resolved"
    assert "tocsin_resolve" not in story.text
    story.router.inbox.slack.message(old["channel"], old["ts"])["blocks"] = old["blocks"]
    story.press("tocsin_ack", user=BEN)
    (told,) = story.private
    assert "is resolved since" in told["text"] and told["only_for"] == BEN


def test_an_hour_of_silence_is_shown_and_ends_by_itself(story):
    """The menu silences what the incident is about; the message says so, and comes back to life after the hour."""
    story.press("tocsin_silence", f"1h:{story.incident.id}")
    assert "*Silenced* by silence" in story.text and "🔇" in story.message["text"]
    assert "Down" in story.message["text"]
    (silence,) = story.router.store.context().silences
    assert [str(each) for each in silence.matchers] == ["alertname=Down", "service=checkout"]
    story.run(minutes=62)
    assert "🔴" in story.message["text"]
    assert "back after the silence of Ana Souza" in story.thread[-1]


def test_a_menu_whose_silence_the_message_shows_is_not_answered(story):
    """Given a silence of the incident alone → the message shows it, and nobody is answered."""
    story.press("tocsin_silence", f"1h:{story.incident.id}")
    assert "*Silenced*" in story.text
    assert story.private == []
    (silence,) = story.router.store.context().silences
    at = silence.ends_at.replace(second=0)
    ends = f"<!date^{int(at.timestamp())}^{{date_short_pretty}} {{time}}|{at:%Y-%m-%d %H:%M} UTC>"
    assert story.thread == [f"🔇 Ana Souza: silenced until {ends}"]


def test_a_menu_on_what_is_resolved_is_answered(story):
    """Given a resolve that is not notified yet, when the menu silences it → the presser reads that it mutes nothing."""
    story.router.resolve("Down", service="checkout")
    story.press("tocsin_silence", f"1h:{story.incident.id}", user=BEN)
    assert not story.incident.firing
    (told,) = story.private
    assert "mutes nothing that fires now" in told["text"] and told["only_for"] == BEN


def test_until_tomorrow_is_in_the_zone_of_who_presses(story):
    """Given a person whose Slack is in Shanghai → 09:00 there, which is 01:00 in UTC."""
    story.press("tocsin_silence", f"tomorrow:{story.incident.id}", user="U0CHENWEI1")
    (silence,) = story.router.store.context().silences
    assert (silence.ends_at.hour, silence.ends_at.minute) == (1, 0)


def test_a_silence_of_more_than_the_incident_is_not_ended_from_its_message(story):
    """Given Ben's silence of all checks and Ana's of this one → Ana's ends, and the presser is asked about Ben's."""
    story.type("silence alertname=Down 4h failover", user=BEN)
    story.type(f"silence {story.incident.id} 4h")
    story.router.fire("Down", service="payments")
    story.run()
    message = next(each for each in story.messages if "checkout" in str(each) and not each.get("thread_ts"))
    story.router.inbox.people.press(message["channel"], message["ts"], "tocsin_unsilence", user=ANA)
    story.run()
    assert len(story.router.store.context().silences) == 2
    active = [each.by for each in story.router.store.context().silences if each.active(story.router.now)]
    assert active == ["Ben Okoro"]
    asked = story.private[-1]["text"]
    assert "It is not ended, since it mutes 1 more incident." in asked and "/tocsin unsilence" in asked


def test_two_silences_of_two_people_are_ended_in_two_lines(story):
    """Given silences of Ana and Ben that mute the incident alone → the timeline names both where they end."""
    story.type("silence alertname=Down 4h failover", user=BEN)
    story.type(f"silence {story.incident.id} 4h")
    story.press("tocsin_unsilence", user=BEN)
    ends = [
        each.text.split(" of ")[1] for each in story.incident.timeline.entries if "ended before its time" in each.text
    ]
    assert sorted(ends) == ["Ana Souza ended before its time", "Ben Okoro ended before its time"]


def test_a_silence_that_is_over_is_not_ended_again(story):
    """Given End silence on an old message when nothing is silenced → the presser is answered."""
    story.press("tocsin_silence", f"1h:{story.incident.id}")
    old = story.message["blocks"]
    story.press("tocsin_unsilence")
    story.run(minutes=2)
    story.router.inbox.slack.message(story.message["channel"], story.message["ts"])["blocks"] = old
    story.press("tocsin_unsilence")
    assert "Nothing silences" in story.private[-1]["text"]


def test_a_form_about_what_is_over_has_no_fields(story):
    """Given Custom… on an incident that ended → the modal says so, cannot be sent, and nothing else is answered."""
    old = story.message
    story.press("tocsin_resolve")
    story.router.inbox.slack.message(old["channel"], old["ts"])["blocks"] = old["blocks"]
    id = next(iter(story.router.store.incidents(ended_since=story.router.now - 60 * MINUTE))).id
    story.press("tocsin_silence", f"custom:{id}", user=BEN)
    (view,) = story.router.inbox.slack.views
    assert [block["type"] for block in view["blocks"]] == ["section"]
    assert "is resolved since" in view["blocks"][0]["text"]["text"] and "submit" not in view
    assert story.private == []


def test_a_form_about_what_is_unknown_has_no_fields(story):
    """Given Custom… on an incident that is not kept any more → the modal says so, and nothing else is answered."""
    shown = story.router.inbox.slack.message(story.message["channel"], story.message["ts"])
    shown["blocks"] = json.loads(json.dumps(shown["blocks"]).replace(story.incident.id, "0123456789abcdef"))
    story.press("tocsin_silence", "custom:0123456789abcdef")
    (view,) = story.router.inbox.slack.views
    assert [block["type"] for block in view["blocks"]] == ["section"]
    assert "no incident of the last 90 days" in view["blocks"][0]["text"]["text"] and "submit" not in view
    assert story.private == []


def test_an_acknowledgement_and_a_silence_are_both_shown(story):
    """Given an acknowledged incident that is silenced → the message names both, and takes back either."""
    story.press("tocsin_ack")
    story.press("tocsin_silence", f"4h:{story.incident.id}", user=BEN)
    assert "*Acknowledged* by Ana Souza" in story.text and "*Silenced* by silence" in story.text
    assert "of Ben Okoro" in story.text
    assert story.message["text"].startswith("👀 [acknowledged, silenced]")
    story.press("tocsin_unack")
    assert "*Acknowledged*" not in story.text and "*Silenced* by silence" in story.text
    story.type(f"ack {story.incident.id}", user=BEN)
    assert "*Acknowledged* by Ben Okoro" in story.text and "*Silenced* by silence" in story.text
    story.press("tocsin_unsilence")
    story.run(minutes=2)
    assert "*Acknowledged* by Ben Okoro" in story.text and "*Silenced*" not in story.text


def test_a_silence_is_ended_by_its_id_as_it_is_shown(story):
    """Given a silence, when one letter of its id is typed → it goes on; its id in backticks ends it."""
    story.press("tocsin_silence", f"4h:{story.incident.id}")
    (silence,) = story.router.store.context().silences
    assert "at least 4 characters" in story.type(f"unsilence {silence.id[0]}")
    assert story.router.store.context().silences[0].active(story.router.now)
    assert "is ended" in story.type(f"unsilence `{silence.id[:5]}…`,")
    assert not story.router.store.context().silences[0].active(story.router.now)
    assert "ended at" in story.type(f"unsilence {silence.id}")


def test_maintenance_after_the_first_notification_silences_no_message(story):
    """Given maintenance over what was notified before → the message goes on to say that it fires."""
    story.router.silence("m1", minutes=60, maintenance=True, service="checkout")
    story.run()
    assert "*Critical* since " in story.text and "muted" not in story.text and "ilenced" not in story.text


def test_a_silence_can_be_ended_from_the_message(story):
    """Whoever presses; the alert is told again."""
    story.press("tocsin_silence", f"4h:{story.incident.id}")
    story.press("tocsin_unsilence", user=BEN)
    story.run(minutes=2)
    assert "🔴" in story.message["text"]
    (silence,) = story.router.store.context().silences
    assert not silence.active(story.router.now)


def test_the_form_comes_filled_and_silences_as_it_says(story):
    """Custom… opens a form with the incident's matchers; what is sent becomes the silence, mistakes stay in it."""
    story.press("tocsin_silence", f"custom:{story.incident.id}")
    (view,) = story.router.inbox.slack.views
    (which,) = [block for block in view["blocks"] if block["block_id"] == "matchers:filled"]
    assert which["element"]["initial_value"] == "alertname=Down\nservice=checkout"
    values = {"matchers:filled": {"matchers": "service=checkout"}, "until": {"until": "soon"}}
    people = story.router.inbox.people
    assert "expected" in people.submit(view["id"], values, user=ANA)["errors"]["until"]
    values |= {"until": {"until": "3h"}, "comment": {"comment": "deploying <!here>"}}
    assert people.submit(view["id"], values, user=ANA) == {"ok": True}
    story.run()
    assert story.router.inbox.slack.views == []
    assert "silenced until" in story.text and "deploying &lt;!here&gt;" in story.text
    (silence,) = story.router.store.context().silences
    assert (silence.by, [str(each) for each in silence.matchers]) == ("Ana Souza", ["service=checkout"])
    assert "mutes 1 now" in story.private[-1]["text"] and story.private[-1]["only_for"] == ANA


def test_a_form_that_mutes_nothing_says_so(story):
    """Given matchers in the form that nothing has → the presser reads that nothing is muted."""
    story.press("tocsin_silence", f"custom:{story.incident.id}")
    (view,) = story.router.inbox.slack.views
    values = {"matchers:filled": {"matchers": "service=chekout"}, "until": {"until": "3h"}}
    assert story.router.inbox.people.submit(view["id"], values, user=ANA) == {"ok": True}
    story.run()
    assert "mutes nothing that fires now" in story.private[-1]["text"]


def test_a_form_that_would_mute_everything_is_refused_to_the_person(story):
    """Nothing is silenced by a matcher that everything fits."""
    story.press("tocsin_silence", f"custom:{story.incident.id}")
    (view,) = story.router.inbox.slack.views
    values = {"matchers:filled": {"matchers": "service!=nothing"}, "until": {"until": "3h"}}
    story.router.inbox.people.submit(view["id"], values, user=ANA)
    story.run()
    assert story.router.store.context().silences == ()


def test_an_act_that_a_later_one_overtook_is_history(story):
    """Queues shuffle: what was decided last counts, whatever comes last."""
    story.press("tocsin_ack")
    name, now = story.incident.id, story.router.now
    late = Action(ActionKind.ACK, "Ben Okoro", now - MINUTE, incident=name, via="api", id="late")
    story.router.webhooks.put([action_message(Action(ActionKind.UNACK, "Ana Souza", now, incident=name, id="newest"))])
    story.run()
    story.router.webhooks.put([action_message(late)])
    story.run()
    assert [alert.ack.by for alert in story.incident.firing] == [None]
    assert "🔴" in story.message["text"]


# Commands ----------------------------------------------------------------------------------------------------------


def test_what_burns_is_listed_and_shown(story):
    """`list` and `show`, by the first characters of the id, only to who asked."""
    listed = story.type("list")
    assert f"`{story.incident.id}` Down (checkout)" in listed and "🔴" in listed
    assert story.type("list service=other") == "✅ Nothing fires."
    shown = story.type(f"show {story.incident.id[:5]}")
    assert "nobody has acknowledged it" in shown and "pagerduty:default" in shown
    assert all(each["only_for"] == ANA for each in story.private)


def test_an_incident_is_taken_by_typing(story):
    """`ack` does what the button does; a second one says who has it."""
    assert "You have" in story.type(f"ack {story.incident.id[:6]} on my way")
    assert "on my way" in story.type(f"show {story.incident.id[:6]}")
    assert story.paged["status"] == "acknowledged"
    assert "Ana Souza has acknowledged" in story.type(f"ack {story.incident.id}", user=BEN)


def test_two_incidents_are_taken_by_typing_both(story):
    """Given two incidents → one `ack` with both ids acknowledges both, and answers for each."""
    (channel,) = {each["channel"] for each in story.messages}
    story.router.fire("Down", service="payments")
    story.run()
    ids = [each.id for each in story.router.store.incidents()]
    known = len(story.private)
    words = f"/tocsin ack {ids[0][:6]} `{ids[1][:6]}…`"
    assert story.router.inbox.people.command(channel, words, user=ANA) == {"ok": True}
    story.run()
    (answer,) = [each["text"] for each in story.private[known:]]
    assert all(f"You have `{id}`" in answer for id in ids)
    assert {alert.ack.by for each in story.router.store.incidents() for alert in each.firing} == {"Ana Souza"}


def test_silences_are_made_listed_and_ended_by_typing(story):
    """By incident, and by labels, with a comment."""
    assert "alertname=Down, service=checkout" in story.type(f"silence {story.incident.id} 2h deploying")
    assert "service=~web.*" in story.type("silence service=~web.* until tomorrow")
    listed = story.type("silences")
    assert listed.count("🔇") == 2 and "deploying · mutes 1 now" in listed
    first = next(each for each in story.router.store.context().silences if each.comment == "deploying")
    assert "is ended" in story.type(f"unsilence {first.id}")
    assert story.type("silences").count("🔇") == 1


def test_who_hears_is_told(story):
    """`who` of an incident, and of what could burn."""
    story.press("tocsin_ack")
    assert "Ana Souza has acknowledged it" in story.type(f"who {story.incident.id}")
    assert "slack_channel:#incidents, pagerduty:default" in story.type("who service=checkout")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("show zzzzzz", "no incident"),
        ("ack", "Expected is an id"),
        ("silence service=x", "until when"),
        ("silence service=x soon", "no time"),
        *[(f"silence service=x {word}", "no time") for word in (*extremes.TIMES, *extremes.DURATIONS)],
        ("silence service=~x{99999999999999} 2h", "repeated too often"),
        ("silence service=~(x)\\1 2h", "column 4: a back-reference"),
        ("list service=~x(?=y)", "column 2: look-ahead"),
        ("unsilence zz", "no silences"),
    ],
)
def test_what_cannot_be_done_is_said_to_the_person(story, typed, said):
    """The reason and what is expected; nothing changes."""
    assert said in story.type(typed)
    assert story.router.store.context().silences == ()


# PagerDuty → everywhere --------------------------------------------------------------------------------------------


def test_an_acknowledgement_at_pagerduty_is_shown_in_slack(story):
    """Slack says who has it, reminders stop, and PagerDuty is not told what it told us."""
    told = story.told
    story.page("acknowledge")
    assert "*Acknowledged* by Ben Okoro" in story.text
    story.run(minutes=60)
    assert story.told == told


def test_pagerduty_takes_it_back_and_gives_it_to_another(story):
    """Unacknowledge burns again in Slack; reassign and notes are shown there."""
    story.page("acknowledge")
    story.page("unacknowledge")
    assert "🔴" in story.message["text"]
    story.page("reassign", "PCHENWEI")
    story.page("note", "looking at the pool <!channel>")
    assert story.thread[-2:] == [
        "👉 Assigned to Chen Wei by Ben Okoro",
        "💬 Ben Okoro: looking at the pool &lt;!channel&gt;",
    ]
    assert "looking at the pool &lt;!channel&gt;" in story.text


def test_a_resolve_at_pagerduty_ends_it_everywhere(story):
    """Slack is resolved and says by whom; PagerDuty hears nothing back."""
    told = story.told
    story.page("resolve")
    assert "*Resolved*" in story.text and "resolved by Ben Okoro" in story.text
    assert story.told == told
    assert list(story.router.store.incidents()) == []


def test_incidents_without_a_key_are_known_by_their_own_id(story):
    """The first webhook named both; later ones come without our key."""
    assert story.incident.episode.aliases == (f"pagerduty:{story.paged['id']}",)
    story.router.inbox.pagerduty.names_key = False
    story.page("acknowledge")
    assert "*Acknowledged* by Ben Okoro" in story.text


def test_pagerduty_is_asked_what_an_unknown_incident_is_about():
    """No webhook ever named our key: its alert does, when a token is set; without one nothing happens."""
    found: list[Story] = []
    router = Router(RULES)
    router.inbox.start()
    router.inbox.pagerduty.names_key = False
    try:
        with served(found) as url:
            story = Story(router, url)
            found.append(story)
            router.fire("Down", service="checkout")
            story.run()
            assert story.incident.episode.aliases == ()
            story.page("acknowledge")
            assert "🔴" in story.message["text"]
            story.clients.more["PAGERDUTY_API_TOKEN"] = "token"
            story.page("unacknowledge")
            assert story.incident.episode.aliases == (f"pagerduty:{story.paged['id']}",)
            story.page("acknowledge")
            assert "*Acknowledged* by Ben Okoro" in story.text
    finally:
        router.close()


def test_a_recorded_webhook_cannot_be_played_back(story):
    """PagerDuty's signatures have no time: an old acknowledgement, sent again, does not acknowledge again."""
    recorded: list[tuple[dict[str, str], bytes]] = []
    answer = story.answer

    def recording(path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        if b"incident.acknowledged" in body:
            recorded.append((headers, body))
        return answer(path, headers, body)

    story.answer = recording
    story.page("acknowledge")
    story.page("unacknowledge")
    ((headers, body),) = recorded
    assert answer("/webhooks/pagerduty", headers, body)[0] == 202
    story.run(minutes=2)
    assert "🔴" in story.message["text"]
    assert [alert.ack.by for alert in story.incident.firing] == [None]


# Roll back ---------------------------------------------------------------------------------------------------------


def gone_live(kind: str, deployment: str, at: datetime) -> Event:
    """What Vercel says of a deployment of checkout that production serves now."""
    return Event(
        id=f"{kind}:{deployment}",
        source="vercel",
        kind=kind,
        status=Status.INFO,
        severity=Severity.INFO,
        title="Cart: new totals",
        occurred_at=at,
        identity=deployment,
        service="checkout",
        labels={"deployment": deployment, "project": "checkout", "project_id": "prj_1", "target": "production"},
    )


def deployed(story: Story, deployment: str = "dpl_bad") -> None:
    """A Vercel deployment of checkout went to production, and a new incident began after it."""
    marker = gone_live("deployment.promoted", deployment, story.router.now)
    story.router.resolve("Down", service="checkout")
    story.run(minutes=3)
    story.router.inbox.memory.messages.clear()
    story.router.events(marker)
    story.run()
    story.router.fire("Down", service="checkout")
    story.run()


def test_a_rollback_is_done_once_and_written_down(story):
    """Vercel is asked for the deployment before; the message and its thread say who asked, and when Vercel has done it."""
    story.clients.more["VERCEL_TOKEN"] = "token"
    bad = {"uid": "dpl_bad", "created": int(story.router.now.timestamp() * 1000)}
    story.router.inbox.vercel.deployments["prj_1"] = [bad]
    deployed(story)
    value = f"{story.incident.id}:dpl_bad"
    assert value in story.text
    story.press("tocsin_roll_back")
    assert story.router.inbox.vercel.rolled_back == [("prj_1", "dpl_before_prj_1")]
    what = "checkout from dpl_bad to dpl_before_prj_1 (The one before)"
    assert f"Ana Souza: asked Vercel to roll back {what}" in story.thread[-1]
    story.router.events(gone_live("deployment.rollback", "dpl_before_prj_1", story.router.now))
    story.run()
    assert f"Vercel: rolled back {what}" in story.thread[-1]


def test_a_rollback_past_a_fix_asks_first(story):
    """Given a fix that went live since → the person sees a question, and its button does it in the question's place."""
    story.clients.more["VERCEL_TOKEN"] = "token"
    deployed(story)
    story.router.events(gone_live("deployment.promoted", "dpl_fix", story.router.now))
    story.run()
    story.press("tocsin_roll_back")
    question = story.private[-1]
    assert "dpl_fix (Cart: new totals) is live since" in question["text"]
    assert story.router.inbox.vercel.rolled_back == []
    people = story.router.inbox.people
    assert people.press(question["channel"], question["ts"], "tocsin_roll_back_confirmed", user=ANA) == {"ok": True}
    story.run()
    assert story.router.inbox.vercel.rolled_back == [("prj_1", "dpl_before_prj_1")]
    assert [each["ts"] for each in story.private] == [question["ts"]]
    assert "Asked Vercel to roll back checkout" in str(story.private[-1]["blocks"])


def test_a_rollback_that_fails_is_told_and_written_down(story):
    """Vercel refuses: the person hears why, and so does the timeline."""
    story.clients.more["VERCEL_TOKEN"] = "token"
    deployed(story)
    story.router.inbox.answer("vercel", "rollback", [{"status": 403, "error": "forbidden"}])
    story.press("tocsin_roll_back")
    assert "VERCEL_TOKEN may not do this" in story.private[-1]["text"]
    assert "rolling back failed" in story.thread[-1]


def test_without_a_token_nothing_offers_a_rollback(story):
    """No button that could not do anything."""
    deployed(story)
    assert "tocsin_roll_back" not in story.text
    assert "Cart: new totals" in story.text


def test_who_is_on_call_is_told_where_pagerduty_may_be_asked(story):
    """By the REST token."""
    assert "On call" not in story.type(f"who {story.incident.id}")
    story.clients.more["PAGERDUTY_API_TOKEN"] = "token"
    assert "*On call* Ana Souza" in story.type(f"who {story.incident.id}")


def actions_of(story):
    """The controls of the message that act, by what is written on them."""
    elements = [each for block in story.message["blocks"] if block["type"] == "actions" for each in block["elements"]]
    return [each["text"]["text"] for each in elements if each["type"] == "button" and "url" not in each]


def test_the_message_says_at_once_that_nothing_fires_and_when_it_closes(story):
    """Given an end that is not notified yet → the message is edited without a reply: since when, when it closes."""
    replies = len(story.thread)
    story.router.resolve("Down", service="checkout")
    story.run()
    assert "⏳ [closing] Down" in story.message["text"]
    assert "*Resolved since <!date^" in story.text and "Closing at <!date^" in story.text
    assert "unless it fires again" in story.text
    assert actions_of(story) == ["Close now", "Keep open"]
    assert len(story.thread) == replies


def test_close_now_has_the_end_notified_at_once(story):
    """Given a message that is about to close → Close now ends the incident, at every target."""
    story.router.resolve("Down", service="checkout")
    story.run()
    story.press("tocsin_resolve", story.incident.id)
    assert not story.router.store.incidents()
    assert "✅ [resolved] Down" in story.message["text"]
    assert story.paged["status"] == "resolved"


def test_keep_open_has_the_incident_wait_for_a_person(story):
    """Given a message that is about to close → Keep open has it say who keeps it open, and no end comes before Close now."""
    story.router.resolve("Down", service="checkout")
    story.run()
    story.press("tocsin_hold", story.incident.id)
    assert "Kept open by" in story.text and "Closing at" not in story.text
    assert actions_of(story) == ["Close now"]
    story.run(minutes=120)
    assert story.paged["status"] != "resolved"
    story.press("tocsin_resolve", story.incident.id)
    assert story.paged["status"] == "resolved"
    assert "✅ [resolved] Down" in story.message["text"]


def test_what_fires_again_before_it_closes_is_firing_again(story):
    """Given a message that is about to close, when the alert fires again → it says so, with its buttons, without a reply."""
    story.router.resolve("Down", service="checkout")
    story.run()
    replies = len(story.thread)
    story.router.fire("Down", service="checkout")
    story.run()
    assert "🔴 [critical] Down" in story.message["text"]
    assert "Acknowledge" in actions_of(story)
    assert "Closing at" not in story.text
    assert len(story.thread) == replies
