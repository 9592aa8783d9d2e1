"""`make demo-detect`: faces in the photographs that scikit-image and scikit-learn carry, as tables and a page."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from flows.cli import app as cli

SOURCE = Path("data/pictures")
PHOTOGRAPHS = ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg", "motorcycle_left.png", "camera.png")


def copy_photographs(folder: Path) -> int:
    """Copy the photographs of the two wheels into `folder`; returns how many there are."""
    import skimage
    import sklearn

    folder.mkdir(parents=True, exist_ok=True)
    found = [Path(skimage.__file__).parent / "data" / name for name in PHOTOGRAPHS]
    found += sorted((Path(sklearn.__file__).parent / "datasets" / "images").glob("*.jpg"))
    present = [path for path in found if path.exists()]
    for path in present:
        shutil.copy(path, folder / path.name)
    return len(present)


def main() -> None:
    """Copy the photographs, then run `landmarks detect configs/detect-face-68.yaml`."""
    count = copy_photographs(SOURCE)
    print(f"{count} photographs in {SOURCE}")
    sys.argv = ["landmarks", "detect", "configs/detect-face-68.yaml"]
    cli.main()


if __name__ == "__main__":
    main()
