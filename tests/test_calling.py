"""Calls of a model's own code: one error for whatever is raised, torch's switches put back, prints of files nowhere."""

import pickle
import threading
import warnings
from collections.abc import Callable
from typing import Any

import model_files
import pytest
import torch
from torch import Tensor, nn

from ihcli.derivatives.calling import calling, gradient, guarded, own_sentence
from ihcli.errors import ModelCallError
from ihcli.memory import is_out_of_memory


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("cannot say")


class Rude(BaseException):
    pass


RAISED: dict[str, tuple[BaseException, str]] = {
    "a sentence": (ValueError("takes 18 features."), "takes 18 features"),
    "the first of several lines": (RuntimeError("\n  no such thing\nand more"), "no such thing"),
    "nothing": (RuntimeError(), "RuntimeError"),
    "a word": (AssertionError("18"), "AssertionError: 18"),
    "a key": (KeyError("age"), "KeyError: 'age'"),
    "an exit": (SystemExit(0), "SystemExit: 0"),
    "no exception at all": (Rude("so there it is"), "so there it is"),
    "an iterator's end": (StopIteration("the end is here"), "the end is here"),
    "codes of a terminal": (ValueError("all \x1b[31m is \u202e well"), r"all \x1b[31m is \u202e well"),
    "what cannot be said": (MuteError(), "MuteError"),
}


def scripted(source: str) -> torch.jit.CompilationUnit:
    return model_files.quietly(torch.jit.CompilationUnit, f"def forward(x: Tensor) -> Tensor:\n{source}    return x\n")


SCRIPTED: dict[str, tuple[str, str]] = {
    "assert": ("    assert x.shape[1] == 18, 'takes 18 features'\n", "takes 18 features"),
    "bare assert": ("    assert x.shape[1] == 18\n", "AssertionError"),
    "raise": ("    raise ValueError('takes 18: no more.')\n", "takes 18: no more"),
    "several lines": ("    raise RuntimeError('one line\\nAnother: line')\n", "one line"),
    "operation": ("    x = x @ torch.zeros(5, 2)\n", "mat1 and mat2 shapes cannot be multiplied (2x3 and 5x2)"),
    "terminal codes": ("    raise ValueError('an \\033[2J escape')\n", r"an \x1b[2J escape"),
}


@pytest.mark.parametrize("kind", RAISED)
def test_whatever_is_raised_is_one_error_with_its_own_sentence(kind: str) -> None:
    raised, sentence = RAISED[kind]
    with pytest.raises(ModelCallError) as caught, guarded("model.pt"):
        raise raised
    assert caught.value.reason == sentence
    assert str(caught.value).startswith(f"model.pt: fails where it is called: {sentence}. Expected ")
    assert str(caught.value).isprintable()
    assert caught.value.__cause__ is raised


@pytest.mark.parametrize("kind", SCRIPTED)
def test_of_a_script_the_sentence_is_what_it_raised(kind: str) -> None:
    source, sentence = SCRIPTED[kind]
    with pytest.raises(ModelCallError) as caught, calling("model.pt"):
        scripted(source).forward(torch.zeros(2, 3))
    assert caught.value.reason == sentence


def test_a_sentence_that_goes_on_and_on_is_cut() -> None:
    for error in (ValueError("so " * 10_000_000), ValueError("so it goes\n" * 1_000_000)):
        assert len(own_sentence(error)) <= 303


def test_ctrl_c_and_an_end_of_memory_pass_as_they_are() -> None:
    with pytest.raises(KeyboardInterrupt), guarded("model"):
        raise KeyboardInterrupt
    with pytest.raises(MemoryError), guarded("model"):
        raise MemoryError
    for source in ("    x = torch.zeros([1 << 46])\n", "    raise ValueError('CUDA out of memory. Tried to')\n"):
        with pytest.raises((RuntimeError, torch.jit.Error)) as caught, calling("model"):
            scripted(source).forward(torch.zeros(2, 3))
        assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(ValueError("DefaultCPUAllocator"))


def test_the_error_comes_whole_out_of_another_process() -> None:
    error = pickle.loads(pickle.dumps(ModelCallError("model: fails.", "its reason")))
    assert (str(error), error.reason) == ("model: fails.", "its reason")


def test_a_gradient_that_fails_is_the_same_error() -> None:
    class Fails(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, inputs: Tensor) -> Tensor:
            return inputs * 1

        @staticmethod
        def backward(context: Any, given: Tensor) -> Tensor:
            raise LookupError("no way back")

    x = torch.ones(2, requires_grad=True)
    with pytest.raises(ModelCallError) as caught:
        gradient(Fails.apply(x).sum(), x)
    assert caught.value.reason == "no way back"


def switches() -> tuple[bool, ...]:
    cuda = torch.backends.cuda
    return (
        cuda.math_sdp_enabled(),
        cuda.flash_sdp_enabled(),
        cuda.mem_efficient_sdp_enabled(),
        cuda.cudnn_sdp_enabled(),
        torch.backends.mha.get_fastpath_enabled(),
        torch.backends.cudnn.enabled,
        torch._C._get_graph_executor_optimize(),
    )


INSIDE = (True, False, False, False, False)


def test_switches_are_turned_inside_and_put_back_however_it_ends() -> None:
    before = switches()
    with calling("model"):
        assert switches() == (*INSIDE, True, False)
        with calling("model", is_recurrent=True):
            assert switches() == (*INSIDE, False, False)
        assert switches() == (*INSIDE, True, False)
    assert switches() == before
    with pytest.raises(ModelCallError), calling("model", is_recurrent=True):
        raise ValueError
    assert switches() == before


def test_switches_that_the_caller_turned_come_back_as_he_had_them() -> None:
    torch.backends.cuda.enable_flash_sdp(False)
    torch.backends.mha.set_fastpath_enabled(False)
    before = switches()
    try:
        with calling("model"):
            pass
        assert switches() == before
    finally:
        torch.backends.cuda.enable_flash_sdp(True)
        torch.backends.mha.set_fastpath_enabled(True)


def test_switches_stay_turned_until_the_last_of_several_threads_is_out() -> None:
    before, entered, leave = switches(), threading.Event(), threading.Event()

    def stay() -> None:
        with calling("model", quietly=True, is_recurrent=True):
            entered.set()
            leave.wait(60)

    thread = threading.Thread(target=stay)
    with calling("model", quietly=True, is_recurrent=True):
        thread.start()
        assert entered.wait(60)
    assert switches()[:6] == (*INSIDE, False)
    leave.set()
    thread.join()
    assert switches() == before


def printing() -> Callable[[Tensor], Tensor]:
    class Prints(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            print("all 30 checks passed", x.shape)
            warnings.warn("\x1b[2J", stacklevel=1)
            return x

    return model_files.quietly(torch.jit.script, Prints())


def test_prints_and_warnings_go_nowhere_where_quiet_is_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    script = printing()
    with calling("model", quietly=True):
        script(torch.zeros(2, 3))
        print("of Python too")
    print("afterwards")
    assert capfd.readouterr() == ("afterwards\n", "")
    with calling("model"), pytest.warns(UserWarning, match="2J"):
        script(torch.zeros(2, 3))
    assert capfd.readouterr().out.startswith("all 30 checks passed")
