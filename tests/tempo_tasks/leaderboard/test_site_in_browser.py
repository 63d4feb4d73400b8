"""The leaderboard's pages in a real browser: sorting, filters, a phone, text of strangers."""

import pytest

from tempo_tasks.leaderboard.gather import found_bundles, gather
from tempo_tasks.leaderboard.site_files import write_site
from tempo_tasks.submission.asked_documents import AskedData
from tests.support import chromium
from tests.support.bundles import LOUD, write_synth_bundle, write_synth_run

HOSTILE = "<img src=x onerror=window.pwned=1>"
ENTRIES = {"low": (0.2, None), "edited": (0.5, LOUD), HOSTILE: (0.9, None)}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    base = tmp_path_factory.mktemp("site")
    for number, (label, (skill, edit)) in enumerate(ENTRIES.items()):
        tasks = [f"tempo_synth_{kind}_aqa" for kind in ("eo", "lo", "ld")]
        if label == "low":
            tasks.append("tempo_synth_eo_silence")  # a column that the others have not
        run = write_synth_run(base / "run" / str(number), tasks, skill=skill, seed=2, edit=edit)
        write_synth_bundle(base / "bundles" / str(number), run, label=label)
    write_site(gather(found_bundles([base / "bundles"]), AskedData()), base / "site")
    return base / "site"


@pytest.fixture
def opened(driver, site):
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    driver.get("about:blank")
    driver.get_log("browser")
    driver.get((site / "index.html").as_uri())
    return driver


def entries(driver):
    """The names of the entries that are shown, from the top."""
    rows = driver.find_elements("css selector", "tbody tr[data-sort=entry]")
    return [row.find_element("css selector", "a").text for row in rows if row.is_displayed()]


def set_field(driver, name, value):
    driver.execute_script(
        "const field = document.getElementById(arguments[0]); field.value = arguments[1];"
        "field.dispatchEvent(new Event('input'));",
        name,
        value,
    )


def sort_by(driver, title):
    for button in driver.find_elements("css selector", "thead button"):
        if button.text == title:
            button.click()
            return button.find_element("xpath", "..").get_attribute("aria-sort")
    raise AssertionError(f"no column {title}")


def test_best_first_and_nothing_of_a_stranger_runs(opened):
    assert entries(opened) == [HOSTILE, "edited", "low"]
    assert opened.get_log("browser") == []
    assert opened.execute_script("return window.pwned") is None
    opened.find_element("link text", HOSTILE).click()
    assert opened.find_element("tag name", "h1").text == HOSTILE
    assert opened.execute_script("return window.pwned") is None


def test_a_script_that_is_not_ours_does_not_run(opened):
    opened.execute_script(
        "const script = document.createElement('script'); script.textContent = 'window.pwned = 1';"
        "document.body.append(script);"
    )
    assert opened.execute_script("return window.pwned") is None


def test_sorting(opened):
    assert sort_by(opened, "AQA EO") == "descending"
    assert entries(opened)[0] == HOSTILE
    assert sort_by(opened, "AQA EO") == "ascending"
    assert entries(opened)[-1] == HOSTILE
    for _ in range(2):  # rows without a value stay at the end in both directions
        sort_by(opened, "SILENCE EO")
        assert entries(opened)[0] == "low"


def test_filters(opened):
    set_field(opened, "attention", "yes")
    assert entries(opened) == ["edited"]
    set_field(opened, "attention", "no")
    assert entries(opened) == [HOSTILE, "low"]
    set_field(opened, "attention", "")
    set_field(opened, "search", "LO")
    assert entries(opened) == ["low"]
    set_field(opened, "search", "")
    chance = opened.find_element("css selector", "tr.reference")
    assert chance.is_displayed()
    opened.find_element("id", "reference").click()
    assert not chance.is_displayed()


def test_a_phone(opened, driver):
    chromium.phone(driver)
    wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert opened.execute_script(wide) <= 0
    opened.find_element("link text", "edited").click()
    assert opened.execute_script(wide) <= 0
