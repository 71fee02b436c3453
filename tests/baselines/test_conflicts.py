"""Limits that conflict: an irreducible set, each member of which is enough to give way."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from distgrid import cases, physics
from distgrid.baselines.optimal.branch_flow import NetworkLimits
from distgrid.baselines.optimal.conflicts import Conflict, InfeasibleError, conflicting_limits
from distgrid.baselines.optimal.dispatch import optimal_dispatch
from distgrid.baselines.optimal.program import Limit, Program
from distgrid.baselines.optimal.units import Unit


@cache
def network() -> physics.Network:
    return physics.compile(cases.load("case33bw"))


def conflicts(units: list[Unit], limits: NetworkLimits) -> tuple[Conflict, ...]:
    with pytest.raises(InfeasibleError) as raised:
        optimal_dispatch(network(), units, limits=limits)
    return raised.value.conflicts


CASES: dict[str, tuple[list[Unit], NetworkLimits, set[str]]] = {
    "import": ([Unit("a", "6", 0.0, 0.1)], NetworkLimits((0.8, 1.1), None, most_import_mw=1.0),
               {"import", "p_max"}),
    "low voltage": ([Unit("a", "6", 0.0, 0.1, 0.0, 0.05)], NetworkLimits((0.97, 1.05), None),
                    {"v_min", "p_max", "q_max"}),
    "must run": ([Unit("a", "18", 3.0, 4.0)], NetworkLimits((0.9, 1.05), 0.0),
                 {"thermal_from", "p_min", "q_max"}),
    "fixed": ([Unit("a", "18", 3.0, 3.0)], NetworkLimits((0.9, 1.05), 0.0),
              {"thermal_from", "p_min", "q_max"}),
}  # fmt: skip


def gives_way(conflict: Conflict, share: float, units: list[Unit], limits: NetworkLimits) -> str:
    """Status where one member gives way by a share of what it must."""
    by = share * conflict.excess
    if conflict.kind == "import":
        limits = replace(limits, most_import_mw=limits.most_import_mw + by)
    elif conflict.kind == "thermal_from":
        limits = replace(limits, thermal_margin=-by / conflict.limit)
    elif conflict.kind in ("v_min", "v_max"):
        assert limits.v_band is not None
        low, high = limits.v_band
        limits = replace(limits, v_band=(low - by * (conflict.kind == "v_min"),
                                         high + by * (conflict.kind == "v_max")))  # fmt: skip
    else:
        name = f"{conflict.kind}_{'mw' if conflict.kind[0] == 'p' else 'mvar'}"
        sign = 1.0 if conflict.kind.endswith("max") else -1.0
        units = [
            replace(u, **{name: getattr(u, name) + sign * by}) if u.name == conflict.element else u
            for u in units
        ]
    try:
        return optimal_dispatch(network(), units, limits=limits).status
    except InfeasibleError:
        return "infeasible"


@pytest.mark.parametrize("name", CASES)
def test_each_member_is_necessary(name: str) -> None:
    """Row 20: what conflicts is a set of which no member can be left out.

    Where any one gives way by a little more than its excess, the others can all be kept (a lower band serves
    all buses); by a little less, they cannot. Where a plant must run at 3 MW, further branches are overloaded
    by themselves: then it is necessary and not enough.
    """
    units, limits, kinds = CASES[name]
    found = conflicts(units, limits)
    assert {one.kind for one in found} == kinds
    assert len({(one.kind, one.element) for one in found}) == len(found)
    for one in found:
        assert one.excess > 0.0
        if name in ("import", "low voltage"):
            assert gives_way(one, 1.02, units, limits) != "infeasible", one
        assert gives_way(one, 0.97, units, limits) == "infeasible", one


def test_a_limit_that_cannot_be_kept_at_all_stands_alone() -> None:
    """Without any unit that could help: the bus with the lowest voltage."""
    (one,) = conflicts([], NetworkLimits((0.95, 1.05), None))
    assert (one.kind, one.element, one.limit, one.unit) == ("v_min", "18", 0.95, "pu")
    assert one.excess == pytest.approx(0.95 - 0.91309, abs=1e-4)


def test_loads_beyond_the_feeder_have_no_conflict_of_limits() -> None:
    net = network()
    with pytest.raises(InfeasibleError, match="loads are beyond the feeder") as raised:
        optimal_dispatch(net, [], p_mw=9.0 * net.load_p_mw, q_mvar=9.0 * net.load_q_mvar)
    assert raised.value.conflicts == ()


def test_the_error_names_all_members_and_survives_another_process() -> None:
    units, limits, _ = CASES["import"]
    with pytest.raises(InfeasibleError, match="these 2 conflict") as raised:
        optimal_dispatch(network(), units, limits=limits)
    again = copy.copy(raised.value)  # as pickling does it
    assert str(again) == str(raised.value)
    assert again.conflicts == raised.value.conflicts


@settings(max_examples=25)
@given(seed=st.integers(0, 2**31 - 1))
def test_dropping_any_one_member_makes_the_rest_feasible(seed: int) -> None:
    """Irreducible, by HiGHS: all members together cannot be kept, all but any one can."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(14, 3)), rng.normal(size=14) - 0.4

    def feasible(rows: list[int]) -> bool:
        free = [(None, None)] * 3
        return bool(linprog(np.zeros(3), A_ub=-a[rows], b_ub=b[rows], bounds=free).status == 0)

    assume(not feasible(list(range(14))))
    program = Program(elastic=True)
    x = program.columns((3,), 10.0)
    rows = x.broadcast((14, 3)) * a
    names = np.array([str(k) for k in range(14)], dtype=object)
    program.nonneg(rows.sum(axis=1) + b, Limit("side", "MW", names, b, np.ones(14)))
    found = [int(one.element) for one in conflicting_limits(program)]
    assert 2 <= len(found) <= 4, "as Helly has it in three dimensions"
    assert not feasible(found)
    for one in found:
        assert feasible([other for other in found if other != one])
