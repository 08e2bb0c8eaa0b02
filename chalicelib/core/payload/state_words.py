"""Words for a state that mean the same to every sender, in small letters. A source adds its own."""

FAULT = frozenset([
    "firing", "triggered", "critical", "warning", "error", "errored", "failed", "failure", "failing", "down", "unhealthy",
    "degraded", "offline", "unreachable", "unavailable", "unstable", "start", "started", "timeout", "timed_out", "breached",
    "broken", "unresolved", "alarm", "alerting",
])  # fmt: skip
FINE = frozenset([
    "resolved", "ok", "up", "recovered", "recovery", "healthy", "normal", "success", "succeeded", "successful", "passed",
    "passing", "end", "ended", "fixed", "cleared", "online", "completed", "complete", "operational",
])  # fmt: skip
