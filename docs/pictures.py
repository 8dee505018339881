"""Draw docs/page.png and docs/report.png from a run: `python docs/pictures.py runs/imdb/NAME`.

Needs selenium, Chromium and its driver (Debian: chromium, chromium-driver).
"""

from __future__ import annotations

import base64
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

DOCS = Path(__file__).parent
TEXT = (
    "The story begins slowly, and some of the jokes in the first half are lame. But the actors are "
    "superb, the music is lovely, and the ending, which nobody in the cinema expected, is deeply "
    "moving."
)
_SECONDS, _PATIENCE = 3, 300
_MARGIN = 8  # pixels below the curve


def open_browser(width: int, height: int) -> webdriver.Chrome:
    """Start Chromium with a window of this size, in pixels of CSS."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for name in ("headless=new", "no-sandbox", "hide-scrollbars", "force-device-scale-factor=1.5"):
        options.add_argument(f"--{name}")
    options.add_argument(f"--window-size={width},{height}")
    return webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))


def draw(page: Path, picture: Path, size: tuple[int, int], text: str | None = None) -> None:
    """Open a page, enter a text if there is one, and take a picture of the window.

    With a text, the picture ends after the curve, between two parts of the page.
    """
    browser = open_browser(*size)
    try:
        browser.get(page.resolve().as_uri())
        if text is not None:
            browser.find_element(By.CSS_SELECTOR, "textarea").send_keys(text)
            WebDriverWait(browser, _PATIENCE).until(
                lambda page: page.find_element(By.CSS_SELECTOR, "#prefixes svg").is_displayed()
            )
        time.sleep(_SECONDS)  # Bars move.
        height = size[1]
        if text is not None:
            browser.execute_script("document.activeElement.blur()")
            curve = browser.find_element(By.CSS_SELECTOR, "#explanation section")
            height = curve.rect["y"] + curve.rect["height"] + _MARGIN
        clip = {"x": 0, "y": 0, "width": size[0], "height": height, "scale": 1}
        taken = browser.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip})
        picture.write_bytes(base64.b64decode(taken["data"]))
    finally:
        browser.quit()


def main() -> None:
    """Write the page and the report of a run, and draw them."""
    _, run = sys.argv
    with tempfile.TemporaryDirectory() as folder:
        page, report = Path(folder, "page.html"), Path(folder, "report.html")
        lstm = [sys.executable, "-m", "lstm_cli"]
        export = ["export", run, "--format", "html", "--quantize", "int8", "--no-examples"]
        for command in (
            [*export, "--out", str(page)],
            ["runs", "report", run, "--out", str(report)],
        ):
            subprocess.run([*lstm, *command], check=True)
        draw(page, DOCS / "page.png", (1000, 1100), TEXT)
        draw(report, DOCS / "report.png", (1200, 1000))


if __name__ == "__main__":
    main()
