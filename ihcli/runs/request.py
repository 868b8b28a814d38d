"""What a run can be asked, as run.json keeps it; no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated

import numpy as np

from ihcli.data.categories import read_categories
from ihcli.data.sampling import AUTO, BASELINE_ROWS, SAMPLING_TOLERANCE, BaselineRows, Sampling
from ihcli.data.sequences import ANY, SequenceForm
from ihcli.explanation.betas import BetaScan, is_scan
from ihcli.files.code import Code
from ihcli.files.locations import Location, locate
from ihcli.methods import DEFAULT, Method, method_named
from ihcli.runs.kinds import Count, Kind, Positive, kind_of
from ihcli.runs.storage import InteractionStorage
from ihcli.runs.told import Told, left_out
from ihcli.scales import MODEL, scale_named
from ihcli.vocabulary import Vocabulary

UNNAMED_BEFORE = ("0",)
COUNT = kind_of(Count)
CountOrAuto = Annotated[
    BaselineRows, Kind(f"{COUNT.words}, or {AUTO!r}", lambda value: value == AUTO or COUNT.fits(value))
]


@dataclass(frozen=True)
class RunRequest(Told):
    """Everything `ihcli explain` can be asked; the names are those of its options.

    `features` is a list of column names, `output_names` one of outputs, `inputs` one of columns for each argument of
    the model's forward, `layer` are layers explained in the place of columns, `layer_names` is the path of a list,
    `groups` and `categories` are paths of TOML files, `memory_bytes` and `tolerance` None for the default, `text` and
    `text_pair` are the columns of texts, for a model that reads them, `sequence` the steps and channels of a row, for
    one that takes sequences, `units` what is explained of either; `code_args` is JSON.
    """

    model: str
    data: str
    method: str = DEFAULT
    baseline: str | None = None
    target: str | None = None
    output_names: tuple[str, ...] | None = left_out(None)
    scale: str = left_out(MODEL)
    tolerance: float | None = None
    smooth: str = "auto"
    device: str = "auto"
    memory_bytes: Positive | None = None
    key: tuple[str, ...] = ()
    label: str | None = None
    exclude: tuple[str, ...] = ()
    features: tuple[str, ...] | None = None
    inputs: Mapping[str, tuple[str, ...]] | None = left_out(None)
    layer: tuple[str, ...] = left_out(())
    layer_names: str | None = left_out(None)
    groups: str | None = None
    groups_by: str | None = None
    categories: str | None = left_out(None)
    missing: str = "error"
    limit: Positive | None = None
    baseline_rows: CountOrAuto = BASELINE_ROWS
    sampling_tolerance: float = left_out(SAMPLING_TOLERANCE)
    seed: Count = 0
    max_evaluations: Positive | None = None
    steps: Positive | None = None
    smooth_tolerance: float = 0.01
    smooth_stable: float | None = left_out(None)
    interactions: str = "full"
    dtype: str | None = None
    chunk_rows: Positive | None = None
    engine_derivatives: str = "auto"
    trust: bool = False
    text: str | None = None
    text_pair: str | None = None
    units: str | None = None
    sequence: str | None = left_out(None)
    channels_first: bool = left_out(False)
    code: str | None = left_out(None)
    code_args: str | None = left_out(None)
    code_weights: str | None = left_out(None)

    def of_run(self, outputs: tuple[str, ...]) -> "RunRequest":
        """Return this for a run with such outputs: versions before called the one output of a model 0."""
        return replace(self, output_names=outputs) if outputs == UNNAMED_BEFORE else self


@dataclass(frozen=True)
class ParsedRequest:
    """What a request asks for, its text read once, for all who carry it out.

    text     as it was asked, and as run.json keeps it
    method   a row of the table
    storage  what is stored of the interactions of a row
    sampling  how many baselines were settled before, by this run or by another shard of it; None: not yet, or told
    thins     whether baselines are thinned, see `ihcli.data.thinning`: not by a run of before that goes on
    scan     betas that were tried before, by either; None: they are tried where the text asks for it
    start    with how many nodes paths begin, by a run that goes on; None: it is found out
    known    what the codes of categories stood for before; None: what the text says
    random_weights  seed with which the model's weights are drawn anew; None: the model as it is
    chosen   see `ihcli.models.targets.Target`
    """

    text: RunRequest
    method: Method
    storage: InteractionStorage
    sampling: Sampling | None = None
    thins: bool = True
    scan: BetaScan | None = None
    start: int | None = None
    known: Vocabulary | None = None
    random_weights: int | None = None
    chosen: np.ndarray | None = field(default=None, compare=False)

    @classmethod
    def of(cls, text: RunRequest) -> "ParsedRequest":
        """Read a request; raises OptionError."""
        scale_named(text.scale)
        return cls(text, method_named(text.method), InteractionStorage.parse(text.interactions))

    @property
    def scans(self) -> bool:
        """Whether betas are tried; raises OptionError where that cannot be."""
        return is_scan(self.method, self.text.smooth, self.text.smooth_stable)

    @cached_property
    def model(self) -> Location:
        """Where the model is; raises OptionError for a place that nobody can open."""
        return locate(self.text.model)

    @cached_property
    def code(self) -> Code | None:
        """What makes the network of a model that holds weights alone; raises OptionError where it is not there."""
        text = self.text
        return None if text.code is None else Code.of(text.code, text.code_args, text.code_weights)

    @cached_property
    def sequence(self) -> SequenceForm | None:
        """Steps and channels of a row, where it is a sequence in columns of numbers."""
        return None if self.text.sequence in (None, ANY) else SequenceForm.of(self.text.sequence)

    @property
    def has_lists(self) -> bool:
        """Whether rows are sequences of any length, in columns of lists."""
        return self.text.sequence == ANY

    @cached_property
    def groups(self) -> Location | None:
        """Where the groups are."""
        return None if self.text.groups is None else locate(self.text.groups)

    @cached_property
    def vocabulary(self) -> Vocabulary | None:
        """What the codes of categories stand for, as far as somebody said; raises OptionError."""
        if self.known is not None or self.text.categories is None:
            return self.known
        return read_categories(self.text.categories)

    def in_chunks(self, chunk_rows: int, memory_bytes: int) -> "ParsedRequest":
        """Return the same in chunks of so many rows, with so much memory."""
        return replace(self, text=replace(self.text, chunk_rows=chunk_rows, memory_bytes=memory_bytes))


@dataclass(frozen=True)
class Workforce:
    """Who explains; the result is the same up to rounding.

    executor  "local" or "ray"
    workers   processes that explain, at once; None: one for each GPU, else this process (local) or one for each core
    ray_address      of a running cluster, "auto" or HOST:PORT; None: RAY_ADDRESS, else Ray is started here
    gpus_per_worker  share of a GPU that each worker has under Ray; None: one where the cluster has any
    """

    executor: str = "local"
    workers: int | None = None
    ray_address: str | None = None
    gpus_per_worker: float | None = None
