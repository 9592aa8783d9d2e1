"""Things of one kind by name: methods, kernels, metrics, strategies, formats. What exists once is registered once.

Each lives in a file of its own within the folder of its kind, and registers itself there as the file is imported; all
files of the folder are imported when the first name is looked up. So a new thing is one file, named nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from difflib import get_close_matches
from importlib import import_module
from operator import attrgetter
from pkgutil import iter_modules
from typing import Generic, TypeVar

from landmark_ops.errors import InputError

E = TypeVar("E")


class Registry(Generic[E]):
    """The entries of one kind, in alphabetical order of their names.

    `kind`: what messages call one of them. `package`: the folder whose files register them. `name_of`: the name of an
    entry in configs and calls, its `name` where left out. An entry may have `aliases`, further names that it is found
    by.
    """

    def __init__(self, kind: str, package: str, name_of: Callable[[E], str] = attrgetter("name")) -> None:
        self.kind = kind
        self._package = package
        self._name_of = name_of
        self._entries: dict[str, E] = {}
        self._aliases: dict[str, str] = {}
        self._loaded = False
        self._failure: Exception | None = None

    def register(self, entry: E) -> E:
        """Add an entry and hand it back. ValueError where another has its name: a mistake in code, not of a user."""
        own, aliases = self._name_of(entry), getattr(entry, "aliases", ())
        for name in (own, *aliases):
            if name in self._entries or name in self._aliases:
                raise ValueError(f"{self.kind} {name} is registered twice")
        self._entries[own] = entry
        self._aliases |= dict.fromkeys(aliases, own)
        return entry

    def unregister(self, name: str) -> None:
        """Remove an entry, for tests that register one of their own."""
        del self._entries[name]
        self._aliases = {alias: of for alias, of in self._aliases.items() if of != name}

    def _all(self) -> dict[str, E]:
        if self._failure is not None:
            raise self._failure
        if not self._loaded:
            try:
                for module in iter_modules(import_module(self._package).__path__, f"{self._package}."):
                    import_module(module.name)
            except Exception as error:
                self._failure = error  # a second try would only say that what the file had registered is there twice
                raise
            self._loaded = True
        return self._entries

    def __iter__(self) -> Iterator[E]:
        return iter([self._all()[name] for name in self.names])

    def __contains__(self, name: object) -> bool:
        return name in self._all() or name in self._aliases

    def __getitem__(self, name: str) -> E:
        """The entry of that name or alias; InputError with the nearest ones, or all, for an unknown name."""
        entries = self._all()
        found = entries.get(self._aliases.get(name, name))
        if found is None:
            near = get_close_matches(str(name), [*self.names, *self._aliases])
            others = f"did you mean {' or '.join(near)}?" if near else f"choose one of {', '.join(self.names)}"
            raise InputError(f"{self.kind} {name!r} is unknown: {others}")
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """All names, in alphabetical order."""
        return tuple(sorted(self._all()))
