"""What the rules make of a family on held-out days: scores, and one day as a GIF.

Both are kept in a folder until the code, the data or a library changes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import distgrid
from distgrid import baselines
from distgrid.baselines.registry import fitting
from distgrid.cases import profiles

from .animation import MOST_FRAMES, animated, day_frames
from .catalogue import Registered, families, make, shown_rule
from .markdown import number

#: Test days of the score tables, and rules beside the one that is drawn (none: all of them); a quick look at
#: the site takes fewer.
EPISODES = int(os.environ.get("SITE_EPISODES", "4"))
RULES = tuple(os.environ.get("SITE_RULES", "").split())
_LIBRARIES = ("gymnasium", "matplotlib", "numba", "numpy", "pillow")


@dataclasses.dataclass(frozen=True)
class Score:
    """Means of one rule over the days, see `baselines.PolicySummary`."""

    rule: str
    return_mean: float
    return_std: float
    loss_mwh_per_day: float
    violation_cost_per_day: float
    violating_steps_pct: float
    n_failed_power_flows: int

    def cells(self) -> tuple[str, ...]:
        """A line of the page's table."""
        return (
            f"`{self.rule}`",
            number(self.return_mean),
            number(self.return_std),
            number(self.loss_mwh_per_day),
            number(self.violation_cost_per_day),
            f"{self.violating_steps_pct:.1f}",
            str(self.n_failed_power_flows),
        )


@dataclasses.dataclass(frozen=True)
class Day:
    """Which day is drawn, of which environment, under which rule."""

    id: str
    case: str
    rule: str
    number: int

    @property
    def label(self) -> str:
        """The date."""
        return profiles.day_label(self.number)


@dataclasses.dataclass(frozen=True)
class Played:
    """Scores by feeder, rules in the order of `baselines.names()`; the day that is drawn, and its GIF."""

    scores: dict[str, tuple[Score, ...]]
    day: Day
    gif: bytes
    episodes: int = EPISODES

    def score_rows(self) -> dict[str, list[tuple[str, ...]]]:
        """Lines of the page's tables by feeder."""
        return {name: [score.cells() for score in scores] for name, scores in self.scores.items()}


def played(family: str, kept: Path) -> Played:
    """Scores and day of a family: those kept in the folder, or played now and put there."""
    stem = "-".join([family, fingerprint()[:16], str(EPISODES), str(MOST_FRAMES), *RULES])
    numbers, picture = kept / f"{stem}.json", kept / f"{stem}.gif"
    if numbers.exists() and picture.exists():
        return _read(numbers, picture)
    now = play(family)
    kept.mkdir(parents=True, exist_ok=True)
    for old in kept.glob(f"{family}-*"):
        if not old.name.startswith(stem):
            old.unlink(missing_ok=True)
    text = {
        "scores": {name: [dataclasses.asdict(s) for s in scores] for name, scores in now.scores.items()},
        "day": dataclasses.asdict(now.day),
    }
    _write(picture, now.gif)
    _write(numbers, json.dumps(text, indent=1).encode())
    return now


def play(family: str) -> Played:
    """Play the days of all its environments, and the one that is drawn once more."""
    entries = families()[family]
    results = {entry: _rollout(entry) for entry in entries}
    scores = {
        entry.feeder: tuple(
            Score(one.policy, *(getattr(one, field.name) for field in dataclasses.fields(Score)[1:]))
            for one in result.summary
        )
        for entry, result in results.items()
    }
    first = entries[0]
    day = _most_telling(first, results[first])
    return Played(scores, day, drawn(first, day))


def drawn(entry: Registered, day: Day) -> bytes:
    """The GIF of a day."""
    env = make(entry, split="test", render_mode="rgb_array")
    try:
        return animated(day_frames(env, day.rule, day.number))
    finally:
        env.close()


def _rollout(entry: Registered) -> baselines.RunResult:
    env = make(entry, split="test")
    fit = fitting(env)
    env.close()
    rules = [rule for rule in fit if not RULES or rule in RULES or rule == shown_rule(fit)]
    return baselines.rollout(entry.id, rules, episodes=EPISODES, split="test", progress=False, report=False)


def _most_telling(entry: Registered, result: baselines.RunResult) -> Day:
    """Of the days played the one on which the rule gains most over doing nothing."""
    rule = shown_rule([one.policy for one in result.summary])
    returns: dict[str, dict[int, float]] = {}
    for row in result.episodes.select(["policy", "day", "return"]).to_pylist():
        returns.setdefault(row["policy"], {})[row["day"]] = row["return"]
    idle = returns["do-nothing"]
    day = max(idle, key=lambda d: (returns[rule][d] - idle[d], -idle[d]))
    return Day(entry.id, entry.case, rule, day)


@cache
def fingerprint() -> str:
    """A hash of what the numbers and pictures come from: code, data, libraries and how they are made."""
    root, here = Path(distgrid.__file__).parent, Path(__file__).parent
    files = [*root.glob("*.py"), *(here / f"{name}.py" for name in ("animation", "catalogue", "days"))]
    for folder in ("cases", "physics", "envs", "baselines"):
        files += [*(root / folder).rglob("*.py"), *(root / folder).rglob("*.parquet")]
    whole = hashlib.sha256()
    for library in _LIBRARIES:
        whole.update(f"{library} {importlib.metadata.version(library)}\n".encode())
    for path in sorted(files):
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


def _read(numbers: Path, picture: Path) -> Played:
    text: dict[str, Any] = json.loads(numbers.read_text())
    scores = {name: tuple(Score(**score) for score in scores) for name, scores in text["scores"].items()}
    return Played(scores, Day(**text["day"]), picture.read_bytes())


def _write(path: Path, content: bytes) -> None:
    """Under another name first: what is there is whole."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.write_bytes(content)
    unfinished.replace(path)
