"""The browser of records in a real browser: an opened record, filters, search, steps, and links to a view."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import chromium, column, complaints, count, one, open_page, pick, requests, texts, until
from click.testing import CliRunner
from judged_runs import FEATURES, MISSING_ROW, N_ROWS, Tail, explained, explained_texts, outputs_of, table_of
from pages import write_table_run
from runs import write_text_run
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from torch import nn

from ihcli.cli import main
from ihcli.report import contents_of, write_report
from ihcli.results.result import read

CLASSES = ("low", "mid", "high")
LABEL = ("--label", "truth")
DIGITS = 5e-4  # numbers stand on the page with four significant digits
WATERFALL = """
const [bars] = document.querySelector("#record-attributions").data;
const marks = document.querySelector("#record-attributions").layout.annotations.map((mark) => mark.x);
return {from: bars.base, steps: bars.x, told: bars.text, colours: bars.marker.color, marks};
"""


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("profile"), 1280, 900) as found:
        yield found


@pytest.fixture(autouse=True)
def in_peace(chrome: Chrome) -> Iterator[None]:
    """After each test: pages complained of nothing and asked for nothing but themselves."""
    complaints(chrome)
    requests(chrome)
    yield
    assert complaints(chrome) == []
    assert [url for url in requests(chrome) if not url.startswith("file:///") and url != "about:blank"] == []


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of all outputs of a classifier of three, one row without input."""
    table = table_of(3)
    table.loc[MISSING_ROW, "age"] = np.nan
    options = (*LABEL, "--output-names", ",".join(CLASSES), "--target", "all", "--missing", "flag")
    return explained(tmp_path_factory.mktemp("three"), Tail(3, nn.Softmax(dim=1)), table, *options)


@pytest.fixture(scope="module")
def classified(classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reported(classifier, tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def chosen() -> list[str]:
    """The classes that the classifier chooses, row by row."""
    return [CLASSES[place] for place in outputs_of(Tail(3), table_of(3)).argmax(axis=1)]


def reported(run: Path, folder: Path) -> Path:
    write_report(read(run), folder / "report.html")
    return folder / "report.html"


def shown_row(chrome: Chrome) -> str:
    """Return the name of the record that is open."""
    return texts(chrome, "#record h3")[0]


def listed(chrome: Chrome) -> list[str]:
    """Return the rows that are listed, in their order."""
    return column(chrome, "#records-table", 1)


def counted(chrome: Chrome) -> str:
    return one(chrome, "#records-table [role=status]").text


def cells(chrome: Chrome, title: str) -> list[str]:
    """Return the cells of a column of the list of records."""
    return column(chrome, "#records-table", texts(chrome, "#records-table th").index(title) + 1)


def search(chrome: Chrome, words: str) -> None:
    field = one(chrome, "#records-table input")
    field.clear()
    field.send_keys(words)


def click(chrome: Chrome, selector: str) -> None:
    chrome.execute_script("document.querySelector(arguments[0]).click()", selector)


def enter(chrome: Chrome, selector: str, text: str) -> None:
    one(chrome, selector).send_keys(text, Keys.ENTER)


def hash_of(chrome: Chrome) -> str:
    return str(chrome.execute_script("return location.hash"))


def until_row(chrome: Chrome, row: int) -> None:
    until(chrome, lambda found: shown_row(found).split(",")[0] == f"row {row}")


# The opened record


def check_waterfall(chrome: Chrome, record: dict[str, Any], quality: list[str]) -> None:
    """Hold the waterfall against the record: it leads from the baseline to the prediction, step by step."""
    drawn = chrome.execute_script(WATERFALL)
    start, end, gap = (record["quality"][quality.index(f"{name}")] for name in ENDS)
    size = abs(end) + abs(start) + sum(abs(step) for step in drawn["steps"])
    np.testing.assert_allclose(drawn["marks"], [start, end], rtol=DIGITS)
    assert drawn["from"][-1] == pytest.approx(start)
    ends = np.add(drawn["from"], drawn["steps"])
    np.testing.assert_allclose(drawn["from"][:-1], ends[1:], atol=1e-9 * size)
    assert ends[0] == pytest.approx(end + gap, abs=DIGITS * size)
    sizes = np.abs(drawn["steps"])
    n_features = min(len(sizes), 14)
    assert (np.diff(sizes[:n_features]) <= 0).all()
    assert all(told.startswith("+") == (step > 0) for told, step in zip(drawn["told"], drawn["steps"], strict=True))
    of_sign = {step >= 0: colour for step, colour in zip(drawn["steps"], drawn["colours"], strict=True)}
    assert all(of_sign[step >= 0] == colour for step, colour in zip(drawn["steps"], drawn["colours"], strict=True))
    assert len(set(of_sign.values())) == len(of_sign)


ENDS = ("baseline_prediction", "prediction", "completeness_gap")


@pytest.mark.parametrize("case", ["three", "binary", "numbers", "no label", "first order", "groups"])
def test_a_waterfall_leads_from_the_baseline_to_the_prediction(chrome: Chrome, tmp_path: Path, case: str) -> None:
    groups = tmp_path / "groups.toml"
    groups.write_text('[groups]\nbody = ["[bmi]", "blood pressure"]\n')
    module, n_classes, options = {
        "three": (Tail(3, nn.Softmax(dim=1)), 3, (*LABEL, "--output-names", ",".join(CLASSES))),
        "binary": (Tail(1, nn.Sigmoid()), 2, LABEL),
        "numbers": (Tail(1), None, LABEL),
        "no label": (Tail(3), 3, ()),
        "first order": (Tail(3), 3, (*LABEL, "--output-names", ",".join(CLASSES), "-m", "ig")),
        "groups": (Tail(1), None, (*LABEL, "--groups", groups)),
    }[case]
    run = explained(tmp_path, module, table_of(n_classes), *options)
    open_page(chrome, reported(run, tmp_path), "#records?row=5")
    sample = contents_of(read(run)).sample
    record = next(record for record in sample.records if record["row"] == 5)
    check_waterfall(chrome, record, sample.quality)
    labels = texts(chrome, "#record-attributions .ytick text")
    assert (labels[0], labels[-1]) == ("prediction", "baseline")
    values = table_of(n_classes).loc[5]
    names = ("age", "body", "d") if case == "groups" else FEATURES
    assert {label.split(" = ")[0] for label in labels[1:-1]} == set(names)
    assert any(label.startswith(f"age = {values['age']:.4g}".replace("-", "−")) for label in labels)
    shown = texts(chrome, "#record .verdict .term span")
    assert ("true" in shown) == (case != "no label")
    assert ("predicted" in shown) == (case not in ("numbers", "groups"))
    assert count(chrome, "#record-pairs") == (case != "first order")


def test_small_steps_are_one_bar_and_all_of_them_count(chrome: Chrome, tmp_path: Path) -> None:
    names = tuple(f"feature {place}" for place in range(20))
    result = write_table_run(tmp_path / "made", names=names, targets=("risk",))[0]
    sample = contents_of(result).sample
    open_page(chrome, reported(result.path, tmp_path), "#records?row=3")
    check_waterfall(chrome, next(record for record in sample.records if record["row"] == 3), sample.quality)
    labels = texts(chrome, "#record-attributions .ytick text")
    assert (len(labels), labels[-2]) == (17, "6 others")


def test_a_record_tells_the_class_its_probability_and_the_label(
    chrome: Chrome, classified: Path, chosen: list[str]
) -> None:
    open_page(chrome, classified, "")
    table = table_of(3)
    shares = np.exp(outputs_of(Tail(3), table))
    shares /= shares.sum(axis=1, keepdims=True)
    for row in (0, 1, 2, 3):
        one(chrome, f"#records-table tbody tr:nth-child({row + 1}) button").click()
        told = dict(
            zip(
                texts(chrome, ".verdict .term span"),
                chrome.find_elements(By.CSS_SELECTOR, ".verdict .term"),
                strict=True,
            )
        )
        assert told["predicted"].text.split("\n")[1] == chosen[row]
        assert float(told["predicted"].text.split()[-1]) == pytest.approx(shares[row].max(), rel=DIGITS)
        assert told["true"].text.split("\n")[1] == table["truth"][row]
        is_wrong = chosen[row] != table["truth"][row]
        assert ("wrong" in told["predicted"].get_attribute("class").split()) == is_wrong
        assert ("the prediction is wrong" in told["true"].text) == is_wrong
        assert told["status"].text.split("\n")[1:] == ["ok", "within tolerance"]
        assert "certified" in told["relative error"].text


def test_a_row_without_values_says_why_and_has_no_waterfall(chrome: Chrome, classified: Path) -> None:
    open_page(chrome, classified, f"#records?row={MISSING_ROW}")
    assert "missing_input" in one(chrome, "#record .verdict").text
    assert "has no values" in one(chrome, "#record").text
    assert count(chrome, "#record-attributions") == 0
    click(chrome, "#next")
    assert count(chrome, "#record-attributions") == 1


# Texts


def test_arcs_join_the_strongest_pairs_of_whole_words(chrome: Chrome, tmp_path: Path) -> None:
    run = explained_texts(tmp_path, *LABEL)
    open_page(chrome, reported(run, tmp_path), "#records?row=2")
    record = read(run).record(2)
    assert texts(chrome, "#words .word") == list(record.names)
    arcs = chrome.find_elements(By.CSS_SELECTOR, ".arc")
    pairs = [[int(end) for end in arc.get_attribute("data-pair").split()] for arc in arcs]
    matrix = np.triu(record.interactions + record.interactions.T, 1)
    strongest = np.abs(matrix[tuple(np.transpose(pairs))])
    assert len(arcs) == min(10, len(record.pairs))
    least = np.sort(np.abs(matrix[np.triu_indices(len(matrix), 1)]))[-len(arcs)]
    assert strongest.min() == pytest.approx(least, rel=DIGITS)
    widths = [float(arc.get_attribute("stroke-width")) for arc in arcs]
    assert widths == sorted(widths, reverse=True)
    for arc, (i, j) in zip(arcs, pairs, strict=True):
        assert ("raises" in arc.get_attribute("class")) == (matrix[min(i, j), max(i, j)] > 0)
        check_ends(chrome, arc, i, j)
    assert "POSITIVE" in one(chrome, ".verdict").text or "NEGATIVE" in one(chrome, ".verdict").text


def check_ends(chrome: Chrome, arc: Any, i: int, j: int) -> None:
    """See that an arc begins and ends at the tops of its words."""
    script = """
    const path = arguments[0], box = path.ownerSVGElement.getBoundingClientRect();
    const end = (at) => { const point = path.getPointAtLength(at); return [point.x + box.left, point.y + box.top]; };
    const top = (place) => {
      const word = document.querySelectorAll("#words .word")[place].getBoundingClientRect();
      return [word.left + word.width / 2, word.top];
    };
    return [[end(0), end(path.getTotalLength())], arguments.length > 2 ? [top(arguments[1]), top(arguments[2])] : []];
    """
    ends, tops = chrome.execute_script(script, arc, i, j)
    np.testing.assert_allclose(ends, tops, atol=1.5)


def test_a_picked_word_has_its_own_arcs(chrome: Chrome, tmp_path: Path) -> None:
    write_text_run(tmp_path / "run", (("not", "good", "not", "bad"), ("fine",), None))
    open_page(chrome, reported(tmp_path / "run", tmp_path), "")
    assert count(chrome, ".arc") == 6
    one(chrome, ".word:nth-child(4)").send_keys(Keys.ENTER)
    pairs = [arc.get_attribute("data-pair") for arc in chrome.find_elements(By.CSS_SELECTOR, ".arc")]
    assert {frozenset(pair.split()) for pair in pairs} == {frozenset((str(other), "3")) for other in range(3)}
    click(chrome, "#next")
    assert (texts(chrome, "#words .word"), count(chrome, ".arc")) == (["fine"], 0)
    click(chrome, "#next")
    assert count(chrome, "#words") == 0


def test_arcs_follow_their_words_when_the_window_changes(chrome: Chrome, tmp_path: Path) -> None:
    write_text_run(tmp_path / "run", (tuple(f"{place}-longish-word" for place in range(12)),))
    open_page(chrome, reported(tmp_path / "run", tmp_path), "")
    for width in ("500px", "900px"):
        chrome.execute_script("document.querySelector('main').style.width = arguments[0]", width)
        arc = chrome.execute_async_script(
            "requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(() => "
            "arguments[0](document.querySelector('.arc')))))"
        )
        check_ends(chrome, arc, *(int(end) for end in arc.get_attribute("data-pair").split()))


# Filters and search


def test_wrong_rows_are_filtered_and_counted(chrome: Chrome, classified: Path, chosen: list[str]) -> None:
    open_page(chrome, classified, "")
    table = table_of(3)
    wrong = [row for row in range(N_ROWS) if row != MISSING_ROW and chosen[row] != table["truth"][row]]
    assert counted(chrome) == f"{N_ROWS} of {N_ROWS} shown rows"
    click(chrome, "#filter-wrong")
    assert listed(chrome) == [str(row) for row in wrong]
    assert counted(chrome) == f"{len(wrong)} of {N_ROWS} shown rows"
    assert f"{len(wrong)} have another class than their label" in one(chrome, "#records-note").text
    pick(chrome, "#filter-true", "mid")
    assert listed(chrome) == [str(row) for row in wrong if table["truth"][row] == "mid"]
    pick(chrome, "#filter-predicted", "high")
    both = [row for row in wrong if table["truth"][row] == "mid" and chosen[row] == "high"]
    assert listed(chrome) == [str(row) for row in both]
    click(chrome, "#filters-clear")
    assert len(listed(chrome)) == N_ROWS


def test_rows_are_filtered_by_status_and_range(chrome: Chrome, classified: Path) -> None:
    open_page(chrome, classified, "")
    pick(chrome, "#filter-status", "missing_input")
    assert listed(chrome) == [str(MISSING_ROW)]
    pick(chrome, "#filter-status", "")
    enter(chrome, "#filter-probability-most", "0.6")
    assert 0 < len(listed(chrome)) < N_ROWS
    assert all(float(value) <= 0.6 for value in cells(chrome, "probability"))
    enter(chrome, "#filter-prediction-least", "0.2")
    assert all(float(value) >= 0.2 for value in cells(chrome, "prediction"))


def test_the_largest_residuals_of_a_regression_are_found(chrome: Chrome, tmp_path: Path) -> None:
    table = table_of(None)
    run = explained(tmp_path, Tail(1), table, "-m", "ig", *LABEL)
    open_page(chrome, reported(run, tmp_path), "")
    off = outputs_of(Tail(1), table)[:, 0] - table["truth"].to_numpy()
    assert count(chrome, "#filter-wrong") == 0
    click(chrome, "#filter-off")
    assert sorted(map(int, listed(chrome))) == sorted(np.argsort(-np.abs(off))[: N_ROWS // 10].tolist())
    shown = [float(value.replace("−", "-")) for value in cells(chrome, "residual")]
    np.testing.assert_allclose(shown, off[[int(row) for row in listed(chrome)]], rtol=1e-2)


def test_filters_that_could_choose_nothing_are_not_offered(chrome: Chrome, tmp_path: Path) -> None:
    run = explained(tmp_path, Tail(1), table_of(None).drop(columns="truth"), "-m", "ig")
    open_page(chrome, reported(run, tmp_path), "")
    ids = chrome.execute_script("return [...document.querySelectorAll('#records-filters [id]')].map((e) => e.id)")
    assert ids == ["filter-prediction-least", "filter-prediction-most", "filters-clear"]
    assert not one(chrome, "#filters-clear").is_displayed()


def test_every_word_of_a_search_must_be_found_in_some_column(chrome: Chrome, classified: Path) -> None:
    open_page(chrome, classified, "")
    table = table_of(3)
    search(chrome, "Coast north")
    assert listed(chrome) == [str(row) for row in range(N_ROWS) if table["id"][row].startswith("north coast")]
    search(chrome, "sea   high")
    known = list(map(int, listed(chrome)))
    assert known
    assert all("sea" in table["id"][row] for row in known)
    search(chrome, "sea coast")
    assert listed(chrome) == []
    assert counted(chrome) == f"0 of {N_ROWS} shown rows"


def test_words_of_texts_are_searched_in_any_order(chrome: Chrome, tmp_path: Path) -> None:
    write_text_run(tmp_path / "run", (("not", "good", "not", "bad"), ("bad", "luck"), ("good",), None))
    open_page(chrome, reported(tmp_path / "run", tmp_path), "")
    search(chrome, "bad good")
    assert listed(chrome) == ["0"]
    search(chrome, "T1 bad")
    assert listed(chrome) == ["1"]


# Steps


def test_steps_stay_within_what_is_listed_in_its_order(chrome: Chrome, classified: Path) -> None:
    open_page(chrome, classified, "")
    search(chrome, "north coast")
    click(chrome, "#records-table th:nth-child(1) button")  # the largest row first
    rows = listed(chrome)
    assert rows == sorted(rows, key=int, reverse=True)
    click(chrome, "#records-table tbody tr:nth-child(1) button")
    seen = [shown_row(chrome).split(",")[0]]
    for _ in rows:
        click(chrome, "#next")
        seen.append(shown_row(chrome).split(",")[0])
    assert seen == [f"row {row}" for row in [*rows, rows[-1]]]
    assert one(chrome, "#next").get_attribute("aria-disabled") == "true"
    assert one(chrome, "#record-place").text == f"{len(rows)} of {len(rows)}"
    click(chrome, "#previous")
    assert shown_row(chrome).startswith(f"row {rows[-2]},")


def test_the_first_step_from_a_record_that_is_not_listed_is_to_the_first(chrome: Chrome, classified: Path) -> None:
    open_page(chrome, classified, "#records?row=1")
    search(chrome, "north sea")
    assert "not among" in one(chrome, "#record-place").text
    click(chrome, "#next")
    assert shown_row(chrome).startswith("row 0,")


def test_arrow_keys_step_through_records_but_not_out_of_fields(chrome: Chrome, classified: Path) -> None:
    open_page(chrome, classified, "#records?row=4")
    body = one(chrome, "body")
    body.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert shown_row(chrome).startswith("row 6,")
    body.send_keys(Keys.ARROW_LEFT)
    assert shown_row(chrome).startswith("row 5,")
    one(chrome, "#records-table input").send_keys(Keys.ARROW_RIGHT)
    assert shown_row(chrome).startswith("row 5,")
    one(chrome, "#records-table tbody tr:nth-child(6) button").send_keys(Keys.ARROW_DOWN)
    assert shown_row(chrome).startswith("row 6,")
    assert chrome.execute_script("return document.activeElement.textContent") == "6"
    one(chrome, "#next").send_keys(Keys.ENTER, Keys.ENTER)
    assert shown_row(chrome).startswith("row 8,")
    assert chrome.execute_script("return document.activeElement.id") == "next"
    chrome.execute_script("window.scrollTo(0, 0)")
    chrome.execute_script("document.activeElement.blur()")
    body.send_keys(Keys.ARROW_RIGHT)
    assert shown_row(chrome).startswith("row 8,")


# The address


def view_of(chrome: Chrome) -> list[Any]:
    """Return all that a link should show again."""
    sorts = "return [...document.querySelectorAll('#records-table th')].map((e) => e.getAttribute('aria-sort'))"
    fields = "return [...document.querySelectorAll('#records-filters input, #records-filters select')]"
    values = f"{fields}.map((e) => e.type === 'checkbox' ? e.checked : e.value)"
    found = [one(chrome, "#target").get_attribute("value"), shown_row(chrome), listed(chrome), counted(chrome)]
    return [
        *found,
        one(chrome, "#records-table input").get_attribute("value"),
        *map(chrome.execute_script, (sorts, values)),
    ]


def test_a_link_opens_the_same_view(chrome: Chrome, classified: Path) -> None:
    open_page(chrome, classified, "")
    pick(chrome, "#target", "1")
    click(chrome, "#filter-wrong")
    enter(chrome, "#filter-prediction-least", "0.05")
    click(chrome, "#records-table th:nth-child(5) button")
    search(chrome, "coast o")
    click(chrome, "#records-table tbody tr:nth-child(2) button")
    before, link = view_of(chrome), hash_of(chrome)
    assert link.startswith("#records?")
    open_page(chrome, classified, link)
    assert view_of(chrome) == before
    assert hash_of(chrome) == link
    assert chrome.execute_script("return document.querySelector('#records').getBoundingClientRect().top < innerHeight")


def test_all_targets_are_listed_together_and_linked(chrome: Chrome, classified: Path) -> None:
    open_page(chrome, classified, "")
    click(chrome, "#filter-all")
    click(chrome, "#records-table .above button")  # Show all
    assert len(listed(chrome)) == 3 * N_ROWS
    search(chrome, "high north")
    row = chrome.execute_script(
        "return [...document.querySelectorAll('#records-table tbody tr')].findIndex((e) => e.row.target === 2)"
    )
    click(chrome, f"#records-table tbody tr:nth-child({row + 1}) button")
    before, link = view_of(chrome), hash_of(chrome)
    axis = texts(chrome, "#record-attributions .xtitle")
    open_page(chrome, classified, link)
    assert (view_of(chrome), texts(chrome, "#record-attributions .xtitle")) == (before, axis)


@pytest.fixture
def tab(chrome: Chrome) -> Iterator[Chrome]:
    """A tab with a history of its own: a full one drops entries that no hand has made."""
    before = chrome.current_window_handle
    chrome.switch_to.new_window("tab")
    yield chrome
    chrome.close()
    chrome.switch_to.window(before)


def test_back_and_forward_lead_through_what_was_chosen(tab: Chrome, classified: Path) -> None:
    chrome = tab
    open_page(chrome, classified, "")
    start = view_of(chrome)
    click(chrome, "#records-table tbody tr:nth-child(3) button")
    click(chrome, "#next")
    click(chrome, "#filter-wrong")
    end = view_of(chrome)
    chrome.back()
    until(chrome, lambda found: len(listed(found)) == N_ROWS)
    chrome.back()
    until_row(chrome, 2)
    chrome.back()
    until_row(chrome, 0)
    assert view_of(chrome) == start
    chrome.forward()
    until_row(chrome, 2)
    chrome.forward()
    until_row(chrome, 3)
    chrome.forward()
    until(chrome, lambda found: view_of(found) == end)


def test_links_to_sections_work_and_keep_what_is_chosen(chrome: Chrome, classified: Path) -> None:
    open_page(chrome, classified, "#records?row=9&wrong=1")
    before = view_of(chrome)
    click(chrome, "nav a[href='#features']")
    until(chrome, lambda found: hash_of(found) == "#features?row=9&wrong=1")
    top = "return document.querySelector('#features').getBoundingClientRect().top"
    assert 0 <= chrome.execute_script(top) < 200
    assert view_of(chrome) == before
    open_page(chrome, classified, "#features")
    assert 0 <= chrome.execute_script(top) < 200
    open_page(chrome, classified, "#features?row=9")
    assert 0 <= chrome.execute_script(top) < 200
    assert shown_row(chrome).startswith("row 9,")


@pytest.mark.parametrize(
    "address",
    [
        *(
            "#",
            "#?",
            "#records?",
            "#nowhere",
            "#nowhere?row=3",
            "#records?%E0%A4%A=%&&==&row",
            "#records?row=",
            "#/a/b?c",
        ),
        *("#records?row=abc", "#records?row=-1", "#records?row=1e9", "#records?row=99999999999999999999"),
        *("#records?target=nobody", "#records?sort=nothing", "#records?status=fine", "#records?prediction=a..b"),
        *("#records?true=enormous&wrong=yes", "#records?__proto__=1&constructor=2", "#records?search=%00<b>&order=up"),
    ],
)
def test_an_address_that_means_nothing_is_told_of_at_most(chrome: Chrome, classified: Path, address: str) -> None:
    open_page(chrome, classified, address)
    assert shown_row(chrome).startswith(("row 0,", "row 3,"))
    assert count(chrome, "#record-attributions .bars .point") == len(FEATURES)
    assert count(chrome, "#records-address b") == 0
    click(chrome, "#next")
    assert shown_row(chrome).startswith(("row 1,", "row 4,")) or "search" in address


def test_what_an_address_asks_for_in_vain_is_named(chrome: Chrome, classified: Path) -> None:
    open_page(chrome, classified, "#records?row=77&target=nobody&status=fine")
    told = one(chrome, "#records-address").text
    assert f"row 77; there are {N_ROWS}, from 0 to {N_ROWS - 1}" in told
    assert "status" in told
    assert "target" in told
    assert len(listed(chrome)) == N_ROWS


@pytest.mark.parametrize("order", ["ih", "ig"])
def test_a_row_that_the_page_does_not_hold_is_shown_by_the_commands_it_names(
    chrome: Chrome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    monkeypatch.setattr("ihcli.report.sample.MOST_ROWS", 10)
    folder = tmp_path / "a b'c"
    run = explained(folder, Tail(3), table_of(3), "-m", order, *LABEL, "--output-names", ",".join(CLASSES))
    held = {record["row"] for record in contents_of(read(run)).sample.records}
    row = next(row for row in range(N_ROWS) if row not in held)
    open_page(chrome, reported(run, folder), f"#records?row={row}")
    assert f"Row {row} is not among the {len(held)} of {N_ROWS} rows" in one(chrome, "#records-address").text
    commands = texts(chrome, "#records-address code")
    assert len(commands) == (2 if order == "ih" else 1)
    for command in commands:
        name, *arguments = shlex.split(command)
        done = CliRunner().invoke(main, [*arguments, "--format", "jsonl"])
        assert (name, done.exit_code) == ("ihcli", 0), done.output
        assert json.loads(done.stdout.splitlines()[0])["_row"] == row


def test_records_are_opened_by_row_from_anywhere(chrome: Chrome, classified: Path) -> None:
    open_page(chrome, classified, "")
    chrome.execute_script("openRecord(9)")
    assert shown_row(chrome).startswith("row 9,")
    assert hash_of(chrome) == "#records?row=9"
    chrome.execute_script("openRecord(12345)")
    assert shown_row(chrome).startswith("row 9,")


def test_a_predicted_row_is_opened_under_its_own_target(chrome: Chrome, tmp_path: Path, chosen: list[str]) -> None:
    run = explained(tmp_path, Tail(3), table_of(3), "-m", "ig", *LABEL, "--output-names", ",".join(CLASSES))
    page = reported(run, tmp_path)
    for row in (0, 1, 2, 3, 4):
        open_page(chrome, page, f"#records?row={row}")
        target = one(chrome, "#target option:checked").text
        assert (shown_row(chrome).split(",")[0], target) == (f"row {row}", chosen[row])


def test_a_row_far_down_the_list_is_brought_into_sight(chrome: Chrome, tmp_path: Path) -> None:
    result = write_table_run(tmp_path / "made", names=("a", "b"), targets=("risk",), n_rows=250)[0]
    open_page(chrome, reported(result.path, tmp_path), "#records?row=240")
    seen = chrome.execute_script(
        "const line = document.querySelector('#records-table tr[aria-selected=true]');"
        "const [a, b] = [line, line.closest('.scroll')].map((e) => e.getBoundingClientRect());"
        "return [line.cells[0].textContent, a.top >= b.top && a.bottom <= b.bottom + 1]"
    )
    assert seen == ["240", True]


def test_a_page_holds_the_rows_that_somebody_looks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ihcli.report.sample.MOST_ROWS", 40)
    table = table_of(3)
    table.loc[MISSING_ROW, "age"] = np.nan
    options = (*LABEL, "--output-names", ",".join(CLASSES), "--target", "high", "--missing", "flag", "-m", "ig")
    run = explained(tmp_path, Tail(3, nn.Softmax(dim=1)), table, *options)
    monkeypatch.setattr("ihcli.report.sample.WORST_ROWS", 2)
    sample = contents_of(read(run)).sample
    assert sample.drawn < sample.rows <= 40
    held = {record["row"] for record in sample.records}
    outputs = np.exp(outputs_of(Tail(3), table_of(3)))
    share = outputs[:, 2] / outputs.sum(axis=1)
    share[MISSING_ROW] = np.nan
    assert {int(np.nanargmax(share)), int(np.nanargmin(share)), MISSING_ROW} <= held
    told = ", ".join(sample.added)
    assert "1 of 1 of status missing_input" in told
    assert "with the highest and lowest predictions" in told
    assert "wrong ones, of which the model is surest" in told
    assert "of which it is least sure" in told
