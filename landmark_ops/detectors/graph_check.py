"""The check of an ONNX file, on its bytes, before any session exists.

A model file is a program from outside. onnxruntime opens whatever path an "external data" entry names, loads
custom operators, and believes declared sizes; none of that can be switched off there, so it is refused here. Every
message of the file is visited (graph, subgraphs in attributes, functions, training parts), so nothing can hide there.
What is not bounded: the time and memory an accepted graph takes to run. That is what the sha256 in a spec is for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import onnx
from google.protobuf.message import DecodeError, Message
from onnx import ModelProto, NodeProto, SparseTensorProto, TensorProto, ValueInfoProto

from landmark_ops.errors import InputError

#: Domains of the operators that onnxruntime and every other runtime knows. "" and "ai.onnx" are one.
DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
MAX_DIM = 2**20
MAX_ELEMENTS = 2**28  # of one input or output: 1 GiB of float32


class Port(NamedTuple):
    """One input or output of a graph: element type (ONNX number), and dims with None where dynamic."""

    name: str
    element: int
    dims: tuple[int | None, ...]


class Graph(NamedTuple):
    """Inputs and outputs of a checked file."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


def check_graph(data: bytes, where: str) -> Graph:
    """The ports of an ONNX file given as bytes; InputError naming `where` for anything but plain, whole ONNX.

    Refused: bytes that are no ONNX model, tensors kept in other files, sparse tensors, sizes larger than the data that
    is there, operators outside of `DOMAINS` (functions defined in the file itself are fine), unknown operators.
    """
    model = _parse(data, where)
    local = {(function.domain, function.name) for function in model.functions}
    sparse = None
    for message in _walk(model):
        if isinstance(message, TensorProto):
            _check_tensor(message, where)
        elif isinstance(message, NodeProto):
            _check_node(message, local, where)
        elif isinstance(message, SparseTensorProto):
            sparse = message
    if sparse is not None:  # after the walk, whose findings are graver
        raise InputError(f"{where}: holds a sparse tensor of dims {list(sparse.dims)}: export it with dense weights")
    held = {tensor.name for tensor in model.graph.initializer}
    return Graph(
        tuple(_port(info, where) for info in model.graph.input if info.name not in held),
        tuple(_port(info, where) for info in model.graph.output),
    )


def _parse(data: bytes, where: str) -> ModelProto:
    if data[4:8] == b"ORTM":
        raise InputError(f"{where}: is in onnxruntime's own format (.ort), whose content cannot be checked: use ONNX")
    try:
        model = ModelProto.FromString(data)
    except DecodeError as error:
        raise InputError(
            f"{where}: {len(data):,} bytes that are no ONNX model: is it the file the spec means?"
        ) from error
    if not model.graph.node or not model.opset_import:
        raise InputError(f"{where}: an ONNX model without operators: is it the file the spec means?")
    return model


def _walk(root: Message) -> Iterator[Message]:
    """Every message in the file, by the descriptors themselves: fields added to ONNX later are visited too."""
    waiting: list[Message] = [root]
    while waiting:
        message = waiting.pop()
        yield message
        if isinstance(message, TensorProto):
            continue  # its only messages are its external data entries, and its content is large
        for field, value in message.ListFields():
            if field.message_type is not None:
                waiting.extend([value] if isinstance(value, Message) else value)


def _check_tensor(tensor: TensorProto, where: str) -> None:
    name = tensor.name or "(unnamed)"
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        raise InputError(
            f"{where}: tensor {name} lies in another file ({entries.get('location', 'not named')}): "
            "external data is never read: save the model as one file"
        )
    parts = (tensor.float_data, tensor.int32_data, tensor.int64_data, tensor.double_data, tensor.uint64_data)
    stored = max(len(tensor.raw_data), len(tensor.string_data), *map(len, parts))
    # The smallest element has two bits, four to a byte; onnxruntime itself compares sizes exactly.
    if any(dim < 0 for dim in tensor.dims) or math.prod(tensor.dims) > 4 * stored:
        raise InputError(
            f"{where}: tensor {name} declares dims {list(tensor.dims)} and holds {stored:,} values or bytes: "
            "the file is damaged or was made to exhaust memory"
        )


def _check_node(node: NodeProto, local: set[tuple[str, str]], where: str) -> None:
    if (node.domain, node.op_type) in local:
        return
    if node.domain not in DOMAINS:
        raise InputError(
            f"{where}: operator {node.domain}.{node.op_type} (node {node.name or '(unnamed)'}) is a custom one: "
            f"only the domains {', '.join(repr(domain) for domain in DOMAINS)} are run: export with standard operators"
        )
    domain = "" if node.domain == "ai.onnx" else node.domain
    if not onnx.defs.has(node.op_type, domain):
        raise InputError(
            f"{where}: operator {node.op_type} (node {node.name or '(unnamed)'}) is none of the ONNX standard "
            f"as onnx {onnx.__version__} knows it: export with standard operators"
        )


def _port(info: ValueInfoProto, where: str) -> Port:
    if info.type.WhichOneof("value") != "tensor_type":
        raise InputError(f"{where}: {info.name} is no tensor: only tensors go in and out")
    shape = info.type.tensor_type.shape
    dims = tuple(dim.dim_value if dim.WhichOneof("value") == "dim_value" else None for dim in shape.dim)
    fixed = [dim for dim in dims if dim is not None]
    if any(not 0 < dim <= MAX_DIM for dim in fixed) or math.prod(fixed) > MAX_ELEMENTS:
        raise InputError(
            f"{where}: {info.name} has dims {list(dims)}: each has to be 1 to {MAX_DIM:,}, "
            f"and their product at most {MAX_ELEMENTS:,}"
        )
    return Port(info.name, info.type.tensor_type.elem_type, dims)
