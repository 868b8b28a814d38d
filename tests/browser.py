"""A headless Chromium without a network, that keeps what pages complain of and what they ask for."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

WITHIN_S = 60
LOOKS_EVERY_S = 0.02
"""How soon what has come about is seen: selenium itself looks twice a second."""
NAMES = ("chromium", "chromium-browser", "google-chrome")
SWITCHES = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
)


def require_browser() -> tuple[str, str]:
    """Return the paths of Chromium and its driver; without them the test is skipped, but fails under CI=true."""
    browser = next((path for path in map(shutil.which, NAMES) if path), None)
    driver = shutil.which("chromedriver")
    if browser and driver:
        return browser, driver
    reason = "needs chromium and chromedriver. Try apt-get install chromium chromium-driver"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def chromium(profile: Path, width: int = 1280, height: int = 900) -> Iterator[Chrome]:
    """Start a browser with an empty profile, and end it."""
    browser, driver = require_browser()
    options = ChromeOptions()
    options.binary_location = browser
    for switch in (*SWITCHES, f"--user-data-dir={profile}", f"--window-size={width},{height}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = Chrome(options=options, service=Service(executable_path=driver))
    try:
        chrome.get("about:blank")  # the page of a new tab has much to ask for
        chrome.get_log("performance")
        yield chrome
    finally:
        chrome.quit()


def open_page(chrome: Chrome, page: Path, address: str | None = None) -> None:
    """Open a file and wait for its last script: the driver may return from a page's second visit while it loads.

    Parameters:
        address: what stands behind the name of the file, from # on; the page is opened in the place of an empty one.
    """
    if address is not None:
        chrome.get("about:blank")
    chrome.get(page.as_uri() + (address or ""))
    until(chrome, lambda found: found.execute_script("return document.body.dataset.drawn"))


def until(chrome: Chrome, holds: Callable[[Chrome], Any], complaint: str = "") -> None:
    """Wait for that, and fail with the complaint where it does not come about."""
    WebDriverWait(chrome, WITHIN_S, poll_frequency=LOOKS_EVERY_S).until(holds, complaint)


@contextmanager
def screen(chrome: Chrome, width: int, height: int, is_mobile: bool = False) -> Iterator[None]:
    """Show pages on a screen of that size."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_mobile}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        yield
    finally:
        chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def complaints(chrome: Chrome) -> list[str]:
    """Return what the console holds since the last call, whatever its level."""
    return [entry["message"] for entry in chrome.get_log("browser")]


def requests(chrome: Chrome) -> list[str]:
    """Return the addresses that the page asked for since the last call, without those inside the page."""
    asked = [event["request"]["url"] for event in _of(_messages(chrome), "Network.requestWillBeSent")]
    return [url for url in asked if not url.startswith(("data:", "blob:"))]


def sent(chrome: Chrome) -> list[str]:
    """Return the addresses that the page asked for since the last call, without those that the browser refused."""
    messages = _messages(chrome)
    refused = {event["requestId"] for event in _of(messages, "Network.loadingFailed") if "blockedReason" in event}
    asked = {event["requestId"]: event["request"]["url"] for event in _of(messages, "Network.requestWillBeSent")}
    sockets = [event["request"] for event in _of(messages, "Network.webSocketWillSendHandshakeRequest")]
    away = [url for request, url in asked.items() if request not in refused and not url.startswith(("data:", "blob:"))]
    return away + [str(request) for request in sockets]


def refusals(chrome: Chrome) -> list[str]:
    """Return why requests since the last call were refused by the browser itself."""
    failed = _of(_messages(chrome), "Network.loadingFailed")
    return [event["blockedReason"] for event in failed if "blockedReason" in event]


def opened(chrome: Chrome, page: Path) -> Iterator[Chrome]:
    """Open a page, and after each test see that it complained of nothing and asked for nothing but itself."""
    complaints(chrome)
    requests(chrome)
    open_page(chrome, page)
    yield chrome
    assert complaints(chrome) == []
    assert requests(chrome) == [page.as_uri()]


def one(chrome: Chrome, selector: str) -> Any:
    """Return the first element."""
    return chrome.find_element(By.CSS_SELECTOR, selector)


def texts(chrome: Chrome, selector: str) -> list[str]:
    """Return what the elements say, shown or not."""
    return chrome.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)", selector
    )


def count(chrome: Chrome, selector: str) -> int:
    """Return how many elements there are."""
    return len(chrome.find_elements(By.CSS_SELECTOR, selector))


def pick(chrome: Chrome, selector: str, value: str) -> None:
    """Choose a value, as a reader does."""
    chrome.execute_script(
        "const e = document.querySelector(arguments[0]); e.value = arguments[1]; e.dispatchEvent(new Event('change'))",
        *(selector, value),
    )


def column(chrome: Chrome, table: str, place: int) -> list[str]:
    """Return what the cells of a column say, from 1."""
    return texts(chrome, f"{table} tbody td:nth-child({place})")


def uncut(chrome: Chrome, table: str, place: int) -> list[str]:
    """Return the same, in full where it is cut."""
    script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.title || e.textContent)"
    return chrome.execute_script(script, f"{table} tbody td:nth-child({place})")


def _messages(chrome: Chrome) -> list[dict[str, Any]]:
    return [json.loads(entry["message"])["message"] for entry in chrome.get_log("performance")]


def _of(messages: list[dict[str, Any]], method: str) -> list[dict[str, Any]]:
    return [message["params"] for message in messages if message["method"] == method]
