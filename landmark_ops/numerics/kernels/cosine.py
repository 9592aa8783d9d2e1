"""x.z / (|x| |z|)."""

from __future__ import annotations

import numpy as np

from landmark_ops.numerics.distances import Array, transform_rows
from landmark_ops.numerics.kernel import KERNELS, Kernel, KernelFamily


class Cosine(KernelFamily):
    """The product of rows scaled to unit length; a zero row has none."""

    name = "cosine"
    geometry = "cosine"
    transform = "unit"
    overflows = True

    def block(self, X: Array, Z: Array, kernel: Kernel) -> Array:
        """At any scale of the rows, NaN for zero rows."""
        return np.asarray(transform_rows(X, "unit") @ transform_rows(Z, "unit").T.astype(X.dtype))


KERNELS.register(Cosine())
