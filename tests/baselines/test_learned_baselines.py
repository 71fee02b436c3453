"""Row 102: learned baselines that are shipped, and the statistics of their scores."""

from __future__ import annotations

import runpy
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from scipy import stats

from distgrid import baselines
from distgrid.baselines import RunError
from distgrid.baselines.learned.policy_file import MOST_BYTES, read_policy
from distgrid.baselines.learned.shipped import episodes, path_of_shipped, shipped
from distgrid.baselines.scoring.intervals import iqm_interval

ENVS = sorted({name.partition("/")[0] for name in shipped()})
TRAINED = sorted({(env, file.rpartition("-")[0]) for env, _, file in (n.partition("/") for n in shipped())})
ROOT = Path(__file__).parents[2]


def test_the_middle_is_that_of_scipy() -> None:
    """Where a quarter is a whole number of scores: the mean without the lowest and highest quarter."""
    scores = np.random.default_rng(0).normal(size=(4, 12))
    assert iqm_interval(scores).value == pytest.approx(stats.trim_mean(scores, 0.25, axis=None))


@pytest.mark.filterwarnings("ignore:random_state is deprecated:FutureWarning")  # rliable hands it to arch
def test_statistics_are_those_of_rliable() -> None:
    """The library of Agarwal et al.: the same middle, and its interval but for what two bootstraps differ."""
    library = pytest.importorskip("rliable.library", reason="rliable is not installed")
    metrics = pytest.importorskip("rliable.metrics", reason="rliable is not installed")
    scores = np.random.default_rng(3).normal(0.5, 0.2, size=(5, 48))
    found = iqm_interval(scores, repetitions=2000)
    points, intervals = library.get_interval_estimates(
        {"ppo": scores}, lambda x: np.array([metrics.aggregate_iqm(x)]), reps=2000,
        random_state=np.random.RandomState(0),
    )  # fmt: skip
    assert found.value == pytest.approx(points["ppo"][0])
    width = found.high - found.low
    np.testing.assert_allclose([found.low, found.high], intervals["ppo"][:, 0], atol=0.1 * width)


def test_the_interval_covers_what_it_says() -> None:
    """Of many studies of five trainings, about nine in ten intervals hold the truth; it narrows with more."""
    rng = np.random.default_rng(1)
    held, widths = 0, {5: 0.0, 20: 0.0}
    for _ in range(40):
        for n in widths:
            found = iqm_interval(rng.normal(size=(n, 20)), repetitions=200)
            widths[n] += found.high - found.low
            held += n == 20 and found.low <= 0.0 <= found.high
    assert held >= 30
    assert widths[20] < 0.7 * widths[5]


def test_trainings_are_drawn_day_by_day() -> None:
    """Days that differ from each other and not between trainings leave no doubt."""
    found = iqm_interval(np.repeat(np.linspace(0.0, 1.0, 8)[None], 5, axis=0))
    assert found.value == pytest.approx(0.5)
    assert (found.low, found.high) == pytest.approx((0.5, 0.5))


@pytest.mark.parametrize("scores", [np.zeros(3), np.zeros((0, 3)), np.array([[1.0, np.nan]])])
def test_scores_that_are_none_are_refused(scores: np.ndarray) -> None:
    with pytest.raises(ValueError, match="scores must be"):
        iqm_interval(scores)


@pytest.mark.quick(8)
@pytest.mark.parametrize("name", shipped())
def test_a_shipped_policy_fits_its_environment(name: str) -> None:
    """Each is below 500 KB and is made on the id whose folder it lies in."""
    env = name.partition("/")[0]
    assert path_of_shipped(name).stat().st_size <= MOST_BYTES
    content, _ = read_policy(path_of_shipped(name))
    assert content.environment == f"distgrid/{env}"
    made = gymnasium.make(content.environment)
    assert baselines.make(f"learned:{name.rpartition('/')[2]}", made).config()["sha256"]


@pytest.mark.parametrize(("env", "algo"), TRAINED)
def test_a_shipped_policy_plays_what_the_table_says(env: str, algo: str) -> None:
    """The best seed on val days, on its first test day: the return that the page's tables are made from."""
    played = baselines.rollout(env, f"learned:{algo}", episodes=1, progress=False, report=False)
    found = played.episodes.to_pylist()[0]
    rows = [row for row in episodes().to_pylist() if (row["env"], row["algo"]) == (env, algo)]
    val = {
        row["seed"]: [r["return"] for r in rows if (r["seed"], r["split"]) == (row["seed"], "val")]
        for row in rows
    }
    best = max(val, key=lambda seed: float(np.mean(val[seed])))
    (row,) = [r for r in rows if (r["seed"], r["split"], r["episode"]) == (best, "test", 0)]
    assert (found["day"], found["return"]) == (row["day"], pytest.approx(row["return"], rel=1e-9))


def test_an_environment_without_learned_policies_is_told() -> None:
    with pytest.raises(RunError, match="no policy learned:ppo is shipped for this environment: only for"):
        baselines.make("learned:ppo", gymnasium.make("distgrid/VoltVar-141-v1"))
    with pytest.raises(RunError, match="there are learned:ppo-0"):
        baselines.make("learned:dqn", gymnasium.make(f"distgrid/{ENVS[0]}"))


def test_the_page_has_the_tables_of_the_shipped_days() -> None:
    """docs/learned.md is what tools/ship_learned.py writes."""
    tool = runpy.run_path(str(ROOT / "tools" / "ship_learned.py"))
    text = (ROOT / "docs" / "learned.md").read_text()
    shown = text.partition(tool["BEGIN"])[2].partition(tool["END"])[0].strip()
    assert shown == tool["page_text"](episodes().to_pylist()).strip()
