"""`ihcli merge`: shards of an array job made one run, from end to end."""

from pathlib import Path

from click.testing import CliRunner, Result

from ihcli.cli import main

SAMPLE = Path(__file__).parents[1] / "sample_data"


def ask(*arguments: object) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


def explain(out: Path, shard: str, *more: str) -> Result:
    model, data = SAMPLE / "diabetes_softplus.pkl", SAMPLE / "diabetes.csv"
    return ask("explain", model, data, "-o", out, "--limit", 20, "--chunk-rows", 4, "--shard", shard, *more)


def test_shards_are_explained_merged_and_ranked(tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = explain(out, "2/2")
    assert done.exit_code == 0, done.stderr
    assert f"Shard 2/2 written to {out}; ihcli merge {out} makes one run of all." in done.stderr
    early = ask("merge", out)
    assert early.exit_code == 1
    assert f"Error: {out}: 1 of 2 shards are not done: 1/2 was not begun. Try ihcli explain {SAMPLE}" in early.stderr
    assert early.stderr.endswith("--shard I/2 --resume\n")
    assert ask("interactions", out).stderr == (
        f"Error: {out}: contains shards that are not merged yet. Try ihcli merge when all are done.\n"
    )
    assert explain(out, "1/2", "--resume").exit_code == 0
    assert explain(out, "1/2", "--resume").stderr == f"Shard 1/2 of the run in {out} is finished already, 12 rows.\n"
    merged = ask("merge", out)
    assert (merged.exit_code, merged.stdout, merged.stderr) == (0, "", f"Merged 20 rows into the run {out}.\n")
    assert ask("merge", out).stderr == f"The run in {out} is merged already, 20 rows; nothing is left to do.\n"
    assert ask("interactions", out, "--top-k", "1").stdout.startswith("target,feature_i,feature_j,rank")


def test_what_is_no_shard_is_a_wrong_use(tmp_path: Path) -> None:
    done = explain(tmp_path / "run", "0/4")
    assert done.exit_code == 2
    assert "Invalid value for '--shard': '0/4' is not a share of a run. Expected I/N with I from 1 to N" in done.stderr
