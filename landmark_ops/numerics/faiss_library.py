"""faiss, imported on first use, and kept to the calling thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep faiss, and the BLAS it brings, to the calling thread: the setting belongs to that thread alone."""
    before = faiss().omp_get_max_threads()
    faiss().omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss().omp_set_num_threads(before)


@cache
def faiss() -> Any:
    """The library, imported on first use (0.2 s)."""
    import warnings

    with warnings.catch_warnings():  # the types that SWIG generates lack an attribute CPython asks for
        warnings.filterwarnings("ignore", message="builtin type .* has no __module__ attribute")
        import faiss as library
    return library
