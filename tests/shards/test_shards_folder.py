from __future__ import annotations

import os
import pickle
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landmark_ops.errors import InputError, RunError
from landmark_ops.shards.folder import bucket_of, default_buckets
from landmark_ops.shards.format import ShardOptions
from landmark_ops.shards.member import Limits, Member, OnRecord, Selection, is_unsafe, readable
from landmark_ops.shards.source import compare, open_shards
from landmark_ops.stores import locations


def put(root: Path, *names: str, data: bytes = b"data") -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def members(uri: object, **options: object) -> dict[str, Member]:
    source = open_shards(str(uri), "directory", ShardOptions(**options))  # type: ignore[arg-type]
    found = [member for shard in source.shards for member in pickle.loads(pickle.dumps(shard)).members()]
    assert len({member.image_id for member in found}) == len(found)
    return {member.member: member for member in found}


def reasons(found: dict[str, Member]) -> dict[str, str]:
    return {name: member.failure[0] for name, member in found.items() if member.failure}


def test_images_at_any_depth_and_nothing_else(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", "b/c.PNG", "b/d/e.webp", "notes.txt", ".hidden.jpg", ".cache/f.jpg", "b/._g.jpg")
    found = members(tmp_path)
    assert sorted(found) == ["a.jpg", "b/c.PNG", "b/d/e.webp"]
    assert found["b/c.PNG"].data == b"data"
    assert found["b/c.PNG"].image_id == "b/c.PNG"


@pytest.mark.parametrize(
    ("glob", "names"),
    [
        ("*.jpg", ["a.jpg", "b/c.jpg", "b/d/e.jpg"]),
        ("b/*.jpg", ["b/c.jpg"]),
        ("**/*.jpg", ["a.jpg", "b/c.jpg", "b/d/e.jpg"]),
        ("b/**", ["b/c.jpg", "b/d/e.jpg", "b/n.dat"]),
        ("n.???", ["b/n.dat"]),
        ("[!a].jpg", ["b/c.jpg", "b/d/e.jpg"]),
    ],
)
def test_globs(tmp_path: Path, glob: str, names: list[str]) -> None:
    put(tmp_path, "a.jpg", "b/c.jpg", "b/d/e.jpg", "b/n.dat")
    assert sorted(members(tmp_path, glob=glob)) == names


def test_adding_files_moves_no_old_file_to_another_shard(tmp_path: Path) -> None:
    put(tmp_path, *(f"{i:03d}.jpg" for i in range(0, 200, 2)))
    first = open_shards(tmp_path)
    assert first.buckets == 4
    put(tmp_path, *(f"{i:03d}.jpg" for i in range(1, 60, 2)))
    second = open_shards(tmp_path, options=ShardOptions(buckets=first.buckets))

    def where(source: object) -> dict[str, str]:
        return {m.member: shard.id for shard in source.shards for m in shard.members()}  # type: ignore[attr-defined]

    before, after = where(first), where(second)
    assert len(after) == 130
    assert all(after[name] == shard for name, shard in before.items())


def test_a_rerun_reads_only_what_is_new(tmp_path: Path) -> None:
    put(tmp_path, *(f"{i}.jpg" for i in range(20)))
    first = open_shards(tmp_path)
    recorded = {shard.id: OnRecord(shard.version) for shard in first.shards}
    assert compare(open_shards(tmp_path, options=ShardOptions(buckets=4)).shards, recorded).done == first.shards
    put(tmp_path, "new.jpg")
    second = compare(open_shards(tmp_path, options=ShardOptions(buckets=4)).shards, recorded)
    assert (len(second.new), len(second.changed), len(second.done), second.gone) == (0, 1, 3, [])
    done = {f"{i}.jpg" for i in range(20)}
    assert [member.member for member in second.changed[0].members(skip=done)] == ["new.jpg"]
    assert compare([], recorded).gone == sorted(recorded)


@settings(max_examples=50, deadline=None)
@given(st.text(min_size=1), st.sampled_from([1, 4, 64, 65536]))
def test_a_bucket_depends_on_the_name_alone_and_halves_nest(name: str, buckets: int) -> None:
    name = name.encode("utf-8", "ignore").decode() or "x"
    at = bucket_of(name, buckets)
    assert 0 <= at < buckets
    assert bucket_of(name, buckets * 2) // 2 == at


def test_default_buckets() -> None:
    assert [default_buckets(n) for n in (0, 1, 1024, 1025, 10_000_000)] == [4, 4, 4, 8, 65536]
    assert all(default_buckets(n) & (default_buckets(n) - 1) == 0 for n in range(0, 5000, 37))


def test_a_number_of_buckets_that_is_no_power_of_two_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg")
    with pytest.raises(InputError, match=r"source\.buckets is 3: it must be a power of two, such as 4"):
        open_shards(tmp_path, options=ShardOptions(buckets=3))


def test_names_differing_in_unicode_form_stay_apart(tmp_path: Path) -> None:
    nfc, nfd = (unicodedata.normalize(form, "é.jpg") for form in ("NFC", "NFD"))
    put(tmp_path, nfc, nfd, "😀🏽.jpg", "a b\n.jpg")
    assert sorted(members(tmp_path)) == sorted([nfc, nfd, "😀🏽.jpg", "a b\n.jpg"])


def test_names_that_are_not_utf8_are_kept_without_loss(tmp_path: Path) -> None:
    for raw in (b"\xff.jpg", b"\xfe.jpg", b"\\xff.jpg"):
        (tmp_path / os.fsdecode(raw)).write_bytes(raw)
    found = members(tmp_path)
    assert {name: member.data for name, member in found.items()} == {
        "\\xff.jpg": b"\xff.jpg",
        "\\xfe.jpg": b"\xfe.jpg",
        "\\\\xff.jpg": b"\\xff.jpg",
    }
    for name in found:
        name.encode()


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=1, max_size=12), st.binary(min_size=1, max_size=12))
def test_readable_names_are_utf8_and_injective(one: bytes, other: bytes) -> None:
    texts = [readable(raw.decode("utf-8", "surrogateescape")) for raw in (one, other)]
    assert (texts[0] == texts[1]) == (one == other)
    texts[0].encode()


@pytest.mark.parametrize(
    "name", ["../a.jpg", "a/../../b.jpg", "/etc/a.jpg", "..\\a.jpg", "C:\\a.jpg", "c:a.jpg", "a\0b.jpg"]
)
def test_unsafe_names(name: str) -> None:
    assert is_unsafe(name)


@pytest.mark.parametrize("name", ["a.jpg", "./a.jpg", "a..b/c.jpg", "...jpg", "10:30.jpg"])
def test_safe_names(name: str) -> None:
    assert not is_unsafe(name)


def test_what_is_no_readable_file_becomes_a_failure(tmp_path: Path) -> None:
    put(tmp_path, "good.jpg")
    put(tmp_path, "empty.jpg", data=b"")
    put(tmp_path, "big.jpg", data=b"x" * 101)
    (tmp_path / "dangling.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "null.jpg").symlink_to("/dev/null")
    (tmp_path / "linked.jpg").symlink_to("good.jpg")
    found = members(tmp_path, limits=Limits(member_bytes=100))
    assert reasons(found) == {
        "empty.jpg": "empty",
        "big.jpg": "too_large",
        "dangling.jpg": "unreadable",
        "loop.jpg": "unreadable",
        "pipe.jpg": "not_a_file",
        "null.jpg": "not_a_file",
    }
    assert found["linked.jpg"].data == b"data"
    assert found["big.jpg"].failure == ("too_large", "101 bytes, the limit is 100")


def test_a_file_that_goes_away_is_a_failure_and_a_failing_disk_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "a.jpg")
    source = open_shards(tmp_path)
    (tmp_path / "a.jpg").unlink()
    (member,) = (member for shard in source.shards for member in shard.members())
    assert member.failure == ("unreadable", "No such file or directory")

    def fail(*args: object, **kwargs: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.open", fail)
    with pytest.raises(RunError, match=r"a\.jpg: cannot be read now \(Input/output error\)"):
        list(source.shards[0].members())


def test_linked_folders_are_read_once_under_their_real_path(tmp_path: Path) -> None:
    put(tmp_path / "tree", "real/a.jpg")
    put(tmp_path / "outside", "b.jpg")
    (tmp_path / "tree" / "0-link").symlink_to("real")
    (tmp_path / "tree" / "out").symlink_to(tmp_path / "outside")
    (tmp_path / "tree" / "real" / "up").symlink_to("..")
    assert sorted(members(tmp_path / "tree")) == ["out/b.jpg", "real/a.jpg"]


def test_a_single_image_and_no_image(tmp_path: Path) -> None:
    put(tmp_path, "one.jpg")
    source = open_shards(tmp_path / "one.jpg")
    assert [member.image_id for shard in source.shards for member in shard.members()] == ["one.jpg"]
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="holds no images, tars or Parquet files at any depth"):
        open_shards(tmp_path / "none")
    with pytest.raises(InputError, match=r"holds no files matching '\*\.gif' among 1 files"):
        open_shards(tmp_path, "directory", ShardOptions(glob="*.gif"))
    with pytest.raises(InputError, match="nothing is there"):
        open_shards(tmp_path / "nowhere")


def test_selection_leaves_hidden_names_to_globs() -> None:
    assert ".a/b.jpg" not in Selection()
    assert "./b.jpg" in Selection()
    assert ".b.jpg" in Selection(".*.jpg")
    assert "a.heic" in Selection()


def digests_of_names(source: str) -> list[str]:
    """The versions of its shards without the marks of their files, which hold times and ETags."""
    return [shard.version.partition(":")[0] for shard in open_shards(source).shards]


@pytest.mark.s3
def test_s3_folder_equals_local_folder(s3_bucket: str, tmp_path: Path) -> None:
    names = [f"d{i % 3}/é {i}.jpg" for i in range(20)]
    for at, name in enumerate(names):
        locations.write_bytes(f"{s3_bucket}/set/{name}", b"x" * at)
        put(tmp_path, name, data=b"x" * at)
    remote, local = members(f"{s3_bucket}/set"), members(tmp_path)
    assert remote == local
    assert reasons(remote) == {"d0/é 0.jpg": "empty"}
    assert digests_of_names(f"{s3_bucket}/set") == digests_of_names(str(tmp_path))


@pytest.mark.s3
def test_s3_objects_that_are_gone_fail_and_denied_access_stops_the_run(
    s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    locations.write_bytes(f"{s3_bucket}/set/a.jpg", b"a")
    source = open_shards(f"{s3_bucket}/set")
    locations.remove(f"{s3_bucket}/set/a.jpg")
    (member,) = source.shards[0].members()
    assert member.failure == ("unreadable", "has gone since the folder was listed")

    def deny(uri: str) -> bytes:
        raise PermissionError("Access Denied")

    monkeypatch.setattr("landmark_ops.stores.locations.read_bytes", deny)
    with pytest.raises(RunError, match="cannot be read now"):
        list(source.shards[0].members())
