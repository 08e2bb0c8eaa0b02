"""Dead letters played back by the button of the router's page: who may, what goes back, and what is kept of it."""

import json
from itertools import count

import pytest

from chalicelib.core.errors import NotStoredError
from chalicelib.messages.queue import notification_message, read_message
from chalicelib.messages.redrive import MAX_LETTERS, redrive
from tests.api_harness import RULES, fire
from tests.targets.samples import NOTIFICATION
from tests.web.harness import PageHarness
from tests.web.test_pages import text_of

ACCESS = RULES + 'access: {viewer: ["*"], responder: ["token:ana"], admin: ["token:boss"]}\n'


class Queue:
    """A queue in memory that hands out two messages at a time; `broken` refuses everything."""

    def __init__(self, *bodies, broken=False):
        self.bodies, self.broken, self.hidden = list(bodies), broken, {}

    def take(self):
        """Hide and return two messages."""
        some = [{"messageId": body, "receiptHandle": f"r {body}", "body": body} for body in self.bodies[:2]]
        self.bodies = self.bodies[2:]
        self.hidden |= {each["receiptHandle"]: each["body"] for each in some}
        return some

    def glimpse(self):
        """Return the messages that wait, of a fixed time; one reason is that of the worker."""
        if self.broken:
            raise NotStoredError("the queue is away")
        reasons = {"a": "channel_not_found"}
        return [{"messageId": b, "body": b, "sent": "1795600000000", "reason": reasons.get(b, "")} for b in self.bodies]

    def delete(self, receipts):
        """Forget messages that were taken."""
        for each in receipts:
            del self.hidden[each]

    def put(self, bodies):
        """Take in messages."""
        if self.broken:
            raise NotStoredError("the queue is away")
        self.bodies += bodies


def page_of(who, **queues):
    """Return a page with dead letters, with somebody signed in."""
    page = PageHarness(fire(), rules=ACCESS)
    page.dead_letters = queues
    page.router.store.put_mark("backlog", json.dumps({"dead": {"webhooks": 3}, "at": page.router.now.isoformat()}))
    page.sign_in("The Boss" if who == "boss" else "Ana", f"token:{who}")
    return page


def pressed(page, do="redrive"):
    """Press the button; the page after it."""
    reply = page.post("/router", {"form": page.form_token("/router"), "do": do})
    return text_of(page.get("/router")) if reply.status == 303 else text_of(reply.body)


def test_a_viewer_is_shown_what_the_dead_letters_are():
    """Given three dead letters and a queue that is away → by the link each with its reason, none taken; without it none."""
    dead = Queue(notification_message(NOTIFICATION), "a", "b")
    page = page_of(
        "viewer", webhooks=(dead, Queue()), counts=(Queue("c"), Queue()), history=(Queue(broken=True), Queue())
    )
    assert "router?letters=1" in page.get("/router") and "channel_not_found" not in page.reply.body
    said = text_of(page.get("/router?letters=1"))
    assert f"{NOTIFICATION.reason.value} to {NOTIFICATION.target.shown}" in said
    assert said.count("received too often: the worker failed each time") == 2 and "channel_not_found" in said
    assert "None could be read" not in said and len(dead.bodies) == 3 and not dead.hidden


def test_queues_that_are_away_are_said():
    """Given dead letters that were counted, and queues that do not answer → the page says that none could be read."""
    page = page_of("viewer", webhooks=(Queue(broken=True), Queue()))
    assert "None could be read just now" in text_of(page.get("/router?letters=1"))


def test_an_admin_plays_all_back(capsys):
    """Given dead letters of two queues → each is on its queue and no longer dead; the page says who did it and when."""
    dead, main, others = Queue("a", "b", "c"), Queue(), Queue()
    page = page_of("boss", webhooks=(dead, main), counts=(Queue(notification_message(NOTIFICATION)), others))
    assert "Play all 3 back" in page.get("/router") and " disabled" not in page.reply.body
    said = pressed(page)
    assert main.bodies == ["a", "b", "c"] and not dead.bodies and not dead.hidden
    assert read_message(others.bodies[0]).hints.played_back == NOTIFICATION.hints.played_back + 1
    assert "4 dead letters played back" in said and "The Boss played 4 dead letters back" in said
    line = next(each for each in map(json.loads, capsys.readouterr().out.splitlines()) if each.get("act") == "redrive")
    assert (line["by"], line["account"], line["via"], line["count"]) == ("The Boss", "token:boss", "page", 4)


@pytest.mark.parametrize("who", ["ana", "guest"])
def test_nobody_else_may(who):
    """Given a responder or a viewer → the button is disabled with the reason beside it, and its form is refused."""
    dead = Queue("a")
    page = page_of(who, webhooks=(dead, Queue()))
    assert "disabled" in page.get("/router") and "Only an admin may" in page.reply.body
    assert "Only an admin may do that" in pressed(page)
    assert page.reply.status == 403 and dead.bodies == ["a"]
    assert "played" not in text_of(page.get("/router"))


def test_another_site_presses_no_button():
    """Given the form without the token of the session, or of no known act → refused, and nothing moves."""
    dead = Queue("a")
    page = page_of("boss", webhooks=(dead, Queue()))
    assert page.post("/router", {"do": "redrive", "form": "x"}).status == 403
    pressed(page, do="purge")
    assert page.reply.status == 400 and dead.bodies == ["a"]


def test_a_queue_that_is_away_keeps_its_letters():
    """Given a queue that takes nothing → its dead letters stay, the others go back, and the page names it."""
    dead, other = Queue("a"), Queue()
    page = page_of("boss", webhooks=(dead, Queue(broken=True)), history=(Queue("h"), other))
    said = pressed(page)
    assert "1 dead letter played back" in said and "those of webhooks could not be" in said
    assert other.bodies == ["h"] and dead.hidden == {"r a": "a"}


def test_it_ends():
    """Given more dead letters than fit, or a slow queue → it stops, and says that there may be more."""
    dead, main = Queue(*map(str, range(MAX_LETTERS + 5))), Queue()
    done = redrive({"webhooks": (dead, main)}, lambda: 0.0)
    assert (done.count, done.more, len(dead.bodies)) == (MAX_LETTERS, True, 5)
    slow = count(0.0, 5.0)
    done = redrive({"webhooks": (Queue("a", "b", "c", "d"), Queue())}, lambda: next(slow))
    assert (done.count, done.more) == (2, True)


def test_a_letter_that_fails_again_is_played_back_once():
    """Given a worker that gives a message up at once → it is taken once, since all are taken before one goes back."""
    dead = Queue("a", "b", "c")

    class Failing(Queue):
        def put(self, bodies):
            """Give every message up at once."""
            super().put(bodies)
            dead.bodies += [f"{each} again" for each in bodies]

    main = Failing()
    assert redrive({"webhooks": (dead, main)}, lambda: 0.0).count == 3
    assert main.bodies == ["a", "b", "c"] and len(dead.bodies) == 3


@pytest.mark.parametrize("text", ["", "no JSON", "[]", '{"at": 7}', '{"by": "x"}'])
def test_a_mark_that_is_none_is_passed_over(text):
    """Given a mark of another form → the page has no last redrive."""
    page = page_of("boss")
    page.router.store.put_mark("redrive", text)
    assert "by this page" not in page.get("/router") and page.reply.status == 200
