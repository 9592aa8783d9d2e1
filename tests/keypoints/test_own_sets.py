"""Landmark sets of a user's own: read strictly, named once, and a pipeline's points are theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from landmark_ops.detectors.pipelines import get_pipeline
from landmark_ops.errors import InputError
from landmark_ops.keypoints.set_file import read_set, set_of

WFLW = {
    "title": "98 points",
    "names": [f"p{i}" for i in range(98)],
    "lines": [list(range(33)), [60, 61, 62, 60]],
    "flip": [[i, 32 - i] for i in range(16)],
}


def write(path: Path, content: Any) -> Path:
    path.write_text(yaml.safe_dump(content) if not isinstance(content, str) else content)
    return path


def test_98_points_of_a_file(tmp_path: Path) -> None:
    own = read_set(write(tmp_path / "wflw-98.yaml", WFLW))
    points = set_of(own)
    assert (points.name, points.title, points.size) == ("wflw-98", "98 points", 98)
    assert len(points.edges) == 32 + 3
    assert points.flip[0] == 32
    assert points.flip[40] == 40
    assert points.sigmas is None
    named = read_set(write(tmp_path / "x.yaml", {**WFLW, "name": "mine", "sigmas": [0.1] * 98, "title": ""}))
    assert (named.name, set_of(named).title, set_of(named).sigmas) == ("mine", "mine", (0.1,) * 98)


def test_points_may_be_only_numbered(tmp_path: Path) -> None:
    points = set_of(read_set(write(tmp_path / "own-98.yaml", {"numbered": {"prefix": "p", "count": 98}})))
    assert points.names[:2] == ("p0", "p1")
    assert points.size == 98


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"names": ["a", "b"], "edges": [[0, 1]]},
            r"edges is no known key: valid here: flip, lines, name, names, numbered, sigmas, title",
        ),
        ({"lines": [[0, 1]]}, r"names: give either names: \[a, b, …\] or numbered: \{prefix: p, count: 98\}"),
        ({"names": ["a"], "numbered": {"prefix": "p", "count": 1}}, "names: give either names"),
        ({"numbered": {"prefix": "p", "count": 0}}, "numbered.count: input should be greater than or equal to 1"),
        ({"numbered": {"prefix": "p"}}, "numbered.count is missing"),
        ({"names": []}, "names: tuple should have at least 1 item"),
        ({"names": ["a", 2]}, "names.1: input should be a valid string, got 2"),
        ({"names": ["a", "b"], "lines": [[0, 2]]}, r"line \(0, 2\) leaves the 2 points: number them from 0"),
        ({"names": ["a", "b"], "lines": [[0, -1]]}, "lines.0.1: input should be greater than or equal to 0"),
        ({"names": ["a", "b"], "lines": [[0]]}, "lines.0: tuple should have at least 2 items"),
        ({"names": ["a", "b"], "lines": [[0, 1.0]]}, "lines.0.1: input should be a valid integer"),
        ({"names": ["a", "b"], "flip": [[0, 2]]}, r"flip \[0, 2\] leaves the 2 points"),
        ({"names": ["a", "b"], "flip": [[0, 1, 0]]}, "flip.0: tuple should have at most 2 items"),
        ({"names": ["a", "b", "c"], "flip": [[0, 1], [1, 2]]}, "flipping twice does not lead back"),
        ({"names": ["a", "a"]}, "a name is given twice"),
        ({"names": ["a"], "sigmas": [0.1, 0.2]}, "2 sigmas for 1 points"),
        ({"names": ["a"], "sigmas": [0.0]}, "sigmas.0: input should be greater than 0"),
        ({"names": ["a"], "name": "Mine!"}, "name: string should match pattern"),
        ({"names": ["a"], "name": "face-68"}, "face-68 is the name of a shipped set: give yours another"),
        (["a", "b"], "holds list, needs a mapping with names, lines, flip"),
        ("names: [a]\nnames: [b]\n", "not plain YAML at line 2: key 'names' is given twice"),
        ("names: [a\n", "not plain YAML at line 2"),
        ("names: !!python/object:os.system [a]\n", "not plain YAML at line 1"),
    ],
)
def test_files_that_are_none_are_refused(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_set(write(tmp_path / "own.yaml", content))


def pipeline_file(folder: Path, **changed: Any) -> Path:
    base = {"title": "t", "landmark_set": "wflw-98.yaml", "points": 98, "steps": [{"name": "a", "model": "own"}]}
    return write(folder / "mine.yaml", base | changed)


def test_a_pipeline_brings_the_set_that_lies_beside_it(tmp_path: Path) -> None:
    write(tmp_path / "wflw-98.yaml", WFLW)
    chosen = get_pipeline(pipeline_file(tmp_path))
    assert chosen.landmark_set == "wflw-98"
    assert chosen.points_set is not None
    assert chosen.points_set.size == 98
    boxes = get_pipeline(pipeline_file(tmp_path, landmark_set=None, points=0, find="yunet-n", steps=[]))
    assert boxes.points_set is None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"landmark_set": "wflw-98"},
            "landmark set 'wflw-98' is not known: there are coco-17, .*the YAML file of your own",
        ),
        ({"landmark_set": "absent.yaml"}, r"landmark set .*absent\.yaml: cannot be read: No such file"),
        ({"points": 68}, "points is 68, landmark set wflw-98 has 98: correct points, or name the set of your net's"),
        ({"landmark_set": "face-68"}, "points is 98, landmark set face-68 has 68"),
        ({"own_set": {}}, "own_set is no key of a file"),
        ({"step": []}, r"mine\.yaml: step is no known key: did you mean steps\?"),
        (
            {"steps": [{"name": "a", "model": "b", "region": {"scales": 2}}]},
            "scales is no known key: did you mean scale",
        ),
        (
            {"steps": [{"name": "a", "model": "b", "boxed": {"axis": [[0], [1]]}}]},
            "boxed is for boxes that come without",
        ),
    ],
)
def test_pipelines_whose_points_do_not_fit_are_refused(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    write(tmp_path / "wflw-98.yaml", WFLW)
    with pytest.raises(InputError, match=message):
        get_pipeline(pipeline_file(tmp_path, **changed))


def test_a_key_given_twice_in_a_pipeline_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="key 'points' is given twice"):
        get_pipeline(write(tmp_path / "mine.yaml", "title: t\npoints: 5\npoints: 68\n"))
