"""`distgrid bench gradient`: what a gradient costs in power flows, beside a dense Jacobian."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ... import physics
from ...cases import load
from .contenders.dense_jacobian import DenseJacobian
from .harness.timing import Samples, ratio, take_turns, timing
from .report.machine import describe
from .report.results import GradientReport, GradientRow, Target

FEEDERS = (
    "case33bw",
    "case118zh",
    "case141",
    "case533mt_hi",
    "ieee13",
    "ieee34",
    "ieee37",
    "ieee123",
    "european_lv",
)
BATCH = 256
MOST_POWER_FLOWS = 3.0
POWER_FLOW, GRADIENT, DENSE = "power flow", "gradient", "dense"


def bench_gradient(*, quick: bool = False, seed: int = 0) -> GradientReport:
    """Time the gradient of losses and voltages by everything, of one row and of a batch.

    The power flow beside it is a call of :func:`distgrid.physics.solve` from no load, at its default
    tolerance. The dense Jacobian gives the gradient of the losses by injections alone, of one row of a
    balanced feeder.

    Args:
        quick: Two feeders and short rounds: shows that everything works, no numbers to quote.
        seed: Of the batch's loads.
    """
    machine = describe()
    rows = [
        row for name in (("case33bw", "ieee13") if quick else FEEDERS)
        for row in _feeder(name, quick=quick, seed=seed)
    ]  # fmt: skip
    return GradientReport(quick=quick, machine=machine, rows=rows, targets=[] if quick else _targets(rows))


def _feeder(name: str, *, quick: bool, seed: int) -> list[GradientRow]:
    net: Any = physics.compile(load(name))
    rounds, slice_s = (3, 0.002) if quick else (15, 0.05)
    found = []
    for rows in (1, 16 if quick else BATCH):
        loads = _loads(net, rows, seed)
        sol = physics.solve(net, *loads)
        scalar = {"v_pu": np.where(np.isfinite(sol.v_pu), 1.0, 0.0), "p_loss_mw": 1.0}
        work: dict[str, Callable[[], object]] = {
            POWER_FLOW: partial(physics.solve, net, *loads, threads=1),
            GRADIENT: partial(physics.gradient, sol, **scalar, threads=1),
        }
        apart = None
        if rows == 1 and isinstance(net, physics.Network):
            work[POWER_FLOW] = partial(physics.solve, net, *loads)
            dense = DenseJacobian.of(net)
            work[DENSE] = partial(dense.loss_gradient, sol.v)
            apart = _disagreement(sol, dense)
        found.append(_row(name, net, rows, take_turns(work, rounds=rounds, slice_s=slice_s), apart))
    return found


def _loads(net: Any, rows: int, seed: int) -> tuple[Any, Any]:
    """Nominal loads, or as many draws of half to all of them."""
    if rows == 1:
        return net.load_p_mw.copy(), net.load_q_mvar.copy()
    shape = (rows, *np.ones(net.load_p_mw.ndim, dtype=int))
    share = np.random.default_rng(seed).uniform(0.5, 1.0, shape)
    return share * net.load_p_mw, share * net.load_q_mvar


def _disagreement(sol: Any, dense: DenseJacobian) -> float:
    """Largest difference of the two gradients of the losses, as a share of the largest entry."""
    p, q = dense.loss_gradient(sol.v)
    ours = physics.gradient(sol, p_loss_mw=1.0)
    apart = max(np.abs(ours.p_inject_mw - p).max(), np.abs(ours.q_inject_mvar - q).max())
    return float(apart / np.abs(p).max())


def _row(name: str, net: Any, rows: int, samples: dict[str, Samples], apart: float | None) -> GradientRow:
    ours = samples[GRADIENT]
    dense = samples.get(DENSE)
    return GradientRow(
        feeder=name, buses=net.n_bus, rows=rows, power_flow=timing(_each(samples[POWER_FLOW], rows)),
        gradient=timing(_each(ours, rows)), power_flows=ratio(POWER_FLOW, ours, samples[POWER_FLOW]),
        dense=None if dense is None else timing(dense),
        dense_ratio=None if dense is None else ratio(GRADIENT, dense, ours), disagreement=apart,
    )  # fmt: skip


def _each(samples: Samples, rows: int) -> Samples:
    """Of one row."""
    return Samples(samples.wall / rows, samples.cpu / rows, samples.calls)


def _targets(rows: list[GradientRow]) -> list[Target]:
    return [
        Target(name=f"{row.feeder} x {row.rows}: power flows that a gradient costs", wanted=MOST_POWER_FLOWS,
               value=row.power_flows.cpu.median, at_most=True)
        for row in rows
    ]  # fmt: skip
