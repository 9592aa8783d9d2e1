"""Photographs to detect in: those of the scikit-image and scikit-learn wheels, as 720p JPEGs in tar shards."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

from flows.cli.demo_detect import copy_photographs

SEED = 20260101
WIDTH, HEIGHT = 1280, 720
PORTRAIT = "astronaut.png"  # the one with a face; every second picture shows it
QUALITY = 90


def write_shards(folder: Path, shards: int, per_shard: int, distinct: int = 64) -> None:
    """Write <folder>/00000.tar … with `per_shard` pictures each: `distinct` different ones in turn."""
    folder.mkdir(parents=True)
    photographs = folder.with_name(f"{folder.name}-photographs")
    copy_photographs(photographs)
    encoded = [jpeg(photographs, number) for number in range(min(distinct, shards * per_shard))]
    for shard in range(shards):
        with tarfile.open(folder / f"{shard:05d}.tar", "w") as archive:
            for at in range(shard * per_shard, (shard + 1) * per_shard):
                data = encoded[at % len(encoded)]
                info = tarfile.TarInfo(f"{at:06d}.jpg")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))


def jpeg(photographs: Path, number: int) -> bytes:
    """Picture `number` of 1280 × 720, the same at every call: two photographs side by side, cut at random."""
    rng = np.random.default_rng([SEED, number])
    paths = sorted(path for path in photographs.iterdir() if path.name != PORTRAIT)
    left = photographs / PORTRAIT if number % 2 == 0 else paths[rng.integers(len(paths))]
    canvas = Image.new("RGB", (WIDTH, HEIGHT))
    for half, path in enumerate((left, paths[rng.integers(len(paths))])):
        with Image.open(path) as opened:
            photograph = opened.convert("RGB")
        width, height = WIDTH // 2, HEIGHT
        scale = max(width / photograph.width, height / photograph.height) * rng.uniform(1, 1.3)
        photograph = photograph.resize((round(photograph.width * scale + 1), round(photograph.height * scale + 1)))
        x, y = (photograph.width - width) // 2, int(rng.integers(photograph.height - height + 1) // 4)
        canvas.paste(photograph.crop((x, y, x + width, y + height)), (half * width, 0))
    buffer = io.BytesIO()
    canvas.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
