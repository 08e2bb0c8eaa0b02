"""The shapes of what the API takes and answers, as JSON Schema: those of `views.py`, `routes.py` and `tokens.py`."""

from typing import Any

from chalicelib.api.requests import MAX_TEXT_CHARACTERS
from chalicelib.api.routes import ACTS, MAX_ROWS
from chalicelib.api.views import SEVERITIES, STATES
from chalicelib.core.outcome import Result
from chalicelib.core.silence_limits import MAX_NAME_CHARACTERS
from chalicelib.core.tokens import SCOPES

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
MAYBE: Schema = {"type": ["string", "null"]}
FLAG: Schema = {"type": "boolean"}
NUMBER: Schema = {"type": "integer"}
TIME: Schema = {"type": "string", "format": "date-time"}
MAYBE_TIME: Schema = {"type": ["string", "null"], "format": "date-time"}
TEXTS: Schema = {"type": "array", "items": TEXT}
LABELS: Schema = {"type": "object", "additionalProperties": TEXT}


def _list(of: Schema | str) -> Schema:
    return {"type": "array", "items": _reference(of) if isinstance(of, str) else of}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _one_of(*words: str) -> Schema:
    return {"type": "string", "enum": list(words)}


def _answer(optional: tuple[str, ...] = (), /, **fields: Schema) -> Schema:
    """Return an object whose fields are all there, but for the optional ones."""
    return {"type": "object", "properties": fields, "required": [name for name in fields if name not in optional]}


def _asked(required: tuple[str, ...] = (), /, **fields: Schema) -> Schema:
    """Return an object of a request, which takes no other fields."""
    return {"type": "object", "properties": fields, "required": list(required), "additionalProperties": False}


def _page(name: str, of: str) -> Schema:
    return _answer(**{name: _list(of)}, total=NUMBER, next=MAYBE)


_NAME: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_NAME_CHARACTERS,
    "pattern": "^[A-Za-z][A-Za-z0-9 .-]*$",
}
_NOTE: Schema = {"type": "string", "maxLength": MAX_TEXT_CHARACTERS}
_MATCHERS: Schema = {
    "anyOf": [{"type": "object", "additionalProperties": TEXT}, TEXTS],
    "examples": [{"service": "api"}, ["service=api"]],
}
_ROW = {
    "id": TEXT,
    "status": _one_of("firing", "resolved"),
    "ended": FLAG,
    "severity": _one_of(*SEVERITIES),
    "title": TEXT,
    "names": TEXTS,
    "group": LABELS,
    "route": TEXT,
    "started_at": MAYBE_TIME,
    "opened_at": MAYBE_TIME,
    "ended_at": MAYBE_TIME,
    "events": NUMBER,
    "counts": _answer(firing=NUMBER, resolved=NUMBER, muted=NUMBER),
    "acked_by": MAYBE,
    "assigned_to": MAYBE,
    "told": TEXTS,
}
_AUDIENCE = {
    "route": TEXT,
    "targets": TEXTS,
    "escalate": _list(_answer(after=TEXT, targets=TEXTS)),
    "repeats_every": TEXT,
    "quiet_now": TEXTS,
    "quiet_until": MAYBE_TIME,
}
_NOW = {
    "notified": FLAG,
    "reminds": FLAG,
    "message": TEXT,
    "muted_by": _list(_answer(kind=TEXT, name=TEXT, by=MAYBE, comment=MAYBE, until=MAYBE_TIME)),
}
_ALERT = {
    "name": TEXT,
    "state": _one_of("pending", "firing", "resolved", "suppressed", "no_data", "inactive"),
    "severity": _one_of(*SEVERITIES),
    "title": TEXT,
    "summary": TEXT,
    "labels": LABELS,
    "annotations": LABELS,
    "starts_at": MAYBE_TIME,
    "ends_at": MAYBE_TIME,
    "events": NUMBER,
    "last_event_at": MAYBE_TIME,
    "value": TEXT,
    "threshold": TEXT,
    "condition": TEXT,
    "url": MAYBE,
    "acked_by": MAYBE,
    "acked_at": MAYBE_TIME,
    "silenced_by": TEXTS,
    "inhibited_by": _list(LABELS),
    "muted_by": TEXTS,
    "fingerprint": TEXT,
}
_TOKEN = {
    "id": TEXT,
    "name": TEXT,
    "scope": _one_of(*SCOPES),
    "made_by": TEXT,
    "made_at": TIME,
    "revoked_by": MAYBE,
    "revoked_at": MAYBE_TIME,
}
_SILENCE_FIELDS: dict[str, Schema] = {
    "id": {"type": "string", "pattern": "^[A-Za-z0-9_-]{4,64}$"},
    "matchers": _MATCHERS,
    "incident": TEXT,
    "for": {"type": "string", "examples": ["2h", "1d 12h"]},
    "until": {"type": "string", "examples": ["tomorrow", "18:30", "2026-11-27T09:00Z"]},
    "from": {"type": "string", "examples": ["18:30"]},
    "timezone": {"type": "string", "examples": ["Europe/Riga"]},
    "by": _NAME,
    "comment": _NOTE,
    "maintenance": FLAG,
}
_RESULT = _answer(
    seq=NUMBER, reason=TEXT, at=MAYBE_TIME, delivered=FLAG, attempts=NUMBER, error=MAYBE, note=MAYBE
)  # fmt: skip

SCHEMAS: dict[str, Schema] = {
    "Problem": _answer(
        ("again",),
        type={"type": "string", "format": "uri"},
        title=TEXT,
        status={"type": ["integer", "string"], "description": "The HTTP status; of a refused act, what it came to"},
        detail=TEXT,
        error=TEXT,
        again=TEXT,
    ),
    "Incident": _answer(**_ROW),
    "Incidents": _page("incidents", "Incident"),
    "IncidentAnswer": _answer(incident=_reference("WholeIncident")),
    "WholeIncident": _answer(
        **{
            **_ROW,
            "alerts": _list("Alert"),
            "overflow": NUMBER,
            "told": _list(
                _answer(target=TEXT, open=FLAG, notifications=NUMBER, last_at=MAYBE_TIME, results=_list(_RESULT))
            ),
            "acks": _list(_answer(alert=TEXT, by=MAYBE, at=MAYBE_TIME)),
            "who": _answer(**_AUDIENCE, **_NOW),
            "timeline": _list("Entry"),
        }
    ),
    "Entry": _answer(
        ("result", "count", "until", "target", "delivery"),
        at=MAYBE_TIME,
        kind=TEXT,
        text=TEXT,
        by=MAYBE,
        via=MAYBE,
        account=MAYBE,
        result=TEXT,
        count=NUMBER,
        until=MAYBE_TIME,
        target=TEXT,
        delivery={"anyOf": [_RESULT, {"type": "null"}]},
    ),
    "Alert": _answer(**_ALERT),
    "ListedAlert": _answer(**_ALERT, incident=MAYBE),
    "Alerts": _page("alerts", "ListedAlert"),
    "Act": _asked(by=_NAME, note=_NOTE, to=_NAME, matchers=_MATCHERS),
    "Acted": _answer(
        ("by", "since"),
        status=_one_of(*(each.value for each in Result), "accepted"),
        id=TEXT,
        incident=TEXT,
        message=TEXT,
        by=MAYBE,
        since=MAYBE_TIME,
    ),
    "By": _asked(by=_NAME),
    "Silence": _answer(
        id=TEXT,
        state=_one_of(*STATES),
        maintenance=FLAG,
        matchers=TEXTS,
        starts_at=TIME,
        ends_at=TIME,
        by=TEXT,
        comment=TEXT,
        changes=_list(_answer(at=TIME, by=TEXT, text=TEXT)),
        mutes=_list(_answer(incident=TEXT, name=TEXT, labels=LABELS)),
    ),
    "Silences": _page("silences", "Silence"),
    "SilenceAnswer": _answer(silence=_reference("Silence")),
    "NewSilence": _asked(**_SILENCE_FIELDS),
    "EditedSilence": _asked(**{name: each for name, each in _SILENCE_FIELDS.items() if name != "id"}),
    "Accepted": _answer(status=_one_of("accepted"), id=TEXT),
    "SilenceAccepted": _answer(
        status=_one_of("accepted"), id=TEXT, silence=_reference("Silence"), warnings=TEXTS
    ),
    "Who": _answer(
        ("service",),
        who=_list(
            _answer(
                ("rule", "severity", "incident", *_NOW),
                rule=MAYBE, severity=_one_of(*SEVERITIES, "any"), incident=TEXT, **_AUDIENCE, **_NOW,
            )
        ),
        service=_answer(
            name=TEXT,
            owner=MAYBE,
            tier={"type": ["integer", "null"]},
            links=LABELS,
            depends_on=_list(_answer(name=TEXT, owner=MAYBE)),
            needed_by=TEXTS,
        ),
    ),
    "History": _answer(lines={"type": "array"}, next=MAYBE),
    "Link": _answer(path=TEXT, code=TEXT, by=TEXT, valid_until=TIME),
    "Token": _answer(**_TOKEN),
    "NewToken": _answer(token=TEXT, **_TOKEN),
    "Tokens": _answer(tokens=_list(_answer(**_TOKEN, last_used_on=MAYBE))),
    "TokenRequest": _asked(
        ("name", "scope"),
        name={"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"},
        scope=_one_of(*SCOPES),
        by=_NAME,
    ),
    "Document": {"type": "object"},
}  # fmt: skip

PATH: dict[str, Schema] = {"act": _one_of(*ACTS), "id": {"type": "string", "minLength": 1}}
QUERY: dict[str, Schema] = {
    "status": _one_of("open", "ended", "all"),
    "since": {"type": "string", "examples": ["7d"]},
    "match": {"type": "array", "items": {"type": "string", "examples": ["service=api"]}},
    "limit": {"type": "integer", "minimum": 1, "maximum": MAX_ROWS},
    "after": TEXT,
    "day": {"type": "string", "format": "date"},
    "service": TEXT,
    "incident": TEXT,
    "ended": FLAG,
    "by": _NAME,
}
