"""face-api.js's 68-point nets as ONNX: their weights are published as bytes without a graph, which is written here.

Each net is a row of dense blocks. A block's first convolution halves the image (the very first is a full one, all
others are separable); two or three more follow, each adding its result to the sum so far. Then the mean over all
cells and one matrix to 136 numbers. Source: src/faceFeatureExtractor of the repository the spec names.
Like every converter here it gives the same bytes for the same input.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from landmark_ops.errors import InputError

OPSET, IR_VERSION = 13, 8
SIDE = 112
SAME, SAME_HALVING = [1, 1, 1, 1], [0, 0, 1, 1]  # TensorFlow's SAME for even sides: the odd pixel right and below


def convert_faceapi(manifest: bytes, shard: bytes, name: str, output: str) -> bytes:
    """The ONNX file of a net from its weights manifest (JSON) and weights (uint8, w = q · scale + min).

    `name` is the graph's, `output` that of its one output.

    Raises InputError where the weights are not those of such a net.
    """
    try:
        weights = _weights(json.loads(manifest), shard)
        net = _Net(weights)
        graph = net.graph(name, output)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(f"face-api weights: not those of a 68-point net: {type(error).__name__} {error}") from error
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def _weights(manifest: Any, shard: bytes) -> dict[str, NDArray[np.float32]]:
    """Weights by name, in TensorFlow's order of axes."""
    found, start = {}, 0
    for entry in manifest[0]["weights"]:
        quantization = entry["quantization"]
        if quantization["dtype"] != "uint8":
            raise ValueError(f"{entry['name']} is {quantization['dtype']}")
        stored = np.frombuffer(shard, np.uint8, int(np.prod(entry["shape"])), start).reshape(entry["shape"])
        start += stored.size
        scale, least = np.float32(quantization["scale"]), np.float32(quantization["min"])
        found[entry["name"]] = stored.astype(np.float32) * scale + least  # rounded in single precision, as it is there
    return found


class _Net:
    """The graph so far: nodes and weights, numbered in order of creation."""

    def __init__(self, weights: dict[str, NDArray[np.float32]]) -> None:
        self._weights = weights
        self._nodes: list[onnx.NodeProto] = []
        self._held: list[onnx.TensorProto] = []
        self._count = 0

    def graph(self, name: str, output: str) -> onnx.GraphProto:
        """The whole net: blocks, mean over all cells, matrix."""
        n_blocks = sum(weight.endswith("conv0/bias") for weight in self._weights)
        cells = SIDE >> n_blocks
        x = "image"
        for block in range(n_blocks):
            x = self._block(x, f"dense{block}")
        x = self._node("AveragePool", [x], kernel_shape=[cells, cells], strides=[2, 2])
        x = self._node("Flatten", [self._node("Transpose", [x], perm=[0, 2, 3, 1])], axis=1)
        matrix = [self._weight(self._weights["fc/weights"]), self._weight(self._weights["fc/bias"])]
        self._nodes.append(helper.make_node("Gemm", [x, *matrix], [output]))
        return helper.make_graph(
            self._nodes,
            name,
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", len(self._weights["fc/bias"])])],
            self._held,
        )

    def _block(self, x: str, name: str) -> str:
        first = f"{name}/conv0"
        x = self._full(x, first) if f"{first}/filters" in self._weights else self._separable(x, first, halve=True)
        x = total = self._node("Relu", [x])
        for number in range(1, sum(f"{name}/conv{i}/bias" in self._weights for i in range(4))):
            total = self._node("Add", [total, self._separable(x, f"{name}/conv{number}")])
            x = self._node("Relu", [total])
        return x

    def _full(self, x: str, name: str) -> str:
        kernel = self._weights[f"{name}/filters"].transpose(3, 2, 0, 1)
        parts = [x, self._weight(kernel), self._weight(self._weights[f"{name}/bias"])]
        return self._node("Conv", parts, kernel_shape=[3, 3], pads=SAME_HALVING, strides=[2, 2])

    def _separable(self, x: str, name: str, *, halve: bool = False) -> str:
        depthwise = self._weights[f"{name}/depthwise_filter"].transpose(2, 3, 0, 1)
        pointwise = self._weights[f"{name}/pointwise_filter"].transpose(3, 2, 0, 1)
        x = self._node(
            "Conv",
            [x, self._weight(depthwise)],
            group=len(depthwise),
            kernel_shape=[3, 3],
            pads=SAME_HALVING if halve else SAME,
            strides=[2, 2] if halve else [1, 1],
        )
        parts = [x, self._weight(pointwise), self._weight(self._weights[f"{name}/bias"])]
        return self._node("Conv", parts, kernel_shape=[1, 1])

    def _node(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        self._count += 1
        name = f"{kind}{self._count}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def _weight(self, values: NDArray[np.float32]) -> str:
        self._count += 1
        name = f"w{self._count}"
        self._held.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name
