"""Feature groups from a file or from column names."""

import pytest

from ihcli.data.columns import Columns
from ihcli.data.groups import groups_by_prefix, read_groups
from ihcli.errors import OptionError

COLUMNS = Columns(("red", "blue", "age", "size"), keys=("id",))


def test_groups_are_read_from_toml(tmp_path):
    path = tmp_path / "groups.toml"
    path.write_text('[groups]\ncolor = ["red", "blue"]\nbody = ["size"]\n')
    assert read_groups(path, COLUMNS) == {"color": ("red", "blue"), "body": ("size",)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("groups", "is not TOML"),
        ("[group]\na = ['red']", "states no groups. Expected a [groups] table with lines such as"),
        ("[groups]\na = 'red'", "group 'a' is not a list of column names."),
        ("[groups]\na = []", "group 'a' is empty. Expected at least one feature in every group."),
        (
            "[groups]\na = ['red']\nb = ['red']",
            "feature 'red' is in 'a' and in 'b'. Expected each feature in one group.",
        ),
        ("[groups]\na = ['rad']", "group 'a' names 'rad', which is not a feature. Expected some of 'red', "),
        ("[groups]\na = ['rad']", "Did you mean 'red'?"),
        (
            "[groups]\nage = ['red']",
            "group 'age' has the name of a feature outside it. Try another name for the group.",
        ),
        ("[groups]\nid = ['red']", "group 'id' has the name of a key."),
        ("[groups]\n_row = ['red']", "group '_row' has the name of a column that a run writes."),
    ],
)
def test_unfit_groups_are_refused_in_words(tmp_path, text, words):
    path = tmp_path / "groups.toml"
    path.write_text(text)
    with pytest.raises(OptionError) as caught:
        read_groups(path, COLUMNS)
    assert str(caught.value).startswith(f"`groups={path}`: ")
    assert words in str(caught.value)


def test_a_missing_groups_file_is_refused(tmp_path):
    with pytest.raises(OptionError, match=r"none\.toml`: cannot be opened: No such file or directory\."):
        read_groups(tmp_path / "none.toml")


def test_a_prefix_shared_by_several_features_is_a_group():
    features = ["color=red", "age", "color=blue", "size=big", "color=a=b"]
    assert groups_by_prefix(features, "=") == {"color": ("color=red", "color=blue", "color=a=b")}


ADULT = [f"marital_status_{status}" for status in ("married", "single", "never")]
ADULT += ["age", "hours_per_week", "capital_gain", "capital_loss"]


@pytest.mark.parametrize(
    ("separator", "features", "groups"),
    [
        ("_", ADULT, {"marital_status": ADULT[:3], "capital": ADULT[5:]}),
        ("_", ["a_b_x", "a_b_y", "a_c"], {"a_b": ["a_b_x", "a_b_y"]}),
        ("_", ["a_b_x", "a_c_x", "a_b_y", "a_c_y"], {"a_b": ["a_b_x", "a_b_y"], "a_c": ["a_c_x", "a_c_y"]}),
        ("_", ["a_b_x", "a_b_y", "a_c", "a_d"], {"a_b": ["a_b_x", "a_b_y"], "a": ["a_c", "a_d"]}),
        ("_", ["education_Some-college", "education_num"], {"education": ["education_Some-college", "education_num"]}),
        ("_", ["_x_a", "_x_b", "__a", "__b", "_c"], {"_x": ["_x_a", "_x_b"]}),
        ("_", ["a_", "a_b", "b"], {"a": ["a_", "a_b"]}),
        ("__", ["a__b_c", "a__b_d", "x_1", "x_2"], {"a": ["a__b_c", "a__b_d"]}),
        ("::", ["a::b::x", "a::b::y", "a:c"], {"a::b": ["a::b::x", "a::b::y"]}),
        (".", ["capital.gain", "capital.loss", "age"], {"capital": ["capital.gain", "capital.loss"]}),
        (" ", ["Größe in cm", "Größe in kg", "Größe"], {"Größe in": ["Größe in cm", "Größe in kg"]}),
        ("→", ["城市→罗马", "城市→巴黎", "😀→a", "😀→b"], {"城市": ["城市→罗马", "城市→巴黎"], "😀": ["😀→a", "😀→b"]}),
        ("=", ["f=a=b", "f=a=c", "f=x", "g=1"], {"f": ["f=a=b", "f=a=c", "f=x"]}),
        ("==", ["f==a==b", "f==a==c", "f==x"], {"f": ["f==a==b", "f==a==c", "f==x"]}),
    ],
)
def test_a_group_is_the_longest_beginning_that_features_share(separator, features, groups):
    assert groups_by_prefix(features, separator) == {name: tuple(members) for name, members in groups.items()}
    assert groups_by_prefix(features[::-1], separator) == {name: tuple(m[::-1]) for name, m in groups.items()}


def test_unfit_prefixes_are_refused():
    with pytest.raises(OptionError, match=r"`groups_by=_`: no two features share a prefix, got 'a_b', 'c'\."):
        groups_by_prefix(["a_b", "c"], "_")
    with pytest.raises(OptionError, match=r"`groups_by==`: group 'a' has .* outside it\. Try `groups=FILE`"):
        groups_by_prefix(["a=1", "a=2", "a"], "=")
    with pytest.raises(OptionError, match=r"`groups_by`: the separator is empty\."):
        groups_by_prefix(["a"], "")
