"""Answers of Slack that no call earned: the rate limit, and errors on cue."""

from local.inbox.cues import Answer
from local.inbox.exchange import Reply, json_reply, text_reply
from local.inbox.pace import whole_seconds


def rate_limited(wait: float) -> Reply:
    """Slack's 429."""
    return json_reply({"ok": False, "error": "ratelimited"}, 429, {"Retry-After": str(whole_seconds(wait))})


def cued(answer: Answer) -> Reply:
    """An error on cue, in Slack's form."""
    if answer.error:
        return json_reply({"ok": False, "error": answer.error}, answer.status or 200, answer.headers)
    status = answer.status or 200
    if status == 429:
        return rate_limited(30 if answer.retry_after is None else answer.retry_after)
    if status < 500:
        return json_reply({"ok": False, "error": "invalid_arguments"}, status)
    more = {} if answer.retry_after is None else {"Retry-After": str(whole_seconds(answer.retry_after))}
    return text_reply("<html><head><title>Server Error</title></head><body>Oops!</body></html>", status, headers=more)
