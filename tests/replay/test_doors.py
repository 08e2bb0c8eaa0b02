"""Every line kind of `tocsin replay` has a door in production: what a timeline says can happen to a stage."""

import pytest

from app import app
from cli.main import commands
from deploy.policies import FUNCTIONS
from simulation.engine import HANDLERS

DOORS = {
    "webhook": ["POST /webhooks/{source}", "POST /webhooks/{source}/{secret}"],
    "event": ["POST /webhooks/{source}", "POST /api/v2/alerts"],
    "sample": ["function watch"],
    "probe": ["function watch"],
    "beat": [
        f"{method} /heartbeats/{{name}}/{{token}}{word}"
        for method in ("GET", "HEAD", "POST")
        for word in ("", "/{word}")
    ],
    "ack": ["POST /api/incidents/{id}/{act}", "POST /slack/actions", "POST /slack/commands", "command ack"],
    "unack": ["POST /api/incidents/{id}/{act}", "POST /slack/actions", "POST /slack/commands", "command unack"],
    "resolve": ["POST /api/incidents/{id}/{act}", "POST /slack/actions", "POST /slack/commands", "command resolve"],
    "keep": ["POST /api/incidents/{id}/{act}", "POST /slack/actions", "POST /slack/commands", "command keep"],
    "silence": ["POST /api/silences", "POST /slack/actions", "POST /slack/commands", "command silence"],
    "unsilence": ["DELETE /api/silences/{id}", "command silence"],
    "maintenance": ["POST /api/silences", "command silence"],
    "target": ["function deliver_notification"],
    "redeploy": ["command deploy"],
    "show": ["GET /api/alerts", "GET /api/incidents", "command alerts", "command incidents"],
    "explain": ["command explain"],
}
"""Routes, functions and commands by which what a line says comes to a stage, or is asked of it."""
OF_THE_SIMULATION = {
    "down": "nobody asks for it: AWS or the account is away, and the queue keeps what arrives",
    "end": "the clock of a timeline stops; that of a stage does not",
}


def test_every_line_kind_has_a_door():
    """Given the line kinds → each has a door, or a reason why a stage has none."""
    assert {*DOORS, *OF_THE_SIMULATION} == set(HANDLERS)
    assert DOORS.keys().isdisjoint(OF_THE_SIMULATION)


@pytest.mark.parametrize(("kind", "door"), [(kind, door) for kind, doors in DOORS.items() for door in doors])
def test_the_door_stands(kind, door):
    """Given the door of a line kind → a route, function or command of that name exists."""
    how, _, name = door.partition(" ")
    if how == "function":
        assert name in FUNCTIONS
    elif how == "command":
        assert name in commands()
    else:
        assert how in app.routes[name]
