"""The summary of a run for its caller and for Prefect."""

from __future__ import annotations

from typing import Any

from flows.embed import report_files
from flows.embed.inputs import OpenedRun
from flows.embed.run import MethodOutput
from landmark_ops.configs.embed import EmbedConfig


def summary(config: EmbedConfig, opened: OpenedRun, outcome: str) -> dict[str, Any]:
    """What the caller, and Prefect, keep of the run; with several methods, `methods` has one such account of each."""
    accounts = {output.name: account(output, opened.rows.n) for output in opened.outputs}
    if not config.methods:
        return {"outcome": outcome, **next(iter(accounts.values()))}
    return {"outcome": outcome, "rows": opened.rows.n, "embedding": config.output.uri, "methods": accounts}


def account(output: MethodOutput, n: int) -> dict[str, Any]:
    """Where one method's output is, and how good."""
    store = output.store.current
    recorded = store.read_attributes()
    return {
        "embedding": store.uri,
        "report": f"{report_files.report_address(store.uri)}/index.html",
        "rows": n,
        "components": int(store.shape[1]),
        "bad_rows": recorded.get("bad_rows", 0),
        "quality": recorded.get("quality", {}),
    }
