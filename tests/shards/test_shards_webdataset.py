from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import pickle
import tarfile
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landmark_ops.errors import LandmarkOpsError, RunError
from landmark_ops.shards.format import ShardOptions
from landmark_ops.shards.member import Limits, Member
from landmark_ops.shards.source import open_shards
from landmark_ops.stores import locations

Content = list[tuple[str | tarfile.TarInfo, bytes]]


def tar_bytes(content: Content, form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form, errors="surrogateescape") as archive:
        for entry, data in content:
            info = tarfile.TarInfo(entry) if isinstance(entry, str) else entry
            if info.isreg():
                info.size = len(data)
            archive.addfile(info, io.BytesIO(data) if info.isreg() else None)
    return out.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def read(path: object, **options: object) -> list[Member]:
    source = open_shards(str(path), options=ShardOptions(**options))  # type: ignore[arg-type]
    return [member for shard in source.shards for member in pickle.loads(pickle.dumps(shard)).members()]


def summary(found: list[Member]) -> list[tuple[str, bytes | str | None]]:
    return [(member.member, member.failure[0] if member.failure else member.data) for member in found]


PAIRS: Content = [("000.jpg", b"one"), ("000.json", b"{}"), ("001.jpg", b"two"), ("001.cls", b"3")]


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as out:
        out.write(data)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [
        (".tar", bytes),
        (".tar.gz", gzip.compress),
        (".tgz", lambda data: gzip.compress(data[:700]) + gzip.compress(data[700:])),
        (".tar.bz2", bz2.compress),
        (".tar.xz", lzma.compress),
        (".tar.zst", zstd),
        (".tar.zst", lambda data: zstd(data[:700]) + zstd(data[700:])),
    ],
)
def test_images_are_streamed_from_any_compression(
    tmp_path: Path, suffix: str, compress: Callable[[bytes], bytes]
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / f"0{suffix}").write_bytes(compress(tar_bytes(PAIRS)))
    found = read(tmp_path / "in")
    assert summary(found) == [("000.jpg", b"one"), ("001.jpg", b"two")]
    assert found[0].image_id == f"0{suffix}/000.jpg"
    assert os.listdir(tmp_path) == ["in"]  # nothing is written anywhere


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_foreign_names_in_every_tar_format(tmp_path: Path, form: int) -> None:
    nfc, nfd = (unicodedata.normalize(way, "é.jpg") for way in ("NFC", "NFD"))
    long = "d" * 90 + "/" + "e" * 90 + ".jpg"
    names = [nfc, nfd, "😀🏽.jpg", "./dot.jpg", long, "odd\udcff.jpg"]
    if form != tarfile.USTAR_FORMAT:
        names.append("x/" * 120 + "f.jpg")
    (tmp_path / "a.tar").write_bytes(
        tar_bytes([(name, name.encode("utf-8", "surrogateescape")) for name in names], form)
    )
    found = read(tmp_path)
    assert [member.member for member in found] == [name.replace("\udcff", "\\xff") for name in names]
    assert [member.data for member in found] == [name.encode("utf-8", "surrogateescape") for name in names]


def test_bad_members_become_failures_with_reasons(tmp_path: Path) -> None:
    content: Content = [
        ("good.jpg", b"g"),
        ("../escape.jpg", b"x"),
        ("/abs.jpg", b"x"),
        (special("link.jpg", tarfile.SYMTYPE, "/etc/passwd"), b""),
        (special("hard.jpg", tarfile.LNKTYPE, "good.jpg"), b""),
        (special("dev.jpg", tarfile.CHRTYPE), b""),
        (special("fifo.jpg", tarfile.FIFOTYPE), b""),
        (special("folder.jpg", tarfile.DIRTYPE), b""),
        ("good.jpg", b"other"),
        ("empty.jpg", b""),
        ("big.jpg", b"x" * 1001),
        ("last.jpg", b"l"),
    ]
    (tmp_path / "a.tar").write_bytes(tar_bytes(content))
    found = read(tmp_path, limits=Limits(member_bytes=1000))
    assert summary(found) == [
        ("good.jpg", b"g"),
        ("../escape.jpg", "unsafe_name"),
        ("/abs.jpg", "unsafe_name"),
        ("link.jpg", "not_a_file"),
        ("hard.jpg", "not_a_file"),
        ("dev.jpg", "not_a_file"),
        ("fifo.jpg", "not_a_file"),
        ("good.jpg", "duplicate_member"),
        ("empty.jpg", "empty"),
        ("big.jpg", "too_large"),
        ("last.jpg", b"l"),
    ]
    details = {member.member: member.failure[1] for member in found if member.failure}
    assert details["link.jpg"] == "symbolic link"
    assert details["good.jpg"] == "the archive holds a member of this name before"
    assert details["../escape.jpg"] == "the name leads out of the archive"
    ids = [member.image_id for member in found]
    assert len(set(ids)) == len(ids)
    assert [name for name in ids if "good" in name] == ["a.tar/good.jpg", "a.tar/good.jpg#2"]
    assert sorted(os.listdir(tmp_path)) == ["a.tar"]


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress, zstd])
def test_a_truncated_tar_keeps_what_comes_before_the_cut(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    noise = os.urandom(300_000)
    whole = compress(tar_bytes([("a.jpg", noise), ("b.jpg", noise[::-1]), ("c.jpg", noise)]))
    (tmp_path / "a.tar").write_bytes(whole[: len(whole) * 9 // 10])
    found = read(tmp_path)
    good = [member for member in found if not member.failure]
    # bzip2 gives bytes back in blocks of 900,000, the first of which is cut; xz keeps some back until there are more
    kept = {bz2.compress: 0, lzma.compress: 1}.get(compress, 2)
    assert [member.data for member in good] == [noise, noise[::-1]][:kept]
    assert [(m.member, m.failure[0]) for m in found if m.failure] == [("", "truncated_shard")]
    assert found[-1].image_id == "a.tar/"


@pytest.mark.parametrize(
    ("cut", "said"),
    [
        (1024, "without an end-of-archive mark"),
        (1024 + 100, "within a header"),
        (700, "within a member"),
        (0, "without an end"),
    ],
)
def test_every_place_where_a_tar_may_be_cut(tmp_path: Path, cut: int, said: str) -> None:
    (tmp_path / "a.tar").write_bytes(tar_bytes([("a.jpg", b"one"), ("b.jpg", b"two")])[:cut])
    found = read(tmp_path)
    assert found[-1].failure is not None
    assert found[-1].failure[0] == "truncated_shard"
    assert said in found[-1].failure[1]


def test_garbage_inside_a_tar_is_damage(tmp_path: Path) -> None:
    data = bytearray(tar_bytes([("a.jpg", b"one"), ("b.jpg", b"two")]))
    data[1024 + 10 : 1024 + 60] = b"?" * 50
    (tmp_path / "a.tar").write_bytes(data)
    assert [reason for _, reason in summary(read(tmp_path))] == [b"one", "damaged_shard"]
    (tmp_path / "a.tar").write_bytes(b"<html>" * 200)
    assert summary(read(tmp_path)) == [("", "damaged_shard")]
    packed = bytearray(gzip.compress(tar_bytes([("a.jpg", os.urandom(2000))])))
    packed[500:600] = bytes(100)
    (tmp_path / "a.tar").write_bytes(packed)
    assert summary(read(tmp_path))[-1][1] in ("damaged_shard", "truncated_shard")


def test_tars_set_one_after_another_are_read_to_the_end(tmp_path: Path) -> None:
    both = tar_bytes([("a.jpg", b"one")]) + tar_bytes([("b.jpg", b"two")])
    (tmp_path / "a.tar").write_bytes(both)
    assert summary(read(tmp_path)) == [("a.jpg", b"one"), ("b.jpg", b"two")]


def test_an_empty_shard_has_no_images_and_no_failures(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(tar_bytes([]))
    (tmp_path / "b.tar").write_bytes(tar_bytes([("readme.txt", b"no images here")]))
    assert len(open_shards(tmp_path).shards) == 2
    assert read(tmp_path) == []


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress, zstd])
def test_a_compressed_bomb_is_stopped(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    content: Content = [("good.jpg", b"g"), ("zeros.jpg", bytes(40_000_000))]
    (tmp_path / "a.tar").write_bytes(compress(tar_bytes(content)))
    limits = Limits(member_bytes=1000, expansion=10, floor_bytes=1_000_000)
    found = read(tmp_path, limits=limits)
    assert [reason for _, reason in summary(found)] == [b"g", "too_large", "shard_too_large"]


def test_a_header_that_would_fill_memory_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, 2**40
    (tmp_path / "a.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
    (member,) = read(tmp_path)
    assert member.failure is not None
    assert "an extended header of 1099511627776 bytes, the limit is 1048576" in member.failure[1]


def test_a_sparse_member_and_too_many_members(tmp_path: Path) -> None:
    info = tarfile.TarInfo("holes.jpg")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.name": "holes.jpg", "GNU.sparse.realsize": str(2**50)}
    (tmp_path / "a.tar").write_bytes(tar_bytes([(info, b"0\n"), ("a.jpg", b"a"), ("b.jpg", b"b")]))
    assert summary(read(tmp_path)) == [("holes.jpg", "not_a_file"), ("a.jpg", b"a"), ("b.jpg", b"b")]
    assert summary(read(tmp_path, limits=Limits(members=2)))[2] == ("", "shard_too_large")


def test_members_that_are_done_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(tar_bytes([*PAIRS, ("000.jpg", b"again")]))
    (shard,) = open_shards(tmp_path).shards
    assert [member.member for member in shard.members(skip={"000.jpg"})] == ["001.jpg"]


def test_large_members_without_interest_are_passed_over_without_reading(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(tar_bytes([("v.mp4", bytes(20_000_000)), ("a.jpg", b"a")]))
    assert summary(read(tmp_path)) == [("a.jpg", b"a")]
    whole = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(whole[:10_000_000])
    assert summary(read(tmp_path)) == [("", "truncated_shard")]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=3000), st.integers(0, 3000))
def test_no_damage_raises(tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int) -> None:
    data = bytearray(tar_bytes(PAIRS))
    data[at : at + len(noise)] = noise
    path = tmp_path_factory.mktemp("t") / "a.tar"
    path.write_bytes(data)
    for member in read(path):
        assert (member.data is None) != (member.failure is None)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=30).map(lambda s: s.replace("\0", "_")), unique=True, max_size=6))
def test_any_name_is_kept_or_fails_by_name(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    whole = [name.encode("utf-8", "ignore").decode() + "/x.jpg" for name in names]
    path = tmp_path_factory.mktemp("t") / "a.tar"
    path.write_bytes(tar_bytes([(name, b"1") for name in whole]))
    found = read(path, glob="x.jpg")
    assert len(found) == len(whole)
    assert [member.member.replace("\\\\", "\\") for member in found] == whole


@pytest.mark.s3
def test_s3_tars_equal_local_tars(s3_bucket: str, tmp_path: Path) -> None:
    noise = os.urandom(100_000)
    data = gzip.compress(tar_bytes([("a.jpg", noise), ("b.txt", b"t"), ("c.jpg", noise[:50])]))
    for name in ("0.tar.gz", "sub/1.tar.gz"):
        locations.write_bytes(f"{s3_bucket}/set/{name}", data)
        locations.write_bytes(str(tmp_path / name), data)
    assert read(f"{s3_bucket}/set") == read(tmp_path)


@pytest.mark.s3
def test_a_failing_network_is_no_damaged_tar(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    locations.write_bytes(f"{s3_bucket}/0.tar.gz", gzip.compress(tar_bytes(PAIRS)))
    (shard,) = open_shards(s3_bucket).shards

    class Failing(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def seekable(self) -> bool:
            return True

        def seek(self, offset: int, whence: int = 0) -> int:
            return 0

        def tell(self) -> int:
            return 0

        def readinto(self, buffer: object) -> int:
            raise OSError("connection reset")

    monkeypatch.setattr("landmark_ops.stores.locations.open_binary", lambda uri: Failing())
    with pytest.raises(RunError, match=r"0\.tar\.gz: cannot be read now \(connection reset\): run again"):
        list(shard.members())


def test_links_that_lead_nowhere_cost_no_tar_beside_them(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(tar_bytes([("a.jpg", b"a")]))
    (tmp_path / "notes.txt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to("loop")
    assert summary(read(tmp_path)) == [("a.jpg", b"a")]
    (tmp_path / "b.tar").symlink_to(tmp_path / "gone.tar")
    with pytest.raises(LandmarkOpsError, match=r"b\.tar: nothing is there"):
        read(tmp_path)
