"""What Sentry tells beside faults: comments, installations, Seer, artifacts, and whatever comes next."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chalicelib.core import reading
from chalicelib.core.event import Event, Status
from chalicelib.sources._sentry_fields import NAME, page_of, severity_of


def information(
    payload: Mapping[str, Any], data: Mapping[str, Any], resource: str, action: str, received_at: datetime
) -> Event:
    """The event of what is about no fault."""
    issue = reading.first_line(data.get("issue_id"), data.get("group_id"), reading.at(data, "issue", "id"), limit=100)
    project = reading.first_line(data.get("project_slug"), reading.at(data, "project", "slug"), limit=200)
    about = _about(payload, data)
    return reading.made_event(
        id=f"{resource}.{action}:{reading.digest(payload)}",
        source=NAME,
        kind=f"{resource}.{action}",
        status=Status.INFO,
        severity=severity_of(Status.INFO, data.get("level")),
        title=_information_title(payload, data, resource, action, issue),
        summary=_information_summary(data),
        url=page_of(data.get("web_url"), data.get("url"), reading.at(data, "issue", "web_url")),
        service=project,
        occurred_at=reading.first_instant(data.get("timestamp"), data.get("datetime")) or received_at,
        identity=f"issue:{issue}" if issue else f"{resource}:{about}",
        labels=reading.labels(
            [
                ("project", project),
                ("issue", issue),
                ("organization", organization_of(payload, data)),
                ("app", reading.at(data, "installation", "app", "slug")),
                ("state", data.get("state")),
            ]
        ),
    )


def _about(payload: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    found = reading.first_line(
        data.get("run_id"),
        data.get("artifact_id"),
        reading.at(data, "preprod_artifact", "id"),
        data.get("comment_id"),
        data.get("id"),
        reading.at(data, "installation", "uuid"),
        reading.at(payload, "installation", "uuid"),
        limit=100,
    )
    return found or reading.digest(data)


def organization_of(payload: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    """The slug of the organisation beside the installation; empty when it is not told."""
    return reading.first_line(
        reading.at(data, "installation", "organization", "slug"),
        reading.at(payload, "installation", "organization", "slug"),
    )


def _information_title(
    payload: Mapping[str, Any], data: Mapping[str, Any], resource: str, action: str, issue: str
) -> str:
    if said := reading.first_line(data.get("title"), data.get("name"), limit=reading.MAX_TITLE_CHARACTERS):
        return said
    subject = f"issue {issue}" if issue else organization_of(payload, data)
    said = f"Sentry: {resource} {action}".replace("_", " ")
    return f"{said} ({subject})" if subject else said


def _information_summary(data: Mapping[str, Any]) -> str:
    return (
        reading.text(data.get("comment"), 2_000)
        or reading.text(reading.at(data, "root_cause", "one_line_description"), 2_000)
        or reading.text(reading.at(data, "solution", "one_line_description"), 2_000)
        or reading.text(data.get("summary"), 2_000)
        or reading.text(data.get("error_message"), 2_000)
    )
