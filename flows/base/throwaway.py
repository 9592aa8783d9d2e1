"""The database of a temporary Prefect server: a copy of a prepared one, deleted with the server.

Prefect takes 8 to 12 s to create a database. That is done once, and kept beside Prefect's own files as a template
without any run in it; a copy takes milliseconds. So no run leaves its parameters, times or report with Prefect unless
a server is configured, and a run that is killed leaves no entry that says Running for ever.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing, suppress
from importlib.metadata import version
from pathlib import Path

from landmark_ops.errors import RunError

DATABASE = "prefect.db"


def prefect_home() -> Path:
    """Where Prefect keeps its files."""
    return Path(os.environ.get("PREFECT_HOME") or "~/.prefect").expanduser()


def template() -> Path:
    """The prepared database of this version of Prefect, which need not be there."""
    return prefect_home() / f"landmark-ops-{version('prefect')}.db"


def make_home() -> Path:
    """A new folder that only its owner may enter, with a copy of the prepared database where there is one."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="landmark-ops-prefect-"))
    except OSError as error:
        raise RunError(
            f"no place for the database of a temporary Prefect server: {error.strerror or error}: set TMPDIR to a "
            "folder that may be written"
        ) from error
    with suppress(OSError):
        shutil.copyfile(template(), folder / DATABASE)
    return folder


def keep_template(folder: Path) -> None:
    """Keep the database of `folder`, which a server has just created, as the template; nothing where that fails."""
    place = template()
    part = place.with_name(f"{place.name}.{os.getpid()}.part")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600))
        with closing(sqlite3.connect(folder / DATABASE)) as source, closing(sqlite3.connect(part)) as copy:
            source.backup(copy)
        part.replace(place)
    except (OSError, sqlite3.Error):  # a home that cannot be written costs each run some seconds, and no more
        with suppress(OSError):
            part.unlink(missing_ok=True)


def forget_template() -> None:
    """Delete the template: a server did not start from its copy."""
    with suppress(OSError):
        template().unlink()
