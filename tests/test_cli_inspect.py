"""`ihcli inspect`: what the loader sees."""

import pickle
import shlex
from pathlib import Path

import checkpoints
import pandas as pd
import pytest
import torch
from category_models import NAMES, EntityMlp, FtTransformer, OneMatrix, category_rows
from click.testing import CliRunner, Result
from model_files import save_script
from torch import nn

from ihcli.cli import main

SAMPLE = Path(__file__).parent.parent / "sample_data"


def ask(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["inspect", *map(str, arguments)])


def findings(*arguments: object) -> dict[str, str]:
    done = ask(*arguments)
    assert done.exit_code == 0, done.stderr
    pairs = [line.split("  ", 1) for line in done.stdout.splitlines()]
    return {name: finding.strip() for name, finding in pairs}


def pickled(module: nn.Module, path: Path) -> Path:
    path.write_bytes(pickle.dumps(module))
    return path


def test_a_torchscript_classifier_is_described() -> None:
    found = findings(SAMPLE / "breast_cancer_relu.pt")
    assert found["Inputs"].startswith("30: mean_radius, mean_texture, ")
    assert found["Inputs"].endswith(", ... 24 more")
    del found["Inputs"]
    assert found == {
        "Format": "TorchScript",
        "Outputs": "2: malignant, benign",
        "Scale": "logit, as it ends in numbers, taken for logits; --scale probability, log-probability, margin",
        "Precision": "float32",
        "Activations": "relu x2",
        "Replaced by SoftPlus": "relu x2",
        "Kinks that remain": "none",
        "Derivative engine": "mlp: a chain of affine layers and element-wise activations",
    }


def test_a_scikit_learn_pipeline_is_described() -> None:
    found = findings(SAMPLE / "breast_cancer_sklearn.joblib")
    assert found["Format"].startswith("scikit-learn")
    assert found["Outputs"] == "2: benign, malignant"
    assert found["Precision"] == "float64"


def test_a_module_without_names_shows_counts(tmp_path: Path) -> None:
    model = pickled(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), tmp_path / "m.pkl")
    found = findings(model)
    assert (found["Inputs"], found["Outputs"]) == ("3", "2")


@pytest.mark.parametrize("name", ["bert", "gpt2", "distilbert"])
def test_a_text_classifier_is_tried_on_a_text(tmp_path: Path, name: str) -> None:
    found = findings(checkpoints.save(tmp_path / name, name))
    assert found["Format"].startswith("Hugging Face checkpoint (")
    assert found["Inputs"] == "texts of at most 40 tokens" + (", or pairs of them" if name == "bert" else "")
    assert found["Tokenizer"].endswith(f" {310 if name == 'gpt2' else 90} tokens")
    if name == "gpt2":
        assert found["Units: word"] == "A film that was not bad at all ."
        assert found["Units: token"].startswith("A \u0120film \u0120th")
    else:
        assert found["Units: word"] == "[CLS] a film that was not bad at all . [SEP]"
    assert found["Outputs"] == "2: NEGATIVE, POSITIVE"
    assert found["Replaced by SoftPlus"] == ("relu" if name == "distilbert" else "none")
    assert found["Derivative engine"] == "operations: not in closed form: the model reads texts"
    assert "Warning" not in found


def test_what_a_run_would_refuse_is_a_warning(tmp_path: Path) -> None:
    model = pickled(nn.Sequential(nn.Linear(3, 4), nn.Unflatten(1, (2, 2))), tmp_path / "m.pkl")
    found = findings(model)
    assert found["Outputs"] == "unknown"
    assert str(tmp_path / "m.pkl") in found["Warning"]


def test_a_model_that_fails_on_rows_is_described_all_the_same(tmp_path: Path) -> None:
    found = findings(pickled(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(5, 2)), tmp_path / "m.pkl"))
    assert (found["Inputs"], found["Outputs"], found["Activations"]) == ("3", "unknown", "relu")
    assert "fails on a batch" in found["Warning"] or "takes 5 inputs" in found["Warning"]


def test_a_module_of_unknown_width_is_not_tried(tmp_path: Path) -> None:
    found = findings(pickled(nn.Sequential(nn.ReLU()), tmp_path / "m.pkl"))
    assert found["Inputs"] == "unknown"
    assert found["Warning"].startswith("The file does not say how many inputs the network takes")


def test_the_users_random_numbers_stay_as_they_were() -> None:
    state = torch.get_rng_state()
    findings(SAMPLE / "breast_cancer_relu.pt")
    assert torch.equal(torch.get_rng_state(), state)


def test_a_file_that_is_no_model_is_one_message(tmp_path: Path) -> None:
    file = tmp_path / "model.pt"
    file.write_text("not a model")
    done = ask(file)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: {file}: ")
    assert done.stderr.count("\n") == 1


def test_code_off_the_allow_list_needs_trust(tmp_path: Path) -> None:
    file = tmp_path / "model.pkl"
    file.write_bytes(pickle.dumps(Launch(tmp_path / "launched")))
    done = ask(file)
    assert done.exit_code == 1
    assert "--trust" in done.stderr
    assert not (tmp_path / "launched").exists()


class Launch:
    """A pickle that writes a file when it is loaded without care."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


# What is looked up


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Networks that look codes up, one of two arguments and one without numbers, and a table."""
    path = tmp_path_factory.mktemp("a b'c")
    torch.manual_seed(0)
    for name, module in {
        "entity": OneMatrix(EntityMlp()),
        "ft": OneMatrix(FtTransformer()),
        "two": EntityMlp(),
        "codes": Codes(),
        "masked": Masked(),
    }.items():
        save_script(module.eval(), path / f"{name}.pt")
    pd.DataFrame(category_rows(100), columns=list(NAMES)).assign(id=range(100)).to_csv(path / "bank.csv", index=False)
    return path


class Codes(nn.Module):
    """Takes integers alone."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.last = nn.Embedding(4, 2), nn.Linear(6, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.table(x).flatten(1))


class Masked(nn.Module):
    """Looks a code up, masks by it, and makes another one a flag."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.last = nn.Embedding(4, 2), nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        code = x[:, 0].long()
        found = self.table(code).masked_fill((code == 0).unsqueeze(1), 0.5)
        return self.last(torch.cat([found, (x[:, 1:2] > 0.5).to(x.dtype), x[:, 2:]], 1)).tanh()


def told(name: str, *arguments: object) -> list[str]:
    done = ask(*arguments)
    assert done.exit_code == 0, done.stderr
    return [line[22:].strip() for line in done.stdout.splitlines() if line.startswith(f"{name:22}")]


TABLES = ("4 values from a table of 7 codes", "2 values from a table of 3 codes", "6 values from a table of 12 codes")


def test_what_is_looked_up_is_told_without_data(coded: Path) -> None:
    found = findings(coded / "entity.pt")
    assert told("Looked up", coded / "entity.pt")[:3] == [f"{i}: {words}" for i, words in enumerate(TABLES)]
    assert found["Inputs"] == "7"
    assert found["Outputs"] == "2"
    assert found["Baseline"].startswith("ig and ih: mode, the most frequent codes and the mean of numbers; eg and eh: ")
    assert found["Derivative engine"].startswith("mlp: ")
    assert "Warning" not in found


def test_what_is_looked_up_is_told_by_the_columns_of_data(coded: Path) -> None:
    with_data = (coded / "entity.pt", coded / "bank.csv", "--key", "id")
    assert told("Looked up", *with_data)[:3] == [
        f"{name}: {words}" for name, words in zip(NAMES[:3], TABLES, strict=True)
    ]
    assert told("Inputs", *with_data) == ["7"]
    assert told("Warning", *with_data) == []


def test_one_table_of_several_columns_is_told_so(coded: Path) -> None:
    assert told("Looked up", coded / "ft.pt") == [
        f"{i}: 8 values from a table of 27 codes of several columns" for i in range(4)
    ]


def test_a_network_of_integers_alone_is_tried_with_integers(coded: Path) -> None:
    assert told("Called with", coded / "codes.pt") == ["integers, 3: 0, 1, 2"]
    assert told("Looked up", coded / "codes.pt") == [
        f"{i}: 2 values from a table of 4 codes of several columns" for i in range(3)
    ]
    assert told("Outputs", coded / "codes.pt") == ["1"]


def test_flags_and_what_is_held_are_told(coded: Path) -> None:
    assert told("Looked up", coded / "masked.pt") == [
        "0: 2 values from a table of 4 codes, read in another way as well, and held at each row's own code",
        "1: 1 value read as whole numbers or flags",
    ]


def test_several_arguments_are_named_and_the_advice_shows_what_each_takes(coded: Path) -> None:
    (without,) = told("Warning", coded / "two.pt")
    (warning,) = told("Warning", coded / "two.pt", coded / "bank.csv", "--key", "id")
    assert "takes 2 arguments, codes and numbers." in without
    advice = warning.partition(" Try ")[2].rstrip(".").replace(" and --inputs", " --inputs")

    followed = (coded / "two.pt", coded / "bank.csv", "--key", "id", *shlex.split(advice))

    assert told("Argument", *followed) == [
        "codes: integers, 4: job, marital, month, education",
        "numbers: numbers, 3: age, balance, days",
    ]
    assert told("Looked up", *followed)[0] == f"job: {TABLES[0]}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["entity.pt", "--key", "id"], "--key: is about the columns of DATA. Try ihcli inspect "),
        (["entity.pt", "bank.csv"], "bank.csv: has 8 features"),
        (["entity.pt", "absent.csv"], "absent.csv: "),
    ],
)
def test_wrong_uses_of_data_are_one_message(
    coded: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(coded)
    done = ask(*arguments)
    assert done.exit_code in (1, 2)
    assert message in done.stderr
