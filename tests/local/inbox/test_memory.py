"""What was received, over restarts."""

from pathlib import Path

from local.inbox import UNLIMITED, Inbox
from tests.local.inbox.support import KEY, event, mail, post, request, ses, slack


def test_what_was_received_survives_a_restart(tmp_path: Path) -> None:
    """Messages, incidents and mails; ts still rise; secrets are not on disk."""
    state = tmp_path / "inbox.json"
    with Inbox(limits=UNLIMITED, state=state) as inbox:
        first = slack(inbox, "chat.postMessage", token="xoxb-secret-token", channel="#incidents", text="kept")
        post(inbox, "/pagerduty/v2/enqueue", event())
        ses(inbox).send_email(**mail())
    assert "xoxb" not in state.read_text() and KEY not in state.read_text()
    assert state.stat().st_mode & 0o777 == 0o600
    with Inbox(limits=UNLIMITED, state=state) as inbox:
        assert [each["text"] for each in inbox.messages] == ["kept"]
        assert (len(inbox.incidents), len(inbox.mails)) == (1, 1)
        update = slack(
            inbox, "chat.update", token="xoxb-secret-token", channel=first["channel"], ts=first["ts"], text="new"
        )
        assert update["ok"]


def test_a_state_that_cannot_be_read_is_put_aside(tmp_path: Path) -> None:
    """The inbox begins empty and says so."""
    state = tmp_path / "inbox.json"
    state.write_text("{broken")
    with Inbox(state=state) as inbox:
        assert "put aside" in request(inbox, "GET", "/health")[2]["problem"]
    assert (tmp_path / "inbox.json.unreadable").read_text() == "{broken"
