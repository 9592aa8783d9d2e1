"""The output of `landmarks plan`."""

from __future__ import annotations

from flows.base.machine import worker_count, worker_memory
from flows.embed.inputs import open_run
from flows.embed.plan import check_local, expected_seconds, report_lines
from landmark_ops.configs.embed import EmbedConfig


def describe_plan(config: EmbedConfig) -> list[str]:
    """What `embed` would do, as lines; refuses what it would refuse."""
    opened = open_run(config)
    plan = opened.plan()
    workers, limit = worker_count(config.cluster), worker_memory(config.cluster)
    lines = [opened.rows.describe()]
    for output in opened.outputs:
        if output.state != "new":
            lines.append(
                f"{output.store.uri}: {'already complete' if output.state == 'complete' else 'will be resumed'}"
            )
    lines += report_lines(
        plan, expected_seconds(plan, opened.config, opened.rows, workers, opened.fitted), workers, limit
    )
    check_local(plan, opened.rows, config.cluster)
    return lines
