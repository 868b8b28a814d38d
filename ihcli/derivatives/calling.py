"""Calls of a model's own code: how torch computes meanwhile, and one error for whatever the model raises."""

import io
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from typing import Any

import torch
from torch import Tensor

from ihcli.errors import ModelCallError
from ihcli.memory import is_out_of_memory
from ihcli.wording import printable

_IN_A_SCRIPT = "in the TorchScript interpreter"
_HERE = "<--- HERE"
_RAISED = re.compile(r"[\w.]+(: |:?$)")  # not indented, as the lines of code are
_KIND = re.compile(r"(?:[\w.]+\.)?(\w*(?:Error|Exception)|(?<=\.)\w+):?(?: (.*))?$")
_MOST_TEXT = 20_000
"""Letters of an error that are looked at, from its beginning and from its end."""


@contextmanager
def calling(subject: str, *, quietly: bool = False, is_recurrent: bool = False) -> Iterator[None]:
    """Call a model inside of this: what torch has no derivatives for stays off, and what the model raises is told.

    quietly       whether prints and warnings go nowhere, as befits a file that a stranger wrote
    is_recurrent  whether there are recurrent layers, whose kernels of cuDNN have no second derivative, and none at all
                  in eval mode; convolutions are slower without cuDNN, and keep it

    All is as before on the way out, also with several threads inside. Raises what `guarded` raises.
    Cost: some 10 microseconds.
    """
    silent: AbstractContextManager[None] = SILENCE if quietly else nullcontext()
    plain: AbstractContextManager[None] = _WITHOUT_CUDNN if is_recurrent else nullcontext()
    # A profiled TorchScript graph can give wrong second derivatives, silently.
    with _DIFFERENTIABLE, plain, silent, torch.jit.optimized_execution(False), guarded(subject):  # type: ignore[attr-defined]
        yield


@contextmanager
def guarded(subject: str) -> Iterator[None]:
    """Turn whatever is raised inside into a ModelCallError, but for Ctrl-C and for memory that ran out.

    A model is somebody's code: it may raise anything, torch.jit.Error, which is no RuntimeError, and SystemExit too.
    """
    try:
        yield
    except (KeyboardInterrupt, GeneratorExit, ModelCallError):
        raise
    except BaseException as error:
        if is_out_of_memory(error):
            raise
        reason = own_sentence(error)
        raise ModelCallError(
            f"{subject}: fails where it is called: {reason}. Expected outputs for rows of the data, and for points on "
            "the way to them from baselines. Try taking checks of the inputs' values out of the model.",
            reason,
        ) from error


def gradient(
    of: Tensor,
    at: Tensor,
    directions: Tensor | None = None,
    *,
    create_graph: bool = False,
    retain_graph: bool | None = None,
    subject: str = "model",
) -> Tensor | None:
    """Return what torch.autograd.grad does, None where nothing depends on `at`; raises what `guarded` raises.

    directions  (k, *of.shape): k products in one backward pass; None: `of` is a scalar. To compare shapes of directions
                torch imports what it knows of symbolic ones, and with it sympy, which takes a third of a second once.
    """
    with guarded(subject):
        return torch.autograd.grad(
            of,
            at,
            directions,
            create_graph=create_graph,
            retain_graph=retain_graph,
            allow_unused=True,
            is_grads_batched=directions is not None,
        )[0]


def begin_taking_directions() -> None:
    """Import what torch does at the first call of `gradient` with directions, so that no clock takes it for a model's.

    On a busy machine half a second of work becomes many: of every row of a table that is hours.
    """
    at = torch.ones(1, requires_grad=True)
    gradient(at * at, at, torch.ones(1, 1))


def own_sentence(error: BaseException) -> str:
    """Return what an error says in one line, without its full stop: of a TorchScript traceback what was raised.

    The kind of error stands before it where it says a word only, or in its place where it says nothing.
    """
    text = _text(error)
    lines = [line for line in text.splitlines() if line.strip()] or [""]
    line, kind = lines[0], type(error).__name__
    if _IN_A_SCRIPT in text:
        here = max((i for i, line in enumerate(lines) if line.endswith(_HERE)), default=0)
        line = next((line for line in lines[here + 1 :] if _RAISED.match(line)), lines[-1])
    while named := _KIND.match(line):
        kind, line = named[1], named[2] or ""
    sentence = printable(line.strip().rstrip("."))
    if " " in sentence:
        return sentence
    return f"{kind}: {sentence}" if sentence else kind


def _text(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:
        return ""  # a class of the model's own may be unable to say anything
    return text if len(text) <= 2 * _MOST_TEXT else f"{text[:_MOST_TEXT]}\n{text[-_MOST_TEXT:]}"


class _Shared:
    """A context that changes the whole process: the first thread inside enters it, the last one leaves it."""

    def __init__(self, make: Callable[[], AbstractContextManager[None]]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._inside = 0
        self._context: AbstractContextManager[None] = nullcontext()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._context = self._make()
                self._context.__enter__()
            self._inside += 1

    def __exit__(self, *raised: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._context.__exit__(None, None, None)


@contextmanager
def _differentiable_kernels() -> Iterator[None]:
    """Let attention be computed by plain operations: the fused kernels have no second derivative, the fast path none.

    Switched one by one, which takes a tenth of the time of torch.nn.attention.sdpa_kernel.
    """
    cuda, mha = torch.backends.cuda, torch.backends.mha
    flash, efficient, plain = cuda.flash_sdp_enabled(), cuda.mem_efficient_sdp_enabled(), cuda.math_sdp_enabled()
    cudnn, fast = cuda.cudnn_sdp_enabled(), mha.get_fastpath_enabled()
    try:
        cuda.enable_math_sdp(True)
        cuda.enable_flash_sdp(False)
        cuda.enable_mem_efficient_sdp(False)
        cuda.enable_cudnn_sdp(False)
        mha.set_fastpath_enabled(False)
        yield
    finally:
        cuda.enable_math_sdp(plain)
        cuda.enable_flash_sdp(flash)
        cuda.enable_mem_efficient_sdp(efficient)
        cuda.enable_cudnn_sdp(cudnn)
        mha.set_fastpath_enabled(fast)


@contextmanager
def _cudnn_off() -> Iterator[None]:
    with torch.backends.cudnn.flags(enabled=False):
        yield


@contextmanager
def _onednn_off() -> Iterator[None]:
    before = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(False)  # as torch.backends.mkldnn.flags, which warns of other switches
    try:
        yield
    finally:
        torch._C._set_mkldnn_enabled(before)


@contextmanager
def _loops_off() -> Iterator[None]:
    vmap: Any = torch._C._functorch
    before = vmap._is_vmap_fallback_enabled()
    vmap._set_vmap_fallback_enabled(False)
    try:
        yield
    finally:
        vmap._set_vmap_fallback_enabled(before)


@contextmanager
def _silence() -> Iterator[None]:
    # TorchScript prints by way of sys.stdout, and warns by way of this module.
    with warnings.catch_warnings(), redirect_stdout(_Nowhere()):
        warnings.simplefilter("ignore")
        yield


class _Nowhere(io.TextIOBase):
    def write(self, text: str) -> int:
        return len(text)


_DIFFERENTIABLE = _Shared(_differentiable_kernels)
_WITHOUT_CUDNN = _Shared(_cudnn_off)
WITHOUT_ONEDNN = _Shared(_onednn_off)
"""Where widths are tried: its recurrent layers take any width in float32, and read beyond the weights."""
WITHOUT_LOOPS = _Shared(_loops_off)
"""Where programs are tried: torch.vmap does what it has no rule for once for each point, and warns of it."""
SILENCE = _Shared(_silence)
"""Inside of it, what is printed to standard output and warned of goes nowhere."""
