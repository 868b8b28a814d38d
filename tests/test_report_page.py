"""The page as a whole in a real browser: its first screen, a pair's surface, tables taken along, paper, other runs."""

import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import chromium, column, complaints, count, one, open_page, opened, pick, screen, texts, uncut, until
from pages import HOSTILE, unpacked, write_table_run
from runs import write_run, write_text_run
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from written_runs import random_gammas
from written_runs import write_table_run as write_other_run

from ihcli.report import write_report
from ihcli.results.result import Result, read

N_ROWS = 30
PHONE, DESK = (390, 800), (1400, 900)
PAPER = 703  # pixels of A4 between its margins
RISKY = ("=1+1", "+x", "-y", "@z", "\ttab", "-5", 'a,"b"\nc', "naïve")
BETA = {
    **{"beta": 2.0, "drift": 0.25, "changed": 0.0, "within_tolerance": True, "evaluations": 9.0, "converged": 1.0},
    **{"pairs_share": 0.4, "agreement": 0.9, "following": 0.95, "top": 3, "turned": 1},
}


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("profile"), *DESK) as found:
        yield found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("table")
    write_report(write_table_run(directory / "made", n_rows=N_ROWS)[0], directory / "report.html")
    return directory / "report.html"


@pytest.fixture
def table(chrome: Chrome, made: Path) -> Iterator[Chrome]:
    yield from opened(chrome, made)


def shown(chrome: Chrome, result: Result, directory: Path, *others: Result) -> None:
    write_report(result, directory / "report.html", others=others)
    open_page(chrome, directory / "report.html")


def contents(chrome: Chrome) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(one(chrome, "#contents").get_attribute("textContent"), object_hook=unpacked)
    return found


def records(chrome: Chrome, target: int = 0) -> list[dict[str, Any]]:
    return [record for record in contents(chrome)["sample"]["records"] if record["target"] == target]


def dots(chrome: Chrome) -> list[tuple[float, float]]:
    """Return where the dots of the swarm are, in its own units."""
    drawn = "return [...document.querySelectorAll('#swarm .dots')].map((e) => e.getAttribute('d'))"
    places = "".join(chrome.execute_script(drawn)).replace("M", " ").replace("h0", "").split()
    return [(float(x), float(y)) for x, y in (place.split(",") for place in places)]


def over_dot(chrome: Chrome, place: tuple[float, float]) -> ActionChains:
    box = one(chrome, "#swarm svg")
    chrome.execute_script("arguments[0].scrollIntoView({block: 'center'})", box)
    width, height = map(float, box.get_dom_attribute("viewBox").split()[2:])
    offset = (round(place[0] - width / 2), round(place[1] - height / 2))
    return ActionChains(chrome).move_to_element_with_offset(box, *offset)


def test_the_sentence_comes_first_and_follows_the_target(table: Chrome) -> None:
    sentences = contents(table)["headlines"]
    assert [text.replace("\u00a0", " ") for text in texts(table, "#headline")] == sentences[:1]  # no line ends before %
    pick(table, "#target", "1")
    assert [text.replace("\u00a0", " ") for text in texts(table, "#headline")] == sentences[1:]
    assert len(set(sentences)) == 2
    first = "return document.querySelector('main p, main h2, main table').id"
    assert table.execute_script(first) == "headline"


def test_the_first_screen_has_dots_features_pairs_and_trust_beside_each_other(table: Chrome) -> None:
    with screen(table, *DESK):
        swarm, beside = one(table, "#swarm-card").rect, one(table, "#strongest").rect
        assert swarm["y"] < DESK[1] / 3
        assert (swarm["y"], swarm["x"] < beside["x"]) == (beside["y"], True)
        assert all(card.rect["y"] < DESK[1] for card in table.find_elements(By.CSS_SELECTOR, "#strongest .card"))
        assert count(table, "#strongest .card") == 3


def test_every_row_of_the_strongest_features_is_a_dot(table: Chrome) -> None:
    assert len(dots(table)) == len(HOSTILE) * (N_ROWS - 1)
    assert len(texts(table, "#swarm .name")) == len(HOSTILE)
    assert count(table, "#swarm .name title") == len(HOSTILE)


def test_a_dot_tells_of_its_row_and_opens_it(table: Chrome) -> None:
    at = dots(table)[3]
    over_dot(table, at).perform()
    row, value, attribution = texts(table, "#swarm .tip > *")
    features = contents(table)["names"]
    (record,) = [found for found in records(table) if row.startswith(f"row {found['row']},")]
    name = next(name for name in features if value.startswith(f"{name} = "))
    phi = record["phi"][contents(table)["sample"]["features"].index(features.index(name))]
    assert number(attribution.removeprefix("attribution ")) == pytest.approx(phi, rel=1e-3)
    over_dot(table, at).click().perform()
    assert texts(table, "#record h3")[0] == row
    assert one(table, "#records").rect["y"] > 0


def test_arrow_keys_walk_from_dot_to_dot_and_enter_opens_one(table: Chrome) -> None:
    swarm = one(table, "#swarm svg")
    told = []
    for key in (Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_DOWN, Keys.ARROW_LEFT):
        swarm.send_keys(key)
        told.append(texts(table, "#swarm [role=status]")[0])
    assert len(set(told)) == len(told)
    swarm.send_keys(Keys.ENTER)
    assert told[-1].startswith(texts(table, "#record h3")[0])


def test_the_strongest_pair_leads_to_its_dependence(table: Chrome) -> None:
    table.find_elements(By.CSS_SELECTOR, "#strongest li button")[2].click()
    assert one(table, "#dependence-pair").get_attribute("value") == "2"


def test_the_swarm_follows_the_window_and_the_scheme(table: Chrome) -> None:
    colours = "return [...document.querySelectorAll('#swarm .dots')].map((e) => e.getAttribute('stroke'))"
    light = table.execute_script(colours)
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    table.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    try:
        until(table, lambda _: table.execute_script(colours) != light)
    finally:
        table.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    with screen(table, *PHONE, is_mobile=True):
        width = "return document.querySelector('#swarm svg').viewBox.baseVal.width"
        until(table, lambda _: table.execute_script(width) < PHONE[0])
        assert table.execute_script("return document.documentElement.scrollWidth") == PHONE[0]


def test_words_are_dots_where_they_occur(chrome: Chrome, tmp_path: Path) -> None:
    write_text_run(tmp_path / "run", (("not", "good", "not", "bad"), ("fine",), None))
    shown(chrome, read(tmp_path / "run"), tmp_path)
    assert len(dots(chrome)) == 3  # "not" twice, "bad" once: what the ranking lists
    over_dot(chrome, dots(chrome)[0]).perform()
    assert texts(chrome, "#swarm .tip span")[1] in ("0 not", "2 not", "3 bad")
    assert "Words" in texts(chrome, "nav a")


def test_warnings_are_short_and_open(chrome: Chrome, tmp_path: Path) -> None:
    result, _, _ = write_table_run(tmp_path / "made")
    long = f"Columns differ. {'They do so in many ways. ' * 20}"
    info = result.info | {"warnings": [long, "One.", "Two.", "Three."]}
    (tmp_path / "made/run/run.json").write_text(json.dumps(info))
    shown(chrome, read(result.path), tmp_path)
    first = chrome.find_elements(By.CSS_SELECTOR, "#warnings > *")[0]
    assert first.text == "Columns differ."
    assert first.rect["height"] < 40
    first.click()
    assert long.strip() in " ".join(first.text.split())
    assert chrome.find_elements(By.CSS_SELECTOR, "#warnings > *")[-1].text == "3 more warnings"


def test_a_surface_has_a_dot_for_each_row_that_opens_it(table: Chrome) -> None:
    points = table.find_elements(By.CSS_SELECTOR, "#dependence-surface .points .point")
    assert len(points) == N_ROWS - 1
    assert count(table, "#dependence-surface .heatmaplayer image") == 1
    titles = texts(table, "#dependence-surface .xtitle"), texts(table, "#dependence-surface .ytitle")
    one(table, "#dependence-swap").click()
    assert (texts(table, "#dependence-surface .ytitle"), texts(table, "#dependence-surface .xtitle")) == titles
    point = table.find_elements(By.CSS_SELECTOR, "#dependence-surface .points .point")[4]
    table.execute_script("arguments[0].scrollIntoView({block: 'center'})", point)
    ActionChains(table).move_to_element(point).pause(0.5).perform()
    told = texts(table, "#dependence-surface .hovertext")[0]
    ActionChains(table).click().perform()
    assert told.startswith(texts(table, "#record h3")[0].split(",")[0])


def test_dots_of_one_cell_are_spread_over_it_and_not_along_a_line(chrome: Chrome, tmp_path: Path) -> None:
    """Steps of one irrational number and of its square are mirror images, and lie on a few lines."""
    where = """
    const near = (axis, step) => Array.from({length: 200}, (_, i) => axis.near(1, i, step));
    const axis = gridOf(Array.from({length: 200}, (_, i) => i % 2), ["a", "b"]);
    return [near(axis, PLANE[0]), near(axis, PLANE[1])]"""
    write_report(write_table_run(tmp_path / "made")[0], tmp_path / "page.html")
    open_page(chrome, tmp_path / "page.html")
    across, up = map(np.array, chrome.execute_script(where))
    assert np.unique(np.c_[across > 1, up > 1], axis=0, return_counts=True)[1].min() > 35
    apart = np.hypot(*(places[:, None] - places for places in (across, up)))
    np.fill_diagonal(apart, 1)
    assert np.median(apart.min(axis=0)) > 0.02
    for line in (across - up, across + up):
        assert np.histogram(line % 0.6, bins=8, range=(0, 0.6))[0].min() > 5


@pytest.mark.parametrize("size", [DESK, PHONE])
def test_names_beside_the_swarm_are_whole_whatever_their_letters(
    chrome: Chrome, tmp_path: Path, size: tuple[int, int]
) -> None:
    wide = ("W" * 40, "MEDIAN_HOUSEHOLD_INCOME_IN_THE_WEST", "\u4e2d" * 30, "@" * 25, "short", "i" * 60)
    write_report(write_table_run(tmp_path / "made", names=wide)[0], tmp_path / "page.html")
    with screen(chrome, *size):
        open_page(chrome, tmp_path / "page.html")
        outside = """
        const box = document.querySelector("#swarm svg").getBoundingClientRect();
        const names = [...document.querySelectorAll("#swarm .name")];
        const isOutside = (r) => r.left < box.left || r.right > box.right;
        return names.filter((e) => isOutside(e.getBoundingClientRect())).length"""
        assert chrome.execute_script(outside) == 0
        assert count(chrome, "#swarm .name") == len(wide)


def number(text: str) -> float:
    plain = text.replace("−", "-").replace("±", "").replace(",", "")
    return float(plain.removesuffix(" %")) / 100 if plain.endswith("%") else float(plain)


@contextmanager
def downloads(chrome: Chrome, directory: Path) -> Iterator[None]:
    chrome.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(directory)})
    yield
    chrome.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "default"})


def taken(chrome: Chrome, table: str, file: Path) -> list[list[str]]:
    """Press CSV above a table, and return the lines of the file that comes."""
    file.unlink(missing_ok=True)
    with downloads(chrome, file.parent):
        chrome.execute_script("document.querySelector(arguments[0]).click()", f"{table} .exports button")
        until(chrome, lambda _: file.exists() and file.stat().st_size)
    with file.open(encoding="utf-8-sig", newline="") as lines:
        return list(csv.reader(lines))


def test_every_table_is_taken_along_as_it_is_shown(table: Chrome, tmp_path: Path) -> None:
    assert count(table, "table") == count(table, ".exports") >= 4
    for name, file in (("features", "features"), ("pairs", "pairs"), ("records", "records")):
        head, *lines = taken(table, f"#{name}-table", tmp_path / f"ihcli-{file}.csv")
        assert head == texts(table, f"#{name}-table th")
        for place, title in enumerate(head, start=1):
            told = uncut(table, f"#{name}-table", place)
            cells = [line[place - 1] for line in lines]
            if title in ("feature", "feature_i", "feature_j", "status") or (name == "records" and place == 2):
                assert cells == told
            else:
                known = [(number(cell), number(text)) for cell, text in zip(cells, told, strict=True) if cell]
                np.testing.assert_allclose([cell for cell, _ in known], [text for _, text in known], rtol=6e-3)


def test_a_table_is_taken_along_with_more_digits_in_its_order_and_only_what_is_found(
    table: Chrome, tmp_path: Path
) -> None:
    one(table, "#pairs-table th:nth-child(5) button").click()
    one(table, "#pairs-table input").send_keys("bold")
    _, *lines = taken(table, "#pairs-table", tmp_path / "ihcli-pairs.csv")
    assert len(lines) == len(HOSTILE) - 1
    assert [line[0] for line in lines] == column(table, "#pairs-table", 1)
    assert max(len(line[3].replace(".", "").lstrip("0")) for line in lines) >= 7


def test_spreadsheets_find_no_formula_in_a_file(chrome: Chrome, tmp_path: Path) -> None:
    shown(chrome, write_table_run(tmp_path / "made", names=RISKY, targets=("risk",))[0], tmp_path)
    file = tmp_path / "ihcli-features.csv"
    names = {line[1] for line in taken(chrome, "#features-table", file)[1:]}
    assert names == {"'=1+1", "'+x", "'-y", "'@z", "'\ttab", "-5", 'a,"b"\nc', "naïve"}
    assert file.read_bytes().startswith("\ufeff".encode())
    assert b'\r\n2,"' in file.read_bytes()
    assert complaints(chrome) == []


def test_a_table_is_copied_as_text(table: Chrome, made: Path) -> None:
    granted = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    table.execute_cdp_cmd("Browser.grantPermissions", granted)
    copy = table.find_elements(By.CSS_SELECTOR, "#features-table .exports button")[1]
    copy.click()
    until(table, lambda _: copy.text == "Copied")
    read_back = "navigator.clipboard.readText().then(arguments[0], (error) => arguments[0](String(error)))"
    lines = [line.split("\t") for line in table.execute_async_script(read_back).split("\n")]
    assert lines[0] == texts(table, "#features-table th")
    assert [line[0] for line in lines[1:]] == column(table, "#features-table", 1)
    assert {len(line) for line in lines} == {len(lines[0])}


def test_where_the_clipboard_is_closed_text_is_copied_by_hand(table: Chrome) -> None:
    table.execute_script(
        "Object.defineProperty(navigator, 'clipboard', { value: undefined });"
        "document.addEventListener('copy', () => (window.taken = document.activeElement.value))"
    )
    copy = table.find_elements(By.CSS_SELECTOR, "#features-table .exports button")[1]
    copy.click()
    until(table, lambda _: copy.text == "Copied")
    assert table.execute_script("return window.taken").startswith("rank\tfeature\t")
    assert count(table, "textarea") == 0


def links(chrome: Chrome) -> list[str]:
    shown_links = [link for link in chrome.find_elements(By.CSS_SELECTOR, "nav a") if link.is_displayed()]
    return [link.text for link in shown_links]


def test_sections_with_nothing_to_show_are_not_there(chrome: Chrome, made: Path, tmp_path: Path) -> None:
    always = ["Overview", "Features", "Records", "Trust", "What was run"]
    open_page(chrome, made)
    assert links(chrome) == [*always[:2], "Pairs", "Heatmap", "Dependence", *always[2:]]
    write_run(tmp_path / "ig", second_order=False)
    shown(chrome, read(tmp_path / "ig"), tmp_path)
    assert links(chrome) == always
    write_text_run(tmp_path / "texts")
    shown(chrome, read(tmp_path / "texts"), tmp_path)
    assert links(chrome) == ["Overview", "Words", "Pairs", *always[2:]]
    empty = "return [...document.querySelectorAll('section')].filter((e) => !e.hidden && e.innerText.length < 30)"
    assert chrome.execute_script(empty) == []


def test_without_its_data_a_page_says_why_it_has_no_dependence(chrome: Chrome, tmp_path: Path) -> None:
    result, _, _ = write_table_run(tmp_path / "made")
    (tmp_path / "made/data.parquet").unlink()
    shown(chrome, result, tmp_path)
    assert "Dependence" not in links(chrome)
    assert any("no values of the features" in text for text in texts(chrome, "#warnings > *"))
    assert len(dots(chrome)) == len(HOSTILE) * (N_ROWS - 1)
    assert count(chrome, "#swarm-legend *") == 0


def test_other_runs_are_tables_like_any_other(chrome: Chrome, tmp_path: Path) -> None:
    first, other = (read(write_other_run(tmp_path / f"run{i}", random_gammas(9, seed=i))) for i in range(2))
    shown(chrome, first, tmp_path, other)
    assert "Other runs" in links(chrome)
    for name in ("runs", "features", "pairs"):
        head, *lines = taken(chrome, f"#compared-{name}", tmp_path / f"ihcli-agreement-on-{name}.csv")
        assert head == texts(chrome, f"#compared-{name} th")
        assert len(lines) == count(chrome, f"#compared-{name} tbody tr")
    place = texts(chrome, "#compared-pairs th").index("largest_change") + 1
    one(chrome, f"#compared-pairs th:nth-child({place}) button").click()
    sizes = [number(text) for text in column(chrome, "#compared-pairs", place)]
    assert sizes == sorted(sizes, reverse=True)
    assert complaints(chrome) == []


def test_betas_that_were_tried_are_a_table(chrome: Chrome, tmp_path: Path) -> None:
    result, _, _ = write_table_run(tmp_path / "made")
    scan = {
        **{"rows": 5, "chosen": 4.0, "stable": 0.9, "is_stable": True, "sharpest": 8.0, "top_k": 3, "n_turning": 1},
        "betas": [BETA, BETA | {"beta": 4.0, "turned": 0}, BETA | {"beta": 8.0, "agreement": None}],
        "turning": [{"feature_1": "<b>age", "feature_2": "sex", "row": None, "effect": -0.5, "betas": [2.0]}],
    }
    info = result.info
    (tmp_path / "made/run/run.json").write_text(json.dumps(info | {"smoothing": info["smoothing"] | {"scan": scan}}))
    shown(chrome, read(result.path), tmp_path)
    assert column(chrome, "#betas-table > .scroll", 1) == ["2", "4", "8"]
    note = one(chrome, "#betas-note").text
    assert "β = 4 was taken" in note
    assert [column(chrome, "#turning-table", place) for place in (1, 2, 3)] == [["<b>age × sex"], ["−0.5"], ["2"]]
    head, first, *_ = taken(chrome, "#betas-table", tmp_path / "ihcli-betas.csv")
    assert dict(zip(head, first, strict=True))["drift"] == "0.25"
    assert complaints(chrome) == []


CUT = """
const wide = (e) => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1;
const within = (e) => e.scrollWidth > e.clientWidth + 1 || e.scrollHeight > e.clientHeight + 1;
return [
  ...[...document.querySelectorAll("table, svg, .card, .tile")].filter((e) => e.getClientRects().length && wide(e)),
  ...[...document.querySelectorAll(".scroll")].filter((e) => e.getClientRects().length && within(e)),
].map((e) => e.getAttribute("aria-label") || e.className)
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_paper_nothing_is_cut_and_nothing_asks_to_be_pressed(table: Chrome, scheme: str) -> None:
    of_screen = {"name": "prefers-color-scheme", "value": scheme}
    table.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [of_screen]})
    try:
        table.execute_script("window.dispatchEvent(new Event('beforeprint'))")
        table.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": [of_screen]})
        with screen(table, PAPER, 900):
            assert table.execute_script(CUT) == []
            for selector in ("nav", ".exports", ".controls", ".steps", ".above input", ".modebar", ".on-screen"):
                assert not one(table, selector).is_displayed(), selector
            paper = "return getComputedStyle(document.body).backgroundColor"
            assert table.execute_script(paper) == "rgb(255, 255, 255)"
            tops = {card.rect["y"] for card in table.find_elements(By.CSS_SELECTOR, "#strongest .card")}
            assert len(tops) == 1  # side by side, so that the first page holds them all
    finally:
        table.execute_script("window.dispatchEvent(new Event('afterprint'))")
        table.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


def test_a_page_is_printed(table: Chrome) -> None:
    import base64

    made = table.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
    file = io.BytesIO(base64.b64decode(made["data"]))
    assert file.read(5) == b"%PDF-"
    assert 2 <= file.getvalue().count(b"/Type /Page\n") <= 12
