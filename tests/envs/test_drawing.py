"""Pictures: right size, deterministic, and different where the grid differs."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from distgrid import cases
from distgrid.envs.rendering.day_figure import DayHistory, Renderer, draw, draw_feeder
from distgrid.envs.rendering.feeder_plot import FeederArtists, coordinates
from distgrid.envs.resources import PV, Battery, Fleet

FEEDER = cases.load("case33bw")
FLAT = np.ones(FEEDER.n_nodes)


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    class Sun:
        pv: NDArray[np.float64] = np.full((4, 25), 0.5)

    made = Fleet([Battery(18, 0.2, 0.8), PV(25, 0.3)], FEEDER)
    made.bind(1, 0.25, Sun())
    made.reset(np.array([0]), [np.random.default_rng(0)])
    return made


def figure_artists(values: NDArray[np.float64], **kwargs: NDArray[np.float64]) -> FeederArtists:
    from matplotlib.figure import Figure

    return draw_feeder(Figure().add_subplot(), FEEDER, values, **kwargs)  # type: ignore[arg-type]


def test_picture_has_the_promised_shape(fleet: Fleet) -> None:
    picture = draw(FEEDER, FLAT, fleet=fleet, size=(800, 480), title="A day")
    assert picture.shape == (480, 800, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 5.0  # not blank


def test_frames_of_one_renderer_equal_fresh_pictures(fleet: Fleet) -> None:
    """What is kept between frames is only the background: no trace of an earlier frame remains."""
    day = DayHistory()
    renderer = Renderer(FEEDER, fleet)
    frames = []
    for step, low in enumerate((1.0, 0.97, 0.86)):  # the last leaves the axis of the voltage panel
        volts = np.linspace(1.0, low, FEEDER.n_nodes)
        fleet.advance(np.array([[0.5, -0.5]]), np.array([step]))
        day.record(0.25 * (step + 1), volts, fleet)
        load = np.full(FEEDER.n_branches, 0.4 * (step + 1))
        frames.append(renderer.frame(volts, loading=load, history=day, title=f"step {step}"))
    fresh = draw(FEEDER, volts, loading=load, history=day, fleet=fleet, title="step 2")
    np.testing.assert_array_equal(frames[-1], fresh)
    assert not np.array_equal(frames[0], frames[1])
    day.clear()
    empty = renderer.frame(FLAT, history=day)
    assert not np.array_equal(empty, frames[-1])


def test_history_records_the_fan_and_the_fleet(fleet: Fleet) -> None:
    day = DayHistory()
    fleet.reset(np.array([0]), [np.random.default_rng(0)])
    fleet.advance(np.array([[1.0, 1.0]]), np.array([0]))
    volts = np.where(np.arange(FEEDER.n_nodes) == 3, np.nan, np.linspace(0.9, 1.0, FEEDER.n_nodes))
    day.record(0.25, volts, fleet)
    np.testing.assert_allclose(day.voltage[0][[0, -1]], [0.9, 1.0])
    assert day.p_mw == {"battery": [0.2], "pv": [0.15]}
    np.testing.assert_allclose(day.soc[0], 0.5 - 0.05 / 0.95 / 0.8)


def test_violations_overloads_and_open_ties_are_told_apart() -> None:
    volts = FLAT.copy()
    volts[[5, 9]] = (0.94, 1.06)
    loading = np.zeros(FEEDER.n_branches)
    loading[2] = 1.5
    art = figure_artists(volts, loading=loading)
    widths = np.asarray(art.nodes.get_linewidth())
    assert np.flatnonzero(widths > 1.0).tolist() == [5, 9]
    assert np.argmax(art.branches.get_linewidth()) == 2
    closed = FEEDER.column("branches", "status").astype(bool)
    assert 0 < (~closed).sum() < closed.size
    np.testing.assert_array_equal(dashed(art), ~closed)
    art.update(FLAT, closed=np.ones(closed.size, dtype=bool))
    assert not dashed(art).any()


def dashed(art: FeederArtists) -> NDArray[np.bool_]:
    """Which branches are drawn with a dash pattern."""
    styles = cast(list[tuple[float, object]], art.branches.get_linestyle())
    return np.array([pattern is not None for _, pattern in styles])


def test_dead_nodes_do_not_stop_a_picture() -> None:
    """Trap 3: NaN is drawn as missing and left out of the summary."""
    volts = FLAT.copy()
    volts[7] = np.nan
    assert draw(FEEDER, volts).shape == (600, 1000, 3)
    assert draw(FEEDER, np.full_like(FLAT, np.nan)).shape == (600, 1000, 3)


@pytest.mark.parametrize("name", cases.names())
def test_every_shipped_feeder_has_a_place_for_every_node(name: str) -> None:
    feeder = cases.load(name)
    xy = coordinates(feeder)
    assert np.isfinite(xy).all()
    surveyed = "source" in feeder.column("nodes", "coord_source")  # cables side by side share their joints
    assert len(np.unique(xy, axis=0)) > (0.95 if surveyed else 0.98) * len(xy)
