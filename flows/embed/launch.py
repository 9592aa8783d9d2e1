"""`landmarks embed`, from its checked config to the account of the run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from flows.base.launch import followed, launch
from flows.base.progress import Mode, Progress
from landmark_ops.configs.embed import EmbedConfig


def launch_embed(config: EmbedConfig | Callable[[], EmbedConfig], mode: Mode) -> dict[str, Any]:
    """Run the embed flow with progress on stderr; see `launch`."""

    def prepare(config: EmbedConfig, progress: Progress) -> Callable[[], dict[str, Any]]:
        from flows.embed.inputs import open_run

        opened = open_run(config)
        import distributed  # noqa: F401  imported while the server starts

        import landmark_ops.report.embed.pictures  # noqa: F401  likewise: matplotlib takes a second
        from flows.embed.flow import embed, run_embed

        return lambda: dict(followed(embed, partial(run_embed, opened=opened, progress=progress))(config))

    return launch(config, prepare, mode)
