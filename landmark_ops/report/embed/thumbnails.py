"""Picture of landmark thumbnails at their places in the first two components.

Draws a well-spread subset, never one over another, and says how many.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark_ops.report import canvas
from landmark_ops.report.content import EmbedReport
from landmark_ops.report.embed.density import MAX_STRETCH, Box, Limits, coarsen, fit_limits, paint

LOW, HIGH = 0.005, 0.995  # quantiles of all values that become black and white: a few hot pixels change nothing
MIN_PX, MAX_PX = 48, 110  # longer side of a drawn thumbnail


def draw_thumbnails(report: EmbedReport, thumbnails: NDArray[Any]) -> bytes:
    """Draw thumbnails over a faint density of the rows."""
    line = report.landmarks.shape[1] < 2
    places = np.asarray(report.landmarks[:, :2], dtype=np.float64)
    if line:
        places = np.column_stack([places[:, 0], np.zeros(len(places))])
    height = 2.0 if line else figure_height(places)
    box = Box(0.8, 0.55, canvas.WIDTH - 1.0, height - 0.92)
    figure = canvas.new_figure(height)
    axes = canvas.add_axes(figure, *box)
    wide, high = round(box.width * canvas.DPI), round(box.height * canvas.DPI)
    side = thumbnail_side(len(places), wide, high)
    limits = limits_around(places, box, side / canvas.DPI)
    for density in report.densities:
        if density.components == (0, 1) and not line:
            grid = coarsen(density, box, limits)
            paint(axes, grid, limits, faint(grid.counts))
    across = (places[:, 0] - limits[0]) / (limits[1] - limits[0]) * wide
    down = (limits[3] - places[:, 1]) / (limits[3] - limits[2]) * high
    chosen = spread(across, down, side + 4)
    raster = np.zeros((high, wide, 4), dtype=np.uint8)
    for image, x, y in zip(scale_to_unit(thumbnails)[chosen], across[chosen], down[chosen], strict=True):
        paste(raster, resize(image, side), round(x), round(y))
    axes.imshow(raster, extent=limits, interpolation="nearest", aspect="auto", zorder=2)
    axes.set_xlim(limits[0], limits[1])
    axes.set_ylim(limits[2], limits[3])
    canvas.name_axes(axes, "component 1", "" if line else "component 2")
    if line:
        axes.set_yticks([])
    note = f"{len(chosen):,} of {len(places):,} landmarks drawn, spread so that none covers another"
    canvas.label(axes, note, (0, 1), (0, 7), size=9, color=canvas.MUTED)
    return canvas.to_png(figure)


def figure_height(places: NDArray[np.float64]) -> float:
    """Inches of the figure that suit the shape of the cloud of landmarks, its axes sharing one unit."""
    finite = places[np.isfinite(places).all(axis=1)]
    wide, high = np.ptp(finite, axis=0) if len(finite) else (0.0, 0.0)
    ratio = high / wide if wide > 0 and 1 / MAX_STRETCH <= high / wide <= MAX_STRETCH else 0.7
    return float(np.clip(0.92 + ratio * (canvas.WIDTH - 1.0), 4.0, 7.4))


def thumbnail_side(count: int, wide: int, high: int) -> int:
    """Pixels of the longer side: large for few landmarks, never too small to recognise."""
    return int(np.clip(math.sqrt(0.4 * wide * high / max(count, 1)), MIN_PX, min(MAX_PX, high / 2)))


def limits_around(places: NDArray[np.float64], box: Box, side: float) -> Limits:
    """Limits that hold every finite place with half a thumbnail (`side` inches) around it."""
    finite = places[np.isfinite(places).all(axis=1)]
    low, top = (finite.min(axis=0), finite.max(axis=0)) if len(finite) else (np.zeros(2), np.zeros(2))
    (x0, x1), (y0, y1) = (canvas.widen(float(a), float(b)) for a, b in zip(low, top, strict=True))
    room = Box(0, 0, box.width - side - 0.1, box.height - side - 0.1)
    if (top > low).all():
        x0, x1, y0, y1 = fit_limits((x0, x1, y0, y1), room)
    pad_x = (x1 - x0) * (side / 2 + 0.05) / room.width
    pad_y = (y1 - y0) * (side / 2 + 0.05) / room.height
    return x0 - pad_x, x1 + pad_x, y0 - pad_y, y1 + pad_y


def faint(counts: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Grey of each cell by the logarithm of its count, (H, W, 4), light enough to lie behind pictures."""
    scaled = np.log1p(counts) / max(math.log1p(int(counts.max(initial=0))), 1e-9)
    rgba = np.zeros((*counts.shape, 4), dtype=np.uint8)
    rgba[..., :3] = (37, 99, 168)
    rgba[..., 3] = np.where(counts > 0, 20 + 70 * scaled, 0).astype(np.uint8)
    return rgba


def spread(across: NDArray[np.float64], down: NDArray[np.float64], side: int) -> list[int]:
    """Choose places, in order, each at least `side` pixels from those chosen before, across or down.

    A grid of cells of that side holds at most one chosen place each, so nine cells answer for all.
    """
    taken: dict[tuple[int, int], int] = {}
    for i in np.flatnonzero(np.isfinite(across) & np.isfinite(down)).tolist():
        column, row = int(across[i] // side), int(down[i] // side)
        near = (taken.get((column + dx, row + dy)) for dx in (-1, 0, 1) for dy in (-1, 0, 1))
        if all(j is None or max(abs(across[i] - across[j]), abs(down[i] - down[j])) >= side for j in near):
            taken[column, row] = i
    return list(taken.values())


def scale_to_unit(thumbnails: NDArray[Any]) -> NDArray[np.float64]:
    """Scale to 0..1 by one range for all, as (m, h, w, 4); constant thumbnails become middle grey.

    Undefined pixels become transparent. An alpha channel keeps its meaning: integers count to their type's maximum.
    """
    values = thumbnails[..., None] if thumbnails.ndim == 3 else thumbnails
    images = np.ones((*values.shape[:3], 4))
    if values.shape[3] == 4:
        whole = np.iinfo(values.dtype).max if np.issubdtype(values.dtype, np.integer) else 1
        images[..., 3] = np.clip(np.nan_to_num(values[..., 3].astype(np.float64)) / whole, 0, 1)
    colour = values[..., :3].astype(np.float64)
    finite = np.isfinite(colour)
    low, high = np.quantile(colour[finite], (LOW, HIGH)) if finite.any() else (0.0, 0.0)
    if not high > low:
        low, high = (colour[finite].min(), colour[finite].max()) if finite.any() else (0.0, 0.0)
    scaled = np.clip((colour - low) / (high - low), 0, 1) if high > low else np.full(colour.shape, 0.5)
    images[..., :3] = np.where(finite, scaled, 0.0)
    images[..., 3] *= finite.all(axis=3)
    return images


def resize(image: NDArray[np.float64], side: int) -> NDArray[np.uint8]:
    """Bring the longer side of (h, w, 4) to `side` pixels: small images keep sharp pixels, large ones are averaged."""
    shrink = max(1, max(image.shape[:2]) // side)
    height, width = (max(1, size // shrink) for size in image.shape[:2])
    if shrink > 1:
        cut = image[: height * shrink, : width * shrink]
        image = cut.reshape(height, shrink, -1, shrink, 4).mean(axis=(1, 3)) if min(cut.shape[:2]) >= shrink else cut
    longest = max(image.shape[:2])
    down, across = (
        np.arange(max(1, round(size * side / longest))) * size // max(1, round(size * side / longest))
        for size in image.shape[:2]
    )
    return np.asarray(np.round(255 * image[down][:, across]), dtype=np.uint8)


def paste(raster: NDArray[np.uint8], image: NDArray[np.uint8], x: int, y: int) -> None:
    """Put an image with a one-pixel frame onto the raster, centred at (x, y) and moved inside where it sticks out."""
    framed = np.pad(image, ((1, 1), (1, 1), (0, 0)))
    framed[[0, -1]] = framed[:, [0, -1]] = (255, 255, 255, 255)
    height, width = framed.shape[:2]
    top = min(max(y - height // 2, 0), raster.shape[0] - height)
    left = min(max(x - width // 2, 0), raster.shape[1] - width)
    raster[top : top + height, left : left + width] = framed
