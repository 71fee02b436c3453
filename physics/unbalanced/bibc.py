"""The matrices of the direct method (Teng 2003) for a per-phase network, for inspection."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .assembly.forest import Conductor
from .assembly.segments import Segment
from .kernel_tables import TAP, TAP_LEG
from .network import Network3

Matrix = NDArray[np.complex128]


class BranchMatrices(NamedTuple):
    """``J = bibc @ I`` and ``V = no_load - bcbv @ J``, rows and columns as ``net.topo3ph`` has them.

    I: current that everything at a conductor draws (shunts included), J: current into the conductor from what
    feeds it, V: voltage to ground, all complex pu. Phases without a source have rows of zeros.
    """

    bibc: Matrix
    bcbv: Matrix
    no_load: Matrix  # (n,) voltages without any current


def _now(segment: Segment, tap: NDArray[np.float64]) -> tuple[Matrix, Matrix, Matrix]:
    """A, B and D at the stored taps."""
    if segment.tap is None or segment.kind not in (TAP, TAP_LEG):
        return segment.a, segment.b, segment.d
    ratio = segment.tap.factor * (tap[segment.tap.regulator] if segment.tap.regulator >= 0 else 1.0)
    seen = 1.0 / ratio if segment.tap.child_is_from else ratio
    square = 1.0 if segment.tap.child_is_from else ratio**2
    pattern = np.array([[1.0, -1.0]]) if segment.kind == TAP_LEG else np.array([[1.0]])
    a = (seen * pattern).astype(np.complex128)
    return a, square * segment.b, a.T


def bibc(net: Network3) -> BranchMatrices:
    """BIBC and BCBV of the stored switch and tap states.

    They are dense, (n, n) for n phases of all nodes: for small feeders. The mean voltage of a zone behind a
    delta winding without ground is taken as zero here.

    Raises:
        ValueError: the feeder is no tree of segments, so its voltages are no sums along one.
    """
    if net.topology.irregular:
        raise ValueError(
            f"feeder {net.feeder.name!r} has no BIBC matrices, as it is no tree: {net.topology.irregular}"
        )
    row = {(int(n), int(p)): int(net.topo3ph.row[n, p]) for n, p in np.argwhere(net.present)}
    size = len(net.topo3ph)
    drop = np.zeros((size, size), dtype=np.complex128)
    no_load = np.zeros(size, dtype=np.complex128)
    gather = np.zeros((size, size), dtype=np.complex128)
    emf: dict[Conductor, complex] = {
        (net.n_bus + s, p): complex(net.source_phasor[s, p])
        for s, source in enumerate(net.sources)
        for p in source.phases
    }
    placed = net.topology.layout.placed
    for one in placed:
        a, b, _ = _now(one.segment, net.tap)
        child = [row[at] for at in one.child]
        above = np.array([emf[at] if at in emf else no_load[row[at]] for at in one.parent])
        no_load[child] = a @ above
        drop[np.ix_(child, child)] += b
        parents = np.array([drop[row[at]] if at in row else np.zeros(size) for at in one.parent])
        drop[child] += a @ parents
        for at in one.reference:
            no_load[child] += no_load[row[at]]
            drop[child] += drop[row[at]]
        gather[child, child] = 1.0
    for one in reversed(placed):
        _, _, d = _now(one.segment, net.tap)
        child = [row[at] for at in one.child]
        up = d @ gather[child]
        for at, current in zip(one.parent, up, strict=True):
            if at in row:
                gather[row[at]] += current
        for at in one.reference:
            gather[row[at]] += gather[child[0]]
    return BranchMatrices(gather, drop, no_load)
