"""TFLite convolutional networks as ONNX: float, half and sparse weights, one image in, any batch, NCHW.

LiteRT expands the weights (half to single, sparse to dense), everything else is one ONNX node or a few per TFLite
operator. Tensors are either images, kept as (n, c, h, w) where TFLite has (1, h, w, c), or rows, kept as they are.
Names are numbered in order of creation, so that equal input gives equal bytes: specs pin the result by its sha256.
Against LiteRT itself outputs differ by less than 2e-5 of their largest value. Integer models are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx
import tflite
from onnx import TensorProto, helper

from landmark_ops.detectors.tflite.builder import GraphBuilder
from landmark_ops.detectors.tflite.operators import OPERATORS
from landmark_ops.errors import InputError

OPSET, IR_VERSION = 13, 8


def convert_tflite(data: bytes, outputs: Sequence[str], drop: Sequence[str] = ()) -> bytes:
    """The ONNX file of a TFLite model given as bytes.

    `outputs` names the model's outputs in its own order; those in `drop` are left out, with all that only they need.
    Raises InputError for an operator, activation or number of inputs that is not covered.
    """
    built = GraphBuilder(data)
    entry = int(built.graph.Inputs(0))
    _, height, width, channels = built.shape(entry)
    built.names[entry] = "image"
    built.images.add(entry)
    for number in range(built.graph.OperatorsLength()):
        _add(built, built.graph.Operators(number))
    found = [int(tensor) for tensor in built.graph.OutputsAsNumpy()]
    if len(found) != len(outputs):
        raise InputError(f"TFLite model: it has {len(found)} outputs, the spec's conversion names {len(outputs)}")
    ports = [_output(built, tensor, name) for tensor, name in zip(found, outputs, strict=True) if name not in drop]
    graph = helper.make_graph(
        built.nodes,
        "m",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", channels, height, width])],
        ports,
        built.weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="tfl2onnx")
    model.ir_version = IR_VERSION
    _prune(model, {port.name for port in ports})
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def _add(built: GraphBuilder, operator: Any) -> None:
    """Convert one operator, whose inputs are there."""
    code = built.model.OperatorCodes(operator.OpcodeIndex())
    kind = tflite.opcode2name(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()))
    inputs = [int(tensor) for tensor in operator.InputsAsNumpy()]
    output = int(operator.Outputs(0))
    if kind in ("DEQUANTIZE", "DENSIFY") and (
        built.is_constant(inputs[0]) or built.graph.Tensors(inputs[0]).Sparsity()
    ):
        built.constants[output] = built.runtime.get_tensor(output)
        return
    if kind not in OPERATORS:
        raise InputError(f"TFLite model: operator {kind} is not converted here: {', '.join(sorted(OPERATORS))} are")
    options_type, convert = OPERATORS[kind]
    options = None
    if options_type is not None:
        options = options_type()
        options.Init(operator.BuiltinOptions().Bytes, operator.BuiltinOptions().Pos)
    name, is_image = convert(built, inputs, output, options)
    built.names[output] = name
    if is_image:
        built.images.add(output)


def _output(built: GraphBuilder, tensor: int, name: str) -> onnx.ValueInfoProto:
    shape, held = built.shape(tensor), built.names[tensor]
    if tensor in built.images and shape[1] == shape[2] == 1:
        held, shape = built.node("Flatten", [held], axis=1), [1, shape[3]]
    elif tensor in built.images:
        shape = [1, shape[3], shape[1], shape[2]]
    built.nodes.append(helper.make_node("Identity", [held], [name]))
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape[1:]])


def _prune(model: onnx.ModelProto, outputs: set[str]) -> None:
    """Remove nodes and weights that no output needs."""
    needed, kept = set(outputs), []
    for node in reversed(model.graph.node):
        if node.output[0] in needed:
            kept.append(node)
            needed.update(node.input)
    weights = [weight for weight in model.graph.initializer if weight.name in needed]
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(reversed(kept))
    model.graph.initializer.extend(weights)
