"""docs/reliability.md says how much was tried: its figures are those of the tests that try it."""

import math
import re
from collections.abc import Callable, Sized
from pathlib import Path

import pytest
import test_cli_errors
import test_cli_process
import test_data_edges
import test_fuzzing
import test_hostile_directories
import test_hostile_models
import test_hostile_scripts
import test_models_mistaken
import test_models_restoring
import test_object_stores
import test_pipeline
import test_recomputation
import test_recomputation_keys
import test_resume
import test_runinfo
import test_savings
import test_verification

PAGE = (Path(__file__).parents[1] / "docs" / "reliability.md").read_text(encoding="utf-8")
FIRST_STEPS = 12  # at which test_resume kills a run of two rows
FUZZED_FORMATS, FUZZED_AT_LEAST = 8, 21  # that test_fuzzing asks for of each


def cases(*tests: Callable[..., None]) -> int:
    """Return how many cases pytest makes of these tests."""
    marks = [[mark for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"] for test in tests]
    values: list[list[Sized]] = [[mark.args[1] for mark in found] for found in marks]
    return sum(math.prod(map(len, found)) for found in values)


def named(module: object, word: str) -> list[Callable[..., None]]:
    return [test for name, test in vars(module).items() if name.startswith("test_") and word in name]


FIGURES = {
    "hostile model files": sum(
        len(files)
        for files in (
            *(test_hostile_models.CORPUS, test_hostile_scripts.CORPUS),
            *(test_models_restoring.MISFITS, test_hostile_directories.CORPUS),
        )
    ),
    "processes that do not react to a signal": cases(
        test_cli_process.test_a_process_that_is_stuck_is_killed_and_says_so,
        test_cli_process.test_a_run_whose_model_loops_ends_and_keeps_its_parts,
    )
    + 1,  # of many signals
    "kills at an operation on files": len(test_resume.KINDS) * test_resume.KILLS_OF_A_KIND + FIRST_STEPS,
    "kills at a random moment": test_resume.RANDOM_KILLS,
    "kills at a write to an object store": cases(test_object_stores.test_a_killed_run_goes_on_when_its_lease_has_ended),
    "models and data written while a run reads them": cases(
        test_pipeline.test_what_changes_while_it_is_read_makes_no_finished_run,
        test_object_stores.test_data_that_become_shorter_while_they_are_read_make_no_finished_run,
    ),
    "full disks": cases(test_resume.test_a_full_disk_is_named_and_the_run_goes_on_when_there_is_room),
    "malformed tables, models and options": cases(
        *named(test_cli_errors, "mistake"), *named(test_data_edges, "is_one_message")
    ),
    "savings and files that are no model": cases(
        *named(test_savings, "one_line"),
        *named(test_savings, "once_and_for_all"),
        *named(test_models_mistaken, "called"),
    ),
    "damaged files read": FUZZED_FORMATS * FUZZED_AT_LEAST,
    "odd and mutated files of runs": cases(
        test_runinfo.test_what_is_no_file_of_the_run_is_never_opened,
        test_runinfo.test_mutated_tables_are_results_or_one_message,
        test_runinfo.test_what_is_no_run_json_is_one_message,
    ),
    "damaged runs": cases(*named(test_verification, "fail")),
    "altered runs beside their model": cases(
        *named(test_recomputation, "fail"),
        *named(test_recomputation_keys, "found"),
        *named(test_recomputation_keys, "fail"),
    ),
}


@pytest.mark.parametrize("what", FIGURES)
def test_the_page_says_how_much_is_tried(what: str) -> None:
    (line,) = (line for line in PAGE.splitlines() if line.startswith(f"| {what} "))
    assert int(re.findall(r"\d+", line)[0]) == FIGURES[what]


def test_the_fuzzer_runs_as_often_as_the_page_says(tmp_path: Path) -> None:
    assert len(test_fuzzing.fuzzing.good_files(tmp_path)) == FUZZED_FORMATS
