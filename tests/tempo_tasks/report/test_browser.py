"""The page in a real browser: headless Chromium by Selenium, without network."""

import csv
import json
import shutil
from urllib.parse import quote

import pytest

from tests.support import chromium
from tests.support.diagnoses import diagnosis
from tests.support.lab_commands import tempo
from tests.support.report_runs import run_on
from tests.support.sample_files import DATE, doc, generated, write_run

HOSTILE = "<img src=x onerror=window.pwned=1>"
ENDS_SCRIPT = "</script ></script><script>window.pwned=1</script><!--<script >"


@pytest.fixture(scope="module")
def page(plain_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    found, out = folder / "doctor.json", folder / "report.html"
    found.write_text(json.dumps(diagnosis().to_dict()))
    with pytest.MonkeyPatch.context() as patch:
        assert tempo(patch, "report", plain_run, found, "-o", out) == 0
    return out.as_uri()


@pytest.fixture
def opened(driver, page):
    """The page, newly opened on a desktop."""
    return open_page(driver, page)


def open_page(driver, address):
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    driver.get("about:blank")
    driver.get_log("browser")
    driver.get(address)
    assert driver.execute_script("return document.documentElement.dataset.ready") == "yes"
    return driver


def shown(driver):
    return driver.find_element("id", "count").text


def chosen(driver):
    return driver.find_element("css selector", ".row[aria-selected=true] .name span").text


def keys(driver, text):
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(driver).send_keys(text).perform()


def set_filter(driver, name, value):
    driver.execute_script(
        "const field = document.getElementById(arguments[0]); field.value = arguments[1];"
        "field.dispatchEvent(new Event('input'));",
        name,
        value,
    )


def test_loads_without_a_message(opened):
    assert opened.get_log("browser") == []
    assert shown(opened) == "12 of 12 items"
    assert opened.execute_script("return document.querySelectorAll('.chart .point').length") > 0
    assert "I cannot tell" in opened.find_element("id", "answers").text


def test_filters(opened):
    set_filter(opened, "f-kind", "lo")
    assert shown(opened) == "6 of 12 items"
    set_filter(opened, "f-column", "0")
    set_filter(opened, "f-outcome", "wrong")
    assert shown(opened) == "0 of 12 items"
    assert "No item fits" in opened.find_element("id", "list").text
    set_filter(opened, "f-column", "1")
    assert shown(opened) == "6 of 12 items"
    set_filter(opened, "f-outcome", "none")
    assert shown(opened) == "2 of 12 items"
    opened.find_element("id", "f-reset").click()
    wait(opened, lambda: shown(opened) == "12 of 12 items")
    opened.find_element("id", "f-text").send_keys("00003/eo")
    wait(opened, lambda: shown(opened) == "1 of 12 items")
    assert opened.find_element("id", "item").text.count("00003/eo") == 1


def wait(driver, condition):
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(driver, 5).until(lambda _: condition())


def test_plays(opened):
    button = opened.find_element("css selector", ".play")
    button.click()
    wait(opened, lambda: "Pause" in button.text)
    time = opened.find_element("css selector", ".player .time")
    wait(opened, lambda: float(time.text.split(" /")[0]) > 0.2)
    assert time.text.endswith("/ 10.0 s")
    button.click()
    wait(opened, lambda: "Play" in button.text)
    assert opened.get_log("browser") == []


def test_sound_beside_the_page_plays(driver, plain_run, tmp_path, monkeypatch):
    out = tmp_path / "a page #1.html"
    assert tempo(monkeypatch, "report", plain_run, "--max-audio", 0, "--no-audit", "-o", out) == 0
    open_page(driver, out.as_uri())
    button = driver.find_element("css selector", ".play")
    button.click()
    wait(driver, lambda: "Pause" in button.text)
    shutil.rmtree(tmp_path / "a page #1_audio")
    driver.get(out.as_uri() + "?again")
    time = driver.find_element("css selector", ".player .time")
    wait(driver, lambda: "is its folder beside the page" in time.text)


def test_keyboard(opened):
    assert chosen(opened).endswith("00000/eo")
    keys(opened, "j")
    assert chosen(opened).endswith("00001/eo")
    keys(opened, "k")
    opened.find_element("id", "list").click()
    opened.execute_script("document.getElementById('list').focus()")
    from selenium.webdriver.common.keys import Keys

    keys(opened, Keys.END)
    assert chosen(opened).endswith("00005/lo")
    keys(opened, Keys.ARROW_UP)
    assert chosen(opened).endswith("00004/lo")
    active = opened.find_element("id", "list").get_attribute("aria-activedescendant")
    assert opened.find_element("id", active).get_attribute("aria-selected") == "true"
    keys(opened, " ")
    wait(opened, lambda: "Pause" in opened.find_element("css selector", ".play").text)
    keys(opened, "w")
    assert opened.find_element("id", "f-outcome").get_attribute("value") == "wrong"
    keys(opened, "/jj")  # letters in the search field are no commands
    assert opened.find_element("id", "f-text").get_attribute("value") == "jj"


def test_deep_link(driver, page):
    name = "tempo-synth-1/test/00004/lo"
    open_page(driver, f"{page}#item={quote(name, safe='')}")
    assert chosen(driver) == name
    set_filter(driver, "f-kind", "eo")
    driver.execute_script("location.hash = arguments[0]", f"item={quote(name, safe='')}")
    wait(driver, lambda: chosen(driver) == name)  # filters that hide it are cleared
    keys(driver, "j")
    assert driver.execute_script("return location.hash").endswith("00005%2Flo")
    open_page(driver, f"{page}#item=%E0%A4%A")  # no name, and no address either
    assert "no item of this name" in shown(driver)


def test_phone(driver, page):
    open_page(driver, page)
    chromium.phone(driver)
    driver.refresh()
    width = "return [document.documentElement.scrollWidth, innerWidth]"
    assert driver.execute_script(width) == [360, 360]
    driver.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")
    assert driver.execute_script(width) == [360, 360]


def test_dark_and_light(opened):
    colour = "return getComputedStyle(document.body).backgroundColor"
    before = opened.execute_script(colour)
    opened.find_element("id", "theme").click()
    assert opened.execute_script(colour) != before


def contrast(driver, selector):
    """The contrast of an element's text with its ground, as WCAG 2 defines it."""
    return driver.execute_script(
        """
        const element = document.querySelector(arguments[0]);
        const light = (text) => {
          const part = text.match(/[\\d.]+/g).slice(0, 3).map((value) => {
            value /= 255;
            return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
          });
          return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
        };
        let ground = element;
        const clear = () => /, 0\\)$/.test(getComputedStyle(ground).backgroundColor);
        while (clear()) ground = ground.parentElement;
        const both = [light(getComputedStyle(element).color),
          light(getComputedStyle(ground).backgroundColor)].sort((a, b) => b - a);
        return (both[0] + 0.05) / (both[1] + 0.05);
        """,
        selector,
    )


def test_is_accessible(opened):
    """Every field has a label, every picture a text, and text stands out in both themes."""
    keys(opened, "j")  # to an item with a wrong answer
    for _ in range(2):
        for selector in (
            "p",
            ".where",
            ".row .name",
            ".chip.is-right",
            ".chip.is-wrong",
            "nav a",
            ".play",
            ".keys",
            "#filters label",
            ".is-wrong",
            *(".status-passed", ".status-failed", ".status-skipped", ".prompt mark"),
        ):
            assert contrast(opened, selector) >= 4.5, selector
        opened.find_element("id", "theme").click()
    unnamed = opened.execute_script(
        "return [...document.querySelectorAll('input, select')].filter((one) => !one.labels.length)"
        ".concat([...document.querySelectorAll('canvas, img')].filter((one) =>"
        "!one.ariaLabel && !one.alt && !one.closest('[role=img]'))).length"
    )
    assert unnamed == 0
    assert opened.execute_script("return document.documentElement.lang") == "en"


def test_hostile_text_is_inert(driver, tmp_path, monkeypatch, layout_rows):
    """In options, captions, file names, answers, models' and runs' names."""
    from tests.support.released_layout import write_layout

    rows = [dict(row) for row in layout_rows if row["task"] == "earliest_start"]
    for number, row in enumerate(rows):
        row["filename"] = f"{HOSTILE}{number}.wav"
        row["caption"] = f"A {ENDS_SCRIPT} caption {HOSTILE}"
        wrong = "option_a" if row["correct_answer"] != "A" else "option_b"
        row[wrong] = f"{HOSTILE} {number}"
    data = write_layout(tmp_path / "data", "csv", rows)
    with (data / "intervals.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["filename", "subclass", "intervals"])
        for row in rows:
            writer.writerow([row["filename"], row["correct_text"], "[1.00-2.00]"])
            writer.writerow([row["filename"], HOSTILE, "[3.00-4.00]"])
    run = run_on(
        tmp_path / "run",
        source="tempo",
        metadata={"data": str(data)},
        conditions=("aqa", "acqa"),
        answer=lambda document: f"{ENDS_SCRIPT} {HOSTILE}",
        pretrained=HOSTILE,
    )
    out = tmp_path / "r.html"
    other = run_on(tmp_path / "other", source="tempo", metadata={"data": str(data)})
    assert tempo(monkeypatch, "report", run, other, "--title", ENDS_SCRIPT, "-o", out) == 0
    open_page(driver, out.as_uri())
    assert driver.find_element("id", "item").text.count(HOSTILE) >= 3
    assert "</script>" in driver.find_element("id", "item").text
    legend = "return document.querySelector('#headline-charts .legend').textContent"
    assert HOSTILE in driver.execute_script(legend)
    for number in range(len(rows)):
        keys(driver, "j")
        assert chosen(driver).startswith(HOSTILE), number
    driver.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")
    assert driver.execute_script("return window.pwned") is None
    assert driver.find_elements("css selector", "img[src=x]") == []
    assert driver.get_log("browser") == []


def test_the_policy_stops_a_script_that_got_in(opened):
    """The second wall: even text that became HTML would not run."""
    opened.execute_script(
        "const one = document.createElement('div'); one.innerHTML = arguments[0];"
        "document.body.append(one);",
        HOSTILE,
    )
    wait(opened, lambda: opened.get_log("browser") != [])
    assert opened.execute_script("return window.pwned") is None


def test_many_items_have_no_lag(driver, tmp_path, monkeypatch):
    """1,657 items: the list holds only rows that are seen, and a filter takes no time."""
    lines = [generated(doc(number), "AB"[number % 2]) for number in range(1657)]
    run = write_run(tmp_path / "run", {"tempo_x_eo_aqa": lines}, date=DATE)
    out = tmp_path / "r.html"
    assert tempo(monkeypatch, "report", run, "-o", out) == 0
    open_page(driver, out.as_uri())
    assert shown(driver) == "1,657 of 1,657 items"
    assert len(driver.find_elements("css selector", ".row")) < 40
    taken = driver.execute_script(
        "const field = document.getElementById('f-outcome'), start = performance.now();"
        "field.value = 'wrong'; field.dispatchEvent(new Event('input'));"
        "return performance.now() - start"
    )
    assert shown(driver) == "828 of 1,657 items"
    assert taken < 300


def test_a_served_page_plays_and_seeks(driver, plain_run):
    """As `tempo view` serves it."""
    import threading

    from tempo_tasks.report.inputs import read_inputs
    from tempo_tasks.report.make_report import Options, make_report
    from tempo_tasks.report.serve import Served, address, make_server

    options = Options(max_audio=0, folder="audio", audit=False, served=True)
    page, clips = make_report(read_inputs([str(plain_run)]), options)
    served = Served({"": page, **{f"audio/{name}": data for name, data in clips.files.items()}})
    server = make_server(served)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        open_page(driver, address(server, served))
        assert "beside the page" not in driver.find_element("id", "main").text
        canvas = driver.find_element("css selector", ".timeline")
        canvas.click()  # its middle
        time = driver.find_element("css selector", ".player .time")
        wait(driver, lambda: 3 < float(time.text.split(" /")[0]) < 6)
        driver.find_element("css selector", ".play").click()
        wait(driver, lambda: "Pause" in driver.find_element("css selector", ".play").text)
        assert driver.get_log("browser") == []
    finally:
        server.shutdown()
        server.server_close()
