"""The letters of pictures: the font that comes with matplotlib, and others for what it lacks."""

import io
import warnings
from pathlib import Path

import pytest

from ihcli.files.locations import locate
from ihcli.plots import canvas

LETTER = "𝕬"
HAS_IT, HAS_IT_NOT = "DejaVu Math TeX Gyre", "STIXNonUnicode"
"""Fonts that come with matplotlib; the first has a letter that DejaVu Sans lacks."""


def boxes_for(text: str) -> int:
    with warnings.catch_warnings(record=True) as caught, canvas.default_style():
        warnings.simplefilter("always")
        figure, _ = canvas.new_figure(3, 2)
        figure.suptitle(text)
        figure.savefig(io.BytesIO(), format="png")
    return sum("missing from" in str(warning.message) for warning in caught)


@pytest.mark.parametrize(
    ("fonts", "boxes"), [((), 1), ((HAS_IT_NOT,), 1), (("Of No Machine", HAS_IT), 0), ((HAS_IT_NOT, HAS_IT), 0)]
)
def test_letters_come_from_other_fonts_where_these_are_installed(
    fonts: tuple[str, ...], boxes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canvas, "OTHER_FONTS", fonts)
    assert boxes_for(LETTER) == boxes
    assert boxes_for("abc") == 0


def test_a_font_without_bold_letters_is_taken_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(canvas, "OTHER_FONTS", (HAS_IT,))
    with canvas.default_style():
        figure, _ = canvas.new_figure(3, 2)
        canvas.entitle(figure, LETTER)
        canvas.save(figure, locate(tmp_path / "picture.png"))
    assert not caplog.records
    assert (tmp_path / "picture.png").stat().st_size > 1000
