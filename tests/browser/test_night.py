"""A night at the inbox's page, in a real browser, over the stage that Chalice deployed into the embedded AWS."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from selenium.common.exceptions import (
    ElementNotInteractableException,
    NoSuchElementException,
    StaleElementReferenceException,
    TimeoutException,
)
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from deploy.smoke import request
from local.inbox.vendors.slack.workspace import channel_id
from tests.deployed import Stage, compact, deployed_stage

pytestmark = pytest.mark.acceptance

RULES = """
defaults: {group_by: [service], group_wait: 0s, group_interval: 1s, repeat_interval: 4s}
alerts:
  - name: Down
    match: {source: alertmanager, service: "!=payments"}
    severity: critical
    notification: [{slack_channel: "#incidents"}, {pagerduty: true}]
  - name: Slow end
    match: {source: alertmanager, service: payments}
    severity: critical
    group_interval: 5m
    repeat_interval: 1h
    notification: [{slack_channel: "#incidents"}, {pagerduty: true}]
default: {notification: [{slack_channel: "#alerts"}]}
fallback: {notification: [{slack_channel: "#alerts"}]}
"""
WAIT_SECONDS = 60.0
GONE = (NoSuchElementException, StaleElementReferenceException, ElementNotInteractableException, StopIteration)
"""What is not there yet, or not any more: the page was drawn anew."""
SLACK = f"slack/{channel_id('incidents')}"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The deployed stage, with the inbox sending back what people do."""
    with deployed_stage(tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("cloud"), RULES) as found:
        connections = found.inbox.connections
        connections.slack_signing_secret = found.values["SLACK_SIGNING_SECRET"]
        connections.pagerduty_webhook_secret = found.values["PAGERDUTY_WEBHOOK_SECRET"]
        connections.tocsin = found.deployed.url.rstrip("/")
        yield found


def title(service: str) -> str:
    """What the incident of a service is called."""
    return f"Down on {service}"


class Page:
    """The inbox's page as a person uses it."""

    def __init__(self, browser: Chrome, stage: Stage) -> None:
        self._browser = browser
        self._stage = stage

    def open(self, view: str) -> None:
        """Look at a channel, or at PagerDuty."""
        self._browser.get(f"{self._stage.inbox.url}/?view={view}")

    def until(self, true: Callable[[], Any], what: str, pause: float = 0.1) -> Any:
        """Wait for the page to show it; what a redraw takes away meanwhile is looked for again."""
        wait = WebDriverWait(self._browser, WAIT_SECONDS, poll_frequency=pause, ignored_exceptions=GONE)
        try:
            return wait.until(lambda _: true())
        except TimeoutException:
            pytest.fail(f"{what}; {self._browser.find_element(By.ID, 'main').text[:1500]}; {self._stage.said()[-800:]}")

    def shown(self, selector: str, text: str) -> WebElement | None:
        """The element that shows a text."""
        found = self._browser.find_elements(By.CSS_SELECTOR, selector)
        return next((each for each in found if text in each.text), None)

    def message(self, service: str) -> WebElement:
        """The incident's message, its thread included."""
        found = self._browser.find_elements(By.CSS_SELECTOR, "section.messages > .message:has(h3)")
        return next(each for each in found if title(service) in each.find_element(By.TAG_NAME, "h3").text)

    def press(self, within: Callable[[], WebElement], selector: str, taken: Callable[[], object]) -> None:
        """Press what the page shows until it is taken: a message that changes at that very moment has another button."""

        def pressed() -> object:
            if not taken():
                found = within().find_element(By.CSS_SELECTOR, selector)
                assert found.is_displayed() and found.is_enabled()
                self._browser.execute_script("arguments[0].click()", found)
            return taken()

        self.until(pressed, f"pressing {selector} does nothing", pause=1.0)


@pytest.fixture
def page(browser: Chrome, stage: Stage) -> Page:
    """The page of this stage's inbox."""
    return Page(browser, stage)


def fire(stage: Stage, service: str, *, ended: bool = False) -> None:
    """Alertmanager reports that a service is down, or that it is up again."""
    status = "resolved" if ended else "firing"
    alert = {
        "status": status,
        "labels": {"alertname": "Down", "service": service},
        "annotations": {"summary": title(service)},
        "startsAt": (datetime.now(UTC) - timedelta(minutes=1)).isoformat(),
        "endsAt": datetime.now(UTC).isoformat() if ended else "0001-01-01T00:00:00Z",
        "fingerprint": f"f-{service}",
    }
    body = compact({"version": "4", "status": status, "receiver": "tocsin", "alerts": [alert]})
    secret = stage.values["ALERTMANAGER_SECRET"]
    assert stage.post("alertmanager", body, {"Authorization": f"Bearer {secret}"}) == 202


def paged(stage: Stage, service: str) -> str:
    """The status of PagerDuty's incident about a service; empty when there is none."""
    return next((each["status"] for each in stage.inbox.incidents if service in json.dumps(each)), "")


def reminders(stage: Stage, service: str) -> int:
    """How often a service's thread was reminded."""
    found = stage.inbox.messages
    parents = {each["ts"] for each in found if not each.get("thread_ts") and title(service) in each["text"]}
    return sum(each.get("thread_ts") in parents and "Still firing" in each["text"] for each in found)


def test_one_press_is_heard_everywhere_and_pagerduty_ends_it_everywhere(page: Page, stage: Stage) -> None:
    """Acknowledge on Slack's page: the message changes, PagerDuty has it, reminders stop; a resolve there ends all."""
    fire(stage, "checkout")
    page.open(SLACK)
    page.until(lambda: page.message("checkout"), "nothing was told")
    page.until(lambda: reminders(stage, "checkout"), "nobody was reminded")

    sent = stage.inbox.memory.deliveries
    page.press(
        lambda: page.message("checkout"),
        "[data-action-id=tocsin_ack]",
        lambda: any(each["to"] == "/slack/actions" and each["status"] == 200 for each in sent),
    )
    page.until(lambda: "👀 Acknowledged by Ana Souza" in page.message("checkout").text, "the thread does not say who")
    page.until(
        lambda: page.message("checkout").find_elements(By.CSS_SELECTOR, "[data-action-id=tocsin_ack]") == [],
        "Acknowledge is still offered",
    )
    page.until(lambda: paged(stage, "checkout") == "acknowledged", "PagerDuty does not know")

    before = reminders(stage, "checkout")
    fire(stage, "search")
    page.until(lambda: reminders(stage, "search") >= 2, "the other incident is not reminded of")
    assert reminders(stage, "checkout") == before

    page.open("pagerduty")
    page.press(
        lambda: page.shown("[data-incident]", title("checkout")),
        "button[data-act=resolve]",
        lambda: paged(stage, "checkout") == "resolved",
    )
    page.open(SLACK)
    page.until(lambda: f"✅ {title('checkout')}" in page.message("checkout").text, "Slack is not resolved")
    page.until(lambda: "resolved by Ana Souza" in page.message("checkout").text, "the message does not say by whom")
    assert paged(stage, "checkout") == "resolved"


def test_the_form_silences_and_commands_are_answered(page: Page, stage: Stage, browser: Chrome) -> None:
    """Custom… opens the filled form; what is sent shows on the message; `/tocsin silences` lists it to Ana alone."""
    fire(stage, "mail")
    page.open(SLACK)
    page.until(lambda: page.message("mail"), "nothing was told")
    menu = "select[data-action-id=tocsin_silence]"

    def chosen() -> bool:
        Select(page.message("mail").find_element(By.CSS_SELECTOR, menu)).select_by_visible_text("Custom…")
        return True

    page.until(chosen, "there is no menu")
    filled = "form.modal textarea[data-input=matchers]"
    page.until(
        lambda: "service=mail" in browser.find_element(By.CSS_SELECTOR, filled).get_property("value"),  # type: ignore[operator]
        "the form is not filled",
    )
    browser.find_element(By.CSS_SELECTOR, "form.modal input[data-input=comment]").send_keys("vendor is on it")
    browser.find_element(By.CSS_SELECTOR, "form.modal button[type=submit]").click()
    page.until(
        lambda: f"🔇 {title('mail')}" in page.message("mail").text, "the message does not say that it is silenced"
    )
    page.until(lambda: "vendor is on it" in page.message("mail").text, "the message does not say why it is silenced")

    browser.find_element(By.CSS_SELECTOR, ".composer input").send_keys("/tocsin silences")
    browser.find_element(By.CSS_SELECTOR, ".composer button").click()
    page.until(lambda: page.shown(".message.ephemeral", "vendor is on it"), "the command was not answered")
    page.until(lambda: page.shown(".message.ephemeral", "Only visible to Ana Souza"), "others see the answer")


def status_of(stage: Stage, service: str) -> str:
    """What the API says of a service's incident."""
    token = {"Authorization": f"Bearer {stage.values['API_TOKEN']}"}
    _, answer = request(f"{stage.deployed.url}api/incidents?match=service={service}", None, token)
    rows = json.loads(answer)["incidents"]
    return str(rows[0]["status"]) if rows else ""


def test_in_the_minutes_after_an_end_the_message_says_so(page: Page, stage: Stage) -> None:
    """Given an end that is not notified yet → the message says until when it waits, and Close now has it notified at once."""
    fire(stage, "payments")
    page.open(SLACK)
    page.until(lambda: page.message("payments"), "nothing was sent")
    fire(stage, "payments", ended=True)
    page.until(lambda: status_of(stage, "payments") == "resolved", "the end did not arrive")

    page.until(lambda: "Closing at" in page.message("payments").text, "the message does not say that nothing fires")
    assert not page.message("payments").find_elements(By.CSS_SELECTOR, "[data-action-id=tocsin_ack]")
    assert paged(stage, "payments") == "triggered"

    page.press(
        lambda: page.message("payments"),
        "[data-action-id=tocsin_resolve]",
        lambda: page.shown(".message.ephemeral", "its targets are notified now"),
    )
    page.until(lambda: paged(stage, "payments") == "resolved", "PagerDuty was not notified of the end")
    page.until(lambda: f"✅ {title('payments')}" in page.message("payments").text, "the message does not show the end")
