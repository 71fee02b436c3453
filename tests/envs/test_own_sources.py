"""Sources of loads that users write: random ones, those that go wrong, those that are incomplete."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from distgrid.cases import profiles
from distgrid.cases.profiles import Calendar, Duration
from distgrid.envs import (
    Battery,
    DistGridEnv,
    DistGridVectorEnv,
    LoadSource,
    LossMinimisation,
    ProfileLoad,
)

from .world import FEEDER

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
P, Q = FEEDER.column("nodes", "load_p_mw"), FEEDER.column("nodes", "load_q_mvar")
YEAR = profiles.load_profiles()


class Steady(LoadSource):
    """The nominal loads for ever."""

    calendar = Calendar("2016-01-01", 0.25, 96 * 2)

    def __init__(self) -> None:
        self.s_max_mva = 2.0 * np.hypot(P, Q)

    @property
    def active_mw(self) -> None:
        return None

    @property
    def reactive_mvar(self) -> None:
        return None

    def fill(self, t_index: Ints, p_mw: Floats, q_mvar: Floats) -> None:
        assert (t_index < 96 * self.n_days).all(), "an interval that it has"
        assert (t_index >= 0).all()
        p_mw[:], q_mvar[:] = P, Q


class Random(Steady):
    """A growth for each day and a wobble for each node of it."""

    n_random: ClassVar[int] = 34

    def draw(self, rng: np.random.Generator, day: int) -> Floats:
        return np.append(rng.uniform(0.4, 1.4), rng.uniform(0.9, 1.1, 33))

    def fill(self, t_index: Ints, p_mw: Floats, q_mvar: Floats, drawn: Floats | None = None) -> None:
        assert drawn is not None
        for out, nominal in ((p_mw, P), (q_mvar, Q)):
            out[:] = nominal * drawn[:, :1] * drawn[:, 1:]


def test_a_random_load_draws_from_the_environments_generator() -> None:
    """The same seed, the same loads, in both faces, through restarts; another seed, other loads."""
    single = [
        DistGridEnv(FEEDER, [Battery(18, 0.2, 0.8, soc_init=(0.2, 0.8))], load=Random()) for _ in range(3)
    ]
    many = DistGridVectorEnv(
        FEEDER, [Battery(18, 0.2, 0.8, soc_init=(0.2, 0.8))], load=Random(), num_envs=3,
        autoreset_mode="SameStep", task=LossMinimisation(episode=Duration(hours=5 / 4)),
    )  # fmt: skip
    first = np.array([env.reset(seed=7 + i)[0] for i, env in enumerate(single)])
    np.testing.assert_array_equal(many.reset(seed=7)[0], first)
    load = first[:, single[0].layout["load_p_mw"]]
    assert len(np.unique(load.sum(axis=1))) == 3
    for _ in range(5):
        seen, *_ = many.step(many.neutral_action)
    again = np.array([env.reset()[0] for env in single])
    np.testing.assert_array_equal(seen, again)
    assert (again[:, single[0].layout["load_p_mw"]] != load).any()


def test_what_was_drawn_is_part_of_the_state() -> None:
    env = DistGridEnv(FEEDER, load=Random())
    env.reset(seed=1)
    state, ahead = env.get_state(), env.step([])[0]
    env.reset(seed=2)
    env.set_state(state)
    np.testing.assert_array_equal(env.step([])[0], ahead)


def test_a_series_can_be_made_random() -> None:
    """A subclass of what ships: the shipped year, noisy, keeps its splits."""

    class Noisy(ProfileLoad):
        n_random: ClassVar[int] = 1

        def __init__(self) -> None:
            super().__init__(FEEDER, profiles.assignment(FEEDER), YEAR)
            self.s_max_mva = 1.2 * self.s_max_mva

        def draw(self, rng: np.random.Generator, day: int) -> Floats:
            return rng.uniform(0.8, 1.2, 1)

        def fill(self, t_index: Ints, p_mw: Floats, q_mvar: Floats, drawn: Floats | None = None) -> None:
            super().fill(t_index, p_mw, q_mvar)
            if drawn is not None:
                p_mw *= drawn
                q_mvar *= drawn

    env, plain = DistGridEnv(FEEDER, load=Noisy(), split="test"), DistGridEnv(FEEDER, split="test")
    np.testing.assert_array_equal(env.days, plain.days)
    where, day = env.layout["load_p_mw"], int(env.days[0])
    share = [
        env.reset(seed=s, options={"day": day})[0][where].sum()
        / plain.reset(options={"day": day})[0][where].sum()
        for s in range(4)
    ]
    assert len({round(float(x), 4) for x in share}) == 4
    assert 0.8 <= min(share) < max(share) <= 1.2


class Wrong(Steady):
    """A source that goes wrong on its second day."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def fill(self, t_index: Ints, p_mw: Floats, q_mvar: Floats) -> None:
        super().fill(t_index, p_mw, q_mvar)
        p_mw[t_index >= 96, 4] = self.value


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e3])
def test_a_source_keeps_its_word(value: float) -> None:
    """NaN, and more than it said: prices and observations rest on `s_max_mva`."""
    env = DistGridEnv(FEEDER, load=Wrong(value))
    env.reset(options={"day": 0})
    with pytest.raises(ValueError, match="Wrong: the load of point 4 in interval 96"):
        env.reset(options={"day": 1})


def test_a_source_that_is_incomplete_is_told_what_it_lacks() -> None:
    class Forgetful(Random):
        draw = LoadSource.draw

    class Miscounts(Random):
        def draw(self, rng: np.random.Generator, day: int) -> Floats:
            return np.ones(3)

    class Shapeless(Steady):
        def __init__(self) -> None:
            pass

    with pytest.raises(NotImplementedError, match=r"write draw\(rng, day\)"):
        DistGridEnv(FEEDER, load=Forgetful()).reset(seed=0)
    with pytest.raises(ValueError, match="34 finite numbers"):
        DistGridEnv(FEEDER, load=Miscounts()).reset(seed=0)
    with pytest.raises(ValueError, match="s_max_mva must be 33 finite numbers"):
        DistGridEnv(FEEDER, load=Shapeless())


def test_a_source_says_how_long_its_day_is() -> None:
    """The same of a source of one's own: what the environment does not have is refused."""

    class Dateless(Steady):
        calendar: Any = None

    class Partial(Steady):
        calendar = Calendar("2016-01-01 06:00", 0.25, 96)

    class Long(Steady):
        calendar = Calendar("2016-01-01", 0.25, 96 * 400)

    wanted = {
        Dateless: "calendar must be a Calendar",
        Partial: "whole days",
        Long: "short of.*by 816 h at its end",
    }
    for source, message in ((kind(), text) for kind, text in wanted.items()):
        with pytest.raises(ValueError, match=message):
            DistGridEnv(FEEDER, load=source)
