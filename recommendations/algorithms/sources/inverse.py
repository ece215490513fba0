"""The inverse of a large positive matrix, in its own memory."""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack


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
    upper = np.triu(upper)
    whole: NDArray[np.float32] = upper + np.triu(upper, 1).T
    return np.ascontiguousarray(whole)
