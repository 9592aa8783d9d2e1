"""Who may import whom, read from the syntax trees, and what an import or an installed wheel costs and holds."""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    str(path.relative_to(ROOT)) for package in ("landmark_ops", "flows") for path in (ROOT / package).rglob("*.py")
)
MAX_LINES = 400

BY_STRING = ("landmark_ops/__init__.py", "landmark_ops/registry.py")

#: Third-party packages with a home: files or folders that may import them, anywhere in the file.
HOMES = {
    "prefect": ["flows/"],
    "dask": ["landmark_ops/engine/", "landmark_ops/passes/", "landmark_ops/stores/", "flows/base/"],
    # each launch imports it early, to hide its second behind the start of the Prefect server
    "distributed": [
        "landmark_ops/engine/",
        "landmark_ops/stores/",
        "flows/base/",
        *(f"flows/{command}/launch.py" for command in ("embed", "compare", "detect")),
    ],
    "zarr": ["landmark_ops/stores/", "flows/cli/demo.py"],  # the demo writes its source
    "deltalake": ["landmark_ops/stores/"],
    "icechunk": ["landmark_ops/stores/"],
    "sklearn": [
        "landmark_ops/estimators/",
        "landmark_ops/numerics/metrics/nan_euclidean.py",
        "landmark_ops/numerics/clustering.py",
        "flows/cli/demo",  # its photographs
    ],
    "faiss": ["landmark_ops/numerics/faiss_library.py"],
    "onnxruntime": ["landmark_ops/detectors/session.py"],
    "cv2": ["landmark_ops/images/", "landmark_ops/detectors/", "landmark_ops/keypoints/drawing.py"],
    "matplotlib": ["landmark_ops/report/", "landmark_ops/keypoints/drawing.py"],
    "flows": ["flows/"],
}

#: Rooms, bottom first, with all they may import of each other; a room inside another has an entry of its own, or is
#: part of it. Of stores, shards take what opens and lists addresses and its readers, detectors only the addresses of
#: models. A pipeline knows the landmark set it publishes, and rows come from instances: of keypoints, the sets lie
#: below detectors.
LAYERS: dict[str, set[str]] = {
    "wording": set(),
    "units": {"wording"},
    "errors": {"wording"},
    "registry": {"errors"},
    "row_range": set(),
    "configs.section": set(),
    "configs.plain_yaml": {"errors", "wording"},
    "configs.mistake": {"registry", "wording"},
    "configs": {
        *("errors", "registry", "units", "wording", "configs.section", "configs.plain_yaml", "configs.mistake"),
        *("shards.format", "selection.strategy", "solver.section", "stores.embeddings", "stores.tables"),
    },
    "numerics": {"errors", "registry"},
    "stores": {"row_range", "errors", "registry", "wording"},
    "stores.sources": {"errors", "registry", "wording", "stores"},
    "stores.scratch": {"errors", "registry", "stores", "stores.sources"},
    "stores.embeddings": {"row_range", "errors", "registry", "wording", "stores", "stores.sources"},
    "stores.tables": {"errors", "registry", "wording", "stores"},
    "maps": {"errors", "numerics"},
    "engine": {"errors", "row_range"},
    "passes": {"row_range", "errors", "numerics", "stores", "maps", "engine"},
    "neighbors": {"row_range", "errors", "numerics", "stores", "engine", "passes"},
    "selection": {"row_range", "errors", "registry", "numerics", "stores", "maps", "engine", "passes"},
    "solver": {
        *("row_range", "errors", "registry", "configs.section", "numerics", "stores", "maps", "engine", "passes"),
        *("neighbors", "selection"),
    },
    "methods": {"errors", "numerics", "maps", "passes", "solver"},
    "estimators": {"errors", "numerics", "stores", "maps", "engine", "passes", "selection", "solver", "methods"},
    "shards": {"errors", "registry", "stores"},
    "images": {"errors"},
    "detectors": {
        *("errors", "registry", "wording", "configs.mistake", "configs.plain_yaml", "images"),
        *(
            "stores.file_lock",
            "stores.locations",
            "stores.whole_files",
            "keypoints.landmark_sets",
            "keypoints.set_file",
        ),
    },
    "keypoints": {"errors", "configs.mistake", "configs.plain_yaml", "images", "detectors"},
    "report": {"errors", "units", "numerics", "selection.strategy"},
    "flows.base": {"landmark_ops"},
    "flows.embed": {"landmark_ops", "flows.base"},
    "flows.compare": {"landmark_ops", "flows.base", "flows.embed"},
    "flows.detect": {"landmark_ops", "flows.base"},
    "flows.cli": {"landmark_ops", "flows.base", "flows.embed", "flows.compare", "flows.detect"},
}


class Import(NamedTuple):
    """`name` as imported on `line`, e.g. landmark_ops.stores.sources.rows."""

    name: str
    line: int


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse((ROOT / module).read_text(encoding="utf-8"), module)


def imports_of(tree: ast.AST) -> list[Import]:
    """Every import, inside functions and under TYPE_CHECKING too; `from p import q` counts as p.q."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [Import(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative imports hide the layer: write the full name"
            found += [Import(f"{node.module}.{alias.name}", node.lineno) for alias in node.names]
    return found


def strangers(module: str, tree: ast.AST) -> list[str]:
    """Imports of third-party packages by modules that are not their home."""
    return [
        f"{module}:{line} imports {name}: only {', '.join(HOMES[top])} may"
        for name, line in imports_of(tree)
        if (top := name.partition(".")[0]) in HOMES and not module.startswith(tuple(HOMES[top]))
    ]


def room_of(name: str) -> str:
    """The innermost room of LAYERS that a dotted name lies in; landmark_ops itself is left out of its rooms' names."""
    parts = name.removeprefix("landmark_ops.").split(".")
    held = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((room for room in held if room in LAYERS), parts[0])


def upward(module: str, tree: ast.AST) -> list[str]:
    """Imports between rooms that do not point down."""
    here = room_of(module.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
    if here in ("landmark_ops", "flows"):  # the public names, and the package's docstring
        return []
    wrong = []
    for name, line in imports_of(tree):
        top, there = name.partition(".")[0], room_of(name)
        wider = {there.partition(".")[0], top} - {here.partition(".")[0]}  # all of it, for those outside
        if top in ("landmark_ops", "flows") and not (LAYERS[here] | {here}) & {there, name_of(name), *wider}:
            wrong.append(f"{module}:{line} imports {name}: {here} may import {', '.join(sorted(LAYERS[here]))}")
    return wrong


def name_of(name: str) -> str:
    """A single module that a rule allows: landmark_ops.stores.locations.exists -> stores.locations."""
    return ".".join(name.removeprefix("landmark_ops.").split(".")[:2])


@pytest.mark.parametrize("module", MODULES)
def test_libraries_stay_in_their_homes(module):
    assert strangers(module, tree_of(module)) == []


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module):
    assert upward(module, tree_of(module)) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("landmark_ops/methods/new.py", "import prefect"),
        ("landmark_ops/numerics/new.py", "def f():\n    from dask.array import Array"),
        ("flows/new.py", "import dask.array as da"),
        ("flows/new.py", "import zarr"),
        ("landmark_ops/methods/new.py", "from sklearn.base import BaseEstimator"),
        ("landmark_ops/detectors/new.py", "import onnxruntime as ort"),
        ("landmark_ops/keypoints/new.py", "import cv2"),
        ("landmark_ops/report/new.py", "from flows import tasks"),
    ],
)
def test_the_rule_of_homes_catches(module, source):
    assert len(strangers(module, ast.parse(source))) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("landmark_ops/numerics/new.py", "from landmark_ops.stores.sources.rows import Rows"),
        ("landmark_ops/stores/new.py", "from landmark_ops import numerics"),
        ("landmark_ops/selection/new.py", "def f():\n    import landmark_ops.solver.asks"),
        ("landmark_ops/images/new.py", "from landmark_ops.detectors.session import Session"),
        ("landmark_ops/shards/new.py", "from landmark_ops.images.decode import decode"),
        ("landmark_ops/stores/new.py", "from landmark_ops.shards.source import Shard"),
        ("landmark_ops/detectors/new.py", "from landmark_ops.stores.tables.tables import TableSet"),
        ("landmark_ops/passes/new.py", "from landmark_ops import LandmarkMap"),  # through the lazy package: no layer
        ("landmark_ops/errors.py", "import landmark_ops.configs.embed"),
        ("landmark_ops/maps/new.py", "from landmark_ops.engine.cluster import ClusterEngine"),
        ("landmark_ops/stores/sources/new.py", "from landmark_ops.stores.embeddings.records import Records"),
        ("landmark_ops/methods/new.py", "from flows.base.progress import Progress"),
        ("flows/base/new.py", "from flows.embed.plan import Plan"),
        ("flows/embed/new.py", "from flows.cli import edges"),
        ("flows/detect/new.py", "from flows.embed import embed"),
    ],
)
def test_the_rule_of_layers_catches(module, source):
    assert len(upward(module, ast.parse(source))) == 1


def test_no_module_imports_itself_in_a_circle():
    """Imports inside functions count too; those that only type checkers see do not."""
    names = {module.removesuffix(".py").removesuffix("/__init__").replace("/", "."): module for module in MODULES}
    graph = {}
    for name, module in names.items():
        tree = tree_of(module)
        unseen = {
            id(node)
            for block in ast.walk(tree)
            if isinstance(block, ast.If) and getattr(block.test, "id", "") == "TYPE_CHECKING"
            for node in ast.walk(block)
        }
        seen = [node for node in ast.walk(tree) if id(node) not in unseen]
        met = [
            imported for node in seen if isinstance(node, ast.Import | ast.ImportFrom) for imported in imports_of(node)
        ]
        graph[name] = {next((one for one in prefixes(imported.name) if one in names), name) for imported in met} - {
            name
        }
    TopologicalSorter(graph).prepare()  # CycleError shows the circle


def prefixes(name: str) -> list[str]:
    """a.b.c, a.b and a: the module that holds a name is the longest that exists."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(len(parts), 0, -1)]


def test_every_folder_has_a_layer():
    """A new folder lists here what it may import; a deleted one is not listed."""
    folders = {str(Path(module).parent).replace("/", ".").removeprefix("landmark_ops.") for module in MODULES}
    rooms = {room for room in LAYERS if not (ROOT / "landmark_ops" / f"{room.replace('.', '/')}.py").exists()}
    assert {folder for folder in folders if room_of(folder) not in LAYERS} == {"landmark_ops", "flows"}
    assert rooms <= folders
    homes = {home for places in HOMES.values() for home in places if home != "flows/cli/demo"}
    assert {home for home in homes if not (ROOT / home).exists()} == set()


def test_only_registries_and_the_package_itself_import_by_string():
    """import_module and __import__ would pass by the rules above."""
    for module in MODULES:
        names = {node.id for node in ast.walk(tree_of(module)) if isinstance(node, ast.Name)}
        names |= {node.attr for node in ast.walk(tree_of(module)) if isinstance(node, ast.Attribute)}
        assert not names & {"import_module", "__import__"} or module in BY_STRING, module


@pytest.mark.parametrize("module", MODULES)
def test_modules_stay_readable(module):
    lines = (ROOT / module).read_text(encoding="utf-8").count("\n")
    assert lines <= MAX_LINES, f"{module} has {lines} lines, {MAX_LINES} at most: split it"


@pytest.mark.parametrize("module", MODULES)
def test_everything_public_is_documented(module):
    bare = [] if ast.get_docstring(tree_of(module)) else [module]
    scopes: list[ast.Module | ast.ClassDef] = [tree_of(module)]
    while scopes:
        for node in scopes.pop().body:
            if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
                continue
            if not ast.get_docstring(node):
                bare.append(f"{module}:{node.lineno} {node.name}")
            if isinstance(node, ast.ClassDef):
                scopes.append(node)
    assert bare == []


HEAVY = ("numpy", "scipy", "sklearn", "dask", "distributed", "zarr", "pyarrow", "prefect", "matplotlib", "pydantic")


@pytest.mark.parametrize("module", ["landmark_ops", "landmark_ops.errors", "flows.cli.app", "flows.cli.entry"])
def test_importing_costs_nothing(module):
    """`landmarks --help` has to answer at once."""
    code = f"import {module}, sys; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == []


def test_reading_a_config_imports_its_methods_and_no_more():
    """The Prefect server comes up meanwhile: what takes longer than that keeps the user waiting."""
    slow = ("scipy.optimize", "sklearn", "dask", "distributed", "pyarrow", "prefect", "matplotlib")
    code = (
        "from landmark_ops.configs.embed import parse_config; import sys\n"
        f"parse_config('source: {{uri: a}}\\noutput: {{uri: b}}'); print(*sorted(set({slow!r}) & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == []


def test_mistakes_in_a_config_without_methods_import_none():
    code = (
        "from landmark_ops.configs.detect import DetectConfig; import sys\n"
        "from landmark_ops.configs.embed import parse_config_as\n"
        "text = '{source: {uri: a, x: 1}, output: {uri: b}, detector: {pipeline: face-5}}'\n"
        "try: parse_config_as(DetectConfig, text)\n"
        "except Exception as error: print(error)\n"
        "print(*{'scipy', 'zarr'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    message, imported, _ = result.stdout.split("\n")
    assert message.startswith("config: source.x is no known key: valid here: column, ")
    assert imported == ""


def test_every_public_name_is_there():
    import landmark_ops

    for name in landmark_ops.__all__:
        assert getattr(landmark_ops, name).__name__ == name
    assert dir(landmark_ops) == sorted(landmark_ops.__all__)
    with pytest.raises(AttributeError, match="module 'landmark_ops' has no attribute 'LandmarkMSD'"):
        landmark_ops.LandmarkMSD  # noqa: B018  the look-up is the test


def test_type_checkers_see_every_public_name():
    import landmark_ops

    (block,) = (node for node in tree_of("landmark_ops/__init__.py").body if isinstance(node, ast.If))
    declared = {imported.name for imported in imports_of(block)}
    assert declared == {f"landmark_ops.{home}.{name}" for name, home in landmark_ops._HOME.items()}


def test_the_wheel_holds_both_packages(tmp_path):
    pytest.importorskip("hatchling", reason="building the wheel needs hatchling, one of the dev extras")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert result.returncode == 0, result.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
        entry_points = next(archive.read(name).decode() for name in held if name.endswith("entry_points.txt"))
    assert set(MODULES) <= held
    assert {"landmark_ops/report/page.html.j2", "landmark_ops/py.typed"} <= held
    assert {name.partition("/")[0].partition("-")[0] for name in held} == {"landmark_ops", "flows"}
    assert "landmarks = flows.cli.entry:main" in entry_points
