"""The page in a headless Chromium: what one sees, what axe-core finds, and what works by keys and without the script."""

import math
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import axe_selenium_python
import pytest
from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from chalicelib.web.boards import BOARDS
from tests.web.harness import PageHarness, served
from tests.web.test_pages import RULES, id_of, line
from tests.web.test_uptime import runs

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
LIMITS = """alerts:
  - {name: Slow, condition: "p95_latency_ms > 500ms", severity: warning}
  - {name: Very slow, condition: "p99_latency_ms > 900ms", severity: critical}
  - {name: Full, condition: "db_size_gb > 8GB", severity: critical}
  - {name: Cold, condition: "cache_hit_rate < 95%"}
  - {name: Error Spike, match: {kind: error.created}, condition: "events[1m] > 10", group_by: [service]}
"""
TITLES = (
    "TypeError: x is undefined",
    "KeyError",
    "TimeoutError after 30 s of waiting for the answer of pay",
    "OSError",
)
MEASURED = """
probes:
  uptime: [{name: web, url: "https://example.com/", every: 60m, service: api}]
  cloudflare: [{name: shop, zone: 023e105f4ecef8ad9ca31a8372d0c353, every: 2m}]
  heartbeat: [{name: backup, every: 1d, grace: 1h}]
"""
AXE = Path(axe_selenium_python.__file__).parent / "node_modules/axe-core/axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SIZES = {"desktop": (1280, 900), "phone": (390, 844), "narrow": (320, 640)}
WAIT_SECONDS = 20
ADDRESSES = (
    "/",
    *BOARDS,
    "/rules?who=service%3Dapi",
    "/router",
    "/profile",
    "/silences?matchers=service%3Dapi",
    "/silences?matchers=service&for=own",
)
"""The pages that every reader has, with a preview and with a mistake."""


@pytest.fixture(scope="module")
def page() -> Iterator[PageHarness]:
    """A router in the middle of a night: a critical incident, one that somebody has, a muted and a closing one."""
    found = PageHarness(
        line(0, "Full", severity="warning", title="Nearly full", summary="7.6 GB of 8 GB", service="db"),
        line(1, "Hydration", severity="warning", title="Hydration failed", service="web"),
        line(2, "Queue", severity="warning", title="Queue long", service="jobs"),
        line(400, "Queue", severity="warning", status="resolved", title="Queue long", service="jobs"),
        line(410, "Disk", title="Disk full on db1", summary="9 % left", service="api", host="db1", environment="prod"),
        *(
            line(
                411 + n,
                "E",
                title=TITLES[n % 4],
                source="sentry",
                kind="error.created",
                issue=str(n % 4),
                service="api",
                release="9f1c",
            )
            for n in range(9)
        ),
        rules=RULES.replace("alerts:\n", LIMITS) + MEASURED + "windows:\n  nights: {from: '22:00', to: '07:00'}\n",
    )
    found.sign_in()
    found.act(id_of(found, "db"), "ack")
    found.ask("make_silence", body={"matchers": {"team": "x" * 200}, "for": "1m", "by": "Ana"})
    found.ask("make_silence", body={"matchers": {"a": "b"}, "from": "22:00", "until": "23:00", "by": "Ana"})
    found.ask("make_silence", body={"matchers": {"service": "web"}, "for": "8h", "by": "Bruno", "comment": "PR 812"})
    found.router.store.put_mark("backlog", '{"dead": {"webhooks": 2}}')
    found.router.store.put_mark("run:watch", found.router.now.isoformat())
    found.wait(timedelta(seconds=20))
    measure(found)
    return found


def measure(page: PageHarness) -> None:
    """Store a month of runs, a week of sizes and a day of everything else, with failures, gaps and broken limits."""
    now = page.router.now
    walk = [math.sin(n / 17) * math.sin(n / 5) for n in range(720)]
    for name in ("web", "a-probe-with-a-long-name-of-the-checkout"):
        kept = [1.0 if n % 113 else 0.0 for n in range(680)]
        runs(page, [None if 40 < n < 90 else value for n, value in enumerate(kept)], every=HOUR, probe=name)
        runs(page, [61.5 if name == "web" else 6.5], metric="tls_days_left", probe=name)
        runs(page, [120 + 90 * each for each in walk], metric="latency_ms", every=2 * MINUTE, probe=name)
    shop = {"probe": "shop", "zone": "example.com", "service": "web"}
    runs(page, [320 + 260 * each for each in walk], metric="p95_latency_ms", every=2 * MINUTE, **shop)
    runs(page, [640 + 400 * each for each in walk], metric="p99_latency_ms", every=2 * MINUTE, **shop)
    runs(page, [0.004 + 0.004 * each for each in walk], metric="error_rate", every=2 * MINUTE, **shop)
    runs(page, [1200 + 600 * each for each in walk], metric="requests_per_min", every=2 * MINUTE, **shop)
    runs(page, [88 + 40 * each for each in walk], metric="active_users", every=2 * MINUTE, **shop)
    main = {"probe": "main", "service": "api"}
    sizes = [7.2 + n * 0.0025 + 0.01 * walk[n] for n in range(168)]
    runs(page, sizes, metric="db_size_gb", every=HOUR, until=now, **main)
    runs(page, [0.96 - 0.05 * abs(each) for each in walk], metric="cache_hit_rate", every=2 * MINUTE, **main)
    runs(page, [0.6 + 0.3 * each for each in walk], metric="connections_used", every=2 * MINUTE, **main)
    runs(page, [30 + 20 * each for each in walk], metric="query_time_ms", every=2 * MINUTE, **main)
    runs(page, [12 + 9 * each for each in walk], metric="latency_ms", every=2 * MINUTE, **main)


@pytest.fixture
def signed_in(page: PageHarness, browser: Chrome) -> Iterator[str]:
    """The address of the page, with the browser signed in."""
    with served(page) as url:
        resized(browser, "desktop", dark=False)
        page.wait(timedelta(seconds=1))
        browser.get(f"{url}/login/{page.code()}")
        browser.find_element(By.CSS_SELECTOR, "button.primary").click()
        shown(browser, "h1", "Now")
        yield url


def resized(browser: Chrome, size: str, *, dark: bool) -> None:
    """Make the browser that of a phone or a desk, in the light or in the dark."""
    width, height = SIZES[size]
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size != "desktop"}
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


def shown(browser: Chrome, selector: str, text: str) -> None:
    """Wait until an element has a text."""
    wait = WebDriverWait(browser, WAIT_SECONDS, ignored_exceptions=[WebDriverException])
    wait.until(lambda _: any(text in each.text for each in browser.find_elements(By.CSS_SELECTOR, selector)))


def found_by_axe(browser: Chrome) -> list[str]:
    """Return what axe-core finds on the page, a line each."""
    browser.execute_script(AXE.read_text())
    run = "const done = arguments[arguments.length - 1]; axe.run({runOnly: arguments[0]}).then(done)"
    results = browser.execute_async_script(run, TAGS)
    assert len(results["passes"]) > 20
    return [f"{each['id']}: {node['html'][:200]}" for each in results["violations"] for node in each["nodes"]]


@pytest.mark.acceptance
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("address", [*ADDRESSES, "/incident", "/login", "/nothing"])
def test_axe_finds_nothing_and_nothing_scrolls_sideways(
    signed_in: str, page: PageHarness, browser: Chrome, address: str, size: str, dark: bool
) -> None:
    """Given each page on a desk, a phone and a narrow phone, light and dark → no finding, and it fits its width."""
    resized(browser, size, dark=dark)
    browser.get(signed_in + (f"/incident/{id_of(page)}" if address == "/incident" else address))
    assert found_by_axe(browser) == []
    wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.execute_script(wide) <= 0


def test_acknowledge_is_on_the_first_screen_of_a_phone(signed_in: str, browser: Chrome) -> None:
    """Given a critical incident on a phone → what, since when, who has it and Acknowledge are above the fold."""
    resized(browser, "phone", dark=False)
    browser.get(signed_in)
    for selector in (".unowned h2", ".unowned .age", ".unowned .whohas", ".unowned button.primary"):
        box = browser.find_element(By.CSS_SELECTOR, selector).rect
        assert box["y"] + box["height"] < SIZES["phone"][1]


def test_a_silence_is_previewed_and_made_by_its_buttons(signed_in: str, page: PageHarness, browser: Chrome) -> None:
    """Given Silence… of a card, Preview and the button below it → the silence is listed; End now ends it."""
    browser.get(signed_in)
    browser.find_element(By.CSS_SELECTOR, ".unowned [data-key=s]").click()
    shown(browser, "h3", "What this would do")
    field = browser.find_element(By.ID, "matchers")
    field.clear()
    field.send_keys("service=none")
    browser.find_element(By.XPATH, "//button[text()='Preview']").click()
    shown(browser, "dd", "nothing that fires")
    browser.find_element(By.ID, "comment").send_keys("only a test")
    browser.find_element(By.CSS_SELECTOR, "#new button[value=make]").click()
    shown(browser, ".flash", "from now until")
    shown(browser, "th", "“only a test”")
    row = "//tr[contains(., 'only a test')]//button[@value='end']"
    browser.find_element(By.XPATH, row).click()
    shown(browser, ".flash", "ended by Ana Souza")


@pytest.mark.parametrize(("typed", "updates"), [("", 1), ("half a sentence", 0)])
def test_what_is_typed_is_not_replaced_by_an_update(signed_in: str, browser: Chrome, typed: str, updates: int) -> None:
    """Given a typed value and a focus elsewhere → the page is not loaded anew, as it is when nothing is typed."""
    browser.get(f"{signed_in}/silences?matchers=service%3Dapi")
    browser.find_element(By.ID, "comment").send_keys(typed)
    count = (
        "const load = fetch; window.loads = 0; window.fetch = (...how) => { window.loads += 1; return load(...how); };"
    )
    look = "document.activeElement.blur(); document.dispatchEvent(new Event('visibilitychange')); return window.loads"
    assert browser.execute_script(count + look) == updates


def test_keys_go_through_the_list_and_act(signed_in: str, page: PageHarness, browser: Chrome) -> None:
    """Given j, Enter and n → the first incident is chosen and opened, and a note can be typed; ? lists the keys."""
    body = browser.find_element(By.TAG_NAME, "body")
    body.send_keys("j")
    assert browser.switch_to.active_element.text == "Disk full on db1 (api)"
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    shown(browser, "h1", "Disk full on db1 (api)")
    browser.find_element(By.TAG_NAME, "body").send_keys("?")
    shown(browser, "dialog h2", "Keys")
    browser.find_element(By.CSS_SELECTOR, "dialog button").click()
    browser.find_element(By.ID, "note").send_keys("looking at it")
    browser.find_element(By.CSS_SELECTOR, "[data-key=n]").click()
    shown(browser, ".timeline", "“looking at it”")


def test_single_letters_can_be_switched_off(signed_in: str, browser: Chrome) -> None:
    """Given the profile without single letters, in the dark → `?` opens nothing and the page is dark; switched on, it does."""
    for switched_on in (False, True):
        browser.get(f"{signed_in}/profile")
        browser.find_element(By.CSS_SELECTOR, "[name=keys]").click()
        browser.find_element(By.CSS_SELECTOR, f"[name=theme][value='{'' if switched_on else 'dark'}']").click()
        browser.find_element(By.CSS_SELECTOR, "main button.primary").click()
        shown(browser, ".flash", "Kept in this browser.")
        browser.find_element(By.TAG_NAME, "body").send_keys("?")
        is_open = "return document.getElementById('keys').open"
        assert browser.execute_script(is_open) is switched_on
        scheme = "return getComputedStyle(document.documentElement).colorScheme"
        assert (browser.execute_script(scheme) == "dark") is not switched_on


def test_the_page_works_without_its_script(signed_in: str, page: PageHarness, browser: Chrome) -> None:
    """Given a browser that runs no script → an incident is acknowledged by its button, and the next page says so."""
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(f"{signed_in}/incident/{id_of(page)}")
        browser.find_element(By.CSS_SELECTOR, "button.primary").click()
        shown(browser, ".flash", "Acknowledged by Ana Souza")
        browser.get(f"{signed_in}/incident/{id_of(page)}")
        browser.find_element(By.XPATH, "//button[text()='Give back']").click()
        shown(browser, ".flash", "Given back by Ana Souza")
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_the_page_shows_what_changed_by_itself(signed_in: str, page: PageHarness, browser: Chrome) -> None:
    """Given somebody else's acknowledgement while one looks → it is there when the page updates."""
    browser.get(f"{signed_in}/incident/{id_of(page)}")
    page.ask("act", id=id_of(page), act="ack", body={"by": "Carla"})
    browser.execute_script("document.dispatchEvent(new Event('visibilitychange'))")
    shown(browser, ".whohas", "Carla")
    page.ask("act", id=id_of(page), act="unack", body={"by": "Carla"})


@pytest.mark.parametrize("address", ["/", "/errors", "/incident"])
def test_a_page_that_is_not_updated_says_since_when(page: PageHarness, browser: Chrome, address: str) -> None:
    """Given a page whose stage is gone for three updates → it says since when it is not updated, in words."""
    with served(page) as url:
        resized(browser, "desktop", dark=False)
        page.wait(timedelta(seconds=1))
        browser.get(f"{url}/login/{page.code()}")
        browser.find_element(By.CSS_SELECTOR, "button.primary").click()
        shown(browser, "h1", "Now")
        browser.get(url + (f"/incident/{id_of(page)}" if address == "/incident" else address))
        assert not browser.find_elements(By.CSS_SELECTOR, ".stale")
    # A connection that the browser has opened ahead is still answered: more than three are tried.
    update = "document.dispatchEvent(new Event('visibilitychange'))"
    for _ in range(8):
        browser.execute_script(update)
    shown(browser, ".head .end.stale", "not updated since")
    assert found_by_axe(browser) == []
