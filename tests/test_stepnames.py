"""Names of columns say which step and channel a column is of, in the ways that people write them."""

import pytest

from ihcli.data.stepnames import Reading, readings

CASES = {
    "number behind, channel by channel": ([f"{c}_{t}" for c in ("hr", "bp") for t in range(3)], True),
    "number behind, step by step": ([f"{c}_{t}" for t in range(3) for c in ("hr", "bp")], False),
    "two numbers": ([f"x_t{t}_f{f}" for t in range(3) for f in range(2)], False),
    "step in front": ([f"t{t}.{c}" for t in range(3) for c in ("hr", "bp")], False),
    "brackets, the last without a number": ([f"var{v}({t})" for t in ("t-2", "t-1", "t") for v in (1, 2)], False),
    "lags that fall": ([f"{c} lag {t}" for c in ("hr", "bp") for t in (3, 2, 1)], True),
    "numbers in channels' names": ([f"pm{size}_{t}" for size in (10, 25) for t in range(3)], True),
    "zeros in front": ([f"{c}{t:02}" for c in ("hr", "bp") for t in range(3)], True),
}
STEPS = {
    "two numbers": ("t0", "t1", "t2"),
    "step in front": ("t0", "t1", "t2"),
    "brackets, the last without a number": ("t-2", "t-1", "t"),
    "lags that fall": ("lag 3", "lag 2", "lag 1"),
    "zeros in front": ("step 00", "step 01", "step 02"),
}
CHANNELS = {
    "two numbers": ("x_f0", "x_f1"),
    "brackets, the last without a number": ("var1", "var2"),
    "numbers in channels' names": ("pm10", "pm25"),
}


def fitting(names: list[str], shape: tuple[int, int] = (3, 2)) -> Reading:
    (reading,) = (each for each in readings(names) if each.is_whole and each.shape == shape)
    return reading


@pytest.mark.parametrize("case", CASES)
def test_steps_and_channels_are_read_off_names(case: str) -> None:
    names, by_channel = CASES[case]
    reading = fitting(names)
    assert reading.by_channel is by_channel
    assert reading.steps == STEPS.get(case, ("step 0", "step 1", "step 2"))
    assert reading.channels == CHANNELS.get(case, ("hr", "bp"))


def test_a_column_stands_at_its_step_and_channel() -> None:
    names, _ = CASES["number behind, channel by channel"]
    reading = fitting(names)
    told = [(reading.channels[c], t) for c, t in zip(reading.channel_of, reading.step_of, strict=True)]
    assert told == [("hr", 0), ("hr", 1), ("hr", 2), ("bp", 0), ("bp", 1), ("bp", 2)]


def test_numbers_in_the_order_of_text_are_no_order() -> None:
    names = [f"{c}_{t}" for c in ("hr", "bp") for t in sorted(range(11), key=str)]
    assert fitting(names, (11, 2)).by_channel is None


def test_shuffled_columns_are_in_no_order() -> None:
    assert fitting(["hr_0", "bp_1", "hr_1", "bp_0"], (2, 2)).by_channel is None


def test_names_without_numbers_say_nothing() -> None:
    assert not list(readings(["age", "t_max", "bmi"]))


def test_a_channel_that_lacks_a_step_is_not_whole() -> None:
    assert not any(reading.is_whole for reading in readings(["hr_0", "hr_1", "bp_0", "bp_2"]))


def test_channels_whose_names_are_nothing_are_numbered() -> None:
    (reading,) = readings(["t0", "t1", "t2"])
    assert reading.channels == ("channel 0",)


def test_words_tell_steps_from_channels() -> None:
    first, second = list(readings([f"x_t{t}_f{f}" for t in range(3) for f in range(3)]))[:2]
    assert (first.tells_steps, first.tells_channels) == (True, False)
    assert (second.tells_steps, second.tells_channels) == (False, True)
