"""A corpus of hostile TorchScript files: none runs anything, none reads past a tensor, each is one message."""

import json
import subprocess
import zipfile
from pathlib import Path

import fuzzing
import model_files
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from prepared import python
from refusing import assert_is_one_message, assert_refused_within_bounds
from test_hostile_models import Build, saving_by

from ihcli.cli import main
from ihcli.errors import ModelError, UnsafeModelError
from ihcli.models import load_model
from ihcli.models.formats import torchscript
from ihcli.models.scripts import operators

FUNCTION = "def made(d: int) -> Tensor:\n  return torch.zeros([3], dtype=d)\n"
CODE = """class Model(Module):
  __parameters__ = ["w", ]
  __buffers__ = []
  w : Tensor
  n : int
  training : bool
  def forward(self: __torch__.Model,
    x: Tensor) -> Tensor:
    w = self.w
    return torch.mul(x, w)
"""
INSIDE = "    w = self.w\n"
MUTATIONS = 150


def text(word: str) -> bytes:
    return model_files.text(word)


def tensor(key: str = "0", numel: bytes = b"K\x03", size: bytes = b"K\x03\x85", stride: bytes = b"K\x01\x85") -> bytes:
    """The instructions for a tensor of float32."""
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu") + numel + b"tQ"
    hooks = b"ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00" + size + stride + b"\x88" + hooks + b"tR"


def data(w: bytes | None = None, n: bytes = b"K\x07") -> bytes:
    attributes = text("w") + (w or tensor()) + text("n") + n + text("training") + b"\x89"
    return b"\x80\x02c__torch__\nModel\n)\x81}(" + attributes + b"ub."


def write(path: Path, code: str = CODE, pickled: bytes = b"", **others: bytes) -> Path:
    """Write an archive as torch would, of this code and data; other records replace or add."""
    records = {
        "data.pkl": pickled or data(),
        "code/__torch__.py": code.encode(),
        "data/0": torch.ones(3).numpy().tobytes(),
        "constants.pkl": b"\x80\x02).",
        "version": b"3\n",
        **others,
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in records.items():
            archive.writestr(f"model/{name}", content)
    return path


def coded(*lines: str, old: str = INSIDE) -> Build:
    """A model with other code in place of the line that reads its weights, which comes before."""
    new = (INSIDE if old == INSIDE else "") + "".join(f"{line}\n" for line in lines)

    def build(path: Path, marker: Path) -> None:
        assert old in CODE
        write(path, FUNCTION + CODE.replace(old, new.replace("MARKER", str(marker)), 1))

    return build


def calling(namespace: str, call: str) -> Build:
    return coded(f'    w = getattr(ops, "{namespace}").{call}')


def holding(w: bytes | None = None, n: bytes = b"K\x07") -> Build:
    return lambda path, marker: write(path, pickled=data(w, n)) and None


def renamed(old: str, new: str, build: Build | None = None) -> Build:
    """An archive whose records are called otherwise."""

    def rebuild(path: Path, marker: Path) -> None:
        (build or saving_by(b"torch.save"))(path, marker)
        with zipfile.ZipFile(path) as archive:
            records = {name: archive.read(name) for name in archive.namelist()}
        changed = {name.replace(old, new): content for name, content in records.items()}
        assert changed.keys() != records.keys()
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in changed.items():
                archive.writestr(name, content)

    return rebuild


def added(name: str, content: str = CODE) -> Build:
    def build(path: Path, marker: Path) -> None:
        write(path)
        with zipfile.ZipFile(path, "a") as archive:
            model_files.quietly(archive.writestr, name, content)

    return build


def native(path: Path, marker: Path) -> None:
    """Data that name a C++ class."""
    write(path, pickled=b"\x80\x02c__torch__.torch.classes.dist\nStore\n)\x81}b.")


def two_directories(path: Path, marker: Path) -> None:
    """Two archives in one file, the evil one first."""
    saving_by(b"torch.save")(path, marker)
    evil = path.read_bytes()
    write(path)
    path.write_bytes(evil + path.read_bytes())


def another_header(path: Path, marker: Path) -> None:
    """A record whose own header has another name than the directory."""
    write(path)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"model/code/__torch__.py", b"model/core/__torch__.py", 1))


def read_often(path: Path, marker: Path) -> None:
    """A storage of 4 MB that a list asks for 200 times."""
    tensors = b"](" + 200 * tensor("1", b"J\x00\x00\x10\x00") + b"e"
    code = CODE.replace("  n : int", "  n : List[Tensor]")
    write(path, code, data(n=tensors), **{"data/1": bytes(4 << 20)})


def of_another_class(path: Path, marker: Path) -> None:
    """An object where another is declared, which has its attributes at other places."""
    large = "class Large(Module):\n" + "".join(f"  a{i} : int\n" for i in range(50))
    code = CODE.replace("  n : int", "  n : __torch__.Large").replace(INSIDE, INSIDE + "    n = self.n.a49\n") + large
    write(
        path, code + "class Small(Module):\n  a : int\n", data(n=b"c__torch__\nSmall\n)\x81}" + text("a") + b"K\x01sb")
    )


def small_weights(path: Path, marker: Path) -> None:
    """An LSTM whose state says 4096 units, and whose weights hold three numbers."""
    coded(
        "    h = torch.zeros([1, 3, 4096])",
        "    z = torch.ones([4, 4])",
        "    y = torch.lstm(torch.ones([1, 3, 4]), [h, h], [z, z, z[0], z[0]], True, 1, 0., False, False, False)",
    )(path, marker)


def extra(content: bytes, name: str = "feature_names") -> Build:
    return lambda path, marker: write(path, **{f"extra/{name}.json": content}) and None


def deep(value: str, times: int, end: str = "") -> bytes:
    return (value * times + end * times).encode()


SAVE = 'torch.save(torch.zeros([1]), "MARKER")'
NAMES: dict[str, tuple[Build, str]] = {
    "code in upper case": (renamed("/code/", "/CODE/"), "otherwise than torch writes names"),
    "code in mixed case": (renamed("/code/", "/Code/"), "otherwise than torch writes names"),
    "code of an upper case ending": (renamed(".py", ".PY"), "otherwise than torch writes names"),
    "code of no ending": (added("model/code/__torch__.txt"), "otherwise than torch writes names"),
    "data in upper case": (renamed("data.pkl", "DATA.PKL", native), "otherwise than torch writes names"),
    "constants in upper case": (renamed("constants.pkl", "Constants.pkl"), "otherwise than torch writes names"),
    "version in upper case": (added("model/VERSION", "1"), "otherwise than torch writes names"),
    "code twice, in two cases": (added("model/code/__TORCH__.py"), "twice, or in upper and lower case"),
    "code twice": (added("model/code/__torch__.py"), "twice, or in upper and lower case"),
    "record of another directory": (added("other/code/__torch__.py"), "cannot be loaded as TorchScript"),
    "absolute record": (added("/model/code/__torch__.py"), "otherwise than torch writes names"),
    "record that climbs": (added("model/code/../code/__torch__.py"), "otherwise than torch writes names"),
    "record of backslashes": (added("model/code\\__torch__.py"), "otherwise than torch writes names"),
    "record of terminal codes": (added("model/extra/\x1b[2J"), r"\x1b[2J"),
    "model of an old torch": (added("model/model.json", "{}"), "was saved by a torch before 1.3"),
    "two directories": (two_directories, "cannot be loaded as TorchScript"),
    "header of another name": (another_header, "cannot be loaded as TorchScript"),
}
OPERATORS: dict[str, tuple[Build, str]] = {
    "memory by getattr": (calling("inductor", "_reinterpret_tensor(w, [5000], [1], 0)"), "uses inductor::"),
    "memory by brackets": (coded("    w = (ops).inductor._reinterpret_tensor(w, [5000], [1], 0)"), "uses inductor::"),
    "memory by a new name": (
        coded("    o = ops", "    w = o.inductor._reinterpret_tensor(w, [9], [1], 0)"),
        "inductor",
    ),
    "memory freed": (coded("    z = ops.inductor.resize_storage_bytes_(w, 0)"), "operators of inductor"),
    "memory by aten": (calling("aten", "_reshape_alias(w, [5000], [1])"), "uses aten::_reshape_alias"),
    "storage replaced": (coded("    w = torch.set_(w, w)"), "uses aten::set_"),
    "storage resized": (coded("    w = torch.resize_(w, [9])"), "uses aten::resize_"),
    "index without bounds": (calling("aten", "_unsafe_index(w, [torch.tensor([9])])"), "uses aten::_unsafe_index"),
    "sparse without checks": (
        calling("aten", "_sparse_coo_tensor_unsafe(torch.zeros([1, 1], dtype=4), w, [1])"),
        "uses aten::_sparse_coo_tensor_unsafe",
    ),
    "backward pass": (calling("aten", "threshold_backward(w, w, 0)"), "uses aten::threshold_backward"),
    "random numbers of others": (coded("    torch.manual_seed(3)"), "uses aten::manual_seed"),
    "profiler": (calling("profiler", '_record_function_enter("a", None)'), "uses profiler::"),
    "tests of torch": (calling("_test", "leaky_relu(w, 0.1)"), "uses _test::"),
    "primitives": (calling("prims", "sin(w)"), "uses prims::sin"),
    "quantized": (calling("aten", "quantize_per_tensor(w, 0.1, 0, 13)"), "uses aten::quantize_per_tensor"),
    "threads": (coded("    def f():", "      return w", "    w = torch.wait(fork(f))"), "uses prim::fork"),
    "counts that torch does not check": (
        coded("    w = torch.repeat_interleave(torch.tensor([5000, -4999]), output_size=1)"),
        "with output_size, which torch does not check",
    ),
    "result into another tensor": (coded("    w = torch.add(w, w, alpha=1, out=w)"), "uses aten::add with out="),
    "cast to another type": (
        coded(
            "    y = unchecked_cast(Any, (1,))",
            "    z = unchecked_cast(Tuple[int, int], y)",
            "    w = torch.mul(w, (z)[1])",
        ),
        "casts a value to a type that it may not have",
    ),
    "file mapped": (coded('    w = getattr(torch, "from_file")("MARKER", True, 1)'), "uses from_file"),
    "save in a method that nothing calls": (
        coded(f"  def f(self: __torch__.Model) -> NoneType:\n    y = {SAVE}\n    return None", old=""),
        "uses save",
    ),
}
WHILE_LOADING: dict[str, tuple[Build, str]] = {
    "default argument": (
        coded(f"    x: Tensor, k: int=len([{SAVE}])) -> Tensor:", old="    x: Tensor) -> Tensor:\n"),
        "save",
    ),
    "default argument that multiplies": (
        coded("    x: Tensor, k: List[int]=[1] * 1000000000) -> Tensor:", old="    x: Tensor) -> Tensor:\n"),
        "computes a default argument of forward",
    ),
    "default argument that reads an object": (
        coded("    x: Tensor, k: int=CONSTANTS.c0.k) -> Tensor:", old="    x: Tensor) -> Tensor:\n"),
        "computes a default argument of forward",
    ),
    "default argument over lines": (
        coded("    x: Tensor, k: int=len\n (\n  [1])) -> Tensor:", old="    x: Tensor) -> Tensor:\n"),
        "computes a default argument of forward",
    ),
    "default argument behind a comment": (
        coded("    x: Tensor, k: int=len # 1)\n ([1])) -> Tensor:", old="    x: Tensor) -> Tensor:\n"),
        "not written as torch writes it",
    ),
    "constant of a class": (
        coded("  k : Final[int] = len([torch.zeros([1])])\n  n : int", old="  n : int\n"),
        "computes a constant of a class",
    ),
    "default of a named tuple": (
        coded("class T(NamedTuple):\n  a : int = len([1])\nclass Model(Module):", old="class Model(Module):\n"),
        "computes a constant of a class",
    ),
    "attribute whose name is code": (
        coded('  __annotations__["a\\"] = int"] = int\n  n : int', old="  n : int\n"),
        "not written as torch writes it",
    ),
    "text of three quotes": (coded('    y = """', '"""'), "not written as torch writes it"),
}
DATA: dict[str, tuple[Build, str]] = {
    "C++ class": (native, "C++ classes"),
    "function of Python": (holding(n=b"cos\nsystem\n(" + text("true") + b"tR"), "asks for os.system"),
    "storage larger than its record": (holding(tensor(numel=b"J\x00\x00\x00\x10")), "a storage of 1073741824 bytes"),
    "storage of a record that is not there": (holding(tensor("7")), "a storage of 12 bytes in a record of 0"),
    "storage read often": (read_often, "more than the file holds"),
    "tensor larger than its storage": (holding(tensor(size=b"M\xff\xff\x85")), "out of bounds for storage"),
    "tensor of negative strides": (holding(tensor(stride=b"J\xff\xff\xff\xff\x85")), "a tensor that is none"),
    "tensor repeated": (
        holding(tensor(size=b"J\x00\x00\x00\x70J\x00\x00\x00\x70\x86", stride=b"K\x00K\x00\x86")),
        "repeats 3 numbers",
    ),
    "object of another class": (of_another_class, "whose n is no __torch__.Large"),
    "number that is a text": (holding(n=text("a")), "whose n is no int"),
    "list in place of a tensor": (holding(b"]"), "whose w is no Tensor"),
    "deep lists": (holding(n=b"]" * 5000 + b"a" * 4999), "nests more than 200 values"),
    "list within itself": (holding(n=b"]q\x00h\x00a"), "a value that holds itself"),
    "table of four thousand million": (holding(n=b"Nr\xff\xff\xff\xff"), "otherwise than torch does"),
    "instruction of Python alone": (holding(n=b"\x8c\x01a"), "uses the instruction SHORT_BINUNICODE"),
    "number of a thousand bits": (holding(n=b"\x8a\x80" + b"\x01" * 128), "more than 64 bits"),
    "no attributes": (
        lambda path, marker: write(path, pickled=b"\x80\x02c__torch__\nModel\n)\x81}b.") and None,
        "other attributes",
    ),
}
CRASHES: dict[str, tuple[Build, str]] = {
    "long sum": (coded("    y = w" + " + w" * 100_000), "more than 2000 operators"),
    "many signs": (coded("    y = " + "-" * 100_000 + "w"), "more than 2000 operators"),
    "many nots": (coded("    y = " + "not " * 100_000 + "True"), "more than 2000 operators"),
    "chain of attributes": (coded("    y = w" + ".T" * 100_000), "more than 2000 operators"),
    "chain of conditions": (
        coded("    if True:\n      pass" + "\n    elif True:\n      pass" * 20_000),
        "not written as torch writes it",
    ),
    "chain of calls": (coded("    y = w" + "[0]" * 100_000), "more than 2000 operators"),
}
EXTRAS: dict[str, tuple[Build, str]] = {
    "names that are no JSON": (extra(b"{"), "extra/feature_names.json: not JSON"),
    "names that are a number": (extra(b"5"), "Expected a list of names"),
    "names that are dictionaries": (extra(b"[{}]"), "Expected a list of names"),
    "names of half a letter": (extra(b'["\\ud800", "b", "c"]'), "not JSON"),
    "names of no text": (extra(b"\xff\xfe"), "not JSON"),
    "names nested deeply": (extra(deep("[", 100_000, "]")), "nested more than 64 deep"),
    "names of ten million letters": (extra(json.dumps(["a" * 10_000_000]).encode()), "more than 4194304 bytes"),
    "zero of 5000 digits": (extra(b"[" + b"9" * 5000 + b"]", "zero"), "not JSON"),
    "zero of 400 digits": (extra(b"[" + b"9" * 400 + b"]", "zero"), "zero.json: cannot be read"),
    "zero of words": (extra(b'["a"]', "zero"), "Expected a list of numbers"),
}
CORPUS = NAMES | OPERATORS | WHILE_LOADING | DATA | CRASHES | EXTRAS
HEAVY = [*CRASHES, "storage larger than its record", "storage read often", "table of four thousand million"]


def test_the_corpus_is_as_large_as_the_documents_say() -> None:
    assert len(CORPUS) == sum(map(len, (NAMES, OPERATORS, WHILE_LOADING, DATA, CRASHES, EXTRAS)))
    words = (Path(__file__).parents[1] / "docs" / "security.md").read_text(encoding="utf-8")
    assert f"{len(CORPUS)} TorchScript files" in words


@pytest.mark.parametrize("name", [name for name in CORPUS if name not in HEAVY])
def test_a_hostile_script_runs_nothing_and_is_one_message(name: str, tmp_path: Path) -> None:
    build, culprit = CORPUS[name]
    path, marker = tmp_path / "model", tmp_path / "marker"
    build(path, marker)
    marker.unlink(missing_ok=True)
    with pytest.raises(ModelError) as caught:
        load_model(path)
    assert not marker.exists()
    assert_is_one_message(str(caught.value), path, culprit)


@pytest.mark.parametrize("name", HEAVY)
def test_a_heavy_script_is_refused_within_bounds_of_memory_and_time(name: str, tmp_path: Path) -> None:
    build, culprit = CORPUS[name]
    path = tmp_path / "model"
    build(path, tmp_path / "marker")
    assert_refused_within_bounds(path, culprit)


ARMED: dict[str, Build] = {
    "code": coded(f"    y = {SAVE}"),
    "default argument": WHILE_LOADING["default argument"][0],
    "constant of a class": coded(f"  k : Final[int] = len([{SAVE}])\n  n : int", old="  n : int\n"),
    "upper case": NAMES["code in upper case"][0],
}


@pytest.mark.parametrize("name", ARMED)
def test_the_traps_are_armed(name: str, tmp_path: Path) -> None:
    path, marker = tmp_path / "model", tmp_path / "marker"
    ARMED[name](path, marker)
    marker.unlink(missing_ok=True)
    with pytest.raises(UnsafeModelError):
        load_model(path)
    assert not marker.exists()
    load_model(path, trust=True).outputs(torch.ones(2, 3))
    assert marker.exists()


@pytest.mark.parametrize("name", [name for name in OPERATORS if "by" in name or name in ("code in upper case",)])
def test_the_second_door_alone_refuses_operators(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchscript, "refused_in", lambda path: iter(()))
    OPERATORS[name][0](tmp_path / "model", tmp_path / "marker")
    with pytest.raises(UnsafeModelError, match="not on the list of what is run"):
        load_model(tmp_path / "model")


def test_nothing_runs_before_the_graphs_were_looked_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, marker = tmp_path / "model", tmp_path / "marker"
    ARMED["code"](path, marker)
    looked, refuse = [], torchscript.refused_operators

    def look(unit: object) -> object:
        looked.append(marker.exists())
        return refuse(unit)

    monkeypatch.setattr(torchscript, "refused_in", lambda path: iter(()))
    monkeypatch.setattr(torchscript, "refused_operators", look)
    with pytest.raises(UnsafeModelError, match=r"\(__torch__.Model.forward\) uses aten::save"):
        load_model(path)
    assert looked == [False]
    assert not marker.exists()


CALLED = """
import sys, torch
from ihcli.models import load_model
try:
    for _ in range(3):
        load_model(sys.argv[1]).outputs(torch.ones(2, 3))
except Exception as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (
            [
                "    h = torch.zeros([1, 3, 4096])",
                "    z = torch.ones([4, 4])",
                "    c = torch.ones([1, 3, 4])",
                "    y, y1, y2, = torch.lstm(c, [h, h], [z, z, z[0], z[0]], True, 1, 0., False, False, False)",
                "    w = torch.mul(w, torch.sum(y))",
            ],
            "an LSTM whose input, state and weights do not fit",
        ),
        (["    w = torch.to(w, torch.sub(self.n, 8))"], "a dtype, layout or memory format that torch does not have"),
        (
            ["    w = torch.mul(w, torch.sum(torch.zeros([3], dtype=torch.add(self.n, 993))))"],
            "a dtype, layout or memory",
        ),
        (["    w = torch.mul(w, torch.sum(torch.zeros([3], dtype=1000)))"], "aten::zeros with 1000 for a dtype"),
        (["    w = torch.mul(w, torch.sum(__torch__.made(1000)))"], "a dtype, layout or memory"),
        (["    w = torch.mul(w, torch.remainder(3, torch.sub(self.n, 7)))"], "the rest of a division by 0"),
    ],
)
def test_what_torch_does_not_check_is_checked(lines: list[str], words: str, tmp_path: Path) -> None:
    coded(*lines)(tmp_path / "model", tmp_path / "marker")
    tried = [python(), "-c", CALLED, tmp_path / "model"]
    done = subprocess.run(tried, capture_output=True, text=True, check=False)
    assert (done.returncode, words in done.stdout + done.stderr) == (0, True), done.stderr


def test_a_file_that_is_changed_while_it_is_read_stays_what_was_looked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, evil, marker = tmp_path / "model", tmp_path / "evil", tmp_path / "marker"
    write(path)
    ARMED["default argument"](evil, marker)
    look = torchscript.refused_in

    def swap(copy: Path) -> object:
        refusals = list(look(copy))
        path.write_bytes(evil.read_bytes())
        return iter(refusals)

    monkeypatch.setattr(torchscript, "refused_in", swap)
    assert load_model(path).outputs(torch.ones(1, 3)).shape == (1, 3)
    assert not marker.exists()


def test_the_list_names_operators_that_there_are() -> None:
    known = {schema.name for schema in torch._C._jit_get_all_schemas()}
    control = {name for name in operators.ALLOWED if name.startswith("prim::")}
    assert {name for name in operators.ALLOWED - control if name not in known and f"{name}_" not in known} == set()
    for word in ("save", "from_file", "set_", "resize_", "_reshape_alias", "manual_seed", "embedding_bag", "wait"):
        assert f"aten::{word}" in known
        assert not operators.is_allowed(f"aten::{word}")
    others = [name for name in known if operators.is_allowed(name) and not name.startswith(("aten::", "prim::"))]
    assert others == []


def test_a_written_archive_is_a_good_model(tmp_path: Path) -> None:
    write(tmp_path / "model")
    assert load_model(tmp_path / "model").outputs(torch.ones(2, 3)).tolist() == [[1.0] * 3] * 2


@pytest.mark.parametrize("name", EXTRAS)
def test_inspect_prints_all_or_nothing(name: str, tmp_path: Path) -> None:
    EXTRAS[name][0](tmp_path / "model", tmp_path / "marker")
    done = CliRunner().invoke(main, ["inspect", str(tmp_path / "model")])
    assert (done.exit_code, done.stdout) == (1, "")
    assert "unexpected" not in done.stderr


def test_a_mutated_script_is_read_or_is_one_message(tmp_path: Path) -> None:
    good = model_files.save_script(model_files.network(), tmp_path / "good")
    with zipfile.ZipFile(good) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    random, victim, failures = np.random.default_rng(0), tmp_path / "victim", []
    for _ in range(MUTATIONS):
        name = str(random.choice([name for name in records if name.endswith((".pkl", ".py", "version"))]))
        with zipfile.ZipFile(victim, "w") as archive:
            for other, content in records.items():
                archive.writestr(other, fuzzing.mutated(content, random) if other == name else content)
        if failure := fuzzing.outcome(load_model, victim):
            failures.append(f"{name}: {failure}")
    assert failures == []
