"""The curves themselves: corner points, sign, monotony, and the areas of VDE-AR-N 4105 against pandapower."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distgrid.baselines.errors import RunError
from distgrid.baselines.scripted import vde4105
from distgrid.baselines.scripted.fuzzy import P_CENTRES, RULES, V_CENTRES, fuzzy_share, memberships
from distgrid.baselines.scripted.inverters import circle_headroom_mvar
from distgrid.baselines.scripted.volt_var import IEEE1547_A, IEEE1547_B, Curve

VOLTS = st.floats(0.5, 1.5)
SHARE = st.floats(0.0, 1.0)


@pytest.mark.parametrize(
    ("curve", "points"),
    [
        (IEEE1547_A, {0.90: 0.25, 0.95: 0.125, 1.00: 0.0, 1.05: -0.125, 1.10: -0.25, 0.5: 0.25, 1.5: -0.25}),
        (
            IEEE1547_B,
            {0.92: 0.44, 0.95: 0.22, 0.98: 0.0, 1.02: 0.0, 1.05: -0.22, 1.08: -0.44, 0.5: 0.44, 1.5: -0.44},
        ),
        (
            vde4105.Q_OF_U,
            {0.93: 1.0, 0.95: 0.5, 0.97: 0.0, 1.03: 0.0, 1.05: -0.5, 1.07: -1.0, 0.5: 1.0, 1.5: -1.0},
        ),
    ],
)
def test_corner_points(curve: Curve, points: dict[float, float]) -> None:
    """Trap 30: A is flat without a deadband, B steep with one; both absorb at high voltage."""
    for v, q in points.items():
        assert curve(np.array(v)) == pytest.approx(q, abs=1e-12), v


def test_a_curve_that_cannot_work_is_refused() -> None:
    """A curve with the wrong sign would raise high voltages."""
    with pytest.raises(RunError, match="sign"):
        Curve((0.9, 1.1), (-0.4, 0.4))
    with pytest.raises(RunError, match="strictly rising"):
        Curve((1.0, 1.0), (0.4, -0.4))
    with pytest.raises(RunError, match="two or more"):
        Curve((1.0,), (0.4,))


@given(low=VOLTS, high=VOLTS, p=SHARE)
def test_fuzzy_never_injects_more_at_a_higher_voltage(low: float, high: float, p: float) -> None:
    """Capability 117: monotone in the voltage at any output."""
    low, high = min(low, high), max(low, high)
    assert fuzzy_share(np.array(high), np.array(p)) <= fuzzy_share(np.array(low), np.array(p)) + 1e-12


@given(v=st.floats(1.08, 5.0), p=SHARE)
def test_fuzzy_saturates(v: float, p: float) -> None:
    """Capability 117, Trap 27: the output holds at its limit however far the voltage is off."""
    assert fuzzy_share(np.array(v), np.array(p)) == pytest.approx(-1.0, abs=1e-12)
    assert fuzzy_share(np.array(2.0 - v), np.array(p)) == pytest.approx(1.0, abs=1e-12)


@given(v=st.floats(0.0, 3.0), p=SHARE, s=st.floats(0.01, 10.0), frac=SHARE)
def test_fuzzy_stays_in_the_circle(v: float, p: float, s: float, frac: float) -> None:
    """Capability 117: |Q| <= Qmax(S, P), even where the panel is larger than the inverter."""
    p_mw, q_max = p * 1.2 * s, frac * s
    head = circle_headroom_mvar(np.array(p_mw), np.array(s), np.array(q_max))
    q = float(fuzzy_share(np.array(v), np.array(p)) * head)
    assert abs(q) <= q_max
    assert p_mw >= s or p_mw**2 + q**2 <= s**2 * (1.0 + 1e-12)
    if p_mw >= s:
        assert q == 0.0


@given(v=st.floats(0.0, 3.0))
def test_memberships_are_a_partition_of_unity(v: float) -> None:
    """Documented: degrees in [0, 1], at most two of them above 0, adding up to 1."""
    degrees = memberships(np.array(v), V_CENTRES)
    assert degrees.sum() == pytest.approx(1.0, abs=1e-12)
    assert (degrees >= 0.0).all()
    assert (degrees > 0.0).sum() <= 2


def test_fuzzy_rules_hold_at_the_centres_and_match_the_documented_table() -> None:
    """Capability 117: at the centre of two sets exactly one rule fires; the module's table says which."""
    from distgrid.baselines.scripted import fuzzy

    for i, v in enumerate(V_CENTRES):
        for j, p in enumerate(P_CENTRES):
            assert fuzzy_share(np.array(v), np.array(p)) == pytest.approx(RULES[i][j], abs=1e-12)
    lines = [line for line in (fuzzy.__doc__ or "").splitlines() if line.startswith("| ")]
    table = [[float(cell) for cell in line.split("|")[2:5]] for line in lines[1:] if "---" not in line]
    assert np.array_equal(np.array(table), np.array(RULES))


def test_vde_areas_equal_those_of_pandapower(repo_root: Path) -> None:
    """Capability 118: on a grid of (P, V) with all corners and points outside, for both variants."""
    reference = json.loads((repo_root / "tests" / "reference" / "vde4105_areas.json").read_text())
    p, v = np.array(reference["p_pu"]), np.array(reference["v_pu"])
    for variant in vde4105.VDE_VARIANTS:
        for name, (low, high) in {
            "pq": vde4105.pq_limits(p, variant),
            "qv": vde4105.qv_limits(v, variant),
            "pqv": vde4105.pqv_limits(p, v, variant),
        }.items():
            expected = np.array(reference[variant][name])
            assert np.abs(np.column_stack([low, high]) - expected).max() < 1e-9, (variant, name)


def test_vde_areas_equal_pandapower_live() -> None:
    """Capability 118: the stored reference is what pandapower says today."""
    from pandapower.control.controller.DERController import PQVAreas

    p, v = (a.ravel() for a in np.meshgrid(np.linspace(-0.1, 1.1, 7), np.linspace(0.87, 1.13, 9)))
    for number, variant in enumerate(vde4105.VDE_VARIANTS, start=1):
        expected = PQVAreas.PQVArea4105(number).q_flexibility(p, v)
        assert np.abs(np.column_stack(vde4105.pqv_limits(p, v, variant)) - expected).max() < 1e-9


@pytest.mark.parametrize("variant", vde4105.VDE_VARIANTS)
def test_cosphi_of_p_equals_pandapower(variant: str) -> None:
    """Capability 118: cosphi(P), 1 up to half of the power, 0.95 or 0.90 under-excited at all of it."""
    from pandapower.control.controller.DERController.DERBasics import CosphiPCurve

    p = np.linspace(0.0, 1.0, 101)
    lowest = -vde4105.COSPHI_MIN[variant]
    expected = CosphiPCurve((0.0, 0.5, 1.0), (1.0, 1.0, lowest)).step(p)
    assert np.abs(vde4105.q_of_cosphi_p(p, variant) - expected).max() < 1e-9
    assert vde4105.q_of_cosphi_p(np.array(1.0), variant) == pytest.approx(
        -vde4105.QMAX_PER_PINST[variant], abs=1e-6
    )


def test_vde_variant_must_be_known() -> None:
    """A wrong variant suggests the nearest."""
    with pytest.raises(RunError, match="did you mean 'small'"):
        vde4105.pq_limits(np.array(0.5), "smal")
