"""The one YAML loader: what each scalar means, and what is refused before it costs anything."""

from __future__ import annotations

import math
import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from landmark_ops.configs.plain_yaml import MAX_BYTES, parse_yaml, read_yaml
from landmark_ops.errors import InputError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("10", 10),
        ("-7", -7),
        ("+7", 7),
        ("0", 0),
        ("-0", 0),
        ("1_000", 1000),
        ("0x1f", 31),
        ("0o17", 15),
        ("0b11", "0b11"),
        ("1e-3", 1e-3),
        ("1E5", 1e5),
        ("1.5", 1.5),
        ("-.5", -0.5),
        ("1.", 1.0),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("1:30", "1:30"),
        ("12:30:00", "12:30:00"),
        ("2024-01-02", "2024-01-02"),
        ("2024-13-01", "2024-13-01"),
        ("=", "="),
        ("'010'", "010"),
        ("'no'", "no"),
        ("1.2.3", "1.2.3"),
        ("0.10", 0.1),
        ("00.5", 0.5),
        ("\ufeffa: 1", {"a": 1}),
        ("a: &x {n: 1}\nb: {<<: *x, m: 2}", {"a": {"n": 1}, "b": {"n": 1, "m": 2}}),
        ("a: &x {n: 1}\nb: {<<: *x, n: 2}", {"a": {"n": 1}, "b": {"n": 2}}),
        ("!!str 010", "010"),
        ("340282366920938463463374607431768211455", 2**128 - 1),
    ],
)
def test_what_a_scalar_means(text, value):
    found = parse_yaml(text, "config")
    assert found == value
    assert type(found) is type(value)


def test_not_a_number():
    assert math.isnan(parse_yaml(".NaN", "config"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 010", "at line 1: 010 has a leading zero, which some take for octal: write 10, or '010' if text is meant"),
        ("a: 007", "007 has a leading zero"),
        ("a: 1e999", "1e999 is beyond the range of numbers"),
        ("a: 1e-999", "1e-999 is beyond the range of numbers"),
        ("a: 0.001e-400", "is beyond the range of numbers"),
        ("a: " + "9" * 40, "an integer of 40 digits is too large"),
        ("a: " + "9" * 100_000, "an integer of 100000 digits is too large"),
        ("a: 1\nb: 2\na: 3", "at line 3: key 'a' is given twice"),
        ("{1: a, 1.0: b}", "key 1.0 is given twice"),
        ("[a]: 1", "unhashable key"),
        ("a: *missing", "found undefined alias"),
        ("a: &x [*x]", "an alias stands for what it lies in"),
        ("a: &x {b: {c: *x}}", "an alias stands for what it lies in"),
        ("a: 1\n---\na: 2", "but found another document"),
        ("[" * 10_000, "nested deeper than 50 levels"),
        ("{a: " * 10_000, "nested deeper than 50 levels"),
        ("- " * 10_000, "nested deeper than 50 levels"),
        ("a: !!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("a: !ambiguous", "leading zero"),
        ("!!int x", "'x' is no integer"),
        ("!!float x", "'x' is no number"),
    ],
)
def test_what_is_refused(text, message):
    with pytest.raises(InputError, match=r"^config: not plain YAML.*: ") as caught:
        parse_yaml(text, "config")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def nested_aliases(levels: int, width: int = 10) -> str:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * width)}]" for i in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize("text", [nested_aliases(9), nested_aliases(40, 2), nested_aliases(60, 1)])
def test_nested_aliases_are_counted_and_not_expanded(text):
    began = time.perf_counter()
    with pytest.raises(InputError, match=r"aliases counted as often as they are used|nested deeper than 50 levels"):
        parse_yaml(text, "config")
    assert time.perf_counter() - began < 1


def test_modest_aliases_are_read():
    assert len(parse_yaml(nested_aliases(4), "config")["a3"]) == 10


def test_files(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_bytes("\ufeffa: é\r\n".encode())
    assert read_yaml(path, "config") == {"a": "é"}
    for data, message in [
        ("a: 1".encode("utf-16"), "it is UTF-16, save it as UTF-8"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "it is not UTF-8 text"),
        (b"a: \x00", "not plain YAML: special characters are not allowed"),
        (b"#" * (MAX_BYTES + 1), "holds more than 1 MiB: this is no config"),
    ]:
        path.write_bytes(data)
        with pytest.raises(InputError, match=rf"config .*c\.yaml: .*{message}"):
            read_yaml(path, "config")
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read_yaml(tmp_path, "config")
    with pytest.raises(InputError, match="cannot be read: embedded null byte"):
        read_yaml("a\0b", "config")
    with pytest.raises(InputError, match="holds more than 1 MiB"):
        read_yaml("/dev/zero", "config")


@given(st.text(st.sampled_from("a0:-[]{},&*!|>'\"#%@ \n\t<~.e1x_="), max_size=40))
def test_any_text_is_a_value_or_one_line(text):
    message = ""
    try:
        parse_yaml(text, "config")
    except InputError as error:
        message = str(error)
    assert "\n" not in message


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**100), 2**100) | st.floats(allow_nan=False) | st.text(max_size=6),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=8,
    )
)
def test_what_pyyaml_writes_is_read_back(value):
    """Its strings that YAML 1.1 would take for something else are quoted, and stay strings; nothing else changes."""
    assert parse_yaml(yaml.safe_dump(value), "config") == value
