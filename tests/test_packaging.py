"""What is said about the package outside its code: for an index, for those who cite it, in CI, in an image."""

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
OF_DEVELOPERS = {"all", "bench", "lint", "site", "test"}
PYTHON = "Programming Language :: Python :: "


def promised() -> list[str]:
    """Return the versions of Python that the classifiers name."""
    named = [line.removeprefix(PYTHON) for line in PROJECT["project"]["classifiers"] if line.startswith(PYTHON)]
    return [name for name in named if re.fullmatch(r"3\.\d+", name)]


def yaml_of(name: str) -> dict[str, Any]:
    found = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def extras(requirements: list[str]) -> set[str]:
    """Return which extras of ihcli itself some requirements name."""
    named = [re.fullmatch(r"ihcli\[(.+)\]", requirement) for requirement in requirements]
    return {extra for found in named if found for extra in found[1].split(",")}


def test_the_oldest_python_promised_is_the_one_required_and_checked_for() -> None:
    oldest = promised()[0]
    assert PROJECT["project"]["requires-python"] == f">={oldest}"
    assert PROJECT["tool"]["mypy"]["python_version"] == oldest
    assert PROJECT["tool"]["ruff"]["target-version"] == f"py{oldest.replace('.', '')}"


def test_every_python_promised_is_run_in_ci_and_by_make() -> None:
    job = yaml_of(".github/workflows/ci.yml")["jobs"]["ci"]
    matrix = job["strategy"]["matrix"]
    assert matrix["python"] == promised()
    assert not set(promised()) & {entry["python"] for entry in matrix["include"]}
    assert job["steps"][-1] == {"run": "bash .ci/run"}
    assert (ROOT / ".ci" / "run").is_file()
    (versions,) = re.findall(r"^PYTHONS := (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert versions.split() == promised()


def test_all_is_what_users_may_want() -> None:
    offered = PROJECT["project"]["optional-dependencies"]
    assert extras(offered["all"]) == set(offered) - OF_DEVELOPERS


def test_an_index_shows_no_link_that_leads_nowhere_there() -> None:
    hook = PROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    text = (ROOT / hook["fragments"][0]["path"]).read_text(encoding="utf-8")
    relative = re.compile(r"\]\((?!https?:)")
    assert relative.search(text)
    for substitution in hook["substitutions"]:
        text = re.sub(substitution["pattern"], substitution["replacement"], text)
    assert not relative.search(text)
    assert "a worked example" in text


def test_who_cites_it_cites_this_version() -> None:
    cited = yaml_of("CITATION.cff")
    project = PROJECT["project"]
    assert cited["version"] == project["version"]
    assert cited["license"] == project["license"]
    assert [author["name"] for author in cited["authors"]] == [author["name"] for author in project["authors"]]
    assert set(cited["keywords"]) <= set(project["keywords"])


def test_the_image_is_of_a_promised_python_and_gets_what_the_build_reads() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert set(re.findall(r"^FROM python:([\d.]+)-slim", lines, flags=re.MULTILINE)) <= set(promised())
    (installed,) = re.findall(r"whl\)\[(.+)\]", lines)
    assert set(installed.split(",")) < set(PROJECT["project"]["optional-dependencies"])
    assert "USER ihcli" in lines
    sent = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    read = {"pyproject.toml", "constraints.txt", "README.md", *PROJECT["project"]["license-files"]}
    read |= set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    assert {f"!{name}" for name in read} <= set(sent)
