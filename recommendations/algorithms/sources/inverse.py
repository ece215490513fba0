"""The inverse of a large positive matrix, in its own memory."""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

BLOCK = 512  # rows at a time


def inverted(gram: NDArray[np.float32], *, penalty: float) -> NDArray[np.float32]:
    """The inverse of ``gram + penalty``, in place where LAPACK can.

    Raises
    ------
    ValueError
        If the matrix is not positive definite: the penalty is too small.
    """
    if not gram.size:
        return gram
    gram[np.diag_indices_from(gram)] += np.float32(penalty)
    factor, failed = lapack.spotrf(gram.T, lower=0, overwrite_a=1)
    if not failed:
        upper, failed = lapack.spotri(factor, lower=0, overwrite_c=1)
    if failed:
        raise ValueError(f"a penalty of {penalty} is too small for these counts")
    mirror(upper)
    return np.ascontiguousarray(upper)


def mirror(upper: NDArray[np.float32]) -> None:
    """Make a square matrix symmetric by its upper half, in place and without a second one."""
    for first in range(0, len(upper), BLOCK):
        last = first + BLOCK
        upper[last:, first:last] = upper[first:last, last:].T
        square = upper[first:last, first:last]
        square[:] = np.triu(square) + np.triu(square, 1).T
