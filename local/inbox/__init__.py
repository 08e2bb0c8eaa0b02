"""The inbox: stand-ins for Slack, PagerDuty, SES, webhook receivers and Cloudflare's analytics, with a page.

They answer as the vendors do (limits, errors, rates), keep what they received, and show it as a person would see it.
`python -m local.inbox` runs it; tests use `Inbox` in their own process.

    vendors/    the stand-ins: Slack, PagerDuty, mail, webhooks, Discord, Teams, Cloudflare, Vercel
    drawing/    the page, and the pictures of docs/images: for people only
    stand_ins   all stand-ins over one memory, and the scripted failures (`faults`), without a connection
    addresses   which path is which operation; `control` is how the inbox is steered
    server      both behind one address: `http` and `listener` are the web framework's side
"""

from local.inbox.exchange import Received, Reply
from local.inbox.rate_limit import UNLIMITED, Limits
from local.inbox.server import Inbox

__all__ = ["UNLIMITED", "Inbox", "Limits", "Received", "Reply"]
