"""TFLite's operators, each as one ONNX node or a few."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tflite

from landmark_ops.detectors.tflite.builder import RELU, RELU6, GraphBuilder
from landmark_ops.errors import InputError

SAME_PADDING = 0

#: What an operator's function gives: the ONNX name of its output, and whether it is an image.
Result = tuple[str, bool]


def _conv(model: GraphBuilder, inputs: list[int], output: int, options: Any, *, depthwise: bool = False) -> Result:
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


def _depthwise_conv(model: GraphBuilder, inputs: list[int], output: int, options: Any) -> Result:
    return _conv(model, inputs, output, options, depthwise=True)


def _max_pool(model: GraphBuilder, inputs: list[int], output: int, options: Any) -> Result:
    name = model.node(
        "MaxPool",
        [model.names[inputs[0]]],
        kernel_shape=[options.FilterHeight(), options.FilterWidth()],
        strides=[options.StrideH(), options.StrideW()],
        auto_pad="SAME_UPPER" if options.Padding() == SAME_PADDING else "VALID",
    )
    return model.activated(name, options.FusedActivationFunction()), True


def _elementwise(kind: str) -> Callable[[GraphBuilder, list[int], int, Any], Result]:
    def convert(model: GraphBuilder, inputs: list[int], output: int, options: Any) -> Result:
        x = model.names[inputs[0]]
        if kind == "LOGISTIC":
            return model.node("Sigmoid", [x]), inputs[0] in model.images
        return model.activated(x, RELU if kind == "RELU" else RELU6), inputs[0] in model.images

    return convert


def _prelu(model: GraphBuilder, inputs: list[int], output: int, options: Any) -> Result:
    slope = model.weight(model.constant(inputs[1]).reshape(-1, 1, 1).astype(np.float32), "a")
    return model.node("PRelu", [model.names[inputs[0]], slope]), True


def _arithmetic(kind: str) -> Callable[[GraphBuilder, list[int], int, Any], Result]:
    def convert(model: GraphBuilder, inputs: list[int], output: int, options: Any) -> Result:
        terms = [
            model.weight(model.constant(tensor).reshape(-1, 1, 1).astype(np.float32))
            if model.is_constant(tensor)
            else model.names[tensor]
            for tensor in inputs
        ]
        return model.activated(model.node(kind, terms), options.FusedActivationFunction()), True

    return convert


def _pad(model: GraphBuilder, inputs: list[int], output: int, options: Any) -> Result:
    pads = model.constant(inputs[1])[[0, 3, 1, 2]]
    amounts = model.weight(np.concatenate([pads[:, 0], pads[:, 1]]).astype(np.int64), "p")
    return model.node("Pad", [model.names[inputs[0]], amounts], mode="constant"), True


def _resize(model: GraphBuilder, inputs: list[int], output: int, options: Any) -> Result:
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


def _depth_to_space(model: GraphBuilder, inputs: list[int], output: int, options: Any) -> Result:
    return model.node("DepthToSpace", [model.names[inputs[0]]], blocksize=options.BlockSize(), mode="DCR"), True


def _reshape(model: GraphBuilder, inputs: list[int], output: int, options: Any) -> Result:
    shape = model.shape(output)
    name = model.node("Reshape", [model.rows(inputs[0]), model.weight(np.array([-1, *shape[1:]], np.int64), "sh")])
    if len(shape) == 4:
        return model.node("Transpose", [name], perm=[0, 3, 1, 2]), True
    return name, False


def _concatenation(model: GraphBuilder, inputs: list[int], output: int, options: Any) -> Result:
    axis = options.Axis() % len(model.shape(output))
    is_image = inputs[0] in model.images
    names = [model.names[tensor] for tensor in inputs]
    return model.node("Concat", names, axis=(0, 2, 3, 1)[axis] if is_image else axis), is_image


def _mean(model: GraphBuilder, inputs: list[int], output: int, options: Any) -> Result:
    axes = sorted(model.constant(inputs[1]).ravel().tolist())
    if axes != [1, 2]:
        raise InputError(f"TFLite model: a mean over axes {axes} is not converted here: only over height and width")
    name = model.node("GlobalAveragePool", [model.names[inputs[0]]])
    if len(model.shape(output)) == 2:
        return model.node("Flatten", [name], axis=1), False
    return name, True


def _fully_connected(model: GraphBuilder, inputs: list[int], output: int, options: Any) -> Result:
    parts = [model.node("Flatten", [model.rows(inputs[0])], axis=1)]
    parts += [model.weight(model.constant(tensor).astype(np.float32)) for tensor in inputs[1:] if tensor >= 0]
    return model.activated(model.node("Gemm", parts, transB=1), options.FusedActivationFunction()), False


#: By TFLite's name: the class of its options, and its function of graph, inputs, output and options.
OPERATORS: dict[str, tuple[Any, Callable[[GraphBuilder, list[int], int, Any], Result]]] = {
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
