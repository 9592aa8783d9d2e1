"""Progress of a run: a bar with rows/s and time left on a terminal, plain lines elsewhere, or none."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TextIO

from landmark_ops.report.content import Stage
from landmark_ops.row_range import RowRange
from landmark_ops.units import duration

PLAIN_SECONDS = 5.0

Mode = Literal["auto", "quiet"]


class Progress:
    """Follows the stages of one run and remembers how long each took. This one shows nothing.

    `stages` holds name, seconds and rows of every finished stage, in order.
    """

    def __init__(self) -> None:
        self.stages: list[Stage] = []
        self.total: int | None = None
        self.done = 0
        self.unit = "rows"
        self.began = 0.0

    @contextmanager
    def stage(self, name: str, rows: int | None = None, unit: str = "rows") -> Iterator[None]:
        """One stage; `rows` where it passes over the source, counted in `unit` where that is not rows."""
        self.total, self.done, self.unit = rows, 0, unit
        self.began = time.perf_counter()
        self._open(name)
        finished = False
        try:
            yield
            finished = True
        except Exception as error:
            error.add_note(f"stage: {name}")  # named in the error's line
            raise
        finally:
            seconds = time.perf_counter() - self.began
            if finished:
                self.stages.append(Stage(name, seconds, rows or self.done or None))
            self._close(name, seconds, finished)

    @contextmanager
    def between(self, name: str) -> Iterator[None]:
        """Time the work between the stages opened inside, as a stage of its own."""
        began, before = time.perf_counter(), len(self.stages)
        yield
        inside = sum(stage.seconds for stage in self.stages[before:])
        seconds = time.perf_counter() - began - inside
        self.stages.append(Stage(name, seconds, None))
        self.total, self.done = None, 0
        self._open(name)
        self._close(name, seconds, True)

    def plan_rows(self, total: int) -> None:
        """Set how many rows the running stage reads over all its passes, once that is known."""
        self.total = total

    def advance(self, count: int) -> None:
        """Count `count` more rows, or other units of the stage, as done."""
        self.done += count
        self._show()

    def rows_done(self, item: RowRange) -> None:
        """A range of rows is done."""
        self.advance(item.size)

    def say(self, text: str) -> None:
        """One line for the person watching."""

    def close(self) -> None:
        """Nothing more will come."""

    @property
    def rate(self) -> float:
        """Rows per second of the running stage."""
        return self.done / max(time.perf_counter() - self.began, 1e-9)

    def _open(self, name: str) -> None: ...

    def _show(self) -> None: ...

    def _close(self, name: str, seconds: float, finished: bool) -> None: ...


class PlainProgress(Progress):
    """Plain lines: when a stage ends, and every few seconds within a long one."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream = stream
        self.shown = 0.0
        self.name = ""

    def say(self, text: str) -> None:
        """Print the line."""
        print(text, file=self.stream, flush=True)

    def _open(self, name: str) -> None:
        self.name, self.shown = name, time.perf_counter()

    def _show(self) -> None:
        now = time.perf_counter()
        if now - self.shown < PLAIN_SECONDS:
            return
        self.shown = now
        if not self.total:
            self.say(f"{self.name:<9} {self.done:,} {self.unit}, {self.rate:,.0f} {self.unit}/s")
            return
        left = (self.total - self.done) / max(self.rate, 1e-9)
        self.say(
            f"{self.name:<9} {self.done / self.total:4.0%}  {self.done:,} of {self.total:,} {self.unit}, "
            f"{self.rate:,.0f} {self.unit}/s, {duration(left)} left"
        )

    def _close(self, name: str, seconds: float, finished: bool) -> None:
        if finished:
            rate = self.done / max(seconds, 1e-9)
            rows = f", {self.done:,} {self.unit}, {rate:,.0f} {self.unit}/s" if self.done else ""
            self.say(f"{name:<9} done in {duration(seconds)}{rows}")


class BarProgress(Progress):
    """A bar per stage on a terminal."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

        self.console = Console(file=stream, highlight=False)
        self.bar = Progress(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.description:<9}"),
            BarColumn(bar_width=32),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=self.console,
        )
        self.task: Any = None
        self.bar.start()

    def say(self, text: str) -> None:
        """Print the line above the bars."""
        self.bar.console.print(text, markup=False)

    def close(self) -> None:
        """Leave the finished bars on screen."""
        self.bar.stop()

    def _open(self, name: str) -> None:
        self.task = self.bar.add_task(name, total=self.total or None, note="")

    def _show(self) -> None:
        self.bar.update(self.task, total=self.total, completed=self.done, note=f"{self.rate:,.0f} {self.unit}/s")

    def _close(self, name: str, seconds: float, finished: bool) -> None:
        if not finished:
            self.bar.stop_task(self.task)
            return
        total = self.total or 1
        note = f"{self.done / max(seconds, 1e-9):,.0f} {self.unit}/s" if self.done else ""
        self.bar.update(self.task, total=total, completed=total, note=note)


def make_progress(mode: Mode = "auto") -> Progress:
    """A bar where stderr is a terminal, plain lines where not, nothing in quiet mode."""
    if mode == "quiet":
        return Progress()
    return BarProgress(sys.stderr) if sys.stderr.isatty() else PlainProgress(sys.stderr)
