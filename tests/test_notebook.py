"""The committed notebooks are the executed output of notebooks/build.py, free of errors and of anybody's paths."""

import importlib.util
from pathlib import Path

import nbformat
import pytest

HERE = Path(__file__).parents[1] / "notebooks"
specification = importlib.util.spec_from_file_location("build", HERE / "build.py")
assert specification is not None
assert specification.loader is not None
build = importlib.util.module_from_spec(specification)
specification.loader.exec_module(build)


@pytest.mark.parametrize("name", build.NOTEBOOKS)
def test_notebooks_are_executed_and_current(name):
    notebook = nbformat.read(HERE / f"{name}.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    text = "".join(str(output) for output in outputs)
    assert "/home/" not in text
    assert "/root/" not in text
    assert [cell.source for cell in notebook.cells] == build.NOTEBOOKS[name]


def test_prose_and_code_are_told_apart():
    for name, cells in build.NOTEBOOKS.items():
        kinds = [cell.cell_type for cell in build.build(cells).cells]
        assert kinds == ["markdown" if cell[0] == "#" or cell[0].isupper() else "code" for cell in cells], name


@pytest.mark.slow
def test_the_detection_notebook_runs(shared, tmp_path, monkeypatch):
    """Eight photographs, from an empty folder; its output equals that of the committed notebook."""
    monkeypatch.setenv("LANDMARKS_MODEL_MIRROR", str(shared / "models"))
    monkeypatch.setenv("LANDMARKS_MODEL_CACHE", str(tmp_path / "models"))
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    fresh = build.execute(build.DETECT_CELLS, tmp_path)
    printed = [
        output.text for cell in fresh.cells for output in cell.get("outputs", []) if output.output_type == "stream"
    ]
    assert "8 images = 3 with rows + 5 without + 0 failed\n" in printed
    assert "nothing new\n" in printed
    (tables,) = tmp_path.glob("out/notebook-faces/keypoints/_delta_log")
    assert tables.is_dir()
