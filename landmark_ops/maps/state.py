"""How the parts of a map are stored: arrays and JSON-able parameters, without pickle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from landmark_ops.maps.heads import head_from_state
from landmark_ops.maps.parts import MapParts, RowScale, Spread
from landmark_ops.numerics.blocks import block_from_state, block_state
from landmark_ops.numerics.distances import Array


def parts_state(fitted: MapParts) -> tuple[dict[str, Array], dict[str, Any]]:
    """Arrays and parameters of a map; InputError where its block is a user's callable."""
    arrays: dict[str, Array] = {"landmarks": fitted.landmarks, "readout": fitted.readout, "offset": fitted.offset}
    meta: dict[str, Any] = {"residual_offset": fitted.residual_offset, "self_term": fitted.self_term}
    block_arrays, meta["block"] = block_state(fitted.block)
    arrays |= {f"block_{name}": value for name, value in block_arrays.items()}
    if fitted.residual_weights is not None:
        arrays["residual_weights"] = fitted.residual_weights
    if fitted.scale is not None:
        arrays["scale_weights"] = fitted.scale.weights
        meta["scale"] = {"power": fitted.scale.power, "floor": fitted.scale.floor}
    if fitted.spread is not None:
        arrays["spread_factor"] = fitted.spread.factor
        meta["spread"] = {"sign": fitted.spread.sign}
    if fitted.head is not None:
        head_arrays, parameters = fitted.head.to_state()
        arrays |= {f"head_{name}": value for name, value in head_arrays.items()}
        meta["head"] = {"kind": fitted.head.kind, **parameters}
    meta |= {"unit_rows": fitted.unit_rows, "double": fitted.double}
    return arrays, meta


def parts_from_state(arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `MapParts`, by name, from `parts_state`."""

    def under(prefix: str) -> dict[str, Array]:
        return {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}

    head = dict(meta.get("head", {}))
    return {
        "landmarks": arrays["landmarks"],
        "block": block_from_state(under("block_"), meta["block"]),
        "readout": arrays["readout"],
        "offset": arrays["offset"],
        "residual_weights": arrays.get("residual_weights"),
        "residual_offset": float(meta["residual_offset"]),
        "self_term": bool(meta["self_term"]),
        "scale": RowScale(arrays["scale_weights"], **meta["scale"]) if "scale" in meta else None,
        "unit_rows": bool(meta["unit_rows"]),
        "spread": Spread(arrays["spread_factor"], **meta["spread"]) if "spread" in meta else None,
        "head": head_from_state(head.pop("kind"), under("head_"), head) if head else None,
        "double": bool(meta["double"]),
    }
