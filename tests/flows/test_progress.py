"""What a person sees while a run goes on: durations, plain lines, a bar, or nothing."""

from __future__ import annotations

import io
import re

import pytest

from flows.base import progress
from flows.base.progress import BarProgress, PlainProgress, Progress, make_progress
from landmark_ops.row_range import RowRange


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def two_stages(shown: Progress) -> None:
    with shown.stage("select", 1000):
        shown.plan_rows(4000)
        for start in range(0, 4000, 1000):
            shown.rows_done(RowRange(start, start + 1000))
    with shown.stage("solve"):
        pass


def test_stages_are_remembered_in_order() -> None:
    shown = Progress()
    two_stages(shown)
    assert [(stage.name, stage.rows) for stage in shown.stages] == [("select", 1000), ("solve", None)]
    assert all(stage.seconds >= 0 for stage in shown.stages)


def test_a_stage_that_fails_is_not_remembered() -> None:
    shown = Progress()
    with pytest.raises(ValueError, match="no"), shown.stage("select"):
        raise ValueError("no")
    assert shown.stages == []


def test_plain_lines() -> None:
    stream = io.StringIO()
    two_stages(PlainProgress(stream))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert re.fullmatch(r"select    done in \S+ s, 4,000 rows, [\d,]+ rows/s", lines[0])
    assert re.fullmatch(r"solve     done in \S+ s", lines[1])


def test_plain_lines_within_a_long_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    stream = io.StringIO()
    shown = PlainProgress(stream)
    with shown.stage("extend", 4000):
        for start in range(0, 4000, 1000):
            now[0] += 3
            shown.rows_done(RowRange(start, start + 1000))
    assert stream.getvalue().splitlines() == [
        "extend     50%  2,000 of 4,000 rows, 333 rows/s, 6.0 s left",
        "extend    100%  4,000 of 4,000 rows, 333 rows/s, 0 s left",
        "extend    done in 12 s, 4,000 rows, 333 rows/s",
    ]


def test_a_failing_stage_leaves_no_line() -> None:
    stream = io.StringIO()
    shown = PlainProgress(stream)
    with pytest.raises(ValueError, match="no"), shown.stage("select"):
        raise ValueError("no")
    assert stream.getvalue() == ""


def test_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    stream = Terminal()
    shown = BarProgress(stream)
    two_stages(shown)
    shown.say("[bold] is not markup")
    with pytest.raises(TypeError), shown.stage("extend", 0):
        shown.advance(None)  # type: ignore[arg-type]
    shown.close()
    text = stream.getvalue()
    assert "select" in text
    assert "100%" in text
    assert "rows/s" in text
    assert "[bold] is not markup" in text


def test_choice_by_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(make_progress("quiet")) is Progress
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert type(make_progress()) is PlainProgress
    monkeypatch.setattr("sys.stderr", Terminal())
    bar = make_progress()
    bar.close()
    assert type(bar) is BarProgress
