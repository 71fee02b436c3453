"""`physics.solve_in_chunks`: the bits of one large solve, in the memory of a small one."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from distgrid import cases, physics

ROWS = 700


def drawn(net: Any, rows: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Loads of ``rows`` rows; the last is beyond the nose."""
    share = np.random.default_rng(2).uniform(0.5, 1.5, (rows, *net.load_p_mw.shape))
    share[-1] = 50.0
    return share * net.load_p_mw, share * net.load_q_mvar


@pytest.mark.parametrize("rows_per_chunk", [1, 64, 300, 700, 10_000])
@pytest.mark.parametrize("name", ["case33bw", "ieee123"])
def test_chunks_have_the_bits_of_one_solve(name: str, rows_per_chunk: int) -> None:
    """Capability 17: whatever the size of a chunk, the last one with fewer rows included."""
    net: Any = physics.compile(cases.load(name))
    p, q = drawn(net, ROWS)
    v_source = np.linspace(0.97, 1.03, ROWS)
    whole = physics.solve(net, p, q, v_source_pu=v_source, tol=1e-6)
    assert whole.diverged[-1]
    assert whole.converged[:-1].all()
    done = 0
    for rows, part in physics.solve_in_chunks(
        net, p, q, v_source_pu=v_source, tol=1e-6, rows_per_chunk=rows_per_chunk
    ):
        assert rows.start == done
        done = rows.stop
        for field in ("v", "iterations", "converged", "diverged", "i_ka", "p_loss_mw", "s_source_mva"):
            assert getattr(part, field).tobytes() == getattr(whole, field)[rows].tobytes(), field
    assert done == ROWS


def test_switches_and_taps_are_taken_row_by_row() -> None:
    """Nothing but the loads of one row serves all rows, and one row of Q with a batch axis does, too."""
    net: Any = physics.compile(cases.load("ieee13"))
    tap = 1.0 + 0.00625 * np.random.default_rng(0).integers(-16, 17, (50, net.tap.size))
    caps = np.random.default_rng(1).integers(0, 2, (50, net.cap_on.size))
    whole = physics.solve(net, net.load_p_mw, net.load_q_mvar[None], tap=tap, cap_on=caps)
    parts = physics.solve_in_chunks(
        net, net.load_p_mw, net.load_q_mvar[None], tap=tap, cap_on=caps, rows_per_chunk=16
    )
    assert np.concatenate([part.v.copy() for _, part in parts]).tobytes() == whole.v.tobytes()


@pytest.mark.parametrize("name", ["case33bw", "ieee13"])
def test_memory_does_not_grow_with_the_batch(name: str, tmp_path: Path) -> None:
    """A file of 30,000 rows is read and solved in less than a tenth of what its voltages would take."""
    net: Any = physics.compile(cases.load(name))
    rows, shape = 30_000, net.load_p_mw.shape
    p, q = (np.memmap(tmp_path / part, dtype=np.float64, mode="w+", shape=(rows, *shape)) for part in "pq")
    p[:], q[:] = net.load_p_mw, net.load_q_mvar
    p *= np.linspace(0.5, 1.1, rows).reshape(-1, *[1] * len(shape))
    lowest = np.empty(rows)
    tracemalloc.start()
    try:
        for part, solution in physics.solve_in_chunks(net, p, q, rows_per_chunk=500):
            lowest[part] = np.nanmin(solution.v_pu, axis=tuple(range(1, p.ndim)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 0.1 * 16 * p.size
    assert (np.diff(lowest) < 0).all()


def test_what_chunks_refuse() -> None:
    net = physics.compile(cases.load("case33bw"))
    p, q = drawn(net, 4)
    with pytest.raises(ValueError, match="rows_per_chunk must be at least 1, got 0"):
        physics.solve_in_chunks(net, p, q, rows_per_chunk=0)
    with pytest.raises(ValueError, match="none has a batch axis"):
        physics.solve_in_chunks(net, p[0], q[0])
    with pytest.raises(ValueError, match="p_mw has 4, q_mvar has 3"):
        physics.solve_in_chunks(net, p, q[:3])
    with pytest.raises(ValueError, match="chunks have memory of their own"):
        physics.solve_in_chunks(net, p, q, out=physics.solve(net, p, q))
