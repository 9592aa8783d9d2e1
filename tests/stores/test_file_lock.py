"""The lock on a local file: a caller that does not wait gets the file's content, one that waits gets the lock next."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from landmark_ops.stores.file_lock import FileHeldError, lock_file


def test_a_held_file_is_refused_with_its_content(tmp_path: Path) -> None:
    with lock_file(tmp_path / "a" / "x.lock", wait=False) as held:
        held.write("who holds it")
        held.flush()
        with pytest.raises(FileHeldError) as refused:
            lock_file(tmp_path / "a" / "x.lock", wait=False)
        assert refused.value.content == "who holds it"
    lock_file(tmp_path / "a" / "x.lock", wait=False).close()


@pytest.mark.parametrize("removed", [False, True])
def test_who_waits_holds_the_file_that_is_there(tmp_path: Path, removed: bool) -> None:
    path = tmp_path / "x.lock"
    got = []
    first = lock_file(path, wait=False)
    waiting = threading.Thread(target=lambda: got.append(lock_file(path, wait=True)))
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    if removed:
        path.unlink()
    first.close()
    waiting.join(10)
    with got[0], pytest.raises(FileHeldError):
        lock_file(path, wait=False)
