"""Run one model on batches of images: the only module that knows onnxruntime.

The file's bytes are read once, compared with the spec's sha256, checked by `graph_check`, compared with the spec's
input and outputs, and a session is made of these very bytes: the path is not opened again, so the file cannot be
swapped in between. Loaded networks are kept per process and hash; a `Session` is never pickled: send the spec, load it
there.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import Any, NoReturn, cast

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from landmark_ops.detectors.graph_check import Graph, check_graph
from landmark_ops.detectors.model_file import read_model
from landmark_ops.detectors.net_input import prepare
from landmark_ops.detectors.ports import dims_of, matching_input
from landmark_ops.detectors.spec import ModelSpec
from landmark_ops.errors import InputError, RunError

PROVIDERS_VARIABLE = "LANDMARKS_PROVIDERS"
MAX_LOADED = 32

_loaded: OrderedDict[tuple[str, tuple[str, ...]], tuple[Graph, Any]] = OrderedDict()
_loading = threading.Lock()


class NotANumber(RunError):
    """A net answered NaN for some picture of a batch, so its other answers for that picture are void."""


class Session:
    """One loaded model. Thread-safe; results do not depend on how images are grouped into batches."""

    def __init__(self, spec: ModelSpec, graph: Graph, network: Any) -> None:
        self.spec = spec
        port = matching_input(spec, graph)
        self._input, self._fixed = port.name, port.dims[0]
        self._network = network
        self._empty = [dims_of(name, graph) for name in spec.outputs]

    def prepare(self, images: NDArray[np.uint8]) -> NDArray[np.float32] | NDArray[np.uint8]:
        """Images (n, h, w, 3) RGB uint8 as the network's input; see `net_input.prepare`."""
        return prepare(images, self.spec)

    def run(self, batch: NDArray[Any]) -> list[NDArray[Any]]:
        """The spec's outputs, in its order, each with the batch as first axis.

        `batch`: what `prepare` returns. It goes in `max_batch` at a time; where the file's batch is fixed, the last
        part is filled up with its own last image, whose answers are dropped. Raises RunError where onnxruntime fails,
        e.g. for want of memory, where the net gives not one answer per image, and its kind NotANumber where it
        answers NaN.
        """
        n = len(batch)
        if n == 0:
            return [np.empty((0, *dims), np.float32) for dims in self._empty]
        step = self.spec.input.max_batch or n
        parts = [self._run(batch[start : start + step]) for start in range(0, n, step)]
        if len(parts) == 1:
            return parts[0]
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]

    def _run(self, batch: NDArray[Any]) -> list[NDArray[Any]]:
        """One call of the network."""
        n, name = len(batch), self.spec.name
        if self._fixed is not None and n < self._fixed:
            batch = np.concatenate([batch, np.repeat(batch[-1:], self._fixed - n, axis=0)])
        try:
            outputs = self._network.run(list(self.spec.outputs), {self._input: batch})
        except Exception as error:  # onnxruntime's own exceptions have no public base
            raise RunError(
                f"model {name}: onnxruntime failed on a batch of shape {batch.shape}: {_first_line(error)}: "
                "try a smaller batch"
            ) from error
        for asked, output in zip(self.spec.outputs, outputs, strict=True):
            if not output.ndim or len(output) != len(batch):
                raise RunError(
                    f"model {name}: output {asked} has shape {output.shape} for a batch of {len(batch)}: its first "
                    "axis has to be the batch: export it so, or set input.max_batch: 1 if it is 1 for one image"
                )
            with np.errstate(all="ignore"):
                total = output.sum(dtype=np.float32)
            # The sum is NaN wherever a value is, and costs one pass; infinities of both signs make it NaN too.
            if np.isnan(total) and np.isnan(output).any():
                raise NotANumber(
                    f"model {name}: output {asked} holds NaN: the net overflows on this picture, as nets in float16 "
                    "do: export it in float32"
                )
        return cast(list[NDArray[Any]], [output[:n] for output in outputs])

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"Session of {self.spec.name} cannot be pickled: send its spec and call load_session there")


def load_session(spec: ModelSpec) -> Session:
    """The session of a model, fetched where it is not there yet.

    Networks are kept per process (`MAX_LOADED` of them, least recently used first out), by hash: specs that differ in
    thresholds share one.

    Raises InputError for a file whose hash, graph, input or outputs are not what the spec says, RunError where it
    cannot be fetched.
    """
    providers = chosen_providers()
    key = (spec.sha256, providers)
    with _loading:
        if key not in _loaded:
            data = read_model(spec)
            graph = check_graph(data, f"model {spec.name}")
            Session(spec, graph, None)  # refuse a spec that does not fit before the slow part
            _loaded[key] = graph, _network(data, spec, providers)
            while len(_loaded) > MAX_LOADED:
                _loaded.popitem(last=False)
        _loaded.move_to_end(key)
        graph, network = _loaded[key]
    return Session(spec, graph, network)


def chosen_providers() -> tuple[str, ...]:
    """onnxruntime's execution providers: the CPU, or what `LANDMARKS_PROVIDERS` lists, separated by commas.

    Raises InputError for one that this onnxruntime does not have.
    """
    named = tuple(name.strip() for name in os.environ.get(PROVIDERS_VARIABLE, "").split(",") if name.strip())
    available = onnxruntime.get_available_providers()
    for name in named:
        if name not in available:
            raise InputError(
                f"{PROVIDERS_VARIABLE}: {name!r} is not in this onnxruntime: available here: {', '.join(available)}"
            )
    return named or ("CPUExecutionProvider",)


def _network(data: bytes, spec: ModelSpec, providers: tuple[str, ...]) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # there are other workers on the same cores
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.enable_cpu_mem_arena = False  # it grows with every new shape and is never freed
    options.log_severity_level = 3
    options.add_session_config_entry("session.load_model_format", "ONNX")  # the format that was checked
    try:
        network = onnxruntime.InferenceSession(data, options, providers=list(providers))
    except Exception as error:  # onnxruntime's own exceptions have no public base
        raise InputError(
            f"model {spec.name}: onnxruntime {onnxruntime.__version__} cannot load it: {_first_line(error)}"
        ) from error
    if idle := set(providers) - set(network.get_providers()):  # onnxruntime itself falls back to the CPU silently
        raise RunError(
            f"model {spec.name}: {', '.join(sorted(idle))} could not be started on this machine: "
            f"check its driver and libraries, or unset {PROVIDERS_VARIABLE}"
        )
    return network


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
