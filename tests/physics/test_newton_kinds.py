"""Feeders that are no forest of segments, and rows close to the nose, against OpenDSS."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from distgrid import physics
from distgrid.cases.model.feeder import Feeder

from . import dss_newton, dss_oracle
from .phase_kinds import random_kinds

CLOSE = 1e-7


def scaled(net: physics.Network3, shares: list[float], **options: Any) -> physics.Solution3:
    """One row for each share of all loads."""
    k = np.array(shares)[:, None, None]
    return physics.solve(
        net, k * net.load_p_mw, k * net.load_q_mvar, p_delta_mw=k * net.delta_p_mw,
        q_delta_mvar=k * net.delta_q_mvar, **options,
    )  # fmt: skip


def compiled(feeder: Feeder) -> physics.Network3:
    """A network without loops; open ends leave nodes without a source."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", physics.IslandWarning)
        return physics.compile_per_phase(feeder, allow_mesh_pruning=False)


def apart(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest difference at phases that a source reaches."""
    return float(np.nan_to_num(np.abs(ours - theirs)).max())


def opendss(feeder: Feeder) -> np.ndarray | None:
    """OpenDSS's own solution; None where its iteration does not end."""
    try:
        return dss_oracle.solve(feeder).v
    except AssertionError:
        return None


@pytest.mark.quick(1)
@pytest.mark.parametrize("first", range(0, 200, 25))
def test_random_feeders_equal_opendss(first: int) -> None:
    """Capability 92: banks with their zero-sequence paths, split phases, parallel branches, phases from
    different ways, dead terminals, tap changers, open ends: every node, in at most 12 iterations.
    """
    compared = 0
    for seed in range(first, first + 25):
        feeder = random_kinds(seed).feeder()
        net = compiled(feeder)
        sol = physics.solve(net)
        assert sol.converged, seed
        assert sol.iterations <= 12, seed
        theirs = opendss(feeder)
        if theirs is not None:
            compared += 1
            assert apart(sol.v, theirs) < CLOSE, seed
        energised = np.nan_to_num(np.abs(sol.v)) > 0
        drawn = physics.consumption(net, sol)
        balance = sol.p_slack_mw - sol.p_loss_mw - drawn.load.real.sum() - drawn.shunt.real.sum()
        assert abs(balance) < 1e-9, seed
        assert (energised == net.energised).all(), seed
    assert compared >= 20


def nose(net: physics.Network3) -> float:
    """The largest share of the loads that has a solution, to some percent."""
    low, high = 0.0, 1000.0
    for shares in (np.geomspace(1.0, high, 12), None, None):
        tried = np.linspace(low, high, 7)[1:] if shares is None else shares
        good = np.asarray(scaled(net, list(tried)).converged)
        first_bad = int(np.argmin(good)) if not good.all() else len(tried)
        low, high = (tried[first_bad - 1] if first_bad else low), tried[min(first_bad, len(tried) - 1)]
    return float(low)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 48, 12))
def test_random_feeders_up_to_the_nose(first: int) -> None:
    """At 10, 50, 80, 90 and 95 % of the load at the nose the operable solution, node by node: that of
    Newton's method on OpenDSS's own matrix, followed from no load.
    """
    for seed in range(first, first + 12):
        feeder = random_kinds(seed).feeder()
        net = compiled(feeder)
        top = nose(net)
        shares = [part * top for part in (0.1, 0.5, 0.8, 0.9, 0.95)]
        sol = scaled(net, shares)
        for k, theirs in enumerate(dss_newton.solve(feeder, shares)):
            assert theirs is not None, (seed, k)
            assert sol.converged[k], (seed, k)
            assert apart(sol.v[k], theirs) < CLOSE, (seed, k)


def test_a_batch_has_the_bits_of_single_rows() -> None:
    """Rows of a feeder that is no tree do not depend on their neighbours, nor on threads."""
    net = compiled(random_kinds(5).feeder())
    assert net.topology.irregular
    shares = list(np.linspace(0.2, 3.0, 600))
    many = scaled(net, shares, threads=2)
    for row in (0, 299, 599):
        one = scaled(net, [shares[row]])
        assert one.v.tobytes() == many.v[row : row + 1].tobytes()
        assert one.i_ka.tobytes() == many.i_ka[row : row + 1].tobytes()
