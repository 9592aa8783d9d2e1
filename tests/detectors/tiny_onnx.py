"""A model small enough to write down."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper


def onnx_bytes(
    *nodes: onnx.NodeProto,
    dims: tuple[int | str, ...] = ("N", 3, 8, 8),
    told: tuple[int | str, ...] = ("N", 3),
    element: int = TensorProto.FLOAT,
    **graph: object,
) -> bytes:
    """A model of one float input `image` and one output `mean` of dims `told`, (n, 3) where no node is given."""
    made = helper.make_graph(
        list(nodes)
        or [
            helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["mean"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, dims)],
        [helper.make_tensor_value_info("mean", element, told)],
        **graph,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    return model.SerializeToString()
