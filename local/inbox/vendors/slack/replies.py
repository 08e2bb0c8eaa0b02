"""Slack's answers to any call: the rate limit, and scripted failures."""

from local.inbox.exchange import Reply, json_reply, text_reply
from local.inbox.faults import Fault
from local.inbox.rate_limit import whole_seconds


def rate_limited(wait: float) -> Reply:
    """Return Slack's 429."""
    return json_reply({"ok": False, "error": "ratelimited"}, 429, {"Retry-After": str(whole_seconds(wait))})


def fail(fault: Fault) -> Reply:
    """Return a scripted failure, in Slack's form."""
    if fault.error:
        return json_reply({"ok": False, "error": fault.error}, fault.status or 200, fault.headers)
    status = fault.status or 200
    if status == 429:
        return rate_limited(30 if fault.retry_after is None else fault.retry_after)
    if status < 500:
        return json_reply({"ok": False, "error": "invalid_arguments"}, status)
    more = {} if fault.retry_after is None else {"Retry-After": str(whole_seconds(fault.retry_after))}
    return text_reply("<html><head><title>Server Error</title></head><body>Oops!</body></html>", status, headers=more)
