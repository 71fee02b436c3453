"""Laws of local control that need no other program, and what `settle_controls` promises."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distgrid import cases, physics
from distgrid.physics.controls import laws as law
from distgrid.physics.controls.settings import local_controls

from .control_grids import THREE, behind_regulator, from_neutral, with_banks
from .phase_grids import Grid3

SETTINGS = local_controls(physics.compile_per_phase(behind_regulator(0.1))).taps
FORWARD = np.zeros(3, dtype=bool)
volts = st.floats(90.0, 150.0)


def wanted(v: float, settings: law.TapSettings = SETTINGS, turned: bool = False) -> int:
    steps, _ = law.taps_wanted(settings, np.full(3, v), np.full(3, v), np.full(3, turned))
    return int(steps[0])


@given(volts)
def test_inside_the_band_nothing_moves_outside_it_towards_it(v: float) -> None:
    """Capability 8: the step wanted has the sign of what is missing and lands inside the band."""
    steps = wanted(v)
    if abs(v - 122.0) <= 1.0:
        assert steps == 0
    else:
        assert np.sign(steps) == np.sign(122.0 - v)
        assert abs(v + steps * SETTINGS.step_v[0] - 122.0) <= SETTINGS.step_v[0] / 2 + 1e-9
    assert wanted(v, turned=True) == -wanted(
        v + 2.0, dataclasses.replace(SETTINGS, band_v=SETTINGS.rev_band_v)
    )


@given(volts, volts, st.floats(100.0, 140.0), st.floats(0.0, 20.0))
def test_more_volts_never_want_more_taps_and_a_higher_setting_never_fewer(
    one: float, other: float, v_reg: float, raise_v: float
) -> None:
    """Capability 8: monotone in the voltage and in the setting."""
    low, high = sorted((one, other))
    assert wanted(low) >= wanted(high)
    at, above = (dataclasses.replace(SETTINGS, v_reg_v=np.full(3, v)) for v in (v_reg, v_reg + raise_v))
    assert wanted(one, above) >= wanted(one, at)


@given(st.integers(-40, 40), st.integers(1, 16))
def test_one_action_goes_most_of_the_way_and_never_beyond(steps: int, most: int) -> None:
    """Capability 8: at least one step, at most those wanted and those allowed, in the same direction."""
    done = int(law.steps_at_once(np.array([steps]), np.array([most]))[0])
    assert np.sign(done) == np.sign(steps)
    assert abs(done) <= min(abs(steps), most)
    assert abs(done) >= min(np.trunc(0.7 * abs(steps)), most)


def test_line_drop_compensation_is_the_voltage_further_down_the_line() -> None:
    """Capability 8: with r, x set to the line's ohms, the relay sees the voltage at its end."""
    ohm = 0.4 + 0.9j
    pt, ct = SETTINGS.pt_ratio[0], SETTINGS.ct_a[0]
    settings = dataclasses.replace(SETTINGS, ldc_v=np.full(3, ohm * ct / pt))
    v, amps = np.array([2400 + 30j, 2380 - 10j, 2410.0]), np.array([150 - 40j, 80 + 5j, -60 + 20j])
    readings = law.Readings(v, amps, np.zeros(3), *(np.zeros(0) for _ in range(3)))
    seen = law.relay_volts(settings, readings, np.zeros(3), FORWARD)
    np.testing.assert_allclose(seen, np.abs(v - ohm * amps) / pt, rtol=1e-12)
    plain = law.relay_volts(SETTINGS, readings, np.zeros(3), FORWARD)
    np.testing.assert_allclose(plain, np.abs(v) / pt, rtol=1e-12)


@pytest.mark.parametrize("turned", [False, True])
def test_direction_turns_only_beyond_the_threshold(turned: bool) -> None:
    """Capability 8: between -threshold and +threshold the relay keeps looking where it looked."""
    settings = dataclasses.replace(SETTINGS, reversible=np.array([True, True, False]))
    for mw in (-0.04, 0.0, 0.04):
        assert not law.wants_to_turn(settings, np.full(3, mw), np.full(3, turned)).any()
    against = 0.06 if turned else -0.06
    assert law.wants_to_turn(settings, np.full(3, against), np.full(3, turned)).tolist() == [
        True,
        True,
        False,
    ]
    assert not law.wants_to_turn(settings, np.full(3, -against), np.full(3, turned)).any()


def test_a_dead_feeder_moves_nothing() -> None:
    """Trap 3: where there is no supply there is no reading, and no relay acts on it."""
    dark = law.Readings(
        np.full(3, np.nan + 0j), np.full(3, np.nan + 0j), np.full(3, np.nan), *(np.full(1, np.nan),) * 3
    )
    seen = law.relay_volts(SETTINGS, dark, np.zeros(3), FORWARD)
    steps, out = law.taps_wanted(SETTINGS, seen, np.abs(dark.winding_v), FORWARD)
    assert not steps.any()
    assert not out.any()
    net = physics.compile_per_phase(with_banks(1.0, [KVAR], THREE))
    banks = local_controls(net).banks
    for on in (True, False):
        assert law.banks_wanted(banks, dark, np.array([on])).tolist() == [0]


KVAR = {"type": "kvar", "on_setting": 150.0, "off_setting": -100.0, "monitored_phase": "A"}


def test_raising_the_setting_raises_the_taps() -> None:
    """Capability 8: on the feeder, not only in the law; and voltages at rest lie in the band."""
    last = np.full(3, -17)
    for v_reg in (116.0, 118.0, 120.0, 122.0):
        feeder = behind_regulator(0.1, v_reg_v=v_reg)
        run = physics.settle_controls(physics.compile_per_phase(feeder))
        assert run.settled
        at = feeder.node_index["b"]
        volt = run.solution.v_pu[at] * 4160 / np.sqrt(3) / 20.0
        assert (np.abs(volt - v_reg) <= 1.0 + 1e-9).all()
        assert (run.tap_pos > last).all()
        last = run.tap_pos


def test_rows_of_a_batch_settle_alone() -> None:
    """A row gives the same taps, actions and bits whatever its neighbours do, also from other starts."""
    net = physics.compile_per_phase(from_neutral(cases.load("ieee123")))
    scale = np.array([0.3, 1.0, 1.4])[:, None, None]
    starts = np.array([0, -5, 7])[:, None] * np.ones(net.tap.size, dtype=int)
    both: dict[str, Any] = {"p_delta_mw": scale * net.delta_p_mw, "q_delta_mvar": scale * net.delta_q_mvar}
    batch = physics.settle_controls(
        net, scale * net.load_p_mw, scale * net.load_q_mvar, tap_pos=starts, **both
    )
    assert batch.settled.all()
    for k in range(3):
        alone = physics.settle_controls(
            net, scale[k] * net.load_p_mw, scale[k] * net.load_q_mvar, tap_pos=starts[k],
            **{name: value[k] for name, value in both.items()},
        )  # fmt: skip
        assert alone.tap_pos.tolist() == batch.tap_pos[k].tolist()
        assert alone.iterations == batch.iterations[k]
        assert np.array_equal(alone.solution.v, batch.solution.v[k], equal_nan=True)
        mine = [dataclasses.replace(a, row=0) for a in batch.actions if a.row == k]
        assert mine == list(alone.actions)


def test_actions_lead_from_the_start_to_the_end() -> None:
    """The log is complete: its changes add up to the way from the start."""
    net = physics.compile_per_phase(cases.load("ieee34"))
    run = physics.settle_controls(net, tap_pos=-3)
    for k, reg_id in enumerate(net.feeder.column("regulators", "reg_id")):
        mine = [a for a in run.actions if a.device == reg_id]
        assert -3 + sum(a.change for a in mine) == run.tap_pos[k] == mine[-1].state
    assert max(a.iteration for a in run.actions) < run.iterations


def test_hunting_is_told() -> None:
    """Two settings that no tap satisfies end at the limit and say so; a failed power flow settles nothing."""
    hunting = KVAR | {"on_setting": -50.0, "off_setting": -50.0, "dead_time_s": 0.0}
    net = physics.compile_per_phase(with_banks(0.2, [hunting], THREE))
    run = physics.settle_controls(net, max_control_iterations=12)
    assert not run.settled
    assert run.iterations == 12
    heavy = physics.compile_per_phase(behind_regulator(40.0))
    failed = physics.settle_controls(heavy)
    assert not failed.settled
    assert failed.actions == ()
    assert not failed.solution.converged


def broken(table: str, **values: Any) -> cases.Feeder:
    feeder = with_banks(1.0, [KVAR | {"v_override": True}], THREE, regulators=True)
    rows = getattr(feeder, table).to_pylist()
    rows[0] |= values
    columns = {name: [row[name] for row in rows] for name in getattr(feeder, table).column_names}
    return dataclasses.replace(feeder, **{table: cases.schema.table(table, columns)})


@pytest.mark.parametrize(
    ("table", "values", "message"),
    [
        ("regulators", {"v_reg_v": None}, "'r0': v_reg_v is null"),
        ("regulators", {"delay_s": None}, "'r0': delay_s is null"),
        ("regulators", {"ct_a": None, "ldc_r_v": 3.0}, "'r0': ct_a is null; line-drop compensation"),
        ("regulators", {"reversible": True, "rev_band_v": None}, "'r0': rev_band_v is null; a reversible"),
        ("regulators", {"reversible": True, "rev_threshold_mw": -1.0}, "rev_threshold_mw is -1.0"),
        ("regulators", {"v_limit_v": 110.0}, "v_limit_v is 110.0, below the band"),
        ("regulators", {"monitored_phase": None}, "'r0': monitored_phase is null"),
        ("regulators", {"monitored_phase": "B"}, "monitored_phase is 'B'; expected phases of its unit 't0'"),
        ("cap_controls", {"on_setting": -200.0}, "'k0': on_setting is -200.0 kvar and off_setting -100.0"),
        ("cap_controls", {"type": "voltage"}, "a voltage control switches on below"),
        ("cap_controls", {"v_min_v": 130.0}, "v_min_v is 130.0; expected a voltage below v_max_v 126.0"),
        ("cap_controls", {"v_max_v": None}, "v_max_v is null; the voltage override"),
    ],
)
def test_bad_settings_are_named(table: str, values: dict[str, Any], message: str) -> None:
    """Row, field, value and what was expected."""
    net = physics.compile_per_phase(broken(table, **values))
    with pytest.raises(ValueError, match=message):
        physics.settle_controls(net)


def test_bad_arguments_are_named() -> None:
    net = physics.compile_per_phase(behind_regulator(0.1))
    wrong = {"'r0' is 17.0: it must be a whole number from -16 to 16": 17, "'r0' is 0.5": 0.5}
    for message, value in (wrong | {"tap_pos must be one number": [1, 2]}).items():
        with pytest.raises(ValueError, match=message):
            physics.settle_controls(net, tap_pos=value)
    with pytest.raises(ValueError, match="tap is what the controls decide"):
        physics.settle_controls(net, tap=np.ones(3))
    with pytest.raises(ValueError, match="max_control_iterations"):
        physics.settle_controls(net, max_control_iterations=0)
    with pytest.raises(ValueError, match="per-phase network"):
        physics.settle_controls(physics.compile(cases.load("case33bw")))


def test_regulators_in_a_closed_delta_are_refused() -> None:
    """Their power flow is solved, but no unit has a conductor for itself that could be measured."""
    grid = Grid3()
    grid.node("s")
    grid.node("b")
    grid.source("s")
    units = [
        {"connection": "delta-delta", "from_phase": p, "to_phase": p, "taps": 0} for p in ("AB", "CB", "AC")
    ]
    grid.bank("s", "b", units, kind="regulator")
    for row, letters in zip(grid.rows["regulators"], ("AB", "CB", "AC"), strict=True):
        row |= {"v_reg_v": 120.0, "band_v": 2.0, "pt_ratio": 34.7, "delay_s": 15.0}
        row["monitored_phase"] = letters
    with pytest.raises(ValueError, match="so its own current is not measured"):
        local_controls(physics.compile_per_phase(grid.feeder()))
