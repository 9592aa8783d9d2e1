"""A cache of what is computed once per map and process: its evaluators by dtype, and the outcome of trying them.

Kept beside the maps, not in them: a map is data, and is stored and sent as such. An entry is dropped with its map, so
no value kept here may refer to the map itself.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from landmark_ops.maps.parts import MapParts

T = TypeVar("T")

_KEPT: WeakKeyDictionary[MapParts, dict[Any, Any]] = WeakKeyDictionary()  # maps are told apart by identity
_LOCK = Lock()


def prepared(fitted: MapParts, make: Callable[..., T], *given: Any) -> T:
    """`make(fitted, *given)`, made once per map and `given`.

    Safe in threads. Two that ask at the same time may both make it; both get the one that was kept.
    """
    with _LOCK:
        kept = _KEPT.setdefault(fitted, {})
    key = (make, *given)
    if key not in kept:
        kept.setdefault(key, make(fitted, *given))
    return kept[key]
