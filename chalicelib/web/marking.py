"""Marks what happened on the charts of a page of figures: deploys of what it shows, and silences about it. Pure."""

from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import datetime
from typing import Any

from chalicelib.core.context import Context, Silence
from chalicelib.core.rule import Rules
from chalicelib.core.services import SERVICE
from chalicelib.web.curve import MAX_MARKS, Band, Curve, Mark
from chalicelib.web.measures import Labels, Subject


@dataclass(frozen=True, slots=True)
class Happened:
    """What may be marked: the context, and the labels of what the page shows; none where it shows all there is."""

    context: Context
    labels: Labels

    @property
    def service(self) -> str | None:
        """Return the service that the page is about."""
        return self.labels.get(SERVICE)


def marked(view: Any, context: Context, rules: Rules) -> Any:
    """Return the view with marks on its charts. `subject` or `chosen` of a view says what it is about."""
    subject = getattr(view, "subject", None) or getattr(view, "chosen", None)
    labels = rules.services.labelled(subject.labels) if isinstance(subject, Subject) else {}
    return _marked(view, Happened(context, labels))


def _marked(value: Any, happened: Happened) -> Any:
    if isinstance(value, Curve):
        return replace(value, marks=_marks(value, happened), bands=_bands(value, happened))
    if isinstance(value, tuple):
        return (
            tuple(_marked(each, happened) for each in value)
            if any(isinstance(each, Curve) for each in value)
            else value
        )
    if is_dataclass(value) and not isinstance(value, type):
        found = {each.name: getattr(value, each.name) for each in fields(value)}
        changed = {name: _marked(each, happened) for name, each in found.items() if isinstance(each, Curve | tuple)}
        return replace(value, **changed)
    return value


def _marks(curve: Curve, happened: Happened) -> tuple[Mark, ...]:
    """Return the newest deploys within the measured part of a chart."""
    until = _until(curve)
    found = [
        each for each in happened.context.deploys if curve.start <= each.at <= until and each.concerns(happened.service)
    ]
    return tuple(Mark(each.at, f"deploy {(each.commit or each.id)[:7]}") for each in found[-MAX_MARKS:])


def _bands(curve: Curve, happened: Happened) -> tuple[Band, ...]:
    """Return the newest silences about what the chart shows, within its measured part."""
    until = _until(curve)
    found = [
        each
        for each in happened.context.all_silences
        if each.starts_at < until and each.ends_at > curve.start and _is_about(each, happened.labels)
    ]
    found.sort(key=lambda each: each.starts_at)
    return tuple(
        Band(max(each.starts_at, curve.start), min(each.ends_at, until), f"silence of {each.by}")
        for each in found[-MAX_MARKS:]
    )


def _until(curve: Curve) -> datetime:
    return curve.start + curve.step * max(1, len(curve.values) - 1)


def _is_about(silence: Silence, labels: Labels) -> bool:
    """Return whether a silence is about what has these labels: it asks for one of them, and for no other value of any."""
    asked = [each for each in silence.matchers if each.label in labels]
    return bool(asked) and all(each.matches(labels) for each in asked)
