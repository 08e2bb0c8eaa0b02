"""The profile: how the pages look to one browser. And what a page says when the table does not answer."""

import pytest

from chalicelib.core.errors import NotStoredError
from tests.api_harness import fire
from tests.web.demo import page_of_the_sample
from tests.web.harness import PageHarness
from tests.web.test_pages import harness, id_of, line, text_of


def kept(page, **form):
    """Send the form of the profile; the status."""
    return page.post("/profile", {"form": page.form_token("/profile"), **form}).status


def test_a_browser_keeps_its_zone_look_and_keys():
    """Given a zone, a look and no keys → each page has them, the zone before that of the browser; empty ones end."""
    page = harness(fire())
    page.cookies["tz"] = "Asia/Tokyo"
    assert "Times in Tokyo" in page.get("/") and "data-theme" not in page.reply.body
    assert kept(page, zone="America/Sao_Paulo", theme="dark") == 303
    assert all("HttpOnly" in each for each in page.reply.cookies)
    html = page.get("/errors")
    assert (
        'data-zone="America/Sao_Paulo" data-theme="dark" data-keys="off"' in html and "<kbd>?</kbd></span>" not in html
    )
    assert 'value="America/Sao_Paulo"' in page.get("/profile")
    assert kept(page, zone="", theme="", keys="on") == 303
    assert 'data-zone="Asia/Tokyo">' in page.get("/")


@pytest.mark.parametrize("form", [{"zone": "Nowhere/Land"}, {"zone": "../../etc/passwd"}, {"theme": "blue"}])
def test_what_is_not_known_is_refused(form):
    """Given a zone or a look that does not exist → the page says what is expected, and nothing is kept."""
    page = harness()
    assert kept(page, **form) == 400 and "expected is" in page.reply.body
    assert not {"zone", "theme", "keys"} & set(page.cookies)


def test_cookies_of_somebody_else_are_nothing():
    """Given cookies with other values → the pages look as without them, and no value is repeated."""
    page = harness()
    page.cookies |= {"zone": "x", "theme": "x'><b>", "keys": "<b>"}
    html = page.get("/")
    assert page.reply.status == 200 and "data-theme" not in html and "<b>" not in html and "data-keys" not in html


def test_the_profile_says_who_one_is():
    """Given a viewer → the account and the role are there, and the form can be sent all the same."""
    page = PageHarness(rules="access: {viewer: ['token:guest']}\ndefault: {notification: [{email: a@example.com}]}\n")
    page.sign_in("Guest", "token:guest")
    said = text_of(page.get("/profile"))
    assert "token:guest" in said and "viewer: looks" in said
    assert kept(page, theme="light") == 303 and 'data-theme="light"' in page.get("/")


class Away:
    """A store that does not answer."""

    def __getattr__(self, name):
        """Refuse every call."""

        def away(*_, **__):
            raise NotStoredError("the table does not answer")

        return away


@pytest.mark.parametrize("address", ["/", "/incident/abc", "/errors", "/silences"])
def test_an_unread_table_does_not_look_calm(address):
    """Given a table that does not answer → 503 and a page that says that nothing is known; no word of calm."""
    page = harness(fire())
    page.router.store = Away()
    said = text_of(page.get(address))
    assert page.reply.status == 503 and "What is open is not known" in said
    assert "Nothing fires" not in said and "the table does not answer" in said


def test_an_incident_of_counted_events_has_its_chart():
    """Given a spike of the sample → events a minute with the rule's limit and the deploy before it."""
    page = page_of_the_sample()
    html = page.get(f"/incident/{id_of(page, 'exam-web')}")
    said = text_of(html)
    assert "Events a minute" in said and "critical over 10 in 1 minute" in said and "deploy 9f2c41d" in said
    numbers = text_of("<main" + html.split("Numbers")[1].split("</table>")[0])
    assert "19:41 10" in numbers or "19:42 30" in numbers, numbers


def test_an_incident_without_counts_has_no_chart():
    """Given an alert of an event → no empty axis."""
    page = harness(line(0, "Disk", title="Disk full", service="api"))
    assert "Events a minute" not in page.get(f"/incident/{id_of(page)}")
