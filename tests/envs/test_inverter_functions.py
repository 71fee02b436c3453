"""IEEE 1547-2018 functions at a held voltage: OpenDER's resting points, ranges, bad settings."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distgrid.envs import PV, InverterFunctions, VoltVarCurve, VoltWattCurve, WattVarCurve
from distgrid.envs.resources import Fleet

from .world import FEEDER

OPENDER = json.loads((Path(__file__).parents[1] / "reference" / "opender.json").read_text())
POWER_FACTOR = "pf0.95abs"
WRONG: Any = (0.0, 0.0, "low")
FIELDS: Any = {"v": 1}


def functions_of(label: str) -> InverterFunctions:
    """Functions and category as the reference names them."""
    name, category = label.split()
    if name == POWER_FACTOR:
        return InverterFunctions(power_factor=0.95, category=category)
    return InverterFunctions.named(f"{name}-{category.lower()}")


@pytest.mark.parametrize("label", OPENDER["functions"])
def test_resting_points_are_opender_s(label: str) -> None:
    """P and Q of EPRI's model within 1e-3 (here 1e-6) at every voltage and power."""
    expected = OPENDER["functions"][label]
    v, p = np.meshgrid(OPENDER["v_pu"], OPENDER["p_available"], indexing="ij")
    found = functions_of(label).response(v, p)
    np.testing.assert_allclose(found[0], expected["p"], atol=1e-6)
    np.testing.assert_allclose(found[1], expected["q"], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "v", "p", "expected"),
    [
        ("volt-var-b", 0.95, 1.0, (0.9755, 0.22)),
        ("volt-var-b", 1.08, 1.0, (0.897998, -0.44)),
        ("volt-var-b", 0.90, 0.15, (0.15, 0.33)),
        ("volt-var-b", 0.90, 0.06, (0.06, 0.132)),
        ("volt-var-b", 0.90, 0.05, (0.05, 0.11)),
        ("volt-var-b", 0.90, 0.0499, (0.0499, 0.0)),
        ("volt-var-b", 0.90, 0.0, (0.0, 0.0)),
        ("volt-var-a", 1.12, 0.5, (0.0, 0.0)),
        ("volt-watt-b", 1.0999, 1.0, (0.0025, 0.0)),
        ("watt-var-b", 1.0, 0.8, (0.8, -0.264)),
        ("watt-var-a", 1.0, 0.8, (0.8, -0.15)),
    ],
)
def test_points_of_the_standard(name: str, v: float, p: float, expected: tuple[float, float]) -> None:
    """Reactive priority, the capability below a fifth of the rated power, cessation from 1.10 pu on."""
    found = InverterFunctions.named(name).response(v, p)
    np.testing.assert_allclose(np.array(found), expected, atol=5e-7)


def test_priority_says_who_yields() -> None:
    """At 0.95 pu and full sun reactive priority gives 0.22 and costs power; active priority gives none."""
    volt_var = InverterFunctions.named("volt-var-b")
    np.testing.assert_allclose(volt_var.response(0.95, 1.0, priority="active"), [1.0, 0.0], atol=1e-12)
    p, q = volt_var.response(0.95, 0.8, priority="active")
    np.testing.assert_allclose([p, q], [0.8, 0.22], atol=1e-12)
    for other in (InverterFunctions.named("watt-var-b"), InverterFunctions(power_factor=0.9)):
        p, q = other.response(1.0, 0.95, priority="active")
        assert p == 0.95
        assert -q == pytest.approx(min(math.sqrt(1.0 - 0.95**2), abs(float(q))))


def test_more_capability_than_is_asked_for() -> None:
    """Without reduction at low power, and with a range of its own."""
    wide = InverterFunctions(volt_var=VoltVarCurve(q=(0.6, 0, 0, -0.6)), low_power="full", q_injected=0.6)
    np.testing.assert_allclose(wide.response(0.9, 0.0), [0.0, 0.6])
    np.testing.assert_allclose(wide.response(1.09, 0.0), [0.0, -0.44])
    assert InverterFunctions(cease_above_pu=None).response(1.19, 0.7)[0] == 0.7


voltage, share = st.floats(0.85, 1.15), st.floats(0.0, 1.0)
names = st.sampled_from(
    [f"{name}-{c}" for name in ("volt-var", "watt-var", "volt-var+volt-watt", "volt-watt") for c in "ab"]
)


@given(names, voltage, voltage, share, st.floats(1.0, 1.5), st.sampled_from(["reactive", "active"]))
def test_limits_hold(name: str, v: float, other: float, p: float, s: float, priority: str) -> None:
    """Inside the circle, never more than there is, within the capability; Q never rises with the voltage."""
    functions = dataclasses.replace(InverterFunctions.named(name), cease_above_pu=None)
    v_pu = np.sort([v, other])
    real, reactive = functions.response(v_pu, p, s_mva=s, priority=priority)
    assert (real**2 + reactive**2 <= s * s * (1.0 + 1e-12)).all()
    assert (real >= 0.0).all()
    assert (real <= p).all()
    injected, absorbed = functions.q_range
    part = np.where(real < 0.05, 0.0, np.minimum(real / 0.2, 1.0)) * s
    if functions.volt_watt is None and priority == "active":  # P is what there is
        assert (reactive <= injected * part + 1e-12).all()
        assert (reactive >= -absorbed * part - 1e-12).all()
        assert reactive[1] <= reactive[0] + 1e-12
    assert real[1] <= real[0] + 1e-12 or "volt-var" in name


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: VoltVarCurve(v_pu=(0.92, 0.98, 1.02)), r"v_pu must be 4 numbers, got \(0.92"),
        (lambda: VoltVarCurve(v_pu=(0.92, 1.02, 0.98, 1.08)), "v_pu must be in ascending order"),
        (lambda: VoltVarCurve(q=(-0.44, 0, 0, 0.44)), "q must never rise, got"),
        (lambda: VoltVarCurve(v_pu=(0.92, 0.9, 1.02, 1.08)), "v_pu must be in ascending order"),
        (lambda: VoltVarCurve(v_pu=(0.8, 0.98, 1.02, 1.08)), r"v_pu\[1\] must be in \[0.82, 0.96\]"),
        (lambda: VoltVarCurve(v_pu=(0.92, 0.98, 1.02, 1.03)), r"v_pu\[4\] must be in \[1.04, 1.18\]"),
        (
            lambda: VoltVarCurve(q=(1.2, 0, 0, -0.44)),
            r"q\[1\] must be in \[0, 1\] \(IEEE Std 1547-2018\), got",
        ),
        (lambda: VoltVarCurve(v_ref_pu=0.9), r"v_ref_pu must be in \[0.95, 1.05\], got 0.9"),
        (lambda: VoltVarCurve(q=(math.nan, 0, 0, -0.44)), r"q\[1\] must be a finite number, got nan"),
        (lambda: VoltWattCurve(v_pu=(1.0, 1.1)), r"v_pu\[1\] must be in \[1.05, 1.09\]"),
        (lambda: VoltWattCurve(v_pu=(1.06, 1.2)), r"v_pu\[2\] must be in \[1.07, 1.1\]"),
        (lambda: VoltWattCurve(p=(0.2, 1.0)), "p must never rise"),
        (lambda: WattVarCurve(p=(0.2, 0.9, 1.0)), r"p\[2\] must be in \[0.4, 0.8\]"),
        (lambda: WattVarCurve(q=WRONG), r"q\[3\] must be a finite number, got 'low'"),
        (
            lambda: InverterFunctions(VoltVarCurve(), watt_var=WattVarCurve()),
            "volt_var and watt_var both rule the reactive power",
        ),
        (lambda: InverterFunctions(power_factor=1.2), r"power_factor must be in \(0, 1\], got 1.2"),
        (lambda: InverterFunctions(category="C"), "category 'C' is unknown; expected one of A, B"),
        (
            lambda: InverterFunctions(excitation="over"),
            "excitation 'over' is unknown; expected one of absorbing",
        ),
        (lambda: InverterFunctions(cease_above_pu=0.9), r"cease_above_pu must be in \(1, 1.2\], got 0.9"),
        (lambda: InverterFunctions(FIELDS), "volt_var has no field 'v'"),
        (
            lambda: InverterFunctions.named("volt-var"),
            "expected volt-var, watt-var, volt-watt, unity, several",
        ),
        (lambda: PV(25, 1.0, functions="droop-b"), "PV at bus 25: inverter functions 'droop-b' are unknown"),
        (
            lambda: PV(25, 1.0, functions="volt-var-b", controls="pq"),
            "its functions set Q, so controls must be",
        ),
        (
            lambda: PV(25, 1.0, functions="volt-var-b", controls="v"),
            "controls 'v' is unknown; expected one of",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused(make: Any, message: str) -> None:
    """Named by the curve, its point, the value and what was expected."""
    with pytest.raises(ValueError, match=message):
        make()


def test_a_curve_is_a_curve() -> None:
    with pytest.raises(TypeError, match=r"volt_var must be a VoltVarCurve, got 0\.44"):
        InverterFunctions(volt_var=0.44)  # type: ignore[arg-type]


def test_settings_are_values_and_survive_json() -> None:
    """A name, the settings and their fields as YAML and JSON keep them make the same plant."""
    named = PV(25, 1.0, functions="volt-var+volt-watt-a")
    assert named.functions == InverterFunctions(VoltVarCurve.category_a(), VoltWattCurve(), category="A")
    fields = json.loads(json.dumps(dataclasses.asdict(named)))
    fields.pop("class_name")
    assert PV(**fields) == named
    shifted = VoltVarCurve.category_b(1.02)
    np.testing.assert_allclose(shifted.v_pu, (0.94, 1.0, 1.04, 1.10))
    assert InverterFunctions(shifted).response(1.02, 1.0)[1] == 0.0


def test_plants_with_functions_have_no_q_action() -> None:
    """They may be curtailed; the others keep what they had."""
    fleet = Fleet(
        [
            PV(25, 1.0, functions="volt-var-b"),
            PV(26, 1.0, functions="volt-watt-b", controls="p"),
            PV(27, 1.0),
        ],
        FEEDER,
    )
    assert [d.name for d in fleet.action_dims] == ["pv_26.p", "pv_27.q"]
    assert [u.q_max_mvar > 0.0 for u in fleet.units()] == [False, False, True]
    assert PV(27, 1.0).controls == "q"
