"""Numbers of a report: how they are written, and the few that are drawn and tabulated alike.

Pictures and page take them from here, so that the two never disagree.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.report.content import Coverage, EmbedReport, Stage
from landmark_ops.units import minutes

UNDEFINED = "undefined"


def show(value: float, digits: int = 4) -> str:
    """Write a number to `digits` significant digits, large ones with thousands separators; NaN is "undefined"."""
    if value < 0:
        return "−" + show(-value, digits)
    if not math.isfinite(value):
        return UNDEFINED
    if value == 0:
        return "0"
    if 1e-4 <= value < 1e9:
        decimals = max(0, digits - 1 - math.floor(math.log10(value)))
        text = f"{value:,.{decimals}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def show_compact(value: float) -> str:
    """Write a number for an axis in a few characters: 120k, 1.5M, 2B (billion), 0.25, 2e−7."""
    for unit, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= unit and (unit > 1e3 or abs(value) >= 1e4) and abs(value) < 1e12:
            return f"{value / unit:.10g}{letter}"
    if 0 < abs(value) < 1e-3 or abs(value) >= 1e12:
        mantissa, exponent = f"{value:.9e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}".replace("-", "−")
    return f"{value:,.10g}".replace("-", "−")


def show_power(value: float) -> str:
    """Write a power of ten for a log axis: 1, 10, 100, 1,000, 10⁴, 10⁻³; from 1 to 1,000 any whole number."""
    if 1 <= value <= 1000:
        return f"{value:,.0f}"
    exponent = round(math.log10(value))
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def show_percent(fraction: float) -> str:
    """Write a fraction of 1 as a percentage; a tiny one that is not zero does not become 0 %."""
    if not math.isfinite(fraction):
        return UNDEFINED
    if 0 < fraction < 5e-5:
        return "< 0.01 %"
    return f"{show(100 * fraction, 3)} %"


def show_measure(value: float, standard_error: float | None) -> str:
    """Write value ± standard error, both to the second significant digit of the error."""
    if standard_error is None or not math.isfinite(value):
        return show(value)
    if not math.isfinite(standard_error):
        return f"{show(value)} ± {UNDEFINED}"
    if standard_error <= 0:
        return f"{show(value)} ± {show(standard_error)}"
    decimals = max(0, 1 - math.floor(math.log10(standard_error)))
    if decimals > 7:
        return f"{show(value)} ± {show(standard_error, 2)}"
    return f"{value:,.{decimals}f} ± {standard_error:,.{decimals}f}"


def show_seconds(seconds: float) -> str:
    """Write a duration: 0.12 s, 34.5 s, 2 min 05 s, 1 h 02 min."""
    if not math.isfinite(seconds):
        return UNDEFINED
    if seconds < 59.95:
        return f"{show(seconds, 3)} s"
    return minutes(seconds)


def show_rate(stage: Stage, unit: str = "rows") -> str:
    """Write rows per second to three digits, or "–" where a stage has no rows or took no measurable time."""
    if stage.rows is None or not stage.seconds > 0:
        return "–"
    return show_speed(stage.rows / stage.seconds, unit)


def show_speed(rate: float, unit: str) -> str:
    """Write so many `unit` per second to three digits, "–" for a rate that is not finite."""
    if not math.isfinite(rate):
        return "–"
    for size, word in ((1e9, " billion"), (1e6, " million")):
        if rate >= size:
            return f"{rate / size:.3g}{word} {unit}/s"
    return f"{show(float(f'{rate:.3g}'))} {unit}/s"


class Quantiles(NamedTuple):
    """Some quantiles of the finite values of a sample, NaN where there are none, and how many were not finite."""

    values: tuple[float, ...]
    undefined: int


def quantiles(sample: NDArray[np.float64], at: tuple[float, ...]) -> Quantiles:
    """Quantiles `at` (fractions) of the finite values of `sample`."""
    finite = sample[np.isfinite(sample)]
    if finite.size == 0:
        return Quantiles((math.nan,) * len(at), int(sample.size))
    return Quantiles(tuple(float(value) for value in np.quantile(finite, at)), int(sample.size - finite.size))


class CoverageNumbers(NamedTuple):
    """The numbers of a coverage picture: quantiles of both samples, and how evenly the landmarks share the rows."""

    nearest: Quantiles  # median, 95 %
    residual: Quantiles  # 1 %, median, 99 %
    empty_cells: int
    largest_cell: int
    even_share: float


def coverage_numbers(coverage: Coverage) -> CoverageNumbers:
    """Summarise the coverage sample."""
    sizes = coverage.cell_sizes
    return CoverageNumbers(
        nearest=quantiles(coverage.nearest, (0.5, 0.95)),
        residual=quantiles(coverage.residual, (0.01, 0.5, 0.99)),
        empty_cells=int(np.count_nonzero(sizes == 0)),
        largest_cell=int(sizes.max(initial=0)),
        even_share=float(sizes.mean()) if sizes.size else math.nan,
    )


class SpectrumNumbers(NamedTuple):
    """The finite eigenvalues and the share of the positive ones' sum that the first i hold, empty if that sum is 0."""

    values: NDArray[np.float64]
    cumulative: NDArray[np.float64]
    kept_share: float


def spectrum_numbers(report: EmbedReport) -> SpectrumNumbers:
    """Summarise the spectrum: negative eigenvalues add nothing to the share."""
    values = np.asarray([] if report.spectrum is None else report.spectrum, dtype=np.float64)
    values = values[np.isfinite(values)]
    total = float(values.clip(min=0).sum())
    if not total > 0:
        return SpectrumNumbers(values, np.empty(0), math.nan)
    cumulative = np.cumsum(values.clip(min=0)) / total
    kept = min(report.kept, values.size)
    return SpectrumNumbers(values, cumulative, float(cumulative[kept - 1]) if kept else 0.0)
