"""`ihcli inspect`: what the loader sees."""

import pickle
from pathlib import Path

import checkpoints
import pytest
import torch
from click.testing import CliRunner, Result
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
    assert found["Derivative engine"] == "autograd: not in closed form: the model reads texts"
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
