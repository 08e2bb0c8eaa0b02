"""`python -m tests.web.photographs`: pictures of the page for docs/images, by headless Chromium, from the sample day.

Each page on a desk in the light and in the dark, and on a phone. Needs Debian's packages chromium, chromium-driver and
fonts-inter; Pillow reduces the colours.
"""

import argparse
import base64
import io
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from PIL import Image
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.browser.chromium import chromium
from tests.project import ROOT
from tests.web.demo import page_of_the_sample
from tests.web.harness import PageHarness, served
from tests.web.test_browser import resized, shown
from tests.web.test_pages import id_of

FOLDER = ROOT / "docs" / "images"
PAGES = ("", "errors", "performance", "infrastructure", "uptime", "silences", "rules", "router")
LOOKS = {"desktop": ("desktop", False), "phone": ("phone", False), "dark": ("desktop", True)}
COLOURS, EXACT = 200, 40
MAX_HEIGHT = {"desktop": 1_800, "phone": 2_200}
MAX_BYTES = 150_000


def addresses(page: PageHarness) -> dict[str, str]:
    """Return the address of each page by the name of its picture."""
    found = {each or "now": f"/{each}" for each in PAGES}
    found["incident"] = f"/incident/{id_of(page, 'exam-web')}"
    found["silences"] = "/silences?matchers=service%3Dexam-web&for=1h#new"
    found["rules"] = "/rules?who=service%3Dexam-web%20severity%3Dcritical"
    return found


def pictures(browser: Chrome, page: PageHarness, names: tuple[str, ...] = ()) -> Iterator[tuple[str, bytes]]:
    """Return each picture by its name, as PNG."""
    with served(page) as url:
        resized(browser, "desktop", dark=False)
        page.wait(timedelta(seconds=1))
        browser.get(f"{url}/login/{page.code(account='token:ana')}")
        browser.find_element(By.CSS_SELECTOR, "button.primary").click()
        shown(browser, "h1", "Now")
        for name, address in addresses(page).items():
            for look, (size, dark) in LOOKS.items():
                if not names or name in names:
                    yield f"page-{name}-{look}", picture(browser, f"{url}{address}", size, dark=dark)


def picture(browser: Chrome, address: str, size: str, *, dark: bool) -> bytes:
    """Return the picture of a page from its top, cut where it is very long."""
    resized(browser, size, dark=dark)
    browser.get("about:blank")
    browser.get(address.partition("#")[0])
    height = browser.execute_script("return document.documentElement.scrollHeight")
    width = browser.execute_script("return document.documentElement.clientWidth")
    clip = {"x": 0, "y": 0, "width": width, "height": min(height, MAX_HEIGHT[size]), "scale": 1}
    taken = browser.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})
    return reduced(base64.b64decode(taken["data"]))


def reduced(png: bytes) -> bytes:
    """Return the same picture in few colours. The most frequent stay as they are: those of surfaces and texts."""
    whole = Image.open(io.BytesIO(png)).convert("RGB")
    counted = sorted(whole.getcolors(whole.width * whole.height) or [], reverse=True)[:EXACT]
    exact = [part for _, colour in counted for part in colour]
    others = whole.quantize(COLOURS - len(counted), Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    palette = Image.new("P", (1, 1))
    palette.putpalette([*exact, *(others.getpalette() or [])][: 3 * COLOURS])
    few = whole.quantize(palette=palette, dither=Image.Dither.NONE)
    out = io.BytesIO()
    few.save(out, "PNG", optimize=True)
    return out.getvalue()


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.web.photographs", description="Draw the pages for docs/images."
    )
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("names", nargs="*", help="only these pages, such as now or errors")
    asked = parser.parse_args()
    with chromium() as browser:
        for name, data in pictures(browser, page_of_the_sample(), tuple(asked.names)):
            (asked.folder / f"{name}.png").write_bytes(data)
            print(f"{name} {len(data):,}")


if __name__ == "__main__":
    main()
