"""The `landmarks` command. Heavy imports wait until a command needs them: `--help` answers at once.

Exit codes: 0 done, 2 a mistake in config, input or arguments, 1 a failure while running, 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli import models as models_cli
from flows.cli.edges import DEBUG, Commands, Edge, fail, interruptible, plain_errors

if TYPE_CHECKING:
    from landmark_ops.configs.embed import EmbedConfig

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(models_cli.app, name="models")


@app.callback()
def options(
    context: typer.Context,
    debug: Annotated[
        bool, typer.Option(DEBUG, help="Where a command fails, show the traceback too. May stand anywhere.")
    ] = False,
) -> None:
    """Landmark methods at data-lake scale: embed millions of rows from a chunked store, find landmarks in images."""
    Edge.command = context.invoked_subcommand or ""
    Edge.debug = Edge.debug or debug


ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="The run's configuration.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change one value of the config, e.g. landmarks.count=500."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress; only errors and the result.")]


@app.command()
def embed(config: ConfigPath, overrides: Overrides = None, quiet: Quiet = False) -> None:
    """Embed the rows of a source: select landmarks, solve, place every row, report. Run again to resume."""
    from landmark_ops.configs.embed import load_config

    run_embed(partial(load_config, config, overrides or ()), quiet)


@app.command()
def place(config: ConfigPath, overrides: Overrides = None, quiet: Quiet = False) -> None:
    """Place the rows of a source by the map of an earlier embedding (map: URI), and report. Run again to resume."""
    from landmark_ops.configs.embed import load_placing

    run_embed(partial(load_placing, config, overrides or ()), quiet)


def run_embed(read: Callable[[], EmbedConfig], quiet: bool) -> None:
    """Run the embed flow on a config that is read meanwhile, and say what came of it."""
    with plain_errors(), interruptible():
        from flows.embed.launch import launch_embed

        result = launch_embed(read, "quiet" if quiet else "auto")
    if result["outcome"] == "already complete":
        print("already complete, nothing to do: the source and the configuration are unchanged")
        print("chunks     all there with their sizes, content not checked (landmarks verify)")
    for account in result.get("methods", {"": result}).values():
        print(f"embedding  {account['embedding']}  ({account['rows']:,} × {account['components']})")
        if account["bad_rows"]:
            print(f"bad rows   {account['bad_rows']:,} have NaN coordinates")
        print(f"report     {account['report']}")


@app.command()
def detect(config: ConfigPath, overrides: Overrides = None, quiet: Quiet = False) -> None:
    """Find faces, hands or bodies in shards of images and write keypoint tables. Run again: new images only."""
    from landmark_ops.configs.detect import DetectConfig
    from landmark_ops.configs.embed import load_config_as

    with plain_errors(), interruptible():
        from flows.detect.launch import launch_detect

        read = partial(load_config_as, DetectConfig, config, overrides or ())
        result = launch_detect(read, "quiet" if quiet else "auto")
    if result["outcome"] == "nothing new":
        print("nothing new: every image is in the tables already")
    print(
        f"images     {result['images']:,} = {result['with_instances']:,} with rows + {result['without']:,} without "
        f"+ {result['failed']:,} failed"
    )
    if result["passed_over"]:
        from landmark_ops.shards.member import say_passed

        print(f"passed over: {say_passed(result['passed_over'])}")
    if result["vanished"]:
        print(f"vanished: {result['vanished']:,} shards on record are no longer in the source, their rows are kept")
    if result["rewritten"]:
        print(
            f"rewritten: {result['rewritten']:,} pictures were written anew under their names, their rows are replaced"
        )
    print(f"keypoints  {result['tables']['keypoints']}  ({result['instances']:,} rows)")
    print(f"failures   {result['tables']['failures']}")
    print(f"report     {result['report']}")
    for warning in result["warnings"]:
        print(f"landmarks: {warning}", file=sys.stderr)


@app.command()
def draw(
    tables: Annotated[str, typer.Argument(help="The output.uri of a detection run; a path or s3://.")],
    out: Annotated[str, typer.Option(metavar="DIR", help="Folder for the pictures.")],
    sample: Annotated[int, typer.Option(min=1, max=500, help="How many images, at random.")] = 24,
    image_id: Annotated[list[str] | None, typer.Option(help="Draw this image; may be repeated.")] = None,
    source: Annotated[str | None, typer.Option(help="Where the images are now, if they have moved.")] = None,
    column: Annotated[str | None, typer.Option(help="Column or array of the images, if the run named one.")] = None,
    id_column: Annotated[str | None, typer.Option(help="Column of ids, if the run named one.")] = None,
) -> None:
    """Draw what a detection run found over its images: one JPEG each, and a contact sheet."""
    with plain_errors():
        from flows.detect.draw import draw_tables
        from flows.detect.stored_members import Place

        place = Place(source, column, id_column)
        drawings = draw_tables(tables, out, sample=sample, image_ids=image_id or (), place=place)
    for name, problem in drawings.problems.items():
        print(f"landmarks: {name}: {problem}", file=sys.stderr)
    if drawings.sheet is None:
        fail("nothing was drawn: if the images have moved, name their place with --source", 2)
    print(f"overlays  {len(drawings.overlays):,} in {out}")
    print(f"sheet     {drawings.sheet}")


@app.command()
def compare(config: ConfigPath, overrides: Overrides = None, quiet: Quiet = False) -> None:
    """Compare selection strategies and numbers of landmarks on your own rows: one table, one picture, no embedding."""
    from landmark_ops.configs.embed import CompareConfig, load_config_as

    with plain_errors(), interruptible():
        from flows.compare.launch import launch_compare

        read = partial(load_config_as, CompareConfig, config, overrides or ())
        result = launch_compare(read, "quiet" if quiet else "auto")
    print("\n".join([*result["lines"], "", f"page  {result['page']}"]))


@app.command()
def plan(config: ConfigPath, overrides: Overrides = None) -> None:
    """Say what `embed` would do: tasks, bytes, peak memory per worker, expected seconds. Writes nothing."""
    from landmark_ops.configs.embed import load_config

    with plain_errors():
        settings = load_config(config, overrides or ())
        from flows.cli.plan import describe_plan

        for line in describe_plan(settings):
            print(line)


@app.command()
def inspect(
    uri: Annotated[str, typer.Argument(help="A source, or an embedding made here; a path or s3://.")],
    array: Annotated[str | None, typer.Option(help="Array of a Zarr group.")] = None,
    column: Annotated[str | None, typer.Option(help="Vector column of Parquet or Delta.")] = None,
) -> None:
    """Say what lies at a place: shape and type of a source, or status and quality of an embedding."""
    with plain_errors():
        from flows.cli.inspect import describe_place

        for line in describe_place(uri, array, column):
            print(line)


@app.command()
def verify(
    uri: Annotated[str, typer.Argument(help="The output of an embedding or detection run; a path or s3://.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Read an output whole and compare it with what was recorded. Exits with 1 where something is damaged."""
    from landmark_ops.errors import DamagedError

    with plain_errors():
        import flows.cli.verify as verifying

        found = verifying.verify_place(uri)
        if as_json:
            import json

            print(json.dumps(verifying.as_json(found), indent=1))
        else:
            print("\n".join(verifying.as_lines(found)))
        damaged = sum(len(one.damaged) for one in found)
        if damaged:
            raise DamagedError(
                f"{uri}: {damaged:,} objects are damaged: `landmarks repair` with the config of an embedding's run "
                "computes its rows anew; what else is damaged has to be made anew"
            )


@app.command()
def repair(config: ConfigPath, overrides: Overrides = None, quiet: Quiet = False) -> None:
    """Compute damaged chunks of a complete embedding anew, by its stored map, from its unchanged source."""
    from landmark_ops.configs.embed import load_config

    with plain_errors():
        settings = load_config(config, overrides or ())
        with interruptible():
            from flows.base.progress import make_progress
            from flows.embed.repair import repair as repair_outputs

            progress = make_progress("quiet" if quiet else "auto")
            try:
                done = repair_outputs(settings, progress)
            finally:
                progress.close()
    for one in done:
        if one.chunks or one.metadata:
            print(
                f"repaired   {one.uri}  ({one.chunks:,} chunks, {one.rows:,} rows, {one.metadata:,} files of metadata)"
            )
        else:
            print(f"whole      {one.uri}  (nothing to repair)")


@app.command()
def version() -> None:
    """Print the version."""
    from landmark_ops import __version__

    print(__version__)


def main() -> None:
    """Entry point of the `landmarks` command."""
    app()


if __name__ == "__main__":
    main()
