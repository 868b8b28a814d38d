"""Readers of tables and of texts keep the contract, and the protocol says what is wrong with a reader."""

import checkpoints
import numpy as np
import pytest
import torch
from problems import network, normal
from reader_contract import Case, ReaderContract
from torch import nn

from ihcli.data.drawing import Baselines
from ihcli.data.groups import Groups
from ihcli.models import load_model, wrap_module
from ihcli.readers import Encoded, EncodedRecord
from ihcli.readers.tables import TableReader
from ihcli.readers.texts import TextReader

FEATURES = ("a", "b", "c", "d")
GROUPS = {"both": ("d", "b")}


def table(method: str, n_baselines: int, groups: dict[str, tuple[str, ...]] | None) -> Case:
    rows = normal(9, 4, seed=1).numpy()
    rows[2, 1], rows[6, 3] = np.nan, np.inf
    base = normal(n_baselines, 4, seed=2).numpy()
    reader = TableReader(Groups.of(FEATURES, groups), Baselines(base, 3 * n_baselines - 2, "made up"))
    model = wrap_module(network([4, 8, 2], nn.Tanh, seed=3).double().eval())
    return Case(model, reader, rows, (2, 6), method)


class TestTableReader(ReaderContract):
    @pytest.fixture(scope="class")
    @classmethod
    def case(cls) -> Case:
        return table("ih", 1, None)


class TestTableReaderOfGroupsAndManyBaselines(ReaderContract):
    @pytest.fixture(scope="class")
    @classmethod
    def case(cls) -> Case:
        return table("eh", 3, GROUPS)


def texts(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str | None, ...]], reader: TextReader) -> Case:
    model = load_model(checkpoints.save(tmp_path_factory.mktemp("bert")), dtype=torch.float64)
    records = np.empty((len(rows), len(rows[0])), dtype=object)
    records[:] = rows
    missing = [i for i, row in enumerate(rows) if not all(text and text.strip() for text in row)]
    return Case(model, reader, records, tuple(missing))


class TestTextReader(ReaderContract):
    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, tmp_path_factory: pytest.TempPathFactory) -> Case:
        rows = [("not bad",), (None,), ("an unbelievably bad movie",), ("good film",), (" ",), ("a dull story; bad",)]
        return texts(tmp_path_factory, rows, TextReader())


class TestTextReaderOfPairsByTokens(ReaderContract):
    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, tmp_path_factory: pytest.TempPathFactory) -> Case:
        rows = [("not bad", "a good film"), ("good", None), ("bad", "film"), ("", "dull"), ("good", "movie")]
        return texts(tmp_path_factory, rows, TextReader("token", "pad"))


def test_a_reader_of_texts_belongs_to_a_model() -> None:
    with pytest.raises(ValueError, match="a reader of texts before it is put on a model"):
        TextReader().encode(np.array([["good"]], dtype=object))


def test_records_of_one_shape_are_found_among_entries_too() -> None:
    records = [EncodedRecord(np.zeros(d), tuple("abc"[:d]), np.arange(d)) for d in (2, 3, 2)]
    encoded = Encoded.of([*records, None])
    assert encoded.shapes == ((2,), (3,))
    assert encoded.present.tolist() == [True, True, True, False]
    assert [(shape, places.tolist()) for shape, places in encoded.alike()] == [((2,), [0, 2]), ((3,), [1])]
    entries = np.array([3, 1, 1, 0])
    assert [(shape, places.tolist()) for shape, places in encoded.alike(entries)] == [((2,), [3]), ((3,), [1, 2])]
    assert Encoded.of([None, None]).shapes == ()


@pytest.mark.parametrize(
    ("owner", "words"),
    [
        ([0, 1], r"owners of shape \(2,\), where the record has 4 inputs"),
        ([0, 1, 2, 2], "owners 0 to 2, where the record has 2"),
        ([-1, 0, 1, 1], "owners -1 to 1, where the record has 2"),
    ],
)
def test_an_input_without_a_unit_is_noticed_at_once(owner: list[int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        EncodedRecord(np.zeros((2, 2)), ("a", "b"), np.array(owner))
