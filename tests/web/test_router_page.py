"""The page of the router: what waits, which functions run, what comes in and goes out, and what cannot be read."""

import json
import tomllib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from chalicelib import VERSION
from chalicelib.core.delivery.target_state import Gate, Health, Slot, TargetState
from chalicelib.core.errors import NotStoredError
from chalicelib.schedule.last_seen import SourceActivity
from tests.api_harness import START
from tests.web.test_pages import HOSTILE, harness, line, text_of

SOURCES = """
defaults: {timezone: America/Sao_Paulo}
sources: [{name: builds, auth: {header: X-Token, token: BUILDS}, title: "$.title"}]
default: {notification: [{slack_channel: "#rest"}, {webhook: "https://hooks.example.com/secret"}, {email: ops@example.com}, {pagerduty: true}]}
"""


def part(page, name):
    """Return the text of a part of the page."""
    html = page.get("/router")
    return text_of("<main" + html.split(f'<h2 id="{name}">')[1].split("</section>")[0])


def known(page, **marks):
    """Store marks of the context."""
    context = page.router.store.context()
    after = replace(context, marks={**context.marks, **marks}, version=context.version + 1)
    page.router.store.save_context(after)


def test_queues_say_what_waits_and_for_how_long():
    """Given what a tick saw → since when a queue holds messages, how long it waits, and its dead letters."""
    page = harness()
    began = (page.router.now - timedelta(minutes=7)).isoformat()
    form = {"at": page.router.now.isoformat(), "visible": {"webhooks": began}, "held": {"webhooks": began}}
    page.router.store.put_mark("backlog", json.dumps({**form, "dead": {"notifications": 3, "history": 0}}))
    said = part(page, "queues")
    assert "webhooks since 08:53:00 7 min not counted" in said
    assert "notifications none no 3" in said and "history none no 0" in said
    dead = part(page, "dead")
    assert "3 dead letters" in text_of(page.get("/router")) and "tocsin redrive --stage test --all" in dead


def test_no_dead_letters_are_no_section():
    """Given a stage without dead letters, or of which nothing is known → nothing asks for a redrive."""
    page = harness()
    assert "not counted" in part(page, "queues") and "redrive" not in page.get("/router")
    page.router.store.put_mark("backlog", "no JSON")
    assert page.reply.status == 200 and "not counted" in part(page, "queues")


def test_functions_are_late_on_time_or_never_ran():
    """Given the marks of functions → which run as they should."""
    page = harness()
    store, now = page.router.store, page.router.now
    store.put_mark("run:watch", (now - timedelta(minutes=1)).isoformat())
    store.put_mark("run:repair", (now - timedelta(minutes=7)).isoformat())
    store.put_mark("run:process_webhooks", (now - timedelta(days=2)).isoformat())
    said = part(page, "runs")
    assert "watch every 1 min 08:59:00 on time" in said
    assert "repair every 5 min 08:53:00 late" in said
    assert "record every 5 min no mark never ran" in said
    assert "process_webhooks when something waits 24 Nov, 09:00:00 –" in said


def test_sources_say_what_came_last():
    """Given what is known of sources → the last webhook of each; those that are declared or built in and never came."""
    page = harness(rules=SOURCES)
    now = START
    quiet = SourceActivity(now - timedelta(days=9), now - timedelta(hours=30), 50, timedelta(hours=2))
    known(page, **{"heard:sentry": str(SourceActivity(now, now, 7)), "heard:vercel": str(quiet), "heard:x": "1 2"})
    said = part(page, "sources")
    assert said.index("sentry receiving 09:00:00") < said.index("vercel unusually silent")
    assert "builds of the rules file nothing came yet never 0" in said
    assert "Built in, and nothing came of them yet: alertmanager" in said and "generic" not in said


def test_targets_say_how_they_are():
    """Given the states of targets → accepting, failing, broken, refused, and of a web address only the host."""
    page = harness(rules=SOURCES)
    store, now = page.router.store, page.router.now
    keys = [each.key for each in page.router.rules.default.targets]
    slots = {"i": Slot(1, now, now), "j": Slot(1, now, now, leased_until=now)}
    store.save_target_state(TargetState(keys[0], slots, Gate(closed_until=now + timedelta(minutes=1)), version=1))
    store.save_target_state(TargetState(keys[1], health=Health(failing_since=now), version=1))
    store.save_target_state(TargetState(keys[2], health=Health(refusal=HOSTILE), version=1))
    html, said = page.get("/router"), part(page, "targets")
    assert "#rest accepting takes nothing until 09:01:00 1" in said
    assert "hooks.example.com" in said and "failing since 09:00" in said and "secret" not in html
    assert "refused" in said and "<script>alert" not in html
    assert "PagerDuty nothing was sent yet" in said
    store.save_target_state(TargetState(keys[1], health=Health(now, now), version=2))
    assert "broken since 09:00" in part(page, "targets")


@pytest.mark.parametrize(
    ("method", "name", "text"),
    [
        ("marks", "queues", "What waits could not be read"),
        ("marks", "runs", "The last runs could not be read"),
        ("target_states", "targets", "The state of the targets could not be read"),
    ],
)
def test_what_cannot_be_read_is_said_in_its_place(method, name, text):
    """Given a table that does not answer → that part says so, and the rest of the page stands."""
    page = harness(line(0, "Disk", service="api"))

    def broken(keys):
        raise NotStoredError("the table does not answer")

    setattr(page.router.store, method, broken)
    assert text in part(page, name)
    assert page.reply.status == 200 and "Sources" in text_of(page.get("/router"))


def test_the_version_is_that_of_the_project():
    """Given the version of the project → the page says it, with the stage and the rules."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["version"] == VERSION
    page = harness()
    known(page, rules="another", rules_changed_at=START.isoformat(), began_at=START.isoformat())
    said = text_of(page.get("/router"))
    assert f"Tocsin {VERSION}, stage test, running since 09:00 · rules" in said
    assert "of 09:00 , which the workers do not have yet" in said
