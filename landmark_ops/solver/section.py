"""The `method:` section of a config, which is also the registry entry of a method.

Each method's own file in `landmark_ops/methods/` holds its section and registers it: what a config may say of it, how
it is called, what it costs, and how the `Method` that solves it is made. Flows, reports and estimators ask the section
and know no method by name. Nothing heavy is imported here: the configs of commands that use no method import this too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, get_args

from landmark_ops.configs.section import Section
from landmark_ops.registry import Registry

if TYPE_CHECKING:
    import numpy as np

    from landmark_ops.maps.landmark_map import LandmarkMap
    from landmark_ops.numerics.distances import Array
    from landmark_ops.solver.method import Method
    from landmark_ops.solver.unexplained import Unexplained


class Sizes(NamedTuple):
    """Of a run: n rows of d features, m landmarks, rows per task, and bytes of a value that blocks are computed in."""

    n: int
    d: int
    m: int
    step: int
    itemsize: int


class Cost(NamedTuple):
    """Bytes that a method needs beyond those of placing rows.

    `task`: more of each task. `worker`: of a task of its own, as those of a graph. `flow`: held by the flow's process.
    `scratch`: on disk while the run lasts.
    """

    task: int = 0
    worker: int = 0
    flow: int = 0
    scratch: int = 0


class MethodSection(Section):
    """One method and its parameters, as a config gives them. Subclasses give `name` as a `Literal`, and the title."""

    #: Its display name, the first words of a title.
    title: ClassVar[str]
    #: What its spectrum is of, in the report.
    spectrum_of: ClassVar[str] = "the kernel"
    #: What its residuals are, in the report.
    residuals_are: ClassVar[str] = "squared distance unexplained"
    #: Whether it learns from a target: then its result is predictions, not coordinates.
    supervised: ClassVar[bool] = False
    #: Whether its result is its coordinates, which stay where they were when landmarks are added (landmarks.add_to).
    grows: ClassVar[bool] = True
    #: Whether `landmarks compare` can tell how good landmarks are for it: then `unexplained` says.
    compared: ClassVar[bool] = False
    #: The `Method` that is made of the parameters: a class whose fields have their names.
    solver: ClassVar[type[Any]]

    name: str

    def make(self, seed: int = 0) -> Method:
        """The method that this section describes; `seed` decides what it draws.

        Raises InputError for unknown metrics and kernels, before anything is read.
        """
        self.check_names()
        return self.method_of({key: getattr(self, key) for key in type(self).model_fields}, seed)

    @classmethod
    def method_of(cls, parameters: Mapping[str, Any], seed: int = 0) -> Method:
        """The method with these parameters by name; an estimator's may be functions where a config has names."""
        own = cls.model_fields.keys() - {"name"}
        made: Method = cls.solver(**{key: value for key, value in parameters.items() if key in own})
        return made

    def check_names(self) -> None:
        """InputError for a metric or kernel that is unknown."""

    @property
    def leaves_rows_out(self) -> bool:
        """Whether rows without coordinates are what the user asked for, though each of them is finite."""
        return False

    @property
    def dimensions(self) -> int | None:
        """How many components are asked for; None where there is no such parameter, or the method decides."""
        count: int | None = getattr(self, "n_components", None)
        return count

    def width(self, m: int) -> int:
        """Columns of what it writes from m landmarks, as far as the parameters tell."""
        return self.dimensions or m

    def cost(self, sizes: Sizes) -> Cost:
        """Its memory beyond that of placing rows."""
        return Cost()

    @property
    def fewest_compared(self) -> int:
        """Landmarks that a comparison begins with at least."""
        return 2

    def unexplained(self, probe: Array, X: Array) -> Unexplained:
        """The error of landmarks on rows X (r, d); parameters left out are estimated from `probe` (s, d)."""
        raise NotImplementedError

    def timed_map(self, Z: Array, dtype: np.dtype[Any]) -> LandmarkMap:
        """A map of landmarks Z (m, d) whose rows cost about what this method's do: plans time it."""
        from landmark_ops.solver.classical_scaling import scale_rows  # imports NumPy and SciPy

        return scale_rows(Z, 1).map


def name_of(section: type[MethodSection]) -> str:
    """Its name in configs: the one value that `name` may have."""
    (name,) = get_args(section.model_fields["name"].annotation)
    return str(name)


#: All methods, one file each in `landmark_ops/methods/`.
METHODS: Registry[type[MethodSection]] = Registry("method", "landmark_ops.methods", name_of)
