"""Claims: one of all that come first, locally and on S3."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from landmark_ops.stores import locations
from landmark_ops.stores.tables import claims


@pytest.mark.s3
def test_claims_on_s3_have_one_winner_and_survive_a_lost_reply(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadPoolExecutor(8) as pool:
        held = list(pool.map(lambda i: claims.claim(f"{s3_bucket}/claim", b"%d" % i), range(8)))
    assert len(set(held)) == 1
    fs, _ = locations.filesystem(s3_bucket)
    original = fs.pipe_file

    def lose_reply(*args: Any, **kwargs: Any) -> None:
        original(*args, **kwargs)
        raise OSError("timed out waiting for the reply")

    monkeypatch.setattr(fs, "pipe_file", lose_reply)
    assert claims.claim(f"{s3_bucket}/lost", b"mine") == b"mine"
    assert claims.claim(f"{s3_bucket}/lost", b"other") == b"mine"

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(fs, "pipe_file", refuse)
    with pytest.raises(PermissionError):
        claims.claim(f"{s3_bucket}/denied", b"mine")


@pytest.mark.parametrize("links", [True, False])
def test_local_claims_have_one_winner(tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not links:

        def unsupported(*args: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr("os.link", unsupported)
    if links:
        with ThreadPoolExecutor(8) as pool:
            held = list(pool.map(lambda i: claims.claim(str(tmp_path / "claim"), b"%d" % i), range(8)))
        assert len(set(held)) == 1
    assert claims.claim(str(tmp_path / "one"), b"mine") == b"mine"
    assert claims.claim(str(tmp_path / "one"), b"other") == b"mine"
    assert not list(tmp_path.glob(".*"))
