"""The inputs and outputs that a model's file states, compared with those of its spec."""

from __future__ import annotations

from landmark_ops.detectors.graph_check import Graph, Port
from landmark_ops.detectors.spec import ModelSpec
from landmark_ops.errors import InputError

ELEMENTS = {"float32": 1, "uint8": 2}  # ONNX numbers of element types
REAL = (1, 10, 11)  # those of float32, float16 and float64


def matching_input(spec: ModelSpec, graph: Graph) -> Port:
    """The graph's one input, compared with the spec in everything the file states; so are its outputs.

    Raises InputError naming the first thing in which they differ.
    """
    where, want = f"model {spec.name}", spec.input
    if len(graph.inputs) != 1:
        names = ", ".join(port.name for port in graph.inputs)
        raise InputError(f"{where}: the file has {len(graph.inputs)} inputs ({names}): it has to take one image tensor")
    port = graph.inputs[0]
    if want.name not in (None, port.name):
        raise InputError(f"{where}: the spec's input is {want.name!r}, the file's {port.name!r}: correct input.name")
    if port.element != ELEMENTS[want.dtype]:
        raise InputError(
            f"{where}: the spec's input is {want.dtype}, the file's has ONNX element type {port.element}: "
            "correct input.dtype (1 is float32, 2 uint8, others are not supported)"
        )
    _check_dims(spec, port)
    held = {output.name: output for output in graph.outputs}
    for name in spec.outputs:
        if name not in held:
            raise InputError(f"{where}: the file has no output {name!r}: its outputs are {', '.join(held)}")
        if held[name].element not in REAL:
            raise InputError(
                f"{where}: output {name} has ONNX element type {held[name].element}: decoders read real numbers (1 is "
                "float32, 10 float16, 11 float64): export the values themselves, not quantised or as indices"
            )
        _check_batch(where, held[name], port)
    return port


def _check_dims(spec: ModelSpec, port: Port) -> None:
    want = spec.input
    sides = (want.width, want.height) if want.transpose_xy else (want.height, want.width)
    expected = (want.max_batch, 3, *sides) if want.layout == "NCHW" else (want.max_batch, *sides, 3)
    if len(port.dims) != 4:
        raise InputError(f"model {spec.name}: the file's input has dims {list(port.dims)}: it has to have four")
    for axis, (got, asked) in enumerate(zip(port.dims, expected, strict=True)):
        if got is not None and got != asked:
            raise InputError(
                f"model {spec.name}: axis {axis} of the file's input is {got}, the spec says {asked or 'any'} "
                f"(file {list(port.dims)}, spec {list(expected)}): correct input.layout, width, height or max_batch"
            )


def _check_batch(where: str, output: Port, port: Port) -> None:
    """The first axis of an output against that of the input, as far as the file states them."""
    if not output.dims or (None not in (output.dims[0], port.dims[0]) and output.dims[0] != port.dims[0]):
        raise InputError(
            f"{where}: output {output.name} has dims {list(output.dims)}, the input {list(port.dims)}: the first "
            "axis of both has to be the batch: export it so"
        )


def dims_of(name: str, graph: Graph) -> tuple[int, ...]:
    """The output's dims without the batch, 0 where dynamic: what an empty batch answers."""
    port = next(output for output in graph.outputs if output.name == name)
    return tuple(dim or 0 for dim in port.dims[1:])
