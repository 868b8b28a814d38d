"""Modules with forwards that people do write: sound ones that check or shape their inputs, and odd ones."""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

D = 8


class Base(nn.Module):
    """A network of D inputs, with a weight of another width beside it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(D, 2)
        self.other = nn.Linear(7, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.first(x))


class Asserts(Base):
    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[1] == 8, "8 features"
        return torch.tanh(self.first(x))


class Raises(Base):
    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 2 or x.size(1) != 8:
            raise ValueError("wants 8 features")
        return torch.tanh(self.first(x))


class AssertsBounds(Base):
    def forward(self, x: Tensor) -> Tensor:
        assert bool((x.abs() < 100).all()), "values of the training data only"
        return torch.tanh(self.first(x))


class Positive(Base):
    """Refuses rows of zeros, and so tells nothing of its width while it is read."""

    def forward(self, x: Tensor) -> Tensor:
        assert bool((x.abs().sum(1) > 0).all()), "an empty row"
        return torch.tanh(self.first(x))


class Recurrent(nn.Module):
    """A row as one step."""

    def __init__(self, kind: type[nn.RNNBase] = nn.LSTM) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = kind(D, 4, batch_first=True)
        self.last = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.layer(x.unsqueeze(1))
        return self.last(states[:, -1])


class Steps(nn.Module):
    """A row as steps of two numbers, however many: its first weight tells a divisor of D."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.GRU(2, 4, batch_first=True)
        self.last = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.layer(x.view(len(x), -1, 2))
        return self.last(states[:, -1])


class Viewed(nn.Module):
    """Reshapes with a fixed width: three times as many inputs in a row would make three rows."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.wide, self.right = nn.Linear(24, 24), nn.Linear(D, D)
        self.first = nn.Linear(2, 3)
        self.last = nn.Linear(12, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first(x.view(-1, 4, 2))).flatten(1))


class Reshaped(Viewed):
    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first(x.reshape([-1, 4, 2]))).reshape(-1, 12))


class Flattened(Viewed):
    def forward(self, x: Tensor) -> Tensor:
        steps = self.first(x.flatten(0).unflatten(0, [-1, 4, 2]))
        return self.last(torch.tanh(steps).flatten(1))


class Prints(Base):
    def forward(self, x: Tensor) -> Tensor:
        print("all 30 checks passed\x1b[2J")
        warnings.warn("\x1b[31m", stacklevel=1)
        return torch.tanh(self.first(x))


SOUND: dict[str, tuple[Callable[[], nn.Module], int | None]] = {
    "asserts its width": (Asserts, D),
    "raises for another width": (Raises, D),
    "asserts bounds": (AssertsBounds, D),
    "refuses zeros": (Positive, None),
    "LSTM": (Recurrent, D),
    "GRU": (lambda: Recurrent(nn.GRU), D),
    "RNN": (lambda: Recurrent(nn.RNN), D),
    "steps": (Steps, None),
    "view": (Viewed, D),
    "reshape": (Reshaped, D),
    "flatten": (Flattened, D),
    "prints and warns": (Prints, D),
}
"""Scripted, each takes D inputs; and what is known of D when it is read."""


class Sequences(nn.Module):
    """Takes (N, T, 2)."""

    def __init__(self, kind: type[nn.RNNBase] = nn.LSTM) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = kind(2, 4, batch_first=True)
        self.last = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.layer(x)
        return self.last(states[:, -1])


class Twosome(Base):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return torch.tanh(self.first(x)) * mask


class Pair(Base):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.first(x), x


class Keyed(Base):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"logits": self.first(x)}


class Nothing(Base):
    def forward(self, x: Tensor) -> None:
        return None


class Short(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.first(x)[1:]


class Total(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.first(x).sum()


class Cube(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.first(x).unsqueeze(2)


class Undefined(Base):
    def forward(self, x: Tensor) -> Tensor:
        return torch.sqrt(-1 - self.first(x).abs())


class Complex(Base):
    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.fft(self.first(x))


class Halved(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.first(x).to(torch.float16)


class Classes(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.first(x).argmax(1)


class Codes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.codes = nn.Embedding(50, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.codes(x).sum([1, 2])


class HalfInside(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(D, 4).half()
        self.last = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first(x.half()).float()))


class Long(Base):
    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[0] == 0, " ".join(["so it goes on and on"] * 100000)
        return x


class Lines(Base):
    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[0] == 0, "no rows are wanted\nnor any\x1b[2J\x00\u202e"
        return x


class Strict(Base):
    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[1] == 5, "takes the 5 columns of the trial"
        return x


class Detached(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.first(x).detach()


ODD: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "sequences, LSTM": (Sequences, "takes (N, T, 2), sequences of T steps of 2 numbers"),
    "sequences, GRU": (lambda: Sequences(nn.GRU), "takes (N, T, 2), sequences of T steps of 2 numbers"),
    "two arguments": (Twosome, "its forward takes 2 arguments, x and mask. Expected the columns of each"),
    "tuple": (Pair, "returns a tuple. Expected one tensor"),
    "dict": (Keyed, "returns a dict. Expected one tensor"),
    "None": (Nothing, "returns a NoneType. Expected one tensor"),
    "a row less": (Short, "returns shape (5, 2) for 6 rows. Expected (N,), (N, 1) or (N, K)"),
    "one number": (Total, "returns shape () for 6 rows. Expected (N,), (N, 1) or (N, K)"),
    "three axes": (Cube, "returns shape (6, 2, 1) for 6 rows. Expected (N,), (N, 1) or (N, K)"),
    "not a number": (Undefined, "the output of probe row 0 is not finite"),
    "complex": (Complex, "returns complex64 for inputs of float32. Expected the same. Try a module that returns their"),
    "half outputs": (Halved, "returns float16 for inputs of float32. Expected the same. Try taking .half()"),
    "classes": (Classes, "returns int64 for inputs of float32. Expected the same. Try taking an argmax"),
    "integers": (Codes, "It takes integers, which have no derivatives"),
    "half inside": (HalfInside, "It holds 'float16' as a constant, in a cast or a frozen weight"),
    "a long sentence": (Long, "so it goes on and on so it goes on and on"),
    "several lines": (Lines, "no rows are wanted. Expected a model from (N, D) numbers"),
    "another width": (Strict, "takes the 5 columns of the trial"),
    "detached": (Detached, "does not depend differentiably on its inputs"),
}
"""Scripted or pickled, each is refused for 6 rows of D inputs with words that say why."""


def rows(n_rows: int = 6, n_inputs: int = D) -> Any:
    """Return rows (N, D) as numpy's float64, all of them different and none of zeros."""
    return torch.randn(n_rows, n_inputs, generator=torch.Generator().manual_seed(5), dtype=torch.float64).numpy()
