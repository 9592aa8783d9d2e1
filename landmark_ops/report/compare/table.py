"""A comparison as text: aligned lines for the terminal, Markdown for the artifact page, JSON and CSV for programs."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import asdict, fields
from typing import Any

from landmark_ops.report.compare.content import CompareReport, Trial
from landmark_ops.report.compare.numbers import (
    Cell,
    advice,
    best_of,
    counts_of,
    refusals_of,
    show_error,
    show_range,
    table_of,
)
from landmark_ops.report.markdown import escape
from landmark_ops.report.numbers import show_seconds

BEST = "*"


def compare_lines(report: CompareReport) -> list[str]:
    """The table for a terminal: one line per strategy, one column per number of landmarks, the best marked.

    The last columns are those of the largest number: range over seeds, seconds of selection and evaluations if counted.
    """
    table, counts = table_of(report), counts_of(report)
    best = best_of(table)
    last = counts[-1]
    shown = {name: cells for name, cells in table.items() if any(cell.errors for cell in cells)}
    evaluated = any(cells[-1].evaluations is not None for cells in shown.values())
    header = ["strategy", *(f"m = {count:,}" for count in counts), f"range at {last:,}", "seconds"]
    rows = []
    for name, cells in shown.items():
        errors = [show_median(cell) + (BEST if best.get(cell.landmarks) == name else " ") for cell in cells]
        seconds = cells[-1].seconds
        row = [name, *errors, show_range(cells[-1]) or "–", "–" if seconds is None else show_seconds(seconds)]
        rows.append([*row, show_evaluations(cells[-1])] if evaluated else row)
    if evaluated:
        header.append("evaluations")
    header = [header[0], *(f"{text} " for text in header[1 : 1 + len(counts)]), *header[1 + len(counts) :]]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(wide) if at == 0 else cell.rjust(wide)
            for at, (cell, wide) in enumerate(zip(row, widths, strict=True))
        )
        for row in [header, *rows]
    ]
    caption = f"{report.measure} by number of landmarks m, {BEST} least at this m"
    if any(len(cell.errors) > 1 for cells in shown.values() for cell in cells):
        caption = caption.replace(",", ", median over seeds,", 1)
    floor = [] if report.floor is None else [f"{report.floor.name}: {show_error(report.floor.error)}"]
    refused = [f"{name} refused at {every(at)}: {why}" for name, at, why in refusals_of(table)]
    return [caption, "", *lines, *floor, *([""] if refused else []), *refused, *advised(report)]


def every(at: str) -> str:
    """The numbers of landmarks of a refusal, in a sentence."""
    return "every m" if at == "all" else f"m = {at}"


def advised(report: CompareReport) -> list[str]:
    """An empty line and the advice, if there is any."""
    sentences = advice(report)
    return ["", *sentences] if sentences else []


def show_median(cell: Cell) -> str:
    """The median error, or a dash."""
    return show_error(cell.median) if cell.errors else "–"


def show_evaluations(cell: Cell) -> str:
    """How many evaluations, or a dash where they are not counted."""
    return "–" if cell.evaluations is None else f"{cell.evaluations:,}"


def compare_markdown(report: CompareReport) -> str:
    """Title, summary, warnings, advice and the table; text of the report cannot act as markup."""
    table, counts = table_of(report), counts_of(report)
    best = best_of(table)
    lines = [f"## {escape(report.title)}", "", escape(report.summary), ""]
    for warning in report.warnings:
        lines += [f"> **Warning:** {escape(warning)}", ""]
    for sentence in advice(report):
        lines += [f"**{escape(sentence)}**", ""]
    lines += [f"| Strategy | {' | '.join(f'm = {count:,}' for count in counts)} | Seconds at {counts[-1]:,} |"]
    lines += [f"|:--{'|--:' * (len(counts) + 1)}|"]
    for name, cells in table.items():
        errors = [
            f"**{show_median(cell)}**" if best.get(cell.landmarks) == name else show_median(cell) for cell in cells
        ]
        seconds = cells[-1].seconds
        lines.append(f"| {name} | {' | '.join(errors)} | {'–' if seconds is None else show_seconds(seconds)} |")
    lines += ["", escape(report.meaning), ""]
    lines += [f"- {name} refused at {every(at)}: {escape(why)}" for name, at, why in refusals_of(table)]
    return "\n".join([*lines, ""])


def compare_json(report: CompareReport) -> bytes:
    """Every number: the trials as they were, the cells they come to, and the advice."""
    cells = [
        {
            **{key: value for key, value in cell._asdict().items() if key != "errors"},
            "median": cell.median,
            "low": cell.low,
            "high": cell.high,
            "seeds": len(cell.errors),
        }
        for row in table_of(report).values()
        for cell in row
    ]
    content = {
        "title": report.title,
        "measure": report.measure,
        "meaning": report.meaning,
        "baseline": report.baseline,
        "floor": None if report.floor is None else asdict(report.floor),
        "advice": advice(report),
        "warnings": report.warnings,
        "cells": cells,
        "trials": [asdict(trial) for trial in report.trials],
        "provenance": report.provenance,
    }
    return (json.dumps(_finite(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def compare_csv(report: CompareReport) -> bytes:
    """The trials, one line each."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    names = [field.name for field in fields(Trial)]
    writer.writerow(["landmarks" if name == "count" else name for name in names])
    for trial in report.trials:
        values = (getattr(trial, name) for name in names)
        writer.writerow(["" if value is None else value for value in values])
    return text.getvalue().encode()


def _finite(value: Any) -> Any:
    """JSON knows no NaN: null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list | tuple) else value
