"""YAML as data: constructs nothing, reads scalars as YAML 1.2 does, and refuses what would silently change meaning.

PyYAML follows YAML 1.1, where the column `no` is False, the seed 010 is 8, `1:30` is 90 and `1e-3` a string. Here they
are a string, refused, a string and a number. A key given twice is refused, and so are documents that would fill the
memory: nested aliases are counted at their full size before any is expanded.
"""

from __future__ import annotations

import math
import os
import re
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from landmark_ops.errors import InputError
from landmark_ops.wording import one_line

MAX_BYTES = 1 << 20
MAX_NODES = 100_000  # scalars, lists and mappings, with aliases counted as often as they are used
MAX_DEPTH = 50
MAX_BITS = 128  # of an integer

# What PyYAML raises: its own errors, and those of the Python types it builds.
_ERRORS = (yaml.YAMLError, ValueError, LookupError, RecursionError, TypeError, AttributeError)
_TAG = "tag:yaml.org,2002:"
_AMBIGUOUS = "!ambiguous"


def read_yaml(path: str | os.PathLike[str], what: str) -> Any:
    """The content of a YAML file; `what` begins the message, e.g. "config".

    Raises InputError naming the file, and the line where there is one, for a file that cannot be read, is no UTF-8
    text, too large, or is not plain YAML.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise InputError(f"{what} {path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(data) > MAX_BYTES:
        raise InputError(f"{what} {path}: holds more than {MAX_BYTES >> 20} MiB: this is no {what}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        kind = "UTF-16, save it as UTF-8" if _is_utf16(data) else "not UTF-8 text"
        raise InputError(f"{what} {path}: cannot be read: it is {kind}") from error
    return parse_yaml(text, f"{what} {path}")


def _is_utf16(data: bytes) -> bool:
    try:
        return data[:2] in (b"\xff\xfe", b"\xfe\xff") and bool(data.decode("utf-16"))
    except UnicodeDecodeError:
        return False


def parse_yaml(text: str, where: str) -> Any:
    """The value of a YAML text; `where` begins the message. Raises InputError as `read_yaml` does."""
    try:
        loader = _Plain(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except _ERRORS as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or getattr(error, "reason", None) or error
        raise InputError(f"{where}: not plain YAML{line}: {one_line(reason)}") from error


class _Plain(yaml.SafeLoader):
    """Safe YAML with the scalars of YAML 1.2, limits, and unique keys."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012  PyYAML copies it before it adds one

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = self.nodes = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        """As SafeLoader does, while counting."""
        self.depth += 1
        self.nodes += 1
        mark = self.peek_event().start_mark
        _check_size(self.nodes, self.depth, mark)
        node: Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def get_single_node(self) -> Node | None:
        """As SafeLoader does; what aliases stand for is counted before anything is built."""
        node: Node | None = super().get_single_node()
        if node is not None:
            _expanded(node, {})
        return node

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Any, Any]:
        """As SafeLoader does, after looking for repeated keys."""
        seen: list[Any] = []
        known: set[Any] = set()
        for key_node, _ in node.value:
            merge = key_node.tag == f"{_TAG}merge"
            key = key_node.value if merge else self.construct_object(key_node, deep=True)
            try:
                twice = key in known
                known.add(key)
            except TypeError:
                twice = key in seen
                seen.append(key)
            if twice:
                raise ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
        return super().construct_mapping(node, deep)


def _check_size(nodes: int, depth: int, mark: Any) -> None:
    if depth > MAX_DEPTH:
        raise ComposerError(None, None, f"nested deeper than {MAX_DEPTH} levels", mark)
    if nodes > MAX_NODES:
        raise ComposerError(
            None,
            None,
            f"holds more than {MAX_NODES:,} values, aliases counted as often as they are used: keep long lists "
            "in files",
            mark,
        )


def _expanded(node: Node, known: dict[int, tuple[int, int] | None]) -> tuple[int, int]:
    """Values and levels of a node with all aliases in it written out; each node is looked at once."""
    if id(node) in known:
        found = known[id(node)]
        if found is None:
            raise ComposerError(None, None, "an alias stands for what it lies in", node.start_mark)
        return found
    known[id(node)] = None
    size, depth = 1, 1
    children = node.value if isinstance(node, SequenceNode) else []
    if isinstance(node, MappingNode):
        children = [part for pair in node.value for part in pair]
    for child in children:
        below, levels = _expanded(child, known)
        size, depth = size + below, max(depth, levels + 1)
        _check_size(size, depth, node.start_mark)
    known[id(node)] = size, depth
    return size, depth


def _construct_int(loader: _Plain, node: ScalarNode) -> int:
    text = str(loader.construct_scalar(node)).replace("_", "")
    if len(text) > MAX_BITS + 3:
        raise ConstructorError(None, None, f"an integer of {len(text)} digits is too large", node.start_mark)
    try:
        value = int(text, 0)  # knows 0x and 0o, and refuses leading zeros
    except ValueError:
        raise ConstructorError(None, None, f"{one_line(text, 60)!r} is no integer", node.start_mark) from None
    if value.bit_length() > MAX_BITS:
        raise ConstructorError(None, None, f"an integer of {len(text)} digits is too large", node.start_mark)
    return value


def _construct_float(loader: _Plain, node: ScalarNode) -> float:
    text = str(loader.construct_scalar(node)).replace("_", "").lower()
    if text.lstrip("+-") in (".inf", ".nan"):
        return float(text.replace(".", ""))
    try:
        value = float(text)
    except ValueError:
        raise ConstructorError(None, None, f"{one_line(text, 60)!r} is no number", node.start_mark) from None
    if math.isinf(value) or (value == 0 and re.search(r"[1-9]", text.partition("e")[0])):
        raise ConstructorError(None, None, f"{one_line(text, 60)} is beyond the range of numbers", node.start_mark)
    return value


def _refuse_ambiguous(loader: _Plain, node: ScalarNode) -> None:
    text = one_line(node.value, 60)
    plain = text.replace("_", "").lstrip("+-").lstrip("0") or "0"
    raise ConstructorError(
        None,
        None,
        f"{text} has a leading zero, which some take for octal: write {plain}, or '{text}' if text is meant",
        node.start_mark,
    )


def _scalar(tag: str, pattern: str, first: str) -> None:
    _Plain.add_implicit_resolver(tag, re.compile(rf"^(?:{pattern})$"), list(first))


_scalar(f"{_TAG}bool", "true|True|TRUE|false|False|FALSE", "tTfF")
_scalar(f"{_TAG}null", "~|null|Null|NULL", "~nN")
_Plain.add_implicit_resolver(f"{_TAG}null", re.compile(r"^$"), [""])
_scalar(f"{_TAG}merge", "<<", "<")
_scalar(_AMBIGUOUS, r"[-+]?0[0-9_]+", "-+0")
_scalar(f"{_TAG}int", r"[-+]?(?:0|[1-9][0-9_]*)|0x[0-9a-fA-F_]+|0o[0-7_]+", "-+0123456789")
_scalar(
    f"{_TAG}float",
    r"[-+]?(?:(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+"
    r"|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)",
    "-+0123456789.",
)
_Plain.add_constructor(f"{_TAG}int", _construct_int)
_Plain.add_constructor(f"{_TAG}float", _construct_float)
_Plain.add_constructor(_AMBIGUOUS, _refuse_ambiguous)
