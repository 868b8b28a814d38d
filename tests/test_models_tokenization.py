import pytest
from tokenizers import normalizers, pre_tokenizers, processors

from ihcli.errors import ModelError
from ihcli.models.checkpoints import tokenization
from ihcli.models.checkpoints.tokenization import check_pipeline

ENDLESS = ["(a+)+$", "((?:a*)b?)*c", "(?:a|b+c)*", "(a{2,})+", "(x(y*))+", r"([\]]+)*", "(\\)+)*"]
QUICK = [
    "",
    " {2,}",
    r"\s+(?!\S)|\s+",
    "(?i:'s|'t)?",
    "(a|b)+",
    r"[(a+)]+",
    r"\(a+\)+",
    "(a+)(b+)",
    "(a{1,3})+",
    "(a+)?",
]


def split(expression: str) -> dict[str, object]:
    return {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": expression}}}


@pytest.mark.parametrize("expression", ENDLESS)
def test_a_repeated_repetition_is_refused(expression: str) -> None:
    with pytest.raises(ModelError, match=r"^it: its tokenizer splits by a pattern that repeats what it repeats"):
        check_pipeline(split(expression), "it")


@pytest.mark.parametrize("expression", QUICK)
def test_other_patterns_pass(expression: str) -> None:
    check_pipeline(split(expression), "it")


@pytest.mark.parametrize(
    ("stage", "package", "kinds"),
    [
        ("normalizer", normalizers, normalizers.Normalizer),
        ("pre_tokenizer", pre_tokenizers, pre_tokenizers.PreTokenizer),
        ("post_processor", processors, processors.PostProcessor),
    ],
)
def test_every_step_of_the_package_is_known(stage: str, package: object, kinds: type) -> None:
    """One that a newer package adds would be refused; here it is noticed."""
    names = {name for name, value in vars(package).items() if isinstance(value, type) and issubclass(value, kinds)}
    assert names - {kinds.__name__} <= set(tokenization._KEEPING[stage])


def test_no_step_makes_more_of_a_text_than_is_reckoned() -> None:
    """Each one over texts that it makes longer than others do."""
    longest = {
        "NFKD": normalizers.NFKD(), "NFKC": normalizers.NFKC(), "Lowercase": normalizers.Lowercase(),
        "ByteLevel": normalizers.ByteLevel(), "Nmt": normalizers.Nmt(), "BertNormalizer": normalizers.BertNormalizer(),
    }  # fmt: skip
    for kind, step in longest.items():
        for letter in "aé年ﷺ🙂İ":
            once = step.normalize_str(letter * 100)
            assert len(once) <= 18 * 100
            assert len(step.normalize_str(once)) <= tokenization._growth({"type": kind}) * 2 * len(once)
