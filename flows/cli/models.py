"""The `landmarks models` commands: which models there are, what they are and allow, fetch them, check their files."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.edges import fail, plain_errors
from landmark_ops.units import megabytes

if TYPE_CHECKING:
    from landmark_ops.detectors.model_file import Verdict
    from landmark_ops.detectors.model_origin import Progress
    from landmark_ops.detectors.spec import ModelSpec

app = typer.Typer(no_args_is_help=True, help="List, show, pull and verify the models that detection runs.")

Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Models, as `list` names them.")]
Specs = Annotated[
    Path | None, typer.Option(help="A spec file of your own, or a folder of them (else LANDMARKS_MODEL_SPECS).")
]


@app.command("list")
def list_models(specs: Specs = None) -> None:
    """Every known model: name, landmark set, licence, size, and whether its file is here."""
    with plain_errors():
        from landmark_ops.detectors.model_file import is_local
        from landmark_ops.detectors.models import list_specs

        rows = [("MODEL", "LANDMARKS", "LICENCE", "SIZE", "HERE")]
        for spec in list_specs(specs):
            local = "yes" if is_local(spec) else "no"
            rows.append((spec.name, spec.landmark_set or "-", spec.licence, megabytes(spec.size_bytes), local))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for name, landmarks, licence, size, local in rows:
        line = f"{name:{widths[0]}}  {landmarks:{widths[1]}}  {licence:{widths[2]}}  {size:>{widths[3]}}  {local}"
        print(line.rstrip())


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A model, as `list` names it.")], specs: Specs = None
) -> None:
    """All of one model: what its licence allows, where its file comes from, input, outputs, thresholds."""
    with plain_errors():
        from landmark_ops.detectors.model_file import verify as verify_file
        from landmark_ops.detectors.models import get_spec

        spec = get_spec(name, specs)
        for label, text in _description(spec, verify_file(spec)):
            print(f"{label:11}{text}")


@app.command()
def pull(
    names: Names = None,
    every: Annotated[bool, typer.Option("--all", help="Every known model.")] = False,
    specs: Specs = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress; only errors.")] = False,
) -> None:
    """Fetch models into the cache, each compared with its sha256. Those already here are only compared."""
    with plain_errors():
        from landmark_ops.detectors.model_file import resolve
        from landmark_ops.errors import InputError, LandmarkOpsError

        chosen = _chosen(names, specs, every)
        if not chosen:
            raise InputError("models pull: no model is named: name some, or give --all")
        failures: list[LandmarkOpsError] = []
        with _progress(quiet) as report:
            for spec in chosen:
                try:
                    path = resolve(spec, progress=report)
                except LandmarkOpsError as error:  # the others are still fetched
                    failures.append(error)
                else:
                    if not quiet:
                        print(f"{spec.name}  {path}")
        if len(failures) == 1:
            raise failures[0]
    for failure in failures:
        print(f"landmarks: {failure}", file=sys.stderr)
    if failures:
        code = 2 if all(isinstance(failure, InputError) for failure in failures) else 1
        fail(f"{len(failures)} of {len(chosen)} models could not be pulled", code)


@app.command()
def verify(names: Names = None, specs: Specs = None) -> None:
    """Compare the files that are here with their sha256; all known models where none is named. Fetches nothing."""
    with plain_errors():
        from landmark_ops.detectors.model_file import verify as verify_file

        verdicts = [verify_file(spec) for spec in _chosen(names, specs, every=not names)]
    for verdict in verdicts:
        print(f"{verdict.state:7}{verdict.name}  {verdict.path or verdict.detail}")
    wrong = [verdict for verdict in verdicts if verdict.state == "wrong"]
    for verdict in wrong:
        print(f"landmarks: {verdict.path}: {verdict.detail}", file=sys.stderr)
    missing = [verdict.name for verdict in verdicts if names and verdict.state == "absent"]
    if wrong:
        fail(f"{len(wrong)} of {len(verdicts)} model files are not what their specs say", 2)
    if missing:
        fail(f"not here: {', '.join(missing)}: landmarks models pull {' '.join(missing)}", 2)


def _chosen(names: list[str] | None, specs: Path | None, every: bool) -> list[ModelSpec]:
    from landmark_ops.detectors.models import get_spec, list_specs

    return list_specs(specs) if every else [get_spec(name, specs) for name in dict.fromkeys(names or ())]


def _description(spec: ModelSpec, verdict: Verdict) -> Iterator[tuple[str, str]]:
    size = spec.input
    yield "model", spec.name
    yield "landmarks", spec.landmark_set or "none: a step of pipelines"
    yield "licence", spec.licence
    for note in spec.licence_notes:
        yield "", note
    yield "file", f"{spec.file}  ({spec.size_bytes:,} bytes)"
    yield "sha256", spec.sha256
    if spec.url:
        yield "from", spec.url
    if spec.conversion:
        for number, original in enumerate(spec.conversion.originals):
            yield ("from" if number == 0 else ""), original.url
        yield "", f"converted from {spec.conversion.format}"
    yield "here", {"ok": str(verdict.path), "absent": "no", "wrong": f"{verdict.path}: {verdict.detail}"}[verdict.state]
    sides = f"{size.width} x {size.height} px" if size.width else f"any size, sides multiples of {size.multiple}"
    batch = f"batches of {size.max_batch}" if size.max_batch else "any batch"
    yield "input", f"{sides}, {size.colour}, {size.layout} {size.dtype}, {size.fit}, {batch}"
    yield "", f"(x - {list(size.mean)}) / {list(size.std)}" + (", x and y exchanged" if size.transpose_xy else "")
    yield "outputs", ", ".join(spec.outputs)
    yield "decoder", spec.decoder
    for key, value in spec.parameters.items():
        text = f"{len(value)} values" if isinstance(value, list) and len(value) > 12 else str(value)
        yield "", f"{key}: {text}"


@contextmanager
def _progress(quiet: bool) -> Iterator[Progress | None]:
    """A bar per download on a terminal, nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    tasks: dict[str, TaskID] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bars(*columns, console=console, transient=True) as bars:

        def report(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total)
            bars.update(tasks[name], completed=done, total=total)

        yield report
