"""Archives and tables against a second reader: tarfile, and pyarrow's own reading of a whole file."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from landmark_ops.shards.format import ShardOptions
from landmark_ops.shards.member import Member
from landmark_ops.shards.source import open_shards

NAMES = [
    *("a.jpg", "./b.jpg", "c/d/e.JPG", "ü/é.jpg", "x y+z%20&.jpg", "f.jpg", "_/g.jpg"),
    *(f"{'long/' * 30}h.jpg", f"{'n' * 120}.jpg", f"{'ö' * 60}.jpg"),
]
SIZES = [1, 511, 512, 513, 1024, 70_000, 3, 2, 99, 1000]
COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    ".tar": bytes,
    ".tar.gz": gzip.compress,
    ".tar.bz2": bz2.compress,
    ".tar.xz": lzma.compress,
    ".tar.zst": lambda data: pa.Codec("zstd").compress(data, asbytes=True),
}


def read(path: Path, **options: Any) -> list[Member]:
    return [member for shard in open_shards(path, options=ShardOptions(**options)).shards for member in shard.members()]


def by_tarfile(data: bytes) -> dict[str, bytes]:
    """The plain files of an archive, the last of a name last."""
    with tarfile.open(fileobj=io.BytesIO(data), encoding="utf-8") as archive:
        files = [(info, archive.extractfile(info)) for info in archive if info.isreg()]
        return {info.name: file.read() for info, file in files if file is not None}


def archives() -> Iterator[tuple[str, bytes]]:
    """Written by tarfile in each of its formats, with what else archives hold between the files."""
    rng = np.random.default_rng(0)
    contents = [rng.bytes(size) for size in SIZES]
    forms = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
    for (form, code), extras in product(forms.items(), (False, True)):
        stored = io.BytesIO()
        common = {"comment": "by us", "mtime": "1.5"} if form == "pax" and extras else None
        with tarfile.open(fileobj=stored, mode="w", format=code, pax_headers=common, encoding="utf-8") as archive:
            for name, content in zip(NAMES, contents, strict=True):
                info = tarfile.TarInfo(name)
                info.size, info.mtime = len(content), 1.25 if extras else 1
                info.uid = 2**33 if extras and form != "ustar" else 7
                if extras and form == "pax":
                    info.pax_headers = {"SCHILY.xattr.user.note": "ü\n9 path=x", "atime": "3.5"}
                try:
                    archive.addfile(info, io.BytesIO(content))
                except ValueError:
                    continue  # longer than this format holds
                if extras:
                    link = tarfile.TarInfo(f"link-{len(name)}.txt")
                    link.type, link.linkname = tarfile.SYMTYPE, "t" * 150 if form != "ustar" else "t"
                    archive.addfile(link)
        yield f"{form} extras={extras}", stored.getvalue()


@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_tars_of_every_format(tmp_path: Path, suffix: str) -> None:
    for at, (name, data) in enumerate(archives()):
        path = tmp_path / f"{at}{suffix}"
        path.write_bytes(COMPRESSIONS[suffix](data))
        expected = by_tarfile(data)
        assert len(expected) >= 6, name
        assert {member.member: member.data for member in read(path)} == expected, name


@pytest.mark.skipif(shutil.which("tar") is None, reason="needs a tar program")
@pytest.mark.parametrize("form", ["v7", "oldgnu", "gnu", "ustar", "posix"])
def test_tars_by_another_program(tmp_path: Path, form: str, rng: np.random.Generator) -> None:
    folder = tmp_path / "in"
    for name, size in zip(NAMES[:7], SIZES, strict=False):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(rng.bytes(size))
    (folder / "hole.jpg").write_bytes(b"")
    with open(folder / "hole.jpg", "r+b") as file:  # a sparse file, which is told as such and does not move the next
        file.seek(1 << 20)
        file.write(b"end")
    command = ["tar", f"--format={form}", "-cf", str(tmp_path / "a.tar"), "-C", str(folder)]
    if form in ("gnu", "oldgnu", "posix"):
        command.append("--sparse")
    made = subprocess.run([*command, *sorted(NAMES[:7]), "hole.jpg", "a.jpg"], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"this tar does not write {form}")
    expected = by_tarfile((tmp_path / "a.tar").read_bytes())
    told: dict[str, Any] = {}
    for member in read(tmp_path / "a.tar"):
        told.setdefault(member.member, member.data if member.failure is None else member.failure[0])
    sparse = told["hole.jpg"] == "not_a_file"
    assert sparse or told["hole.jpg"] == expected["hole.jpg"]
    assert {name: data for name, data in told.items() if name != "hole.jpg"} == {
        name: data for name, data in expected.items() if name != "hole.jpg"
    }


@pytest.mark.parametrize("version", ["1.0", "2.6"])
@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "brotli", "lz4", "zstd"])
def test_parquet_of_every_layout(tmp_path: Path, compression: str, version: str, rng: np.random.Generator) -> None:
    values = [None if at % 11 == 5 else rng.bytes(1 + at * 37 % 5000) for at in range(60)]
    table = pa.table({"image": pa.array(values, pa.binary()), "id": [f"ä{at}" for at in range(60)]})
    for dictionary, page, pages in product((False, True), (100, 1 << 20), ("1.0", "2.0")):
        path = tmp_path / "a.parquet"
        pq.write_table(
            table,
            path,
            compression=compression,
            version=version,
            use_dictionary=dictionary,
            data_page_size=page,
            data_page_version=pages,
            row_group_size=17,
        )
        expected = pq.read_table(path).to_pylist()
        found = read(path, id_column="id")
        assert [(member.image_id, member.data) for member in found] == [(row["id"], row["image"]) for row in expected]


def test_a_flipped_bit_in_a_source_with_checksums_is_told(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"image": pa.array([rng.bytes(3000) for _ in range(5)], pa.binary())})
    pq.write_table(table, path, use_dictionary=False, compression="none", write_page_checksum=True)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    assert {member.failure and member.failure[0] for member in read(path)} == {"unreadable"}
