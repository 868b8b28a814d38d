"""Effects between groups of rows, and beside columns of the data: what streams by has the statistics of all rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import explanations
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from runs import write_text_run
from scipy import stats

from ihcli.errors import DataError, IhcliError, OptionError, RunError
from ihcli.files.fingerprints import files_fingerprint
from ihcli.quality import Status
from ihcli.results.contrasting import contrast as contrasts
from ihcli.results.contrasting import drivers as drivings
from ihcli.results.contrasting.contrast import Contrasted, ContrastRequest, contrast
from ihcli.results.contrasting.drawing import Drawing
from ihcli.results.contrasting.drivers import Driven, DriversRequest, drivers
from ihcli.results.contrasting.effects import OF
from ihcli.results.contrasting.significance import epsilon
from ihcli.results.result import read
from ihcli.runs.info import RunInfo
from ihcli.runs.request import RunRequest
from ihcli.runs.storage import InteractionStorage
from ihcli.runs.writer import create_run
from ihcli.summaries.ranked import RankedSummary
from ihcli.summaries.tables import Summary

NAMES = ("age", "bmi", "ca")
ROUNDING = 1e-9
"""Of sums over the same rows in another order, relative."""


def made_up(n: int, seed: int = 0, names: Sequence[str] = NAMES) -> np.ndarray:
    """Return symmetric matrices (n, G, G)."""
    half = np.random.default_rng(seed).normal(size=(n, len(names), len(names)))
    return half + half.transpose(0, 2, 1)


def write_run(
    path: Path,
    gamma: np.ndarray,
    columns: dict[str, Any],
    *,
    keys: Sequence[str] | None = None,
    names: Sequence[str] = NAMES,
    target: Sequence[str] | None = None,
    part_rows: int = 70,
    storage: str = "full",
    info: dict[str, Any] | None = None,
    **figures: Any,
) -> Path:
    """Write a run of matrices (n, G, G) in parts, and the data beside it with these columns, of which some are keys."""
    n = len(gamma)
    data, summary = path.with_name(f"{path.name}.parquet"), RankedSummary(Summary)
    table = pa.table(columns)
    table.to_pandas().to_parquet(data)
    targets, keys = np.array(target or ["risk"] * n, object), list(table.column_names if keys is None else keys)
    writer = create_run(path, storage=InteractionStorage.parse(storage))
    for part, start in enumerate(range(0, n, part_rows)):
        rows = np.arange(start, min(start + part_rows, n))
        more = {name: values[rows] for name, values in figures.items()}
        found = explanations.of_table(gamma[rows], names, targets[rows], row=rows, **more)
        summary.update(found)
        writer.write_part(part, found, table.select(keys).slice(start, len(rows)))
    writer.write_summary(summary.attributions(), summary.interactions())
    told = {
        **{"status": "done", "features": list(names), "keys": keys, "method": {"name": "ih"}, "totals": {"rows": n}},
        "data": {"path": str(data), "rows": n, "sha256": files_fingerprint([data])},
        "arguments": RunRequest("m.pt", str(data), tolerance=0.01).content(),
    }
    writer.write_info(RunInfo.of({**told, **(info or {})}))
    return path


def values_of(gamma: np.ndarray, names: Sequence[str] = NAMES) -> dict[tuple[str, str, str | None], np.ndarray]:
    """Return what a table has of matrices, by kind and names."""
    found: dict[tuple[str, str, str | None], np.ndarray] = {}
    for g, name in enumerate(names):
        found["feature", name, None], found["main", name, name] = gamma[:, g].sum(axis=1), gamma[:, g, g]
        found |= {("pair", name, names[h]): 2 * gamma[:, g, h] for h in range(g + 1, len(names))}
    return found


def asked(run: Path, *by: str, **others: Any) -> Contrasted:
    return contrast(read(run), ContrastRequest(by=by, **others))


def by_value(found: Contrasted, group: str) -> dict[tuple[str, str, str | None], dict[str, Any]]:
    """Return the lines of a group by what they are of."""
    return {
        (line["of"], line["feature_i"], line["feature_j"]): line
        for line in found.table.to_pylist()
        if line["group"] == group
    }


def driven(run: Path, **asked_for: Any) -> Driven:
    return drivers(read(run), DriversRequest(**asked_for))


def sexes(n: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).choice(["F", "M"], n)


# Two groups


@pytest.mark.parametrize("offset", [0.0, 1e7], ids=["centred", "far from zero"])
def test_two_groups_are_compared_by_the_t_test_of_welch(tmp_path: Path, offset: float) -> None:
    sex, gamma = sexes(301), made_up(301) * np.linspace(0.5, 2, 301)[:, None, None] + offset
    gamma[sex == "M", 0, 1] += 0.3
    found = by_value(asked(write_run(tmp_path / "run", gamma, {"sex": sex}), "sex"), "sex=M")
    assert found.keys() == values_of(gamma).keys()
    for name, values in values_of(gamma).items():
        ours, others, line = values[sex == "M"], values[sex == "F"], found[name]
        expected = stats.ttest_ind(ours, others, equal_var=False)
        tolerance = max(ROUNDING, 1e-15 * offset * 10)
        assert (line["rows"], line["rows_against"], line["against"]) == (len(ours), len(others), "sex=F")
        assert line["mean"] == pytest.approx(ours.mean(), rel=ROUNDING)
        assert line["difference"] == pytest.approx(ours.mean() - others.mean(), rel=1e-6, abs=1e-9 + 1e-15 * offset)
        assert line["statistic"] == pytest.approx(expected.statistic, rel=tolerance, abs=tolerance)
        assert line["p"] == pytest.approx(expected.pvalue, rel=1e3 * tolerance)


def test_ranks_are_compared_by_the_test_of_mann_and_whitney(tmp_path: Path) -> None:
    sex, gamma = sexes(150), made_up(150).round(1)  # with ties
    found = by_value(asked(write_run(tmp_path / "run", gamma, {"sex": sex}), "sex", test="mann-whitney"), "sex=M")
    for name, values in values_of(gamma).items():
        expected = stats.mannwhitneyu(values[sex == "M"], values[sex == "F"])
        assert found[name]["p"] == pytest.approx(expected.pvalue, rel=ROUNDING)
        assert found[name]["statistic"] == expected.statistic


def test_q_is_the_false_discovery_rate_over_all_that_is_asked_for(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", made_up(90), {"sex": sexes(90)})
    whole = asked(run, "sex").table.to_pandas()
    np.testing.assert_allclose(whole["q"], stats.false_discovery_control(whole["p"]), rtol=ROUNDING)
    pairs = asked(run, "sex", of=("pair",)).table.to_pandas()
    assert pairs["of"].tolist() == ["pair"] * 3
    np.testing.assert_allclose(pairs["q"], stats.false_discovery_control(pairs["p"]), rtol=ROUNDING)


def test_what_is_shown_does_not_change_q(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", made_up(90), {"sex": sexes(90)})
    assert asked(run, "sex", top_k=2).table.equals(asked(run, "sex").table.slice(0, 2))


def test_lines_are_sorted_by_q_or_by_the_size_of_the_difference(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", made_up(90), {"sex": sexes(90)})
    by_q = asked(run, "sex").table.to_pandas()
    by_size = asked(run, "sex", sort="difference").table.to_pandas()
    assert by_q["p"].is_monotonic_increasing
    assert by_size["difference"].abs().is_monotonic_decreasing
    assert by_q["rank"].tolist() == by_size["rank"].tolist() == list(range(1, 10))
    assert set(by_q["difference"]) == set(by_size["difference"])


def test_a_pair_that_differs_by_sex_is_first(tmp_path: Path) -> None:
    sex, gamma = sexes(200), made_up(200)
    gamma[:, 0, 2] += np.where(sex == "M", 1.0, -1.0)
    gamma[:, 2, 0] = gamma[:, 0, 2]
    found = asked(write_run(tmp_path / "run", gamma, {"sex": sex}), "sex", of=("pair",)).table.to_pylist()
    assert (found[0]["feature_i"], found[0]["feature_j"]) == ("age", "ca")
    assert found[0]["q"] < 1e-6 < 0.05 < found[1]["q"]


def test_columns_of_chance_find_nothing_in_95_of_100_seeds(tmp_path: Path) -> None:
    n, seeds = 60, 100
    columns = {f"null_{seed}": sexes(n, seed + 10) for seed in range(seeds)}
    run = write_run(tmp_path / "run", made_up(n), columns)
    least = [asked(run, name).table["q"][0].as_py() for name in columns]
    assert sum(q > 0.05 for q in least) >= 0.95 * seeds
    assert min(least) < 0.5  # they are not all the same: the test can find something


# More groups


def test_each_of_more_groups_is_compared_with_the_rest(tmp_path: Path) -> None:
    site, gamma = np.random.default_rng(3).choice(["oslo", "bergen", "rome"], 210), made_up(210)
    found = asked(write_run(tmp_path / "run", gamma, {"site": site}), "site")
    assert found.rows == {"risk": {f"site={name}": int((site == name).sum()) for name in ("bergen", "oslo", "rome")}}
    for name in ("oslo", "bergen", "rome"):
        for of, line in by_value(found, f"site={name}").items():
            values = values_of(gamma)[of]
            expected = stats.ttest_ind(values[site == name], values[site != name], equal_var=False)
            assert (line["against"], line["rows_against"]) == ("rest", (site != name).sum())
            assert line["p"] == pytest.approx(expected.pvalue, rel=1e-6)
    table = found.table.to_pandas()
    assert found.tested == {"risk": len(table)} == {"risk": 27}
    np.testing.assert_allclose(table["q"], stats.false_discovery_control(table["p"]), rtol=ROUNDING)


def test_several_columns_make_groups_of_their_combinations(tmp_path: Path) -> None:
    sex, ca = sexes(120), np.arange(120) % 3
    run = write_run(tmp_path / "run", made_up(120), {"sex": sex, "ca": ca}, names=("a", "b", "c"))
    found = asked(run, "sex", "ca>=1")
    expected = {
        f"sex={name}, {word}": int(((sex == name) & mask).sum())
        for name in "FM"
        for word, mask in (("not ca>=1", ca == 0), ("ca>=1", ca >= 1))
    }
    assert found.rows["risk"] == expected


def test_numbers_are_binned_into_as_many_rows_each(tmp_path: Path) -> None:
    age = np.random.default_rng(0).permutation(np.arange(30, 90)).repeat(4)
    run = write_run(tmp_path / "run", made_up(240), {"years": age})
    quarters = asked(run, "years:4").rows["risk"]
    assert list(quarters) == ["years<44", "44<=years<59", "59<=years<74", "years>=74"]
    assert all(abs(count - 60) <= 4 for count in quarters.values())
    halves = asked(run, "years")
    assert list(halves.rows["risk"]) == ["years<59", "years>=59"]
    assert halves.notes == ("years holds many numbers: cut into halves. `by=years:4` makes quarters.",)


def test_bins_of_which_ties_leave_fewer_are_fewer(tmp_path: Path) -> None:
    dose = np.array([0.0] * 180 + [0.5, 1.5, 2.5] * 4)
    run = write_run(tmp_path / "run", made_up(192), {"dose": dose})
    assert asked(run, "dose:4").rows["risk"] == {"dose<0.5": 180, "dose>=0.5": 12}


def test_numbers_of_few_values_are_groups_of_their_own(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", made_up(80), {"vessels": np.arange(80) % 2, "flag": np.arange(80) % 4 < 2})
    assert asked(run, "vessels").rows["risk"] == {"vessels=0": 40, "vessels=1": 40}
    assert asked(run, "flag").rows["risk"] == {"flag=0": 40, "flag=1": 40}
    assert asked(run, "flag=true").rows["risk"] == {"not flag=true": 40, "flag=true": 40}


def test_a_run_is_grouped_by_its_own_columns_too(tmp_path: Path) -> None:
    prediction = np.linspace(0, 1, 50)
    run = write_run(tmp_path / "run", made_up(50), {"id": np.arange(50)}, prediction=prediction)
    assert asked(run, "_prediction>=0.8").rows["risk"] == {"not _prediction>=0.8": 40, "_prediction>=0.8": 10}


# What there is no test of


def test_values_that_never_differ_are_not_tested(tmp_path: Path) -> None:
    sex, gamma = sexes(60), made_up(60)
    gamma[:, 0, 2] = gamma[:, 2, 0] = 0.1
    found = asked(write_run(tmp_path / "run", gamma, {"sex": sex}), "sex")
    last = found.table.to_pylist()[-1]
    assert (last["feature_i"], last["feature_j"], last["p"], last["q"]) == ("age", "ca", None, None)
    assert found.tested["risk"] == 8


def test_groups_that_differ_without_varying_are_tested_by_permutation(tmp_path: Path) -> None:
    sex, gamma = np.array(["F"] * 3 + ["M"] * 4), made_up(7)
    gamma[:, 0, 2] = gamma[:, 2, 0] = np.where(sex == "M", 0.1, 0.3)
    run = write_run(tmp_path / "run", gamma, {"sex": sex})
    line = by_value(asked(run, "sex"), "sex=M")["pair", "age", "ca"]
    assert line["statistic"] == -np.inf
    assert line["p"] == pytest.approx(2 / 35)  # of 7 rows, 4 can be chosen in 35 ways


@pytest.mark.parametrize("test", ["welch", "mann-whitney"])
def test_of_a_group_of_one_row_there_is_no_test_and_that_is_said(tmp_path: Path, test: str) -> None:
    sex = np.array(["M"] * 20 + ["X"])
    found = asked(write_run(tmp_path / "run", made_up(21), {"sex": sex}), "sex", test=test)
    assert found.table["q"].null_count == len(found.table)
    assert found.table["difference"].null_count == 0
    assert found.notes == ("'sex=X': of one row there is no test.",)


def test_rows_without_a_value_are_in_no_group_and_that_is_said(tmp_path: Path) -> None:
    sex = sexes(50).astype(object)
    sex[:7] = None
    run = write_run(tmp_path / "run", made_up(50), {"sex": sex, "age_": np.r_[[np.nan] * 5, np.arange(45) % 2]})
    found = asked(run, "sex")
    assert sum(found.rows["risk"].values()) == 43
    assert found.notes == ("7 rows have no value to be grouped by, and are in no group.",)
    assert sum(asked(run, "age_").rows["risk"].values()) == 45


def test_blanks_are_values_of_no_column(tmp_path: Path) -> None:
    sex = np.array(["F", "M", "", "NA", "F", "M"] * 10)
    run = write_run(tmp_path / "run", made_up(60), {"sex": sex, "id": np.arange(60)}, keys=["sex"])
    pd.DataFrame({"gender": sex, "dose": ["", "1", "2", "NA", "1", "2"] * 10}).to_csv(tmp_path / "d.csv", index=False)
    data = str(tmp_path / "d.csv")
    assert asked(run, "gender", data=data).rows["risk"] == {"gender=F": 20, "gender=M": 20}
    assert asked(run, "dose", data=data).rows["risk"] == {"dose=1": 20, "dose=2": 20}
    assert asked(run, "sex").rows["risk"] == {"sex=F": 20, "sex=M": 20, "sex=NA": 10}
    assert {line["column"]: line["rows"] for line in driven(run, feature="age", data=data).table.to_pylist()} == {
        "gender": 40,
        "dose": 40,
    }


def test_rows_without_values_and_those_that_do_not_rank_are_left_out(tmp_path: Path) -> None:
    n, sex = 60, sexes(60)
    status = np.full(n, Status.OK, object)
    status[:4], status[4:10] = Status.MISSING_INPUT, Status.NOT_CONVERGED
    error, of_pairs = np.full(n, 1e-3), np.full(n, 1e-3)
    error[4:7], of_pairs[4:10] = 5.0, 5.0
    run = write_run(
        tmp_path / "run", made_up(n), {"sex": sex}, status=status, relative_error=error, interaction_error=of_pairs
    )
    found = asked(run, "sex")
    counts = found.table.to_pandas().groupby("of")[["rows", "rows_against"]].max().sum(axis=1)
    assert counts.to_dict() == {"feature": 53, "main": 50, "pair": 50}
    assert found.notes == ("6 rows are left out, with errors beyond 10 tolerances; `all_rows` takes them.",)
    whole = asked(run, "sex", all_rows=True).table.to_pandas()
    assert set(whole["rows"] + whole["rows_against"]) == {56}
    ranked = by_value(asked(run, "sex", test="mann-whitney"), "sex=M")
    phi = made_up(n)[:, 0].sum(axis=1)
    kept = np.arange(n) >= 7
    expected = stats.mannwhitneyu(phi[kept & (sex == "M")], phi[kept & (sex == "F")])
    assert ranked["feature", "age", None]["p"] == pytest.approx(expected.pvalue)


def test_each_target_is_ranked_and_one_without_two_groups_is_left_out(tmp_path: Path) -> None:
    sex, target = sexes(80), ["no", "yes"] * 40
    sex[1::2] = "F"
    run = write_run(tmp_path / "run", made_up(80), {"sex": sex}, target=target)
    found = asked(run, "sex")
    assert set(found.table["target"].to_pylist()) == {"no"}
    assert "Target yes: left out, as its rows are in 'sex=F' alone." in found.notes
    both = asked(run, "sex", where=(), target="no").table
    assert both.equals(found.table)
    with pytest.raises(OptionError, match=r"all rows of a target are in one group"):
        asked(run, "sex", target="yes")


def test_texts_have_nothing_in_common_to_compare(tmp_path: Path) -> None:
    write_text_run(tmp_path / "texts")
    with pytest.raises(RunError, match=r"units differ from row to row"):
        asked(tmp_path / "texts", "id")
    with pytest.raises(RunError, match=r"units differ from row to row"):
        driven(tmp_path / "texts", pair=("a", "b"))


def test_of_runs_without_interactions_attributions_are_compared(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", made_up(60), {"sex": sexes(60)}, storage="none")
    found = asked(run, "sex")
    assert set(found.table["of"].to_pylist()) == {"feature"}
    assert found.notes == ("The run stores no interactions of single rows: attributions alone are shown.",)
    with pytest.raises(RunError, match=r"stores no interactions of single rows.*`interactions=full`"):
        asked(run, "sex", of=("pair",))


def test_a_pair_that_a_row_does_not_list_is_unknown_and_not_zero(tmp_path: Path) -> None:
    sex, gamma = sexes(100), made_up(100)
    gamma[:, 0, 2] = gamma[:, 2, 0] = 30 + np.arange(100)  # always among the two largest
    run = write_run(tmp_path / "run", gamma, {"sex": sex}, storage="top:2")
    found = asked(run, "sex")
    named = {(line["feature_i"], line["feature_j"]) for line in found.table.to_pylist() if line["of"] == "pair"}
    assert named == {("age", "ca")}
    expected = stats.ttest_ind(gamma[sex == "M", 0, 2], gamma[sex == "F", 0, 2], equal_var=False)
    assert by_value(found, "sex=M")["pair", "age", "ca"]["p"] == pytest.approx(expected.pvalue, rel=1e-6)
    assert "those are shown that all rows list" in found.notes[0]
    for ask in (lambda: asked(run, "sex", pair=("bmi", "ca")), lambda: driven(run, pair=("bmi", "ca"))):
        with pytest.raises(RunError, match=r"unknown, not 0"):
            ask()
    with pytest.raises(RunError, match=r"no main effects"):
        asked(run, "sex", of=("main",))


def test_the_order_in_which_a_pair_is_named_does_not_matter(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", made_up(60), {"sex": sexes(60)})
    assert asked(run, "sex", pair=("ca", "age")).table.equals(asked(run, "sex", pair=("age", "ca")).table)
    named = asked(run, "sex", feature=("ca",)).table.to_pylist()
    assert all("ca" in (line["feature_i"], line["feature_j"]) for line in named)
    assert len(named) == 4


# Conditions


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ("years>=50", lambda table: table["years"] >= 50),
        ("years < 50", lambda table: table["years"] < 50),
        ("years==50", lambda table: table["years"] == 50),
        ("years!=50", lambda table: (table["years"] != 50) & table["years"].notna()),
        ("sex=F", lambda table: table["sex"] == "F"),
        ("sex!='F'", lambda table: (table["sex"] != "F") & table["sex"].notna()),
        ("a=b<=2", lambda table: table["a=b"] <= 2),
        ("since=2020-01-02", lambda table: table["since"] == pd.Timestamp("2020-01-02")),
        ("flag=True", lambda table: table["flag"]),
    ],
)
def test_conditions_choose_rows(tmp_path: Path, condition: str, kept: Any) -> None:
    table = pd.DataFrame(
        {
            "years": np.r_[[np.nan] * 5, np.arange(45) % 3 + 49],
            "sex": [None] * 3 + list(sexes(47)),
            "a=b": np.arange(50) % 5,
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(50) % 2, "D"),
            "flag": np.arange(50) % 3 == 0,
            "half": np.arange(50) // 3 % 2,
        }
    )
    table["since"] = table["since"].dt.date
    run = write_run(tmp_path / "run", made_up(50), pa.Table.from_pandas(table).to_pydict(), keys=[])
    table["since"] = pd.to_datetime(table["since"])
    expected = table[kept(table)]["half"].value_counts().sort_index().to_dict()
    found = asked(run, "half", where=(condition,)).rows["risk"]
    assert found == {f"half={name}": count for name, count in expected.items()}


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("years", "is not a condition. Expected COLUMN=VALUE, or one of <=, >=, !=, ==, <, >, = in place of ="),
        ("yaers>=50", "there is no column 'yaers' in .* or .* Did you mean 'years'"),
        ("years>=old", "holds numbers. Expected a number behind >=, got 'old'"),
        ("years>=nan", "holds numbers. Expected a number behind >=, got 'nan'"),
        ("sex>=F", "holds words, which have no order. Expected = or !=, got >=. Try `where=sex=F`"),
        ("years>=1000", "no row is in any group|holds no value"),
    ],
)
def test_conditions_that_cannot_be_are_told(tmp_path: Path, where: str, told: str) -> None:
    run = write_run(tmp_path / "run", made_up(30), {"sex": sexes(30), "years": np.arange(30)})
    with pytest.raises(OptionError, match=told):
        asked(run, "sex", where=(where,))


@pytest.mark.parametrize(
    ("by", "told", "tried"),
    [
        ("sxe", "there is no column 'sxe' in .* Did you mean 'sex'", "sex"),
        ("id", "holds more than 20 different words", "id=p0"),
        ("sex:3", "holds words. Expected numbers", "sex"),
        ("years:1", "1 bins. Expected 2 to 20", "years:4"),
        ("years:99", "99 bins. Expected 2 to 20", "years:4"),
        ("same", "holds the same value in all rows", None),
        ("nothing", "holds no value in all rows", None),
        ("nested", "Expected a number or a word in every row", None),
    ],
)
def test_columns_that_make_no_groups_are_told(tmp_path: Path, by: str, told: str, tried: str | None) -> None:
    columns = {
        **{"sex": sexes(60), "id": [f"p{i}" for i in range(60)], "years": np.arange(60.0), "same": [1] * 60},
        **{"nothing": np.full(60, np.nan), "nested": [[1, 2]] * 60},
    }
    run = write_run(tmp_path / "run", made_up(60), columns, keys=[])
    with pytest.raises(OptionError, match=told):
        asked(run, by)
    if tried is not None:
        assert len(asked(run, tried).rows["risk"]) >= 2


def test_dates_that_are_words_are_grouped_by_numbers_of_another_table(tmp_path: Path) -> None:
    days = pd.date_range("2024-01-01", periods=60)
    run = write_run(tmp_path / "run", made_up(60), {"day": days.strftime("%Y-%m-%d").tolist()}, keys=[])
    for by in ("day:2", "day>=2024-02-01"):
        with pytest.raises(OptionError, match="or `data` with a table of the same rows and a number for each word"):
            asked(run, by)
    pd.DataFrame({"day": days.month}).to_parquet(tmp_path / "months.parquet")
    for by in ("day:2", "day>=2"):
        assert len(asked(run, by, data=str(tmp_path / "months.parquet")).rows["risk"]) == 2


def test_too_many_groups_are_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", made_up(60), {"sex": sexes(60), "years": np.arange(60.0)})
    with pytest.raises(OptionError, match=r"40 groups. Expected 20 at most"):
        asked(run, "sex", "years:20")


def test_values_and_groups_beyond_memory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_run(tmp_path / "run", made_up(60), {"sex": sexes(60)})
    monkeypatch.setattr(contrasts, "MOST_FIGURES", 40)
    with pytest.raises(OptionError, match=r"of 9 values in 2 groups.*Try fewer groups, `of=feature`"):
        asked(run, "sex")
    assert len(asked(run, "sex", of=("feature",)).table) == 3


# Columns of the data


def test_columns_that_are_no_keys_are_read_from_the_data(tmp_path: Path) -> None:
    sex, gamma = sexes(200), made_up(200)
    kept = write_run(tmp_path / "kept", gamma, {"sex": sex})
    read_again = write_run(tmp_path / "data", gamma, {"sex": sex}, keys=[])
    assert asked(kept, "sex").table.equals(asked(read_again, "sex").table)


def test_data_that_changed_or_are_of_other_rows_are_refused(tmp_path: Path) -> None:
    sex, gamma = sexes(60), made_up(60)
    run = write_run(tmp_path / "run", gamma, {"sex": sex}, keys=[])
    pd.DataFrame({"kind": ["a", "b"] * 30}).to_csv(tmp_path / "more.csv", index=False)
    pd.DataFrame({"kind": ["a", "b"] * 29}).to_csv(tmp_path / "fewer.csv", index=False)
    assert asked(run, "kind", data=str(tmp_path / "more.csv")).rows["risk"] == {"kind=a": 30, "kind=b": 30}
    both = asked(run, "kind", data=str(tmp_path / "more.csv"), where=("sex=F",)).rows["risk"]
    assert sum(both.values()) == (sex == "F").sum()
    with pytest.raises(DataError, match=r"has 58 rows. Expected the 60 rows"):
        asked(run, "kind", data=str(tmp_path / "fewer.csv"))
    pd.DataFrame({"sex": sex[::-1]}).to_parquet(tmp_path / "run.parquet")
    with pytest.raises(DataError, match=r"has changed since"):
        asked(run, "sex")
    (tmp_path / "run.parquet").unlink()
    with pytest.raises(DataError, match=r"no such file"):
        asked(run, "sex")
    assert asked(run, "kind", data=str(tmp_path / "more.csv")).rows["risk"] == {"kind=a": 30, "kind=b": 30}


def test_columns_of_the_run_are_grouped_by_where_the_data_are_gone(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", made_up(60), {"years": np.arange(60)})
    (tmp_path / "run.parquet").unlink()
    for by, groups in (("years:3", 3), ("years>=30", 2), ("_prediction=0", 1), ("years", 2)):
        where = ("years<100",)
        if groups > 1:
            assert len(asked(run, by, where=where).rows["risk"]) == groups
        else:
            with pytest.raises(OptionError, match=r"all rows of a target are in one group.*or again without `where`"):
                asked(run, by, where=where)


def test_names_that_two_columns_have_name_none(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", made_up(4), {"sex": sexes(4)}, keys=[])
    (tmp_path / "twice.csv").write_text("kind,kind,once\n" + "a,b,1\nb,a,2\n" * 2, encoding="utf-8")
    data = str(tmp_path / "twice.csv")
    with pytest.raises(OptionError, match=r"there is no column 'kind'"):
        asked(run, "kind", data=data)
    assert [line["column"] for line in driven(run, feature="age", data=data).table.to_pylist()] == ["once"]


def test_what_names_nothing_together_is_told(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", made_up(20), {"sex": sexes(20)})
    with pytest.raises(OptionError, match=r"nothing of the run is all of what they name.*Try one of them alone"):
        asked(run, "sex", pair=("age", "bmi"), feature=("ca",))


def test_a_run_whose_kinds_of_parts_are_of_other_rows_is_told(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", made_up(140), {"sex": sexes(140)})
    (run / "interactions" / "part-000001.parquet").unlink()
    with pytest.raises(RunError, match=r"are not of the rows that its attributions are of. Try ihcli verify"):
        asked(run, "sex")


# Ranks of some rows


def test_of_too_many_rows_some_are_ranked_and_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sex, gamma = sexes(600), made_up(600)
    gamma[:, 0, 0] += np.where(sex == "M", 3.0, 0.0)
    run = write_run(tmp_path / "run", gamma, {"sex": sex})
    monkeypatch.setattr(contrasts, "MOST_RANKED", 900)
    monkeypatch.setattr(contrasts, "LEAST_RANKED", 100)
    found = asked(run, "sex", test="mann-whitney")
    assert found.notes == ("ranks are of 100 of 600 rows, chosen with seed 0; counts and means of all.",)
    first = found.table.to_pylist()[0]
    assert (first["of"], first["feature_i"], first["rows"]) == ("main", "age", (sex == "M").sum())
    assert found.table.equals(asked(run, "sex", test="mann-whitney").table)
    assert not found.table.equals(asked(run, "sex", test="mann-whitney", seed=1).table)
    monkeypatch.setattr(contrasts, "LEAST_RANKED", 101)
    with pytest.raises(OptionError, match=r"Expected at most 8. Try `of=feature`, `feature` or `pair`"):
        asked(run, "sex", test="mann-whitney")


def test_a_choice_is_seeded_and_takes_each_value_as_often_as_any_other() -> None:
    counts = np.zeros(100)
    for seed in range(300):
        drawing = Drawing(10, seed)
        for start in range(0, 100, 7):
            drawing.add(np.arange(start, min(start + 7, 100), dtype=float))
        chosen = drawing.chosen()
        assert len(np.unique(chosen)) == 10
        counts[chosen.astype(int)] += 1
    assert stats.chisquare(counts).pvalue > 0.001
    few = Drawing(10, 0)
    few.add(np.array([3.0, 1.0]))
    assert few.chosen().tolist() == [1.0, 3.0]


# Drivers


def test_numbers_are_ranked_by_the_correlation_of_spearman(tmp_path: Path) -> None:
    rng, gamma = np.random.default_rng(5), made_up(160)
    effect = 2 * gamma[:, 0, 1]
    table = {"noise": rng.normal(size=160), "near": np.exp(effect) + 0.1 * rng.normal(size=160), "gap": -effect.copy()}
    table["gap"][:30] = np.nan
    run = write_run(tmp_path / "run", gamma, table, keys=[])
    found = {line["column"]: line for line in driven(run, pair=("bmi", "age")).table.to_pylist()}
    assert [*found] == ["gap", "near", "noise"]
    for name, line in found.items():
        there = ~np.isnan(table[name])
        expected = stats.spearmanr(table[name][there], effect[there])
        assert line["correlation"] == pytest.approx(expected.statistic, rel=ROUNDING)
        assert line["p"] == pytest.approx(expected.pvalue, rel=ROUNDING)
        assert (line["rows"], line["kind"], line["role"]) == (there.sum(), "number", "no feature")
    q = [line["q"] for line in found.values()]
    np.testing.assert_allclose(q, stats.false_discovery_control([line["p"] for line in found.values()]))


def test_words_are_ranked_by_what_they_tell_of_ranks(tmp_path: Path) -> None:
    gamma, site = made_up(150), np.random.default_rng(2).choice(["oslo", "rome", "bern"], 150).astype(object)
    gamma[:, 0, 0] += np.where(site == "rome", 2.0, 0.0)
    site[:10] = None
    run = write_run(tmp_path / "run", gamma, {"site": site, "id": [f"p{i}" for i in range(150)]}, keys=[])
    found = driven(run, pair=("age", "age"))
    (line,) = found.table.to_pylist()
    values = [gamma[site == name, 0, 0] for name in ("oslo", "rome", "bern")]
    h, p = stats.kruskal(*values)
    assert line["strength"] == pytest.approx(np.sqrt((h - 2) / (140 - 3)))
    assert (line["p"], line["rows"], line["correlation"]) == (pytest.approx(p), 140, None)
    assert (line["of"], line["feature_i"], line["feature_j"]) == ("main", "age", "age")
    assert found.notes == ("Left out, with more than 50 different words: 'id'.",)


def test_many_categories_tell_nothing_by_chance() -> None:
    rng = np.random.default_rng(0)
    values, codes = rng.normal(size=200), rng.integers(0, 40, 200)
    found = [epsilon(rng.permutation(values), [codes == code for code in range(40)])[0] for _ in range(50)]
    assert np.median(found) < 0.2  # without taking chance off it would be 0.44


def test_columns_of_one_value_have_no_rank_and_come_last(tmp_path: Path) -> None:
    table = {"same": np.ones(50), "noise": np.random.default_rng(0).normal(size=50), "word": ["a"] * 50}
    found = driven(write_run(tmp_path / "run", made_up(50), table, keys=[]), feature="age").table.to_pylist()
    assert found[0]["column"] == "noise"
    assert {line["column"] for line in found[1:]} == {"same", "word"}
    assert all(line["strength"] is line["q"] is None for line in found[1:])


def test_roles_tell_columns_of_the_effect_from_others(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = {name: rng.normal(size=50) for name in ("age", "job_a", "job_b", "ca", "clinic")}
    groups = {"age": ["age"], "job": ["job_a", "job_b"], "ca": ["ca"]}
    run = write_run(tmp_path / "run", made_up(50), table, keys=[], names=tuple(groups), info={"groups": groups})
    found = driven(run, pair=("age", "job")).table.to_pylist()
    assert {line["column"]: line["role"] for line in found} == {
        **dict.fromkeys(("age", "job_a", "job_b"), "of the effect"),
        **{"ca": "feature", "clinic": "no feature"},
    }


def test_drivers_are_of_the_rows_that_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gamma, sex = made_up(300), sexes(300)
    dose = np.random.default_rng(0).normal(size=300)
    gamma[:, 0, 1] = gamma[:, 1, 0] = np.where(sex == "F", -dose, dose)
    run = write_run(tmp_path / "run", gamma, {"sex": sex, "dose": dose}, keys=["sex"])
    women = driven(run, pair=("age", "bmi"), where=("sex=F",))
    assert women.rows == (sex == "F").sum()
    assert women.table.to_pylist()[0]["correlation"] == pytest.approx(-1)
    some = driven(run, pair=("age", "bmi"), where=("sex=F",), points=50)
    assert (some.rows, some.table.to_pylist()[0]["rows"]) == (50, 50)
    assert some.notes == (f"Ranks are of 50 of {women.rows} rows, chosen with seed 0.",)
    monkeypatch.setattr(drivings, "MOST_HELD", 100)
    monkeypatch.setattr(drivings, "LEAST_ROWS", 20)
    assert driven(run, pair=("age", "bmi")).rows == 50
    two = write_run(tmp_path / "two", made_up(2), {})
    with pytest.raises(OptionError, match=r"two: has 2 rows of target risk to rank. Expected 3 at least"):
        drivers(read(two), DriversRequest(feature="age"))
    with pytest.raises(OptionError, match=r"dose>=1000 leaves 0 rows of target risk. Expected 3 at least"):
        driven(run, pair=("age", "bmi"), where=("dose>=1000",))


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        ({}, "exactly one of both"),
        ({"pair": ("age", "bmi"), "feature": "age"}, "exactly one of both"),
        ({"pair": ("age", "bim")}, "`pair`: there is no feature 'bim'.*Did you mean 'bmi'"),
        ({"feature": "sex"}, "`feature`: there is no feature 'sex'"),
        ({"feature": "age", "target": "other"}, "`target`: .* has no target 'other'. Expected one of 'risk'"),
    ],
)
def test_effects_that_are_not_there_are_told(tmp_path: Path, ask: dict[str, Any], told: str) -> None:
    with pytest.raises(IhcliError, match=told):
        driven(write_run(tmp_path / "run", made_up(20), {"sex": sexes(20)}), **ask)


def test_kinds_of_values_are_those_of_the_column(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", made_up(20), {"sex": sexes(20)})
    assert set(asked(run, "sex").table["of"].to_pylist()) == set(OF)
