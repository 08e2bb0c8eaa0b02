"""The inbox: stand-ins for Slack, PagerDuty, SES, webhook receivers and Cloudflare's analytics, with a page.

They answer as the vendors do (limits, errors, rates), remember what they were told, and show it as a person would see
it. `python -m local.inbox` runs it; tests use `Inbox` in their own process.
"""

from local.inbox.exchange import Received, Reply
from local.inbox.rate_limit import UNLIMITED, Limits
from local.inbox.server import Inbox

__all__ = ["UNLIMITED", "Inbox", "Limits", "Received", "Reply"]
