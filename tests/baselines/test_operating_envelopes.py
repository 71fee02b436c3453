"""Dynamic operating envelopes: another engine's numbers, replays, what simpler ones miss."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from distgrid import cases
from distgrid.baselines.errors import RunError
from distgrid.baselines.hosting.customers import Customers, customers_of
from distgrid.baselines.hosting.flows import BalancedFlows
from distgrid.baselines.hosting.limits import HostingLimits
from distgrid.baselines.hosting.moments import steps_of_days
from distgrid.baselines.hosting.operating import OperatingRules, operating_envelope
from distgrid.baselines.hosting.phase_flows import PhaseFlows


@cache
def customers(band: tuple[float, float], source: float, margin: float | None = None) -> Customers:
    """The 55 of the European LV feeder, each 1 kW at power factor 0.95 while passive."""
    feeder, limits = cases.load("european_lv"), HostingLimits(band, None, margin)
    return customers_of(PhaseFlows(feeder, limits, source, voltage_bands=False))


#: (band, source, direction) to kW each: power flows by another engine, bisected.
EQUAL = [
    ((0.5, 1.05), 1.0, "export", 2.4198), ((0.5, 1.10), 1.0, "export", 5.0519),
    ((0.5, 1.10), 1.05, "export", 2.5355),
    ((0.94, 1.5), 1.0, "import", 2.4396), ((0.90, 1.5), 1.0, "import", 3.9072),
    ((0.94, 1.5), 1.05, "import", 4.4910), ((0.90, 1.5), 1.05, "import", 5.8843),
]  # fmt: skip


@pytest.mark.parametrize(("band", "source", "direction", "kw"), EQUAL)
def test_equal_limits_are_those_of_another_engine(
    band: tuple[float, float], source: float, direction: str, kw: float
) -> None:
    """1 % is asked for."""
    few = customers(band, source)
    found = operating_envelope(
        few, OperatingRules(most_export_kw=20.0, most_import_kw=20.0, tolerance_kw=0.002), direction
    )
    assert 1e3 * found.limit_mw[0] == pytest.approx(kw, rel=1e-3)
    assert np.ptp(found.limit_mw) == 0.0
    assert found.excess == 0.0
    assert found.element == "562.A"
    assert found.kind == ("overvoltage" if direction == "export" else "undervoltage")


def test_limits_of_each_alone_are_those_of_another_engine() -> None:
    """All 55 at once: least, median and most, to 1 %, and who they are."""
    few = customers((0.5, 1.10), 1.0)
    found = operating_envelope(few, OperatingRules(tolerance_kw=0.05))
    kw = 1e3 * found.alone_mw
    assert (kw.min(), np.median(kw), kw.max()) == pytest.approx((34.68, 59.50, 211.0), rel=0.01)
    assert (few.names[kw.argmin()], few.names[kw.argmax()]) == ("load33", "load1")
    assert (found.alone_mw >= found.limit_mw).all()


def replay(few: Customers, p_mw: np.ndarray) -> tuple[float, float]:
    """Highest voltage and loading when all export."""
    passive = np.zeros((1, len(few)), dtype=bool)
    shown = few.flows.solve(few.loads(passive), few.powers(p_mw[None]), few.powers(0.0 * p_mw[None]))
    assert shown.found.all()
    kinds, worst = few.flows.quantities.kind_high, shown.x[0]
    return float(worst[kinds == 0].max()), float(worst[kinds == 3].max())


def test_the_maximum_allocation_lets_more_out_and_keeps_every_limit() -> None:
    """Those far out give way to those near the head; the sum is at least the equal one's."""
    few = customers((0.94, 1.05), 1.0, 0.0)
    rules = OperatingRules(most_export_kw=10.0, tolerance_kw=0.05)
    equal, most = (operating_envelope(few, replace(rules, allocation=a)) for a in ("equal", "maximum"))
    assert most.limit_mw.sum() > equal.limit_mw.sum()
    assert most.limit_mw.max() <= 0.010
    for found in (equal, most):
        v, loading = replay(few, found.limit_mw)
        assert v <= 1.05 + 1e-6
        assert loading <= 1.0 + 1e-6
        assert found.excess == 0.0


def test_what_an_operating_envelope_does_not_look_at_is_replayed_and_told() -> None:
    """Fewer things looked at let more out, and break what was not looked at; the ideal one breaks nothing."""
    few = customers((0.94, 1.10), 1.0, 0.0)
    rules = OperatingRules(most_export_kw=10.0, tolerance_kw=0.05)
    names = ("ideal", "asset-critical-voltage", "asset-capacity")
    ideal, critical, capacity = (operating_envelope(few, replace(rules, operating=n)) for n in names)
    assert ideal.limit_mw[0] < critical.limit_mw[0] < capacity.limit_mw[0]
    assert ideal.excess == 0.0 < critical.excess < capacity.excess
    assert np.isnan(capacity.alone_mw).all()
    _, loading = replay(few, critical.limit_mw)
    assert critical.loading_pct == pytest.approx(100.0 * loading, rel=1e-6)
    assert critical.kind == "overvoltage"


def test_balanced_feeders_have_customers_too() -> None:
    """Every load bus of case33bw; nobody passes what is exported at the largest plant of all."""
    flows = BalancedFlows(cases.load("case33bw"), HostingLimits((0.9, 1.05), None, None))
    few = customers_of(flows)
    assert len(few) == 32
    assert few.p_mw.sum() == pytest.approx(3.715)
    found = operating_envelope(few, OperatingRules(tolerance_kw=0.1))
    assert found.excess == 0.0
    assert found.v_high_pu == pytest.approx(1.05, abs=1e-4)
    more = operating_envelope(few, OperatingRules(tolerance_kw=0.1), "import")
    assert more.v_low_pu == pytest.approx(0.9, abs=1e-4)


def test_passive_loads_of_a_moment_are_divided_as_the_nominal_ones() -> None:
    """In sum what there is, and a cap is a cap."""
    flows = customers((0.5, 1.10), 1.0).flows
    day = steps_of_days(flows, "test", (15,))
    night, evening = (
        customers_of(flows, {name: value[t] for name, value in day.loads.items()}) for t in (12, 76)
    )
    for t, few in ((12, night), (76, evening)):
        assert few.p_mw.sum() == pytest.approx(day.loads["p_mw"][t].sum())
        assert few.q_mvar.sum() == pytest.approx(day.loads["q_mvar"][t].sum())
    assert 0.0 < night.p_mw.sum() < evening.p_mw.sum()
    found = operating_envelope(night, OperatingRules(most_export_kw=3.0, tolerance_kw=0.05))
    assert 1e3 * found.limit_mw.max() == pytest.approx(3.0)
    assert found.kind == ""


BAD = [
    ({"operating": "perfect"}, "operating envelope 'perfect'"),
    ({"allocation": "fair"}, "allocation 'fair'"),
    ({"import_pf": 0.0}, "import power factor is 0"),
    ({"step_kw": -1.0}, "step_kw is -1"),
]


@pytest.mark.parametrize(("arguments", "said"), BAD)
def test_bad_rules_are_named(arguments: dict[str, object], said: str) -> None:
    """Which rule, and what was expected."""
    with pytest.raises(RunError, match=said):
        OperatingRules(**arguments)  # type: ignore[arg-type]


def test_an_asset_without_a_rating_and_an_unknown_direction_are_errors() -> None:
    """Nothing is made up."""
    few = customers((0.5, 1.10), 1.0)
    with pytest.raises(RunError, match="no branch at the head has a rating"):
        operating_envelope(few, OperatingRules(operating="asset-capacity"))
    with pytest.raises(RunError, match="direction of an operating envelope 'up'"):
        operating_envelope(few, OperatingRules(), "up")
    with pytest.raises(RunError, match="load scale is -1"):
        customers_of(few.flows, load_scale=-1.0)
