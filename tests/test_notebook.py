"""The committed notebook is the executed output of notebooks/build.py, free of errors and of anybody's paths."""

import importlib.util
from pathlib import Path

import nbformat

HERE = Path(__file__).parents[1] / "notebooks"
specification = importlib.util.spec_from_file_location("build", HERE / "build.py")
assert specification is not None
assert specification.loader is not None
build = importlib.util.module_from_spec(specification)
specification.loader.exec_module(build)


def test_demo_notebook_is_executed_and_current():
    notebook = nbformat.read(HERE / "demo.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    text = "".join(str(output) for output in outputs)
    assert "/home/" not in text
    assert "/root/" not in text
    assert [cell.source for cell in notebook.cells] == build.CELLS
