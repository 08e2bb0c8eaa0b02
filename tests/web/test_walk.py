"""A headless Chromium walks every page of a deployed stage with the sample day: sign in, acknowledge, silence, redrive."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from chalicelib.messages.webhook import Webhook, compressed, written
from chalicelib.settings import Settings
from cli.stage import Stage as StageOnAws
from deploy.smoke import request
from local import demo
from tests.deployed import Stage, deployed_stage
from tests.rule_files import rules_of
from tests.web.demo import RULES
from tests.web.test_browser import found_by_axe, resized, shown

pytestmark = pytest.mark.acceptance
ADMIN = RULES.replace('admin: ["token:ana"]', 'admin: ["token:"]')
PAGES = {
    "": "Now",
    "errors": "Errors",
    "performance": "Performance",
    "infrastructure": "Infrastructure",
    "uptime": "Uptime",
    "silences": "Silences and windows",
    "rules?who=service%3Dexam-web": "Rules",
    "router": "Router",
    "profile": "Profile",
}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The deployed stage, with the sample day and what is open at its end."""
    folders = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("cloud")
    with deployed_stage(*folders, ADMIN) as found:
        now = datetime.now(UTC)
        store = on_aws(found).store
        demo.seed_events(store, rules_of(ADMIN), now)
        store.add_samples([each for each in demo.measured(now) if each.at > now - timedelta(hours=26)])
        for each in demo.OPEN:
            demo.send(each, found.deployed.url, found.values, now)
        found.inbox.connections.tocsin = found.deployed.url.rstrip("/")
        found.inbox.connections.api_token = found.values["API_TOKEN"]
        found.eventually(lambda: len(incidents(found)) == len(demo.OPEN), "the sample's alerts open no incidents")
        yield found


def on_aws(stage: Stage) -> StageOnAws:
    """Return the stage as commands see it."""
    settings = Settings.from_env({"TOCSIN_STAGE": "local", "AWS_REGION": "us-east-1"})
    return StageOnAws(settings, stage.cloud.environment(), stage.clients)


def incidents(stage: Stage) -> list[dict[str, object]]:
    """Return the open incidents, by the API."""
    headers = {"Authorization": f"Bearer {stage.values['API_TOKEN']}"}
    _, text = request(f"{stage.deployed.url}api/incidents", None, headers)
    return list(json.loads(text)["incidents"])


@pytest.fixture
def signed_in(stage: Stage, browser: Chrome) -> Chrome:
    """The browser, signed in by one click in the inbox."""
    resized(browser, "desktop", dark=False)
    browser.get(f"{stage.inbox.url}/")
    browser.find_element(By.CSS_SELECTOR, "a[href='/sign-in']").click()
    shown(browser, "h1", "Now")
    return browser


def test_every_page_shows_the_sample(stage: Stage, signed_in: Chrome) -> None:
    """Given a click in the inbox → signed in; each page is there, axe finds nothing, and nothing could not be read."""
    for address, title in PAGES.items():
        signed_in.get(f"{stage.deployed.url}{address}")
        shown(signed_in, "h1", title)
        assert found_by_axe(signed_in) == []
        assert "could not be read" not in signed_in.page_source
        assert "Ana Souza · admin" in signed_in.page_source
    signed_in.get(f"{stage.deployed.url}performance")
    assert len(signed_in.find_elements(By.CSS_SELECTOR, "svg.plot")) >= 4
    assert "1 Nov" not in signed_in.page_source
    signed_in.get(f"{stage.deployed.url}")
    signed_in.find_element(By.LINK_TEXT, "Sample: 6 restarts in 30 min (worker)").click()
    shown(signed_in, "h2", "Timeline")
    assert found_by_axe(signed_in) == []


def test_acknowledge(stage: Stage, signed_in: Chrome) -> None:
    """Given the button of a row → the page says who has it, and the API says so too."""
    row = signed_in.find_element(By.XPATH, "//li[@data-item][contains(., 'worker')]")
    row.find_element(By.XPATH, ".//button[text()='Acknowledge']").click()
    shown(signed_in, "body", "Acknowledged by Ana Souza")
    stage.eventually(lambda: any(each["acked_by"] == "Ana Souza" for each in incidents(stage)), "nobody has it")


def test_silence_with_a_preview(stage: Stage, signed_in: Chrome) -> None:
    """Given matchers → the preview names the incident that would be muted; the button below makes the silence."""
    signed_in.get(f"{stage.deployed.url}silences?matchers=service%3Dmailer#new")
    shown(signed_in, "h3", "What this would do")
    shown(signed_in, "dd", "Sample: 1,240 mails wait")
    signed_in.find_element(By.ID, "comment").send_keys("a sample")
    signed_in.find_element(By.CSS_SELECTOR, "#new button[value=make]").click()
    shown(signed_in, "body", "from now until")
    stage.eventually(lambda: listed(stage, signed_in), "the silence is not listed")


def listed(stage: Stage, browser: Chrome) -> bool:
    """Return whether the new silence is on its page."""
    browser.get(f"{stage.deployed.url}silences")
    return "“a sample”" in browser.page_source


def test_redrive(stage: Stage, signed_in: Chrome) -> None:
    """Given a dead letter and an admin → the button puts it on its queue, by the rights of the function; it is processed."""
    alert = demo.Open("Sample: lost", "Sample: a webhook that was lost", "lost", "warning", timedelta(minutes=1))
    body = json.dumps(alert.webhook(datetime.now(UTC))).encode()
    webhook = Webhook("sample-dead", "alertmanager", body, datetime.now(UTC), {"content-type": "application/json"})
    sqs = stage.clients("sqs")
    dead = sqs.get_queue_url(QueueName="tocsin-local-webhooks-dead")["QueueUrl"]
    sqs.send_message(QueueUrl=dead, MessageBody=written(webhook, compressed(body)))
    counted = {"at": datetime.now(UTC).isoformat(), "dead": {"webhooks": 1}}
    on_aws(stage).store.put_mark("backlog", json.dumps(counted))
    signed_in.get(f"{stage.deployed.url}router")
    signed_in.find_element(By.XPATH, "//button[text()='Play it back']").click()
    shown(signed_in, "body", "1 dead letter played back")
    shown(signed_in, "body", "Ana Souza played 1 dead letter back")
    assert stage.waiting(dead=True) == 0
    stage.eventually(lambda: any("lost" in str(each["title"]) for each in incidents(stage)), "it was not processed")
    assert '"act": "redrive"' in stage.said()
