"""A stand-in for Vercel's REST API, as far as a rollback needs it: https://vercel.com/docs/rest-api.

Every project has a deployment of yesterday that can be rolled back to, beside those it was set to. A rollback is shown
among the changes.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from local.inbox.exchange import Json, Received, Reply, json_reply
from local.inbox.faults import Fault
from local.inbox.memory import Memory

YESTERDAY = timedelta(days=1)


class Vercel:
    """Deployments by project, newest first, and what was rolled back to: (project, deployment)."""

    def __init__(self, memory: Memory, clock: Callable[[], float]) -> None:
        self._memory = memory
        self._clock = clock
        self.deployments: dict[str, list[Json]] = {}
        self.rolled_back: list[tuple[str, str]] = []

    def handle(self, received: Received, *, limited: bool = True) -> Reply:
        """Answer /v7/deployments and /v1/projects/<project>/rollback/<deployment>."""
        if not received.bearer:
            return _refusal("forbidden", "The request is missing an authentication token", 403)
        parts = received.path.strip("/").split("/")
        if received.operation == "deployments":
            found = self._of(str(received.fields.get("projectId") or ""))
            return json_reply({"deployments": found, "pagination": {"count": len(found), "next": None, "prev": None}})
        if received.operation == "rollback":
            return self._roll_back(parts[-3], parts[-1])
        return _refusal("not_found", "The requested endpoint does not exist", 404)

    def fail(self, fault: Fault) -> Reply:
        """Return a scripted failure, in Vercel's form."""
        return _refusal(fault.error or "internal_server_error", "On cue", fault.status or 400)

    def _of(self, project: str) -> list[Json]:
        made = int((datetime.fromtimestamp(self._clock(), UTC) - YESTERDAY).timestamp() * 1000)
        before = {
            "uid": f"dpl_before_{project}",
            "name": project,
            "created": made,
            "state": "READY",
            "target": "production",
            "meta": {"githubCommitMessage": "The one before"},
        }
        return [*self.deployments.get(project, []), before]

    def _roll_back(self, project: str, deployment: str) -> Reply:
        if deployment not in {each["uid"] for each in self._of(project)}:
            return _refusal("not_found", "Deployment not found", 404)
        with self._memory.lock:
            self.rolled_back.append((project, deployment))
            said: dict[str, Any] = {"summary": f"Rolled {project} back to {deployment}", "source": "Vercel"}
            self._memory.changes.append({"at": self._clock(), "routing": "Vercel", "payload": said, "links": []})
            self._memory.changed()
        return Reply(201)


def _refusal(code: str, text: str, status: int) -> Reply:
    return json_reply({"error": {"code": code, "message": text}}, status)
