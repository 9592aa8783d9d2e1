"""The ONNX graph under construction: nodes and weights so far, and the ONNX name of each tensor of the TFLite model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import tflite
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from landmark_ops.errors import InputError

NO_ACTIVATION, RELU, RELU6 = 0, 1, 3


class GraphBuilder:
    """One model's ONNX nodes and weights so far, and the ONNX name of each TFLite tensor (by its number)."""

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
        """The fused activation of an operator as a node of its own.

        Raises InputError for an activation that is not converted here.
        """
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
