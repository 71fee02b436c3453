"""An observation block of one's own: one class, in every face; and what shipped ones say about themselves."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from distgrid.envs import (
    ArrayBlock,
    Block,
    BlockContext,
    BlockView,
    DistGrid3PhaseEnv,
    DistGrid3PhaseVectorEnv,
    DistGridEnv,
    DistGridVectorEnv,
    LossMinimisation,
    SeriesBlock,
)
from distgrid.envs.blocks import GRID_BLOCKS, block_of, chosen_blocks

from .world import FEEDER, FEEDER3, WORLDS, make

Floats = NDArray[np.float64]


class Spread(Block):
    """Own block: how far voltages lie apart, and the largest angle."""

    name, unit = "spread", "1"
    reads: tuple[str, ...] = ("v",)
    meaning = "range of the voltages in pu and of the angles in radian, last"

    def size(self, counts: Mapping[str, int]) -> int:
        return 2

    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        return [0.0, 0.0], [1.0, 2.0 * np.pi]

    def fill(self, view: BlockView, out: Floats) -> None:
        np.subtract(np.nanmax(view.v_pu, axis=1), np.nanmin(view.v_pu, axis=1), out=out[:, 0])
        np.ptp(np.angle(view.v), axis=1, out=out[:, 1])


@dataclass(frozen=True)
class Every(ArrayBlock):
    """Own block of columns: the loading of every n-th branch in percent."""

    n: int = 2
    unit = "%"
    source = "loading"
    scale = 100.0
    meaning = "loading of some branches, last"

    @property
    def name(self) -> str:
        return f"every_{self.n}"

    def size(self, counts: Mapping[str, int]) -> int:
        return -(-counts["branch"] // self.n)

    def columns(self, context: BlockContext) -> NDArray[np.int64]:
        return np.arange(0, context.counts["branch"], self.n)

    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        return 0.0, 1e4


class Noon(SeriesBlock):
    """Own block over time: 1 from noon to midnight."""

    name, unit, meaning = "noon", "1", "whether it is past noon"

    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        return 0.0, 1.0

    def series(self, context: BlockContext) -> Floats:
        steps = context.profiles.steps_per_day
        return np.array(np.arange(context.profiles.n_steps) % steps >= steps // 2, dtype=np.float64)[:, None]


@dataclass(frozen=True)
class Sees(LossMinimisation):
    """The bare task that observes what it is told."""

    seen: tuple[Any, ...] = ("v_pu",)

    @property
    def blocks(self) -> tuple[str | Block, ...]:
        return self.seen


OWN = ("clock", Spread(), "v_pu", Every(3), Noon(), "p_loss_mw")
VECTORS: dict[str, Callable[..., Any]] = {"balanced": DistGridVectorEnv, "per-phase": DistGrid3PhaseVectorEnv}
FEEDERS = {"balanced": FEEDER, "per-phase": FEEDER3}


@pytest.mark.parametrize("world", WORLDS)
def test_an_own_block_is_observed_alike_in_both_faces(world: str) -> None:
    """Trial of the blocks' seam: one class; single and vector agree to the bit, and the bounds hold."""
    single = WORLDS[world](task=Sees(seen=OWN))
    resources = single.resources
    envs = VECTORS[world](FEEDERS[world], resources, Sees(seen=OWN), num_envs=3, threads=1)
    first, _ = single.reset(seed=11, options={"day": 40})
    many, _ = envs.reset(seed=11, options={"day": 40})
    assert first.tobytes() == many[0].tobytes()
    rng = np.random.default_rng(0)
    spread, some = single.layout["spread"], single.layout["every_3"]
    for step in range(60):
        action = rng.uniform(-1.0, 1.0, 3).astype(np.float32)
        observation, *_ = single.step(action)
        many, *_ = envs.step(np.tile(action, (3, 1)))
        assert observation.tobytes() == many[0].tobytes() == many[2].tobytes(), step
        assert single.observation_space.contains(observation)
        v_pu = observation[single.layout["v_pu"]]
        assert observation[spread][0] == pytest.approx(v_pu.max() - v_pu.min(), abs=2e-7)
        loading = single.grid.stepper.loading[0, ::3]
        np.testing.assert_allclose(observation[some], 100.0 * np.nan_to_num(loading), rtol=3e-7)
        assert observation[single.layout["noon"]] == [float(step + 1 >= 48)]
    assert observation[spread].min() > 0.0
    assert envs.layout.describe() == single.layout.describe()


def test_the_layout_describes_it_as_it_describes_shipped_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the documentation's row of a block is made of: unit, meaning, entries, bounds."""
    env = make(task=Sees(seen=OWN))
    block = env.layout.blocks["spread"]
    assert (block.unit, block.meaning) == ("1", Spread.meaning)
    rows = env.layout.describe()[env.layout["spread"]]
    assert [(row.name, row.unit, row.low, row.high) for row in rows] == [
        ("spread[0]", "1", 0.0, 1.0), ("spread[1]", "1", 0.0, 2.0 * np.pi)
    ]  # fmt: skip
    assert [row.name for row in env.layout.describe()[env.layout["noon"]]] == ["noon"]
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "tools"))
    page = import_module("site_pages.tables").observation_table(env)
    assert f"| `spread` | {Spread.meaning} | last | `spread[0]` … `spread[1]` | 1 | 0 | 1 to 6.283 |" in page
    assert env.units[0].observation["soc"] == env.layout["battery.soc"].start


@pytest.mark.parametrize("world", WORLDS)
def test_every_block_of_every_device_and_grid_says_what_it_means(world: str) -> None:
    """Documentation rows exist: meaning, unit and entries of all that may be observed."""
    env = WORLDS[world](task=Sees(seen=GRID_BLOCKS))
    assert set(GRID_BLOCKS) < set(env.layout.blocks)
    for name, block in env.layout.blocks.items():
        assert block.name == name
        assert len(block.meaning) > 10, name
        assert {row.unit for row in env.layout.describe()[env.layout[name]]} <= {block.unit}


@pytest.mark.parametrize("world", WORLDS)
def test_what_the_compiled_gather_copies_is_what_blocks_fill(world: str) -> None:
    """Each shipped block also fills an array in NumPy: two ways to the same numbers."""
    env = WORLDS[world](task=Sees(seen=(*GRID_BLOCKS, Every(2), Noon())))
    env.reset(seed=1)
    for _ in range(30):
        observation, *_ = env.step([0.5, 0.2, -0.3])
    grid = env.grid
    view = BlockView(grid.stepper, grid.fleet, grid.observer.context)
    view.t_index = grid.t_index
    for name, block in env.layout.blocks.items():
        where = env.layout[name]
        out = np.full((1, where.stop - where.start), np.nan)
        block.fill(view, out)
        np.testing.assert_allclose(observation[where], np.nan_to_num(out[0]), rtol=2e-7, err_msg=name)


def test_values_outside_the_bounds_are_clipped_and_nan_is_zero() -> None:
    """A mistake of one's own block never leaves the declared space."""

    class Wild(Spread):
        name = "wild"

        def fill(self, view: BlockView, out: Floats) -> None:
            out[:, 0], out[:, 1] = 7.0, np.nan

    env = make(task=Sees(seen=(Wild(), "v_pu")))
    observation, _ = env.reset(seed=0)
    np.testing.assert_array_equal(observation[env.layout["wild"]], [1.0, 0.0])
    assert env.observation_space.contains(observation)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])  # noqa: S301
def test_a_copy_fills_its_own(copied: Callable[[DistGridEnv], DistGridEnv]) -> None:
    """Computed columns of a copied environment are those of the copy."""
    env = make(task=Sees(seen=OWN))
    env.reset(seed=3)
    twin = copied(env)
    before = env.obs()
    ahead = twin.step([1.0, 0.1, 0.1])[0]
    assert env.obs().tobytes() == before.tobytes()
    assert env.step([1.0, 0.1, 0.1])[0].tobytes() == ahead.tobytes() != before.tobytes()


def test_a_block_comes_back_from_json() -> None:
    """Its fields and the name of its class."""
    kept = dataclasses.asdict(Every(5))
    assert block_of(kept) == Every(5) == chosen_blocks([kept])[0]
    assert Every(5) != Every(6)


class Endless(Spread):
    """Own block without finite bounds."""

    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        return 0.0, np.inf


class Reversed(Spread):
    """Own block whose bounds are the wrong way round."""

    def bounds(self, context: BlockContext) -> tuple[ArrayLike, ArrayLike]:
        return 2.0, [3.0, 1.0]


class Blind(Spread):
    """Own block that reads what it did not ask for."""

    reads = ()


WRONG: list[tuple[Any, type[Exception], str]] = [
    (("v_pu", "volts"), ValueError, "unknown observation block 'volts'; choose from clock"),
    (("v_pu", 7), TypeError, "one of them is int"),
    ((Spread,), TypeError, r"write Spread\(\)"),
    (("v_pu", Spread(), Spread()), ValueError, "'spread' is listed twice"),
    ((Endless(),), ValueError, "'spread': bounds must be finite, one number or 2 of them"),
    ((Reversed(),), ValueError, r"'spread': spread\[1\] has bounds 2.0 and 1.0"),
    (({"class_name": "nowhere:Block"},), TypeError, "names class_name 'nowhere:Block'"),
]


@pytest.mark.parametrize(("seen", "error", "message"), WRONG)
def test_what_is_no_block_is_told(seen: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(task=Sees(seen=seen))


@pytest.mark.parametrize("kind", [DistGridEnv, DistGrid3PhaseEnv])
def test_a_detail_that_nobody_asked_for_is_told(kind: type[DistGridEnv]) -> None:
    """Power flows write complex voltages only for those who say that they read them."""
    task = Sees(seen=(Blind(),))
    env = kind(FEEDER if kind is DistGridEnv else FEEDER3, task=task)
    if kind is DistGridEnv:  # balanced power flows keep them anyway
        assert env.reset(seed=0)[0].shape == (2,)
        return
    with pytest.raises(ValueError, match=r"write reads = \('v',\)"):
        env.reset(seed=0)
