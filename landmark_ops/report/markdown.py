"""Quality of an embedding, and the account of a detection run, as Markdown for the artifact pages of a scheduler."""

from __future__ import annotations

from landmark_ops.report.content import EmbedReport
from landmark_ops.report.detect.content import DetectReport, check_account
from landmark_ops.report.detect.numbers import account, describe, ordered_reasons, show_share
from landmark_ops.report.numbers import show_measure

SPECIAL = str.maketrans(
    {sign: "\\" + sign for sign in "\\`*_{}[]|~#"} | {"\n": " ", "\r": " ", "<": "&lt;", ">": "&gt;", "&": "&amp;"}
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


def detect_markdown(report: DetectReport) -> str:
    """Write title, summary, warnings, the account and the failures by reason; text cannot act as markup."""
    check_account(report)
    lines = [f"## {escape(report.title)}", "", escape(report.summary), ""]
    for warning in report.warnings:
        lines += [f"> **Warning:** {escape(warning)}", ""]
    terms = account(report)
    lines += [f"| {' | '.join(sign + term.label for sign, term in zip(('', '= ', '+ ', '+ '), terms, strict=True))} |"]
    lines += ["|--:" * len(terms) + "|", f"| {' | '.join(f'{term.images:,}' for term in terms)} |", ""]
    lines += [" ".join(describe(report)), ""]
    reasons = ordered_reasons(report)
    if reasons:
        lines += ["| Reason | Failures | Share of images | Meaning |", "|:--|--:|--:|:--|"]
    for reason in reasons:
        share = show_share(reason.count, report.images)
        lines.append(f"| {escape(reason.code)} | {reason.count:,} | {share} | {escape(reason.meaning)} |")
    return "\n".join([*lines, ""])


def escape(text: str) -> str:
    """Make text literal inside one Markdown table cell; half characters of undecodable file names become escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").translate(SPECIAL)
