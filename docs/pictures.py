"""Draw docs/page.png and docs/report.png from a run: `python docs/pictures.py runs/imdb/NAME`.

Needs selenium, Chromium and its driver (Debian: chromium, chromium-driver).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By

DOCS = Path(__file__).parent
TEXT = (
    "The first hour is a bore and the jokes are tired, but then it becomes one of the best films I "
    "have seen this year."
)
_SECONDS = 10


def open_browser(width: int, height: int) -> webdriver.Chrome:
    """Start Chromium with a window of this size, in pixels of CSS."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for name in ("headless=new", "no-sandbox", "hide-scrollbars", "force-device-scale-factor=1.5"):
        options.add_argument(f"--{name}")
    options.add_argument(f"--window-size={width},{height}")
    return webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))


def draw(page: Path, picture: Path, size: tuple[int, int], text: str | None = None) -> None:
    """Open a page, enter a text if there is one, and take a picture of the window."""
    browser = open_browser(*size)
    try:
        browser.get(page.resolve().as_uri())
        if text is not None:
            browser.find_element(By.ID, "clear").click()
            browser.find_element(By.CSS_SELECTOR, "textarea").send_keys(text)
        time.sleep(_SECONDS)  # The page computes, and its bars move.
        browser.save_screenshot(str(picture))
    finally:
        browser.quit()


def main() -> None:
    """Write the page and the report of a run, and draw them."""
    _, run = sys.argv
    with tempfile.TemporaryDirectory() as folder:
        page, report = Path(folder, "page.html"), Path(folder, "report.html")
        lstm = [sys.executable, "-m", "lstm_cli"]
        export = ["export", run, "--format", "html", "--quantize", "int8", "--out", str(page)]
        for command in (export, ["runs", "report", run, "--out", str(report)]):
            subprocess.run([*lstm, *command], check=True)
        draw(page, DOCS / "page.png", (1200, 1100), TEXT)
        draw(report, DOCS / "report.png", (1200, 1000))


if __name__ == "__main__":
    main()
