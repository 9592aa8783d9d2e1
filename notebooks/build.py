"""Write and execute the notebooks, all or those named: `make notebook`. The committed notebooks are its output.

That of detection needs the models, from their publishers or from LANDMARKS_MODEL_MIRROR.
"""

from __future__ import annotations

import sys
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

from flows.cli.demo import write_patches

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
    """from flows.cli.plan import describe_plan
from flows.embed.launch import launch_embed
from landmark_ops.configs.embed import load_config

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


DETECT_CELLS = [
    """# Faces in photographs, as tables

The photographs that scikit-image and scikit-learn carry go through a face detector and a net of 68 points: one picture from Python,
then all of them as `landmarks detect` does it, into Delta tables.""",
    """## The photographs
Most show no face: such images are counted too.""",
    """from pathlib import Path

import matplotlib.pyplot as plt

from flows.cli.demo_detect import copy_photographs

photographs = Path("data/pictures")
print(copy_photographs(photographs), "photographs")""",
    """## One picture, from Python
`detect` takes paths, bytes or arrays, and one name of fifteen pipelines. Here 478 mesh points, with the irises.""",
    """from landmark_ops import detect

astronaut = str(photographs / "astronaut.png")  # NASA, public domain
(found,) = detect(astronaut, "face-mesh-478")
print(found.keypoints.shape, "x, y, z in pixels of the picture; score", found.scores.round(3), "by", " + ".join(found.model))""",
    """from landmark_ops.images.decode import decode
from landmark_ops.keypoints.drawing import Drawn, overlay
from landmark_ops.keypoints.landmark_sets import landmark_set

picture = decode(Path(astronaut).read_bytes()).image
faces = [Drawn(points, box) for points, box in zip(found.keypoints, found.boxes)]
plt.figure(figsize=(5, 5))
plt.imshow(overlay(picture, faces, landmark_set("face-mesh-478"))[40:240, 130:330])
plt.axis("off");""",
    """### Your own boxes
Nothing is searched then. The points hardly depend on how tight the box is.""",
    """import numpy as np

x0, y0, x1, y1 = detect(astronaut, "face-68")[0].boxes[0]
grown = np.array([[x0 - 8, y0 - 8, x1 + 8, y1 + 8]])
tight, loose = (detect(astronaut, "face-68", boxes=box)[0].keypoints[0] for box in (np.array([[x0, y0, x1, y1]]), grown))
moved = np.linalg.norm((tight - loose)[:, :2], axis=1)
print(f"box of {x1 - x0:.0f} px, 16 px wider: the points move by {moved.mean():.1f} px on average")""",
    """## A whole folder, into tables
The same Prefect flow as `landmarks detect configs/detect-face-68.yaml`. Shards go to workers; each image's rows come exactly once.""",
    """from flows.detect.launch import launch_detect
from landmark_ops.configs.detect import DetectConfig

config = DetectConfig.model_validate(
    {
        "source": {"uri": "data/pictures"},
        "detector": {"pipeline": "face-68"},
        "output": {"uri": "out/notebook-faces"},
    }
)
result = launch_detect(config, "quiet")
print(f"{result['images']} images = {result['with_instances']} with rows + {result['without']} without + {result['failed']} failed")""",
    """## The tables
Plain Delta: any engine reads them. One row per face, with the hashes of its model and configuration.""",
    """from deltalake import DeltaTable

faces = DeltaTable("out/notebook-faces/keypoints").to_pandas()
faces[["image_id", "score", "box", "landmark_set", "model"]].assign(model_sha256=faces["model_sha256"].str[:12])""",
    """points = np.array([[point["x"], point["y"]] for point in faces["keypoints"][0]])
eyes = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
print(len(points), "points; eyes", np.linalg.norm(eyes[1] - eyes[0]).round(1), "px apart")""",
    """Zero-detection images are in the table `images`, so the account can be checked by anyone.""",
    """images = DeltaTable("out/notebook-faces/images").to_pandas()
images[["image_id", "width", "height", "instances"]].sort_values("image_id").reset_index(drop=True)""",
    """## Again
A second run, tomorrow's, finds nothing to do. New files are taken up, and another pipeline or threshold makes rows of its own beside
these.""",
    """print(launch_detect(config, "quiet")["outcome"])""",
    """## The pictures
`out/notebook-faces/report/index.html` shows the account, a sample of overlays, scores and sizes. `landmarks draw` draws any image anew
from what the tables say.""",
    """from IPython.display import Image

from flows.detect.draw import draw_tables

drawn = draw_tables("out/notebook-faces", "out/notebook-pictures", image_ids=["astronaut.png"])
Image(drawn.overlays[0], width=400)""",
]
NOTEBOOKS = {"demo": CELLS, "detect": DETECT_CELLS}


def build(cells: list[str]) -> nbformat.NotebookNode:
    """A notebook, not yet executed: texts start with #, or are prose, which no Python is."""
    notebook = nbformat.v4.new_notebook()
    for number, source in enumerate(cells):
        is_text = source.startswith("#") or not is_python(source)
        make = nbformat.v4.new_markdown_cell if is_text else nbformat.v4.new_code_cell
        cell = make(source)
        cell["id"] = f"cell-{number:02d}"
        notebook.cells.append(cell)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return notebook


def is_python(source: str) -> bool:
    """Whether a cell is code."""
    try:
        compile(source, "cell", "exec")
    except SyntaxError:
        return False
    return True


def execute(cells: list[str], folder: Path) -> nbformat.NotebookNode:
    """Build and run in `folder`; wall times are left out, for they would differ in every commit."""
    notebook = build(cells)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    return notebook


def main() -> None:
    """Execute from the repository's root and save beside this file."""
    for name in sys.argv[1:] or NOTEBOOKS:
        nbformat.write(execute(NOTEBOOKS[name], HERE.parent), HERE / f"{name}.ipynb")


if __name__ == "__main__":
    main()
