"""The hash of a config: it changes with all that changes results, and with nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from landmark_ops.configs.embed import EmbedConfig, TargetConfig, parse_config
from landmark_ops.solver.section import METHODS
from tests.test_config import BASE

RELEVANT = [
    "source.array=x",
    "source.column=x",
    "source.columns=[a, b]",
    "source.bad_rows=mark",
    "source.missing_chunks=fill",
    "landmarks.count=77",
    "landmarks.strategy=maxmin",
    "landmarks.seed=1",
    "landmarks={strategy: given, indices: [1, 2]}",
    "landmarks={strategy: given, indices: [2, 1]}",
    "landmarks={strategy: given, points: a.npy}",
    "method.n_components=3",
    "method.metric=cosine",
    "method.metric_params={p: 3}",
    "method.align=true",
    "method.name=nystroem",
    "method={name: nystroem, kernel: linear}",
    "method={name: nystroem, gamma: 0.5}",
    "method={name: nystroem, degree: 2}",
    "method={name: nystroem, coef0: 2}",
    "method={name: nystroem, nu: 0.5}",
    "method={name: nystroem, n_components: 5}",
    "method.name=nystroem_kernel_pca",
    "method={name: landmark_isomap}",
    "method={name: landmark_isomap, n_neighbors: 5}",
    "method={name: landmark_isomap, components: join}",
    "method={name: landmark_isomap, max_support: 1000}",
    "method={name: locally_linear_landmarks}",
    "method={name: locally_linear_landmarks, n_weights: 5}",
    "method={name: locally_linear_landmarks, objective: lle}",
    "method={name: locally_linear_landmarks, regularization: 0.1}",
    "method={name: spectral_embedding}",
    "method={name: spectral_clustering}",
    "method={name: spectral_clustering, n_clusters: 3}",
    "method={name: landmark_diffusion_map}",
    "method={name: landmark_diffusion_map, t: 2}",
    "method={name: landmark_diffusion_map, alpha: 1}",
    "landmarks={strategy: rpcholesky, tolerance: 0.1}",
    "landmarks.add_to=out/old.zarr",
]


LEARNING = "method: {name: sparse_gp}\ntarget: {array: y}\n"


LEARNING_RELEVANT = [
    "method={name: sparse_gp, approximation: fitc}",
    "method={name: sparse_gp, noise: 0.1}",
    "method={name: sparse_gp, signal: 2}",
    "method={name: nystroem_ridge}",
    "method={name: nystroem_ridge, alpha: 2}",
    "method={name: nystroem_ridge, task: classification}",
    "target={array: z}",
    "target={column: z}",
    "target={array: y, uri: elsewhere.zarr}",
    "target={array: y, held_out: 0.2}",
]


IRRELEVANT = [
    "source.uri=elsewhere.zarr",  # the fingerprint of the rows stands for it
    "source.version=3",  # likewise
    "output.uri=elsewhere.zarr",
    "output.overwrite=true",
    "cluster.workers=7",
    "cluster.memory=1GiB",
    "cluster.address=tls://lake:8786",
    "cluster.allow_plaintext=true",
    "report.sample=500",
    "report.kernel_error=sample",
    "compare={strategies: [uniform], counts: [5], rows: 200, repeats: 1}",
    "report.thumbnail=[8, 8]",
    "method.name=landmark_mds",  # the default, said aloud
    "landmarks.seed=0",
]


def test_the_result_hash_changes_with_all_that_changes_results():
    hashes = [parse_config(BASE, [override]).result_hash() for override in RELEVANT]
    assert len({parse_config(BASE).result_hash(), *hashes}) == len(RELEVANT) + 1


def test_the_result_hash_changes_with_what_is_learned():
    hashes = [parse_config(BASE + LEARNING, [override]).result_hash() for override in LEARNING_RELEVANT]
    assert len({parse_config(BASE + LEARNING).result_hash(), *hashes}) == len(LEARNING_RELEVANT) + 1


def test_the_result_hash_of_rows_that_are_placed_is_that_of_the_map():
    placing = parse_config(BASE, ["map=a.zarr"])
    marked = parse_config(BASE, ["map=a.zarr", "source.bad_rows=mark"])
    assert parse_config(BASE, ["map=b.zarr", "report.sample=500"]).result_hash("1f") == placing.result_hash("1f")
    assert len({one.result_hash(map) for one in (placing, marked) for map in ("1f", "2e")}) == 4


def test_the_result_hash_of_one_method_does_not_depend_on_its_neighbours():
    alone = parse_config(BASE + "method: {name: nystroem}").result_hash()
    both = parse_config(BASE + "methods: [{name: nystroem}, {metric: cosine}, {name: nystroem, gamma: 2}]").single()
    assert list(both) == ["nystroem", "landmark_mds", "nystroem-2"]
    assert [part.output.uri for part in both.values()] == [f"out.zarr/{name}.zarr" for name in both]
    assert both["nystroem"].result_hash() == alone


@pytest.mark.parametrize("override", IRRELEVANT)
def test_the_result_hash_stays_with_all_else(override):
    assert parse_config(BASE, [override]).result_hash() == parse_config(BASE).result_hash()


def test_every_key_is_known_to_matter_or_not():
    """A new key has to be sorted into one of the two lists above."""
    named = {override.partition("=")[0] for override in RELEVANT + IRRELEVANT}
    for override in RELEVANT + LEARNING_RELEVANT + IRRELEVANT:
        key, _, value = override.partition("=")
        if value.startswith("{"):
            named |= {f"{key}.{inner}" for inner in yaml.safe_load(value)}
    keys: set[str] = set()
    for section, field in EmbedConfig.model_fields.items():
        if section in ("methods", "map"):
            continue  # a list of what `method` is one of, and what stands in its place
        models: list[Any] = {"method": list(METHODS), "target": [TargetConfig]}.get(section, [field.annotation])
        keys |= {f"{section}.{key}" for model in models for key in model.model_fields}
    assert keys - named == {"output.format", "output.store", "cluster.kind"}  # one value each, so far


def test_the_result_hash_is_the_same_in_every_process():
    """Recorded in outputs: a change of it orphans every unfinished run."""
    import subprocess
    import sys

    code = f"from landmark_ops.configs.embed import parse_config; print(parse_config({BASE!r}).result_hash())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    assert found.strip() == parse_config(BASE).result_hash()
