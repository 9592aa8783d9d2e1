"""`landmarks detect`, from its checked config to the account of the run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from flows.base.launch import followed, launch
from flows.base.progress import Mode, Progress
from landmark_ops.configs.detect import DetectConfig


def launch_detect(config: DetectConfig | Callable[[], DetectConfig], mode: Mode) -> dict[str, Any]:
    """Run the detect flow with progress on stderr; see `launch`."""

    def start(config: DetectConfig, progress: Progress) -> Callable[[], dict[str, Any]]:
        import distributed  # noqa: F401  imported while the server starts

        from flows.detect.flow import detect, run_detect
        from flows.detect.preparation import prepare

        prepared = prepare(config)
        return lambda: dict(followed(detect, partial(run_detect, prepared=prepared, progress=progress))(config))

    return launch(config, start, mode)
