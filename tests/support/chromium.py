"""A headless Chromium for pages, without network; missing, it skips or fails the tests."""

import os
import shutil

import pytest

REQUIRED = "TEMPO_REQUIRE_BROWSER"
"""Set by `.ci/run`: there these tests must have run."""
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--autoplay-policy=no-user-gesture-required",
    # Nothing answers: a page that loads from the network fails.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


def missing(reason):
    """Skip, or fail where the browser tests must run."""
    if os.environ.get(REQUIRED):
        pytest.fail(f"{REQUIRED} is set, and {reason}")
    pytest.skip(reason)


def start(profile):
    """Return a Selenium driver of Debian's chromium with an empty profile."""
    binary = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if not binary or not driver:
        missing("there is no chromium and chromedriver: apt-get install chromium chromium-driver")
    try:
        from selenium import webdriver
    except ModuleNotFoundError:
        missing("selenium is not installed")
    options = webdriver.ChromeOptions()
    for flag in (*_FLAGS, f"--user-data-dir={profile}", "--window-size=1400,1000"):
        options.add_argument(flag)
    options.binary_location = binary
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))


def phone(driver):
    """Make the window that of a phone."""
    size = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
