"""Write and execute the demo notebook: `make notebook`. The committed notebook is its output."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
CELLS = [
    """# Half a million image patches, embedded

Every 8 × 8 × 3 window of two photographs is one row of 192 numbers. Landmark MDS places all 531,720 of them in 10 dimensions
from 1,000 landmarks. This notebook walks through what `make demo` does, and looks at the result.""",
    """## The rows
`write_patches` writes them as a chunked Zarr array, each patch with its mean removed.""",
    """from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import zarr

from flows.demo import write_patches

if not Path("data/patches.zarr").exists():
    write_patches(Path("data/patches.zarr"))
patches = zarr.open_array("data/patches.zarr/patches", mode="r")
print(patches.shape, patches.dtype, "in chunks of", patches.chunks)

figure, axes = plt.subplots(1, 10, figsize=(10, 1.2))
for axis, row in zip(axes, np.linspace(0, patches.shape[0] - 1, 10).astype(int)):
    axis.imshow(np.clip(patches[row] + 0.5, 0, 1))
    axis.set_axis_off()""",
    """## The plan
Nothing runs yet: what would be read and written, in how much memory, for how long.""",
    """from flows.launch import describe_plan, launch_embed
from landmark_ops.config import load_config

config = load_config("configs/demo.yaml", ["output.uri=out/notebook.zarr"])
print("\\n".join(describe_plan(config)))""",
    """## The run
The same Prefect flow as `landmarks embed configs/demo.yaml`. It returns addresses and the quality it measured.""",
    """result = launch_embed(config, "quiet")
for name, estimate in result["quality"].items():
    if isinstance(estimate, dict):
        print(f"{name:<18} {estimate['value']:.4f} ± {estimate['standard_error']:.4f}")""",
    """## The result
A plain Zarr group. Row i of `embedding` is row i of the source.""",
    """group = zarr.open_group("out/notebook.zarr", mode="r")
print(dict(group["embedding"].attrs), group["embedding"].shape, group.attrs["landmark_ops"]["status"])
Y = group["embedding"][:, :3]

figure, axis = plt.subplots(figsize=(7, 5))
axis.hexbin(Y[:, 0], Y[:, 1], bins="log", gridsize=200, mincnt=1)
axis.set(xlabel="component 1", ylabel="component 2", title=f"{len(Y):,} patches");""",
    """### What do the components mean?
The patches at the ends of the first three.""",
    """figure, axes = plt.subplots(3, 12, figsize=(10, 2.8))
for component, line in enumerate(axes):
    order = np.argsort(Y[:, component])
    for axis, row in zip(line, np.concatenate([order[:600:100], order[-1:-600:-100]])):
        axis.imshow(np.clip(patches[int(row)] + 0.5, 0, 1))
        axis.set_axis_off()
axes[0, 2].set_title("lowest", loc="left")
axes[0, 8].set_title("highest", loc="left");""",
    """### Is it right?
Euclidean Landmark MDS approximates PCA. On a sample: how far is it from the exact one?""",
    """from scipy.spatial import procrustes
from sklearn.decomposition import PCA

sample = np.sort(np.random.default_rng(0).choice(len(Y), 20_000, replace=False))
exact = PCA(10).fit_transform(patches.oindex[sample].reshape(len(sample), -1))
print(f"Procrustes disparity to PCA: {procrustes(exact, group['embedding'].oindex[sample])[2]:.5f}")""",
    """## New rows
The fitted map is a few megabytes and needs neither the source nor a refit. A patch of noise is placed too; its residual, the squared
distance the embedding does not explain, says that it is unlike anything seen.""",
    """from landmark_ops import open_map

place = open_map("out/notebook.zarr")
noise = np.random.default_rng(0).normal(0, 0.3, size=(1, 192)).astype("float32")
real = patches[1000:1001].reshape(1, -1)
for name, row in (("a patch", real), ("noise", noise)):
    placed = place.place(row)
    print(f"{name:<8} at {np.round(placed.embedding[0, :3], 2)}, residual {placed.residual[0]:.3f}")
print(f"median residual of all rows {np.median(group['residual'][:]):.3f}")""",
    """## The report
`out/notebook.report/index.html` shows all of this and more; here is its picture of the landmarks, each at its own place.""",
    """from IPython.display import Image

Image("out/notebook.report/thumbnails.png")""",
]


def build() -> nbformat.NotebookNode:
    """The notebook, not yet executed: texts start with # or a letter followed by prose, code cells import or assign."""
    notebook = nbformat.v4.new_notebook()
    for number, source in enumerate(CELLS):
        is_text = source.startswith("#") or number == 0
        make = nbformat.v4.new_markdown_cell if is_text else nbformat.v4.new_code_cell
        cell = make(source)
        cell["id"] = f"cell-{number:02d}"
        notebook.cells.append(cell)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return notebook


def main() -> None:
    """Execute from the repository's root and save beside this file."""
    notebook = build()
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(HERE.parent)}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # wall times: they would differ in every commit
    nbformat.write(notebook, HERE / "demo.ipynb")


if __name__ == "__main__":
    main()
