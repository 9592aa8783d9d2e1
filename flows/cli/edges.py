"""The edge of the command line: every failure ends in one line and an exit code, and `--debug` shows the rest.

0 done, 2 a mistake in config, input or arguments, 1 a failure while running, 130 interrupted. Imports nothing heavy.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from typer import _click as click
from typer.core import TyperGroup

from landmark_ops.wording import mask, one_line

INTERRUPTED = "interrupted: what is committed is kept, run the same command again to resume"
DEBUG = "--debug"


class Edge:
    """The command of this process, and how to show its errors."""

    command = ""
    debug = False


class Commands(TyperGroup):
    """The command line as a whole: `--debug` may stand anywhere, and errors become lines and exit codes."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command that the arguments name, and exit."""
        given = list(sys.argv[1:] if args is None else args)
        options = given[: given.index("--")] if "--" in given else given
        Edge.command, Edge.debug = "", DEBUG in options
        kept = [one for one in options if one != DEBUG] + given[len(options) :]
        if not standalone_mode:
            return super().main(kept, prog_name, complete_var, False, windows_expand_args, **extra)
        prepare_streams()
        try:
            with plain_errors():
                code = super().main(kept, prog_name, complete_var, False, windows_expand_args, **extra)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(2)
        except click.exceptions.ClickException as error:
            context = getattr(error, "ctx", None)
            path = context.command_path.split()[1:] if context is not None else []
            fail(f"{error.format_message().rstrip('.')}: see `{' '.join(['landmarks', *path])} --help`", 2)
        if code == 130:
            fail(INTERRUPTED, 130)
        flush()
        sys.exit(code if isinstance(code, int) else 0)


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn whatever goes wrong inside into one line on stderr and an exit code."""
    from landmark_ops.errors import InputError, RunError

    try:
        yield
    except click.exceptions.ClickException:
        raise
    except (InputError, RunError) as error:
        first = first_of(error)
        failed(error, str(first), 2 if isinstance(first, InputError) else 1)
    except MemoryError as error:
        failed(error, "out of memory: lower landmarks.count or cluster.workers, or run on a larger machine", 1)
    except KeyboardInterrupt as error:
        failed(error, INTERRUPTED, 130)
    except Exception as error:
        if isinstance(error, BrokenPipeError) and reader_has_gone():
            raise
        from flows.base.faults import explain

        failed(error, *explain(error, doing(error)))


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM ends a run as Ctrl-C does: cleanly, and so that running again resumes."""

    def stop(signum: int, frame: Any) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    yield


def first_of(error: BaseException) -> BaseException:
    """The error that came first, where cleaning up after it failed too, e.g. releasing a lock on an S3 that is gone."""
    from landmark_ops.errors import LandmarkOpsError

    while not error.__suppress_context__ and isinstance(error.__context__, LandmarkOpsError):
        error = error.__context__
    return error


def doing(error: BaseException) -> str:
    """The work in progress, for messages: the command, and the stage if one had begun, each with a colon."""
    notes = getattr(error, "__notes__", [])
    stages = [note.removeprefix("stage: ") for note in notes if note.startswith("stage: ")]
    return "".join(f"{part}: " for part in (Edge.command, *stages[:1]) if part)


def failed(error: BaseException, message: str, code: int) -> NoReturn:
    """Print the line, after the traceback where `--debug` was given, and exit."""
    if Edge.debug:
        with contextlib.suppress(OSError, ValueError):
            print(mask("".join(traceback.format_exception(error))), file=sys.stderr)
    fail(message, code)


def fail(message: str, code: int) -> NoReturn:
    """Print one line to stderr and exit."""
    with contextlib.suppress(OSError, ValueError):  # stderr may be closed
        print(f"landmarks: {one_line(message, 2000)}", file=sys.stderr)
    raise SystemExit(code)


def prepare_streams() -> None:
    """Print what an encoding lacks as escapes, drop output to a closed stream, silence libraries' warnings."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  for as long as the process lives
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    if not sys.warnoptions and not Edge.debug:
        warnings.simplefilter("ignore")
        for name in ("matplotlib", "asyncio"):  # they repeat what our own line says
            logging.getLogger(name).setLevel(logging.CRITICAL)


def flush() -> None:
    """Flush what is still to be printed, while a failure to print it can still be reported."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else the interpreter reports it when it exits
        sys.exit(1)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        fail(f"{Edge.command}: the result cannot be printed: {error.strerror}: see where standard output leads", 1)


def reader_has_gone() -> bool:
    """Whether the reader of our standard output has closed it, as `head` does."""
    try:
        poll = select.poll()
        poll.register(1, select.POLLOUT)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    except OSError:
        return False
