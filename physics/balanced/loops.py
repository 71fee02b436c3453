"""Loops of a weakly meshed feeder: where they are cut, and the impedance that each cut sees.

Every branch that closes a loop of the breadth-first tree is cut at its to end (the breakpoint). Its series
current J is drawn at the from end and injected at the to end of a network that is radial again, and is right
when no voltage is left across the cut (Shirmohammadi et al., IEEE Trans. Power Syst. 3(2), 1988; Luo and
Semlyen, IEEE Trans. Power Syst. 5(4), 1990):

    g = V_from / ratio - z J - V_to = 0.

With node currents frozen the tree is linear, so g = g0 - Z J with the loop-impedance matrix Z, and
``J += inverse(Z) g`` closes all loops at once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..numba_tools.jit import kernel
from .tree import IntArray, Tree

ComplexArray = NDArray[np.complex128]
_SINGULAR = 1e-12  # of the loop-impedance matrix scaled to a diagonal of ones


class Loops(NamedTuple):
    """Branches that close loops, cut open at their to ends."""

    branch: IntArray  # (n_loop,) branch row
    start: IntArray  # (n_loop,) tree position of the from end
    end: IntArray  # (n_loop,) tree position of the to end
    a: ComplexArray  # (n_loop,) 1 / complex ratio
    z: ComplexArray  # (n_loop,) series impedance, pu
    inverse: ComplexArray  # (n_loop, n_loop) of the loop-impedance matrix


_NO_ROW, _NO_NUMBER = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.complex128)
NO_LOOPS = Loops(_NO_ROW, _NO_ROW, _NO_ROW, _NO_NUMBER, _NO_NUMBER, np.empty((0, 0), dtype=np.complex128))


@kernel
def _loop_impedance(tree, start, end, a, z, matrix):  # type: ignore[no-untyped-def]
    """Column j of ``matrix``: how far a unit current in loop j lowers the voltage across each cut."""
    m = tree.parent.size
    current = np.empty(m, dtype=np.complex128)
    v = np.empty(m, dtype=np.complex128)
    for j in range(start.size):
        current[:] = 0.0
        current[start[j]] += np.conj(a[j])
        current[end[j]] -= 1.0
        for k in range(m - 1, -1, -1):
            up = tree.parent[k]
            if up >= 0:
                current[up] += complex(tree.a_re[k], -tree.a_im[k]) * current[k]
        for k in range(m):
            up = tree.parent[k]
            v[k] = 0.0
            if up >= 0:
                drop = complex(tree.z_re[k], tree.z_im[k]) * current[k]
                v[k] = complex(tree.a_re[k], tree.a_im[k]) * v[up] - drop
        for i in range(start.size):
            matrix[i, j] = v[end[i]] - a[i] * v[start[i]]
        matrix[j, j] += z[j]


def close_loops(
    tree: Tree, branch: IntArray, start: IntArray, end: IntArray, a: ComplexArray, z: ComplexArray
) -> Loops | None:
    """Loops of the branches in ``branch``, each from tree position ``start`` to ``end``.

    None where the loop-impedance matrix is singular: then some loop has no impedance.
    """
    matrix = np.empty((branch.size, branch.size), dtype=np.complex128)
    _loop_impedance(tree, start, end, a, z, matrix)
    size = np.sqrt(np.abs(matrix.diagonal()))
    if not (np.isfinite(size).all() and (size > 0).all()):
        return None
    scaled = matrix / np.outer(size, size)
    if np.linalg.svd(scaled, compute_uv=False).min() < _SINGULAR:
        return None
    return Loops(branch, start, end, a, z, np.ascontiguousarray(np.linalg.inv(matrix)))
