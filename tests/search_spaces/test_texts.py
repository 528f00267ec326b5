"""YAML and JSON: what is plain is read as it is meant, what is not ends in one line and at once."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import InputError
from search_spaces.json_text import parse_json, short_digest
from search_spaces.yaml_text import parse_yaml, to_yaml

BOMB = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefghi", "bcdefghij")
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("1e-3", 0.001),
        ("1E5", 1e5),
        ("-.5e+2", -50.0),
        ("010", 10),
        ("0x1F", 31),
        ("0o17", 15),
        ("120_000_000", 120_000_000),
        ("1:30", "1:30"),
        ("2020-13-45", "2020-13-45"),
        ("[yes, Off, null, ~, '1', \"no\", !!str 5, !!float 1]", [True, False, None, None, "1", "no", "5", 1.0]),
        ("{1: a, ~: c}", {1: "a", None: "c"}),
        ("a: &x {k: 1, l: 2}\nb: {<<: *x, k: 3}", {"a": {"k": 1, "l": 2}, "b": {"k": 3, "l": 2}}),
        ("a: [&x [1], *x]\nb: *x", {"a": [[1], [1]], "b": [1]}),
    ],
)
def test_what_a_scalar_means(text, value):
    assert parse_yaml(text, "f") == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "f, line 3: not valid YAML .'a' is there twice, first in line 1"),
        ("a: {b: 1, b: 1}", "line 1: .*'b' is there twice"),
        ("a: 1\n---\nb: 1", "line 2: .*second document"),
        ("a: !!python/object/apply:os.getcwd []", "line 1: .*!!python/object/apply:os.getcwd"),
        ("a: !!int x", "line 1: .*!!int"),
        ("a: !!binary aGk=", "line 1: .*!!binary"),
        ("a:\n- .nan", "line 2: .*finite"),
        ("a: 1e999", "line 1: .*finite"),
        (f"a: {'9' * 5000}", "line 1: .*an integer of 5000 digits"),
        (f"a: 0x{'f' * 500}", "line 1: .*an integer of"),
        ("? [a]\n: 1", "line 1: .*a key must be"),
        ("a: *b", "line 1: .*stands for nothing"),
        ("a: &a [*a]", "line 1: .*stands for nothing"),
        ("<<: 1", "line 1: .*merges mappings only"),
        ("a: \x07", "control characters"),
        ('a: "\\0"', "line 1: .*a character that is none"),
        ("[" * 1100, "not valid YAML"),
        ("{a: " * 100_000, "not valid YAML"),
        ("- " * 1000 + "1", "nested too deeply"),
        (BOMB, "aliases stand for more than 100,000 values"),
        ("a: [1\nb: 2", "line 2: not valid YAML"),
        ("a: \udce4", "not valid YAML"),
    ],
)
def test_yaml_that_is_refused(text, message):
    with pytest.raises(InputError, match=message) as caught:
        parse_yaml(text, "f")
    assert "\n" not in str(caught.value)


NAMES = ["yes", "no", "on", "off", "1e3", "010", "null", "~", "0x1F", "1.50", "2024-01-01", "NaN", ".nan", "true"]


def test_named_fields_are_the_text_that_is_written():
    listed = "nc: 010\nnames:\n" + "".join(f"- {name}\n" for name in NAMES)
    assert parse_yaml(listed, "f", as_written=("names",)) == {"nc": 10, "names": NAMES}
    mapped = "names: {" + ", ".join(f"{i}: {name}" for i, name in enumerate(NAMES)) + "}\nmore: {names: yes}"
    assert parse_yaml(mapped, "f", as_written=("names",)) == {
        "names": {str(i): name for i, name in enumerate(NAMES)},
        "more": {"names": True},
    }
    assert parse_yaml("a: &a yes\nnames: [*a]", "f", as_written=("names",)) == {"a": True, "names": ["yes"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f, line 1: not valid JSON .*cut off"),
        ('{"a": 1,\n"a": 2}', "not valid JSON .'a' is there twice"),
        ("[NaN]", "NaN is no finite number"),
        ("[-Infinity]", "-Infinity is no finite number"),
        ("[1e999]", "1e999 is no finite number"),
        (f"[{'9' * 5000}]", "an integer of 5000 digits"),
        ("[" * 100_000, "nested too deeply"),
        ("[" * 500 + "]" * 500, "nested too deeply"),
        ('["\\ud800"]', "a character that is none"),
        ('{"\\u0000": 1}', "a character that is none"),
    ],
)
def test_json_that_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        parse_json(text, "f")


def test_json_that_is_plain_is_read_as_it_is():
    content = {"a": [1, -2.5, True, None, "\U0001f600", "\\ud800", "\\u0000"], "b": {}, "c": 10**299}
    assert parse_json(json.dumps(content), "f") == content


def test_a_digest_is_of_what_is_said_and_stays_what_it_was():
    assert (
        short_digest({"b": [1], "a": None}) == short_digest({"a": None, "b": [1]}) == "734c26e342c5"
    )  # as in files that are there
    assert short_digest({"b": [1], "a": "None"}) != "734c26e342c5"


texts = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\x85\ufeff\ufffe\uffff", exclude_categories=["Cs", "Cc"])
)
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
    | st.from_regex(r"[-+]?[0-9_.]{1,4}([eE:][-+]?[0-9]{1,3})?", fullmatch=True) | st.sampled_from(NAMES)
)  # fmt: skip


@given(st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=8))
def test_what_is_written_is_read_back(content):
    assert parse_yaml(to_yaml(content), "f") == content
    assert yaml.safe_load(to_yaml(content)) == content  # Ultralytics reads these files too
