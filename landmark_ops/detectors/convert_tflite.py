"""TFLite convolutional networks as ONNX: float, half and sparse weights, one image in, any batch, NCHW.

LiteRT expands the weights (half to single, sparse to dense), everything else is one ONNX node or a few per TFLite
operator. Tensors are either images, kept as (n, c, h, w) where TFLite has (1, h, w, c), or rows, kept as they are.
Names are numbered in order of creation, so that equal input gives equal bytes: specs pin the result by its sha256.
Against LiteRT itself outputs differ by less than 2e-5 of their largest value. Integer models are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import tflite
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from landmark_ops.errors import InputError

OPSET, IR_VERSION = 13, 8
SAME_PADDING = 0
NO_ACTIVATION, RELU, RELU6 = 0, 1, 3


def convert_tflite(data: bytes, outputs: Sequence[str], drop: Sequence[str] = ()) -> bytes:
    """The ONNX file of a TFLite model given as bytes.

    `outputs` names the model's outputs in its own order; those in `drop` are left out, with all that only they need.
    Raises InputError for an operator, activation or number of inputs that is not covered.
    """
    return _Conversion(data).to_onnx(outputs, drop)


class _Conversion:
    """One model on its way: ONNX nodes and weights so far, and what stands for each TFLite tensor (by its number)."""

    def __init__(self, data: bytes) -> None:
        # LiteRT runs once on zeros, without delegates: that is how it expands half and sparse weights.
        self.runtime = Interpreter(
            model_content=data,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_preserve_all_tensors=True,
        )
        self.runtime.allocate_tensors()
        inputs = self.runtime.get_input_details()
        if len(inputs) != 1 or len(inputs[0]["shape"]) != 4 or inputs[0]["dtype"] != np.float32:
            raise InputError(
                "TFLite model: it takes other than one float32 image (1, h, w, c): it is not converted here"
            )
        self.runtime.set_tensor(inputs[0]["index"], np.zeros(inputs[0]["shape"], np.float32))
        self.runtime.invoke()
        self.model = tflite.Model.GetRootAsModel(data, 0)
        self.graph = self.model.Subgraphs(0)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.names: dict[int, str] = {}  # tensor number -> ONNX name
        self.images: set[int] = set()  # tensors kept as NCHW; all others are rows
        self.constants: dict[int, NDArray[Any]] = {}
        self._count = 0

    def to_onnx(self, outputs: Sequence[str], drop: Sequence[str]) -> bytes:
        """Convert every operator in order, then name the outputs and drop what none of them needs."""
        entry = int(self.graph.Inputs(0))
        _, height, width, channels = self.shape(entry)
        self.names[entry] = "image"
        self.images.add(entry)
        for number in range(self.graph.OperatorsLength()):
            self._operator(self.graph.Operators(number))
        found = [int(tensor) for tensor in self.graph.OutputsAsNumpy()]
        if len(found) != len(outputs):
            raise InputError(f"TFLite model: it has {len(found)} outputs, the spec's conversion names {len(outputs)}")
        ports = [self._output(tensor, name) for tensor, name in zip(found, outputs, strict=True) if name not in drop]
        graph = helper.make_graph(
            self.nodes,
            "m",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", channels, height, width])],
            ports,
            self.weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="tfl2onnx")
        model.ir_version = IR_VERSION
        _prune(model, {port.name for port in ports})
        onnx.checker.check_model(model)
        return model.SerializeToString(deterministic=True)

    def node(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node; returns the name of its output."""
        name = self._fresh(kind)
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def weight(self, values: NDArray[Any], prefix: str = "w") -> str:
        """Add an initializer; returns its name."""
        name = self._fresh(prefix)
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def shape(self, tensor: int) -> list[int]:
        """The TFLite shape, batch 1 first."""
        found = self.graph.Tensors(tensor)
        return [int(size) for size in found.ShapeAsNumpy()] if found.ShapeLength() else []

    def is_constant(self, tensor: int) -> bool:
        """Whether the tensor is part of the file rather than computed from the image."""
        buffer = self.graph.Tensors(tensor).Buffer()
        return tensor in self.constants or (buffer > 0 and self.model.Buffers(buffer).DataLength() > 0)

    def constant(self, tensor: int) -> NDArray[Any]:
        """A constant's values, half and sparse ones expanded."""
        return np.asarray(self.constants[tensor] if tensor in self.constants else self.runtime.get_tensor(tensor))

    def rows(self, tensor: int) -> str:
        """The tensor in TFLite's own order of axes."""
        if tensor not in self.images:
            return self.names[tensor]
        return self.node("Transpose", [self.names[tensor]], perm=[0, 2, 3, 1])

    def activated(self, name: str, activation: int) -> str:
        """The fused activation of an operator as a node of its own."""
        if activation == NO_ACTIVATION:
            return name
        if activation == RELU:
            return self.node("Relu", [name])
        if activation == RELU6:
            return self.node("Clip", [name, self.weight(np.array(0, np.float32)), self.weight(np.array(6, np.float32))])
        raise InputError(f"TFLite model: fused activation {activation} is not converted here")

    def _fresh(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}_{self._count}"

    def _operator(self, operator: Any) -> None:
        code = self.model.OperatorCodes(operator.OpcodeIndex())
        kind = tflite.opcode2name(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()))
        inputs = [int(tensor) for tensor in operator.InputsAsNumpy()]
        output = int(operator.Outputs(0))
        if kind in ("DEQUANTIZE", "DENSIFY") and (
            self.is_constant(inputs[0]) or self.graph.Tensors(inputs[0]).Sparsity()
        ):
            self.constants[output] = self.runtime.get_tensor(output)
            return
        if kind not in _OPERATORS:
            raise InputError(
                f"TFLite model: operator {kind} is not converted here: {', '.join(sorted(_OPERATORS))} are"
            )
        options_type, convert = _OPERATORS[kind]
        options = None
        if options_type is not None:
            options = options_type()
            options.Init(operator.BuiltinOptions().Bytes, operator.BuiltinOptions().Pos)
        name, is_image = convert(self, inputs, output, options)
        self.names[output] = name
        if is_image:
            self.images.add(output)

    def _output(self, tensor: int, name: str) -> onnx.ValueInfoProto:
        shape, held = self.shape(tensor), self.names[tensor]
        if tensor in self.images and shape[1] == shape[2] == 1:
            held, shape = self.node("Flatten", [held], axis=1), [1, shape[3]]
        elif tensor in self.images:
            shape = [1, shape[3], shape[1], shape[2]]
        self.nodes.append(helper.make_node("Identity", [held], [name]))
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape[1:]])


#: What an operator's function gives: the ONNX name of its output, and whether it is an image.
_Result = tuple[str, bool]


def _conv(model: _Conversion, inputs: list[int], output: int, options: Any, *, depthwise: bool = False) -> _Result:
    kernel = model.constant(inputs[1]).transpose((3, 0, 1, 2) if depthwise else (0, 3, 1, 2))
    _, *sides, channels = model.shape(inputs[0])
    strides = [options.StrideH(), options.StrideW()]
    dilations = [options.DilationHFactor(), options.DilationWFactor()]
    attributes: dict[str, Any] = {"kernel_shape": list(kernel.shape[2:]), "group": channels if depthwise else 1}
    if options.Padding() == SAME_PADDING:
        pads = []
        for side, size, stride, dilation in zip(sides, kernel.shape[2:], strides, dilations, strict=True):
            reach = (size - 1) * dilation + 1
            total = max((-(-side // stride) - 1) * stride + reach - side, 0)
            pads.append((total // 2, total - total // 2))  # the odd pixel goes right and below
        attributes["pads"] = [pads[0][0], pads[1][0], pads[0][1], pads[1][1]]
    parts = [model.names[inputs[0]], model.weight(kernel.astype(np.float32))]
    if len(inputs) > 2 and inputs[2] >= 0:
        parts.append(model.weight(model.constant(inputs[2]).astype(np.float32), "b"))
    name = model.node("Conv", parts, strides=strides, dilations=dilations, **attributes)
    return model.activated(name, options.FusedActivationFunction()), True


def _depthwise_conv(model: _Conversion, inputs: list[int], output: int, options: Any) -> _Result:
    return _conv(model, inputs, output, options, depthwise=True)


def _max_pool(model: _Conversion, inputs: list[int], output: int, options: Any) -> _Result:
    name = model.node(
        "MaxPool",
        [model.names[inputs[0]]],
        kernel_shape=[options.FilterHeight(), options.FilterWidth()],
        strides=[options.StrideH(), options.StrideW()],
        auto_pad="SAME_UPPER" if options.Padding() == SAME_PADDING else "VALID",
    )
    return model.activated(name, options.FusedActivationFunction()), True


def _elementwise(kind: str) -> Callable[[_Conversion, list[int], int, Any], _Result]:
    def convert(model: _Conversion, inputs: list[int], output: int, options: Any) -> _Result:
        x = model.names[inputs[0]]
        if kind == "LOGISTIC":
            return model.node("Sigmoid", [x]), inputs[0] in model.images
        return model.activated(x, RELU if kind == "RELU" else RELU6), inputs[0] in model.images

    return convert


def _prelu(model: _Conversion, inputs: list[int], output: int, options: Any) -> _Result:
    slope = model.weight(model.constant(inputs[1]).reshape(-1, 1, 1).astype(np.float32), "a")
    return model.node("PRelu", [model.names[inputs[0]], slope]), True


def _arithmetic(kind: str) -> Callable[[_Conversion, list[int], int, Any], _Result]:
    def convert(model: _Conversion, inputs: list[int], output: int, options: Any) -> _Result:
        terms = [
            model.weight(model.constant(tensor).reshape(-1, 1, 1).astype(np.float32))
            if model.is_constant(tensor)
            else model.names[tensor]
            for tensor in inputs
        ]
        return model.activated(model.node(kind, terms), options.FusedActivationFunction()), True

    return convert


def _pad(model: _Conversion, inputs: list[int], output: int, options: Any) -> _Result:
    pads = model.constant(inputs[1])[[0, 3, 1, 2]]
    amounts = model.weight(np.concatenate([pads[:, 0], pads[:, 1]]).astype(np.int64), "p")
    return model.node("Pad", [model.names[inputs[0]], amounts], mode="constant"), True


def _resize(model: _Conversion, inputs: list[int], output: int, options: Any) -> _Result:
    before, after = model.shape(inputs[0]), model.shape(output)
    corners, half = options.AlignCorners(), options.HalfPixelCenters()
    scales = model.weight(np.array([1, 1, after[1] / before[1], after[2] / before[2]], np.float32), "s")
    name = model.node(
        "Resize",
        [model.names[inputs[0]], "", scales],
        mode="linear",
        coordinate_transformation_mode="align_corners" if corners else "half_pixel" if half else "asymmetric",
    )
    return name, True


def _depth_to_space(model: _Conversion, inputs: list[int], output: int, options: Any) -> _Result:
    return model.node("DepthToSpace", [model.names[inputs[0]]], blocksize=options.BlockSize(), mode="DCR"), True


def _reshape(model: _Conversion, inputs: list[int], output: int, options: Any) -> _Result:
    shape = model.shape(output)
    name = model.node("Reshape", [model.rows(inputs[0]), model.weight(np.array([-1, *shape[1:]], np.int64), "sh")])
    if len(shape) == 4:
        return model.node("Transpose", [name], perm=[0, 3, 1, 2]), True
    return name, False


def _concatenation(model: _Conversion, inputs: list[int], output: int, options: Any) -> _Result:
    axis = options.Axis() % len(model.shape(output))
    is_image = inputs[0] in model.images
    names = [model.names[tensor] for tensor in inputs]
    return model.node("Concat", names, axis=(0, 2, 3, 1)[axis] if is_image else axis), is_image


def _mean(model: _Conversion, inputs: list[int], output: int, options: Any) -> _Result:
    axes = sorted(model.constant(inputs[1]).ravel().tolist())
    if axes != [1, 2]:
        raise InputError(f"TFLite model: a mean over axes {axes} is not converted here: only over height and width")
    name = model.node("GlobalAveragePool", [model.names[inputs[0]]])
    if len(model.shape(output)) == 2:
        return model.node("Flatten", [name], axis=1), False
    return name, True


def _fully_connected(model: _Conversion, inputs: list[int], output: int, options: Any) -> _Result:
    parts = [model.node("Flatten", [model.rows(inputs[0])], axis=1)]
    parts += [model.weight(model.constant(tensor).astype(np.float32)) for tensor in inputs[1:] if tensor >= 0]
    return model.activated(model.node("Gemm", parts, transB=1), options.FusedActivationFunction()), False


_OPERATORS: dict[str, tuple[Any, Callable[[_Conversion, list[int], int, Any], _Result]]] = {
    "CONV_2D": (tflite.Conv2DOptions, _conv),
    "DEPTHWISE_CONV_2D": (tflite.DepthwiseConv2DOptions, _depthwise_conv),
    "MAX_POOL_2D": (tflite.Pool2DOptions, _max_pool),
    "RELU": (None, _elementwise("RELU")),
    "RELU6": (None, _elementwise("RELU6")),
    "LOGISTIC": (None, _elementwise("LOGISTIC")),
    "PRELU": (None, _prelu),
    "ADD": (tflite.AddOptions, _arithmetic("Add")),
    "MUL": (tflite.MulOptions, _arithmetic("Mul")),
    "PAD": (None, _pad),
    "RESIZE_BILINEAR": (tflite.ResizeBilinearOptions, _resize),
    "DEPTH_TO_SPACE": (tflite.DepthToSpaceOptions, _depth_to_space),
    "RESHAPE": (None, _reshape),
    "CONCATENATION": (tflite.ConcatenationOptions, _concatenation),
    "MEAN": (None, _mean),
    "FULLY_CONNECTED": (tflite.FullyConnectedOptions, _fully_connected),
}


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
