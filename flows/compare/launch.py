"""`landmarks compare`, from its checked config to the account of the run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from flows.base.launch import followed, launch
from flows.base.progress import Mode, Progress
from landmark_ops.configs.embed import CompareConfig


def launch_compare(config: CompareConfig | Callable[[], CompareConfig], mode: Mode) -> dict[str, Any]:
    """Run the compare flow with progress on stderr; see `launch`."""

    def prepare(config: CompareConfig, progress: Progress) -> Callable[[], dict[str, Any]]:
        from flows.compare.comparison import open_comparison

        comparison = open_comparison(config)
        import distributed  # noqa: F401  imported while the server starts

        import landmark_ops.report.compare.picture  # noqa: F401  likewise
        from flows.compare.flow import compare, run_compare

        return lambda: dict(followed(compare, partial(run_compare, comparison=comparison, progress=progress))(config))

    return launch(config, prepare, mode)
