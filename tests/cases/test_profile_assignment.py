"""Which load follows which shape, and that the scale is fixed once per feeder."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from distgrid import cases
from distgrid.cases import profiles
from distgrid.cases.profiles.load_assignment import (
    SMALL_MW,
    _stored,
    choose_shapes,
    make_rule,
    neighbours_of,
    scale_factor,
)

FEEDERS = tuple(cases.names())
YEAR = slice(None)


@pytest.fixture(scope="module")
def year() -> profiles.Profiles:
    return profiles.load_profiles()


def test_every_shipped_feeder_is_stored() -> None:
    """The mapping is part of the data."""
    assert set(profiles.stored_feeders()) == set(FEEDERS)


@pytest.mark.parametrize("name", FEEDERS)
def test_stored_is_what_the_rule_gives(name: str, year: profiles.Profiles) -> None:
    """One code: what is stored equals what the rule would give, so other feeders get the same treatment."""
    stored, made = _stored(year.folder)[name], make_rule(cases.load(name), year)
    assert stored.shape == made.shape
    assert stored.site == made.site
    assert stored.load_factor == pytest.approx(made.load_factor, rel=1e-12)
    assert stored.pv_factor == pytest.approx(made.pv_factor, rel=1e-12)


@pytest.mark.parametrize("name", FEEDERS)
def test_load_matrix_has_high_rank(name: str, year: profiles.Profiles) -> None:
    """Trap 11: one shape for every node makes the load matrix rank one. Here it is as rich as the shapes."""
    feeder = cases.load(name)
    loads = profiles.assignment(feeder)
    p, _ = loads.load_series(year, slice(0, 35136, 7))
    p = p / np.abs(loads.p_scale_mw)
    p = p - p.mean(axis=0)
    assert np.linalg.matrix_rank(p) >= min(feeder.loads.num_rows, 40)
    values = np.linalg.svd(p, compute_uv=False) ** 2
    assert values[0] / values.sum() < 0.7


@pytest.mark.parametrize("name", FEEDERS)
def test_neighbours_differ(name: str) -> None:
    """Trap 11: loads within two branches of one another do not share a shape (each has its own news)."""
    feeder = cases.load(name)
    loads = profiles.assignment(feeder)
    near = neighbours_of(feeder)
    same = pairs = 0
    for i, others in enumerate(near):
        for k in others:
            if not loads.is_pv[i] and not loads.is_pv[k]:
                pairs += 1
                same += int(loads.shape_index[i] == loads.shape_index[k])
    assert pairs > 0
    assert same == 0


@pytest.mark.parametrize("name", FEEDERS)
def test_annual_peak_is_the_nominal_load(name: str, year: profiles.Profiles) -> None:
    """Each load keeps its nominal power factor; the feeder's coincident peak is the case's total."""
    feeder = cases.load(name)
    loads = profiles.assignment(feeder)
    p, q = loads.load_series(year, YEAR)
    nominal_p, nominal_q = feeder.column("loads", "p_mw"), feeder.column("loads", "q_mvar")
    draws = ~loads.is_pv
    assert p[:, draws].sum(axis=1).max() == pytest.approx(nominal_p[draws].sum(), rel=1e-9)
    assert np.array_equal(loads.is_pv, nominal_p < 0.0)
    if loads.is_pv.any():
        assert p[:, loads.is_pv].sum(axis=1).min() == pytest.approx(nominal_p[loads.is_pv].sum(), rel=1e-9)
        assert p[:, loads.is_pv].max() <= 0.0
    # The power factor is nominal over each load's own high-load hours (int16 rounding apart).
    for i in np.flatnonzero(draws & (nominal_p > 0.0))[::7]:
        high = p[:, i] >= np.quantile(p[:, i], 0.95)
        ratio = q[high, i].mean() / p[high, i].mean()
        assert ratio == pytest.approx(nominal_q[i] / nominal_p[i], rel=3e-3, abs=1e-12)


def test_scale_never_depends_on_the_window(year: profiles.Profiles) -> None:
    """Trap 11: a peak rescaled per window makes the same day differ; here a day is a slice of the year."""
    feeder = cases.load("case118zh")
    loads = profiles.assignment(feeder)
    whole_p, whole_q = loads.node_series(feeder, year, slice(96 * 100, 96 * 110))
    for window in (slice(96 * 104, 96 * 105), np.arange(96 * 104, 96 * 105)):
        p, q = loads.node_series(feeder, year, window)
        assert np.array_equal(p, whole_p[96 * 4 : 96 * 5])
        assert np.array_equal(q, whole_q[96 * 4 : 96 * 5])


def test_node_series_in_the_order_of_the_nodes(year: profiles.Profiles) -> None:
    """(T, n_nodes), summed over a node's loads, in the order of feeder.nodes, zero where there is no load."""
    feeder = cases.load("case33bw")
    loads = profiles.assignment(feeder)
    p, q = loads.node_series(feeder, year, slice(0, 96))
    by_load, _ = loads.load_series(year, slice(0, 96))
    assert p.shape == q.shape == (96, feeder.n_nodes)
    assert p.flags.c_contiguous
    assert np.array_equal(p[:, feeder.node_index["1"]], np.zeros(96))
    for i, node in enumerate(feeder.loads["node_id"].to_pylist()):
        shape = year.load_p[:96, loads.shape_index[i]]
        assert np.array_equal(by_load[:, i], shape * loads.p_scale_mw[i])
        assert np.array_equal(p[:, feeder.node_index[node]], by_load[:, i])


def test_series_are_the_callers_own(year: profiles.Profiles) -> None:
    """Trap 14: what is returned may be changed; the next call is untouched by it."""
    feeder = cases.load("case33bw")
    loads = profiles.assignment(feeder)
    first, _ = loads.node_series(feeder, year, slice(0, 96))
    kept = first.copy()
    first *= 2.0
    again, _ = loads.node_series(feeder, year, slice(0, 96))
    assert np.array_equal(again, kept)
    for array in (loads.p_scale_mw, loads.q_scale_mvar, loads.shape_index, loads.is_pv, loads.node_row):
        assert not array.flags.writeable


def test_a_changed_feeder_keeps_its_shapes() -> None:
    """Doubling the nominal loads doubles the series; switching changes nothing."""
    feeder = cases.load("case33bw")
    base = profiles.assignment(feeder)
    double = profiles.assignment(feeder.with_loads(p_mw=2.0 * feeder.column("nodes", "load_p_mw")))
    assert np.array_equal(double.shape_index, base.shape_index)
    assert double.p_scale_mw == pytest.approx(2.0 * base.p_scale_mw)
    tie = feeder.switches["switch_id"].to_pylist()[0]
    closed = profiles.assignment(feeder.with_switch(tie, closed=True))
    assert np.array_equal(closed.shape_index, base.shape_index)
    assert np.array_equal(closed.p_scale_mw, base.p_scale_mw)


def test_a_load_that_turns_into_generation_follows_the_sun(year: profiles.Profiles) -> None:
    """Negative P is net generation: its shape is a photovoltaic site's, so it is zero at night."""
    feeder = cases.load("case33bw")
    changed = feeder.with_loads(p_mw={"18": -0.5})
    loads = profiles.assignment(changed)
    p, _ = loads.node_series(changed, year, slice(96 * 180, 96 * 181))
    node = changed.node_index["18"]
    assert np.array_equal(p[:8, node], np.zeros(8))
    assert p[48, node] < 0.0


def test_other_feeders_get_the_rule(year: profiles.Profiles) -> None:
    """Any feeder: deterministic by sha256 of ids, and different feeders differ."""
    feeder = cases.load("case33bw")
    mine = dataclasses.replace(feeder, name="my-feeder")
    one, two = profiles.assignment(mine), profiles.assignment(mine)
    assert np.array_equal(one.shape_index, two.shape_index)
    assert not np.array_equal(one.shape_index, profiles.assignment(feeder).shape_index)
    p, _ = one.load_series(year, YEAR)
    assert p.sum(axis=1).max() == pytest.approx(feeder.column("loads", "p_mw").sum(), rel=1e-9)


def test_rule_on_plain_arrays() -> None:
    """The rule is a pure function: pinned once, so that a change of it is noticed."""
    names, kinds = ("a", "b", "c", "d"), ("household", "farm", "commercial", "single-household")
    ids, p = [f"load{i}" for i in range(9)], np.array([0.1] * 8 + [0.001])
    shape = choose_shapes("f", ids, p, names, kinds)
    assert shape.tolist() == [0, 1, 2, 1, 2, 0, 1, 0, 3]
    assert sorted(np.bincount(shape[:6]).tolist()) == [2, 2, 2]
    assert p[-1] < SMALL_MW
    near = [[k for k in (i - 1, i + 1) if 0 <= k < 9] for i in range(9)]
    apart = choose_shapes("f", ids, p, names, kinds, near)
    assert (np.diff(apart) != 0).all()
    series = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    assert scale_factor(np.array([0, 1]), np.array([1.0, 1.0]), series) == 2.0
    assert scale_factor(np.array([], dtype=np.int64), np.array([]), series) == 1.0


def test_wrong_feeder_is_refused(year: profiles.Profiles) -> None:
    """An assignment is used with its own feeder only."""
    loads = profiles.assignment(cases.load("case33bw"))
    with pytest.raises(ValueError, match="32 loads, feeder 'case69' has 48"):
        loads.node_series(cases.load("case69"), year, slice(0, 96))
