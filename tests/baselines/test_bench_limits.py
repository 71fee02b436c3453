"""The limits that `distgrid bench pf --batch` names: counts that follow from the arrays, and arithmetic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from distgrid import cases, physics
from distgrid.baselines.bench.harness import peaks, roofline, utilisation
from distgrid.baselines.bench.harness.timing import Samples, best_ratio
from distgrid.baselines.bench.problems.phases import PhaseProblem
from distgrid.baselines.bench.report.results import Peaks, Spread, Threads
from distgrid.physics.balanced.kernels.solve_rows import workspace_for
from distgrid.physics.numba_tools.lanes import LANES


def test_work_of_a_balanced_row() -> None:
    """33 nodes, two sweeps and the check: 23 operations a node and sweep, 69 besides; 37 branches."""
    net = physics.compile(cases.load("case33bw"))
    work = roofline.balanced_work(net, 3.0)
    assert work.flops == 33 * (2 * 23 + 69)
    assert work.cache_bytes == 33 * 8 * (2 * 16 + 49)
    assert work.memory_bytes == 33 * (16 + 16) + 37 * 16
    assert roofline.balanced_work(net, 3.0, currents=False).memory_bytes == 33 * 32
    more = roofline.balanced_work(net, 4.0)
    assert (more.flops - work.flops, more.memory_bytes) == (33 * 23, work.memory_bytes)


def test_a_block_is_what_the_kernel_works_on() -> None:
    net = physics.compile(cases.load("case141"))
    state = workspace_for(net.topology.plan, LANES)
    block = roofline.balanced_work(net, 3.0).block_bytes
    assert block == state.draw.nbytes + state.volt.nbytes + state.flow.nbytes


def test_work_of_a_row_with_phases() -> None:
    """A three-phase line and a one-phase lateral with a load: seven conductors with the source's three."""
    present = np.array([[True, True, True], [True, True, True], [False, True, False]])
    z = np.zeros((2, 3, 3), dtype=np.complex128)
    z[0] = np.eye(3) * (0.3 + 0.6j) + 0.1
    z[1, 1, 1] = 0.3 + 0.6j
    p = np.zeros((3, 3))
    p[2, 1] = 0.1
    problem = PhaseProblem(
        name="small", kv=10.0, present=present, from_row=np.array([0, 1]), to_row=np.array([1, 2]), z_ohm=z,
        b_us=np.zeros((2, 3, 3)), p_mw=p, q_mvar=0.3 * p, cap_mvar=np.zeros((3, 3)), source=0,
        v_source_pu=1.0,
    )  # fmt: skip
    work = roofline.per_phase_work(problem, 4.0)
    lines = (6 * 9 + 2 * 3 * 2) + 6
    assert work.flops == 7 * (3 * 50 + 34) + 4 * lines  # three sweeps and the check
    assert work.cache_bytes == 8 * 7 * (3 * 27 + 26)
    assert work.memory_bytes == 2 * 9 * 8 + 16 * (2 * 9 + 3)
    assert roofline.per_phase_work(problem, 4.0, currents=False).memory_bytes == 2 * 9 * 8 + 16 * 9
    assert work.block_bytes == 8 * 9 * LANES * 7


def test_the_limit_is_the_slowest_part() -> None:
    machine = Peaks(memory_bytes_per_s=1e9, flops_per_s=1e10)
    work = roofline.Work(flops=3e4, cache_bytes=2e4, memory_bytes=1e3, block_bytes=1e3)
    found = roofline.limit("x", "y", 10, work, machine, 1e10, 6e-6)
    assert (found.memory_s, found.cache_s, found.arithmetic_s) == pytest.approx((1e-6, 2e-6, 3e-6))
    assert found.bound == "arithmetic"
    assert (found.shortest_s, found.share) == pytest.approx((3e-6, 0.5))
    assert roofline.limit("x", "y", 10, work, machine, 1e9, 6e-6).bound == "cache"


def test_the_machine_is_measured() -> None:
    """Numbers, finite and above zero: what they are is the machine's business."""
    for value in (peaks.bandwidth(1 << 15, seconds=1e-3, rounds=2), peaks.vector_peak(quick=True)):
        assert 0.0 < value < np.inf


def test_the_largest_cache_counts(tmp_path: Path) -> None:
    assert peaks.last_cache_bytes(str(tmp_path)) == 32 << 20
    for k, size in enumerate(("32K", "32K", "1024K", "16384K")):
        (tmp_path / f"index{k}").mkdir()
        (tmp_path / f"index{k}" / "size").write_text(f"{size}\n")
    assert peaks.last_cache_bytes(str(tmp_path)) == 16384 << 10


def test_two_threads_are_held_against_one_by_their_best_rounds() -> None:
    one = Samples(np.array([4.0, 9.0, 4.4]), np.ones(3), 1)
    two = Samples(np.array([5.0, 2.0, 2.2]), np.ones(3), 1)
    assert best_ratio(one, two) == 2.0
    flat = Spread(median=1.0, q1=1.0, q3=1.0)

    def told(rows: int) -> Threads:
        return Threads(feeder="x", rows=rows, one_s=flat, two_s=flat, ratio=flat, best_ratio=2.0)

    assert [t.met for t in utilisation.thread_targets([told(10_000), told(100)])] == [True, None]
