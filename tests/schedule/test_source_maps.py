"""A release whose errors come with minified frames is a warning, once, with the way to fix it."""

import pytest

from chalicelib.messages.queue import Events
from chalicelib.process.noticed import Noticed
from chalicelib.schedule.reconcile import repair
from tests.scenario import Router, rules_of
from tests.sources.bodies import body, changed, event

RULES = """
alerts: []
default: {notification: [{slack_channel: "#errors"}]}
fallback: {notification: [{email: ops@example.com}]}
"""
HOOK = {"sentry-hook-resource": "event_alert"}
MINIFIED = {"filename": "/assets/index-7c1f.js", "function": "n", "lineno": 1, "colno": 48211, "in_app": True}


def error(*frames, release="shop@4.2.0", platform="javascript", number="1"):
    """An error with these frames."""
    given = changed(
        body("sentry/event_alert_minimal.json"),
        data__event__platform=platform,
        data__event__release=release,
        data__event__event_id=number,
        data__event__exception={"values": [{"type": "TypeError", "stacktrace": {"frames": list(frames)}}]},
    )
    return event("sentry", given, HOOK)


OTHER = {**MINIFIED, "in_app": False, "filename": "/lib.js"}
READABLE = {
    **MINIFIED,
    "filename": "src/cart.ts",
    "function": "addToCart",
    "colno": 12,
    "context_line": "  cart.add(item)",
}
FRAMES = [
    ("minified", [MINIFIED], "javascript", True),
    ("a library beside it", [OTHER, MINIFIED], "javascript", True),
    ("by its column alone", [{**MINIFIED, "function": "addToCart"}], "javascript", True),
    ("by its name alone", [{**MINIFIED, "colno": 5}], "javascript", True),
    ("a long line as context", [{**MINIFIED, "context_line": "x" * 5_000}], "javascript", True),
    ("mapped", [READABLE], "javascript", False),
    ("one is mapped", [MINIFIED, READABLE], "javascript", False),
    ("a script of people", [{**READABLE, "filename": "cart.js"}], "node", False),
    ("a readable line", [{**MINIFIED, "context_line": "cart.add(item)"}], "javascript", False),
    ("only a library", [OTHER], "javascript", False),
    ("another language", [MINIFIED], "python", False),
    ("none", [], "javascript", False),
    ("odd", [None, "x", {"in_app": True, "filename": 5, "colno": "x"}], "javascript", False),
]


@pytest.mark.parametrize(
    ("frames", "platform", "minified"), [row[1:] for row in FRAMES], ids=[row[0] for row in FRAMES]
)
def test_minified_frames(frames, platform, minified):
    """Given the frames of an error → whether all of its own are minified."""
    assert (error(*frames, platform=platform).labels.get("minified") == "yes") is minified


def test_a_release_without_source_maps_is_a_warning_once():
    """Given minified errors of a release, again and again → one warning with the way to fix it; another release, another."""
    router = Router(rules_of(RULES))

    def come(*errors):
        noticed = Noticed()
        noticed.add(Events(errors))
        noticed.put(router.webhooks, router.now)
        router.run(minutes=1)
        repair(rules=router.rules, clients=None, now=router.now, readers={}, **router.ports)
        router.run(minutes=90)

    def warnings():
        sent = [
            each for each in router.decided.values() if each.target.kind == "email" and each.reason.value == "opened"
        ]
        return [(alert.title, alert.summary) for each in sent for alert in each.alerts]

    come(error(READABLE))
    assert warnings() == []
    for _ in range(3):
        come(error(MINIFIED), error(MINIFIED, number="2"))
    ((title, text),) = warnings()
    assert title.startswith("Release shop@4.2.0 of ") and title.endswith(" has no source maps")
    assert text.startswith("2 of its errors came with minified frames") and "sentry-cli sourcemaps upload" in text
    come(error(MINIFIED, release="shop@4.3.0"))
    assert len(warnings()) == 2
    router.close()
