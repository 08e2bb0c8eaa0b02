"""The page and its files."""

import pytest

from local.inbox import Inbox
from local.inbox.vendors.slack.workspace import channel_id
from tests.local.inbox.support import ACTIONS, event, mail, post, request, ses, slack


def test_the_page_shows_everything_and_lets_nothing_run(inbox: Inbox) -> None:
    """Each part is drawn; the policy allows no foreign or inline script; a mail is sandboxed."""
    slack(inbox, "chat.postMessage", channel="#incidents", text="<script>alert(1)</script>", blocks=[ACTIONS])
    post(inbox, "/pagerduty/v2/enqueue", event(payload={"summary": "<script>", "source": "s", "severity": "info"}))
    ses(inbox).send_email(**mail({"References": "<inc-1@example.com>"}))
    post(inbox, "/hook/ops", {"type": "<script>"})
    views = (f"slack/{channel_id('incidents')}", "pagerduty", "changes", "mail", "webhooks", "requests", "nonsense")
    for view in views:
        status, headers, html = request(inbox, "GET", f"/?view={view}")
        assert status == 200 and "script-src 'self'" in headers["content-security-policy"]
        assert html.count("<script") == 1
    status, headers, html = request(inbox, "GET", f"/mail/{inbox.mails[0]['id']}")
    assert "sandbox" in headers["content-security-policy"] and "script" not in headers["content-security-policy"]
    assert "<b>html</b>" in html
    fragments = request(inbox, "GET", "/_page/fragments?view=pagerduty")[2]
    assert "&lt;script&gt;" in fragments["main"]
    assert request(inbox, "GET", f"/_page/fragments?view=pagerduty&version={fragments['version']}")[0] == 204


@pytest.mark.parametrize("name", ["inbox.css", "inbox.js", "icon.svg"])
def test_the_page_needs_nothing_from_outside(inbox: Inbox, name: str) -> None:
    """Its files are the inbox's own and name no other address."""
    status, _, text = request(inbox, "GET", f"/static/{name}")
    assert status == 200 and "//" not in text.replace("http://www.w3.org/2000/svg", "").replace("// The", "")


def test_runbook_pages_can_be_read(inbox: Inbox) -> None:
    """The links of messages lead to the pages of runbook/, as text."""
    status, headers, text = request(inbox, "GET", "/runbook/high-error-rate.md")
    assert (status, headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert text.partition("\n---\n")[2].startswith("# High Error Rate")


@pytest.mark.parametrize(
    "path",
    ["/static/../page.py", "/static/%2e%2e/page.py", "/runbook/../README.md", "/mail/none", "/nonsense"],
)
def test_only_its_own_files_are_served(inbox: Inbox, path: str) -> None:
    """Nothing outside the folder."""
    assert request(inbox, "GET", path)[0] == 404
