"""What Sentry sends beside faults: comments, installations, Seer, artifacts, and whatever comes next."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chalicelib.core.event import Event, Status
from chalicelib.core.payload import coerce
from chalicelib.core.unknown_values import LABEL
from chalicelib.sources._sentry_fields import NAME, page_of, severity_of

RESOURCES = ("comment", "installation", "seer", "preprod_artifact", "unknown")
"""Resources of Sentry that are about no fault; `unknown` is a body whose header was lost."""


def information(
    payload: Mapping[str, Any], data: Mapping[str, Any], resource: str, action: str, received_at: datetime
) -> Event:
    """Return the event of what is about no fault."""
    issue = coerce.first_line(data.get("issue_id"), data.get("group_id"), coerce.at(data, "issue", "id"), limit=100)
    project = coerce.first_line(data.get("project_slug"), coerce.at(data, "project", "slug"), limit=200)
    about = _about(payload, data)
    return coerce.made_event(
        id=f"{resource}.{action}:{coerce.digest(payload)}",
        source=NAME,
        kind=f"{resource}.{action}",
        status=Status.INFO,
        severity=severity_of(Status.INFO, data.get("level")),
        title=_information_title(payload, data, resource, action, issue),
        summary=_information_summary(data),
        url=page_of(data.get("web_url"), data.get("url"), coerce.at(data, "issue", "web_url")),
        service=project,
        occurred_at=coerce.first_instant(data.get("timestamp"), data.get("datetime")) or received_at,
        identity=f"issue:{issue}" if issue else f"{resource}:{about}",
        labels=coerce.labels(
            [
                ("project", project),
                ("issue", issue),
                ("organization", organization_of(payload, data)),
                ("app", coerce.at(data, "installation", "app", "slug")),
                ("state", data.get("state")),
                (LABEL, f"Sentry-Hook-Resource {resource}" if resource not in RESOURCES else None),
            ]
        ),
    )


def _about(payload: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    found = coerce.first_line(
        data.get("run_id"),
        data.get("artifact_id"),
        coerce.at(data, "preprod_artifact", "id"),
        data.get("comment_id"),
        data.get("id"),
        coerce.at(data, "installation", "uuid"),
        coerce.at(payload, "installation", "uuid"),
        limit=100,
    )
    return found or coerce.digest(data)


def organization_of(payload: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    """Return the slug of the organisation beside the installation; empty where there is none."""
    return coerce.first_line(
        coerce.at(data, "installation", "organization", "slug"),
        coerce.at(payload, "installation", "organization", "slug"),
    )


def _information_title(
    payload: Mapping[str, Any], data: Mapping[str, Any], resource: str, action: str, issue: str
) -> str:
    if said := coerce.first_line(data.get("title"), data.get("name"), limit=coerce.MAX_TITLE_CHARACTERS):
        return said
    subject = f"issue {issue}" if issue else organization_of(payload, data)
    said = f"Sentry: {resource} {action}".replace("_", " ")
    return f"{said} ({subject})" if subject else said


def _information_summary(data: Mapping[str, Any]) -> str:
    return (
        coerce.text(data.get("comment"), 2_000)
        or coerce.text(coerce.at(data, "root_cause", "one_line_description"), 2_000)
        or coerce.text(coerce.at(data, "solution", "one_line_description"), 2_000)
        or coerce.text(data.get("summary"), 2_000)
        or coerce.text(data.get("error_message"), 2_000)
    )
