"""Run one model on batches of images: the only module that knows onnxruntime.

The file's bytes are read once, compared with the spec's sha256, checked by `graph_check`, compared with the spec's
input and outputs, and a session is made of these very bytes: the path is not opened again, so nothing can be put in
between. Loaded networks are kept per process and hash; a `Session` is never pickled: send the spec, load it there.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import Any, NoReturn, cast

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from landmark_ops.detectors.graph_check import Graph, Port, check_graph
from landmark_ops.detectors.model_file import read_model
from landmark_ops.detectors.model_origin import Progress
from landmark_ops.detectors.spec import InputSpec, ModelSpec
from landmark_ops.errors import InputError, RunError

PROVIDERS_VARIABLE = "LANDMARKS_PROVIDERS"
MAX_LOADED = 32
ELEMENTS = {"float32": 1, "uint8": 2}  # ONNX numbers of element types
REAL = (1, 10, 11)  # those of float32, float16 and float64

_loaded: OrderedDict[tuple[str, int, tuple[str, ...]], tuple[Graph, Any]] = OrderedDict()
_loading = threading.Lock()


class NotANumber(RunError):
    """A net answered NaN for some picture of a batch: nothing that it says of that picture counts."""


class Session:
    """One loaded model. Thread-safe; results do not depend on how images are grouped into batches."""

    def __init__(self, spec: ModelSpec, graph: Graph, network: Any) -> None:
        self.spec = spec
        port = _matching_input(spec, graph)
        self._input, self._fixed = port.name, port.dims[0]
        self._network = network
        self._empty = [_dims_of(name, graph) for name in spec.outputs]

    def prepare(self, images: NDArray[np.uint8]) -> NDArray[np.float32] | NDArray[np.uint8]:
        """Images (n, h, w, 3) RGB uint8 as the network's input: colour order, (x - mean) / std, axes.

        Returns (n, 3, h, w) or (n, h, w, 3), C-contiguous, h and w exchanged where the spec says `transpose_xy`.
        Raises InputError where shape or dtype are not what the spec asks for.
        """
        want = self.spec.input
        _check_images(images, self.spec)
        if want.transpose_xy:
            images = images.swapaxes(1, 2)
        if want.dtype == "uint8":
            coloured = images[..., ::-1] if want.colour == "BGR" else images
            return np.ascontiguousarray(coloured.transpose(0, 3, 1, 2) if want.layout == "NCHW" else coloured)
        return _planes(images, want) if want.layout == "NCHW" else _pixels(images, want)

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


def load_session(spec: ModelSpec, *, threads: int = 1, progress: Progress | None = None) -> Session:
    """The session of a model, fetched where it is not there yet.

    `threads` is onnxruntime's intra-op pool: 1 beside other workers on the same cores. Networks are kept per process
    (`MAX_LOADED` of them, least recently used first out), by hash: specs that differ in thresholds share one.

    Raises InputError for a file whose hash, graph, input or outputs are not what the spec says, RunError where it
    cannot be fetched.
    """
    providers = chosen_providers()
    key = (spec.sha256, threads, providers)
    with _loading:
        if key not in _loaded:
            data = read_model(spec, progress=progress)
            graph = check_graph(data, f"model {spec.name}")
            Session(spec, graph, None)  # a spec that does not fit is told before onnxruntime takes its time
            _loaded[key] = graph, _network(data, spec, threads, providers)
            while len(_loaded) > MAX_LOADED:
                _loaded.popitem(last=False)
        _loaded.move_to_end(key)
        graph, network = _loaded[key]
    return Session(spec, graph, network)


def chosen_providers() -> tuple[str, ...]:
    """onnxruntime's execution providers: the CPU, or what `LANDMARKS_PROVIDERS` lists, separated by commas."""
    named = tuple(name.strip() for name in os.environ.get(PROVIDERS_VARIABLE, "").split(",") if name.strip())
    available = onnxruntime.get_available_providers()
    for name in named:
        if name not in available:
            raise InputError(
                f"{PROVIDERS_VARIABLE}: {name!r} is not in this onnxruntime: available here: {', '.join(available)}"
            )
    return named or ("CPUExecutionProvider",)


def _network(data: bytes, spec: ModelSpec, threads: int, providers: tuple[str, ...]) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.enable_cpu_mem_arena = False  # it grows with every new shape and gives nothing back
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


def _planes(images: NDArray[np.uint8], want: InputSpec) -> NDArray[np.float32]:
    """(n, h, w, 3) RGB as (n, 3, h, w), (x - mean) / std, planes in the order of the net's colours."""
    n, height, width, _ = images.shape
    batch = np.empty((n, 3, height, width), np.float32)
    for image, planes in zip(images, batch, strict=True):
        stored = cv2.split(image)  # every third byte at a time takes NumPy three times as long
        for plane, values, mean, std in zip(
            planes, stored[::-1] if want.colour == "BGR" else stored, want.mean, want.std, strict=True
        ):
            if mean == 0:
                plane[...] = values
            else:
                np.subtract(values, np.float32(mean), out=plane, dtype=np.float32)
            if std != 1:
                np.divide(plane, np.float32(std), out=plane)
    return batch


def _pixels(images: NDArray[np.uint8], want: InputSpec) -> NDArray[np.float32]:
    """(n, h, w, 3) RGB as the same of float32, (x - mean) / std, channels in the order of the net's colours."""
    # One number for all three where they agree: NumPy is ten times as fast without a second axis of length 3.
    mean, std = (np.asarray(three[0] if len(set(three)) == 1 else three, np.float32) for three in (want.mean, want.std))
    batch = np.subtract(images[..., ::-1] if want.colour == "BGR" else images, mean, dtype=np.float32, order="C")
    if (std != 1).any():
        np.divide(batch, std, out=batch)
    return batch


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _matching_input(spec: ModelSpec, graph: Graph) -> Port:
    """The graph's one input, compared with the spec in everything the file states."""
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


def _dims_of(name: str, graph: Graph) -> tuple[int, ...]:
    """The output's dims without the batch, 0 where dynamic: what an empty batch answers."""
    port = next(output for output in graph.outputs if output.name == name)
    return tuple(dim or 0 for dim in port.dims[1:])


def _check_images(images: NDArray[np.uint8], spec: ModelSpec) -> None:
    want = spec.input
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise InputError(
            f"model {spec.name}: images of shape {images.shape} and type {images.dtype}: give (n, h, w, 3) RGB uint8"
        )
    height, width = images.shape[1:3]
    if want.width is not None and (width, height) != (want.width, want.height):
        raise InputError(
            f"model {spec.name}: images of {width} x {height} px: the network takes {want.width} x {want.height}"
        )
    if width % want.multiple or height % want.multiple or not (width and height):
        raise InputError(
            f"model {spec.name}: images of {width} x {height} px: sides must be multiples of {want.multiple}"
        )
