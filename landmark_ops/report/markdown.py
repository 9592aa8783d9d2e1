"""The quality table as Markdown, for the artifact pages of a scheduler."""

from __future__ import annotations

from landmark_ops.report.content import EmbedReport
from landmark_ops.report.numbers import show_measure

SPECIAL = str.maketrans(
    {sign: "\\" + sign for sign in "\\`*_{}[]|~#"} | {"\n": " ", "<": "&lt;", ">": "&gt;", "&": "&amp;"}
)


def quality_markdown(report: EmbedReport) -> str:
    """Write title, summary, warnings and the quality table; text of the report cannot act as markup."""
    lines = [f"## {escape(report.title)}", "", escape(report.summary), ""]
    for warning in report.warnings:
        lines += [f"> **Warning:** {escape(warning)}", ""]
    lines += ["| Measure | Value | Better | Meaning |", "|:--|--:|:--|:--|"]
    for measure in report.quality:
        cells = (
            escape(measure.name),
            show_measure(measure.value, measure.standard_error),
            measure.better,
            escape(measure.meaning),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", escape(report.quality_note), ""])


def escape(text: str) -> str:
    """Make text literal inside one Markdown table cell."""
    return text.translate(SPECIAL)
