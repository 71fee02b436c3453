"""Record a seeded day of every registered environment, so that a change of scores is noticed.

    python tools/record_days.py                 # add the days of new ids; exit 1 if a recorded one moved
    python tools/record_days.py --replace ID    # play ID anew and overwrite its day

An entry is written once and then stands. A change that moves a day (an observation, a reward or a cost of an
id that people have scores of) gets a NEW VERSION of that id, which gets an entry of its own, and the old id
still plays its old day. `--replace` is for an entry that was recorded wrongly, for a fault that the changelog
names, or to record the same day on another processor.

Kept of each day, in `tests/reference/days.json`:

- `sha256` of the actions, and of the bytes of observations (float32), rewards and costs (float64,
  `info["cost"]` and each of `info["costs"]` that charges anything). On a processor with the recorded features
  and versions these are equal.
- `numbers`, one per step: rewards, costs, what the substation gives, losses, and projections of voltages,
  devices and observations on seeded weights, rounded to twelve digits. On any processor they agree to 1e-9 of
  the column's largest value; the projection of the observations, which are float32, to one unit of float32.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import sys
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
import llvmlite.binding as llvm
import numpy as np
from numba import config
from numpy.typing import NDArray

import distgrid
from distgrid.cases.profiles import DT_H, ONE_DAY
from distgrid.envs.suites import ENTRIES
from distgrid.envs.tasks import Task

DAYS = Path(__file__).resolve().parents[1] / "tests" / "reference" / "days.json"
FORMAT = 1
STEPS_PER_DAY = ONE_DAY.steps(DT_H)
RELATIVE = 1e-9
SMALLEST = (
    1e-3  # of the values that RELATIVE is of: a violation of 1e-6 pu is a difference of voltages near 1
)
# Instruction sets that choose another compiled kernel, or another routine of NumPy and its LAPACK.
VECTOR_SETS = ("avx", "fma", "neon", "sve")

Floats = NDArray[np.float64]


@dataclass
class Day:
    """One day as it was played: whatever a user of the single face sees."""

    id: str
    seed: int
    day: int = -1
    actions: list[NDArray[np.float32]] = field(default_factory=list)
    observations: list[NDArray[np.float32]] = field(default_factory=list)  # one more than steps
    rewards: list[float] = field(default_factory=list)
    infos: list[dict[str, Any]] = field(default_factory=list)


#: Ids on whose first day some device rests: the first of the next days on which all work.
_TRIES = {
    "distgrid/VoltVar-141-v1": 1, "distgrid/VoltVar-33bw-hourly-v1": 36,
    "distgrid/DERDispatch-33bw-hard-v0": 1, "distgrid/DERDispatch-33bw-hourly-v0": 232,
}  # fmt: skip


def seed_of(identity: str) -> int:
    """The seed of an id's day: a checksum of its name, so that ids draw different days."""
    tries = f"#{_TRIES[identity]}" if identity in _TRIES else ""
    return zlib.crc32(f"{identity}{tries}".encode()) % 100_000


def actions_of(seed: int, n_actions: int, steps: int = STEPS_PER_DAY) -> NDArray[np.float32]:
    """(steps, n_actions): levels that are held for an hour or two and often lie at an end of the range.

    Noise around the middle would never fill a battery; only sums and products of uniform numbers here, which
    are the same on every processor.
    """
    rng = np.random.default_rng(seed)
    levels = np.clip(2.6 * rng.random((steps, n_actions)) - 1.3, -1.0, 1.0)
    moves = rng.random((steps, n_actions)) < 0.15
    moves[0] = True
    held = np.maximum.accumulate(np.where(moves, np.arange(steps)[:, None], 0), axis=0)
    return np.take_along_axis(levels, held, axis=0).astype(np.float32)


def play(identity: str) -> Day:
    """The seeded day of an id, made by `gymnasium.make` with default arguments.

    Where the task ends episodes, others follow until so many steps as a day has are played.
    """
    env = gym.make(identity)
    played = Day(identity, seed_of(identity))
    observation, info = env.reset(seed=played.seed)
    played.day = int(info["day"])
    played.observations.append(observation)
    grid: Any = env.unwrapped
    ends = type(grid.task).ends is not Task.ends
    steps = STEPS_PER_DAY if ends else grid.task.episode.steps(grid.profiles.dt_h)
    for action in actions_of(played.seed, len(grid.action_layout), steps):
        coded = grid.codec.one(grid.codec.encode(action[None]))  # floats, or what the space has for them
        observation, reward, terminated, truncated, info = env.step(coded)
        played.actions.append(action)
        played.observations.append(observation)
        played.rewards.append(float(reward))
        played.infos.append(info)
        if terminated or truncated:
            if not ends:
                break
            env.reset()
    env.close()
    return played


def costs_of(played: Day) -> dict[str, Floats]:
    """Each cost over the steps, by name; a name that charged nothing all day is left out.

    So a cost may get a name without moving a day on which it is zero.
    """
    names = sorted({name for info in played.infos for name in info["costs"]})
    columns = {n: np.array([i["costs"].get(n, 0.0) for i in played.infos], dtype=np.float64) for n in names}
    return {name: column for name, column in columns.items() if column.any()}


def weights(n: int) -> Floats:
    """(n,) seeded weights in [-1, 1) over the root of n: equal noise in all entries keeps its size."""
    return (2.0 * np.random.default_rng(n).random(n) - 1.0) / np.sqrt(max(n, 1))


def _projected(values: NDArray[Any]) -> float:
    flat = np.nan_to_num(np.ma.filled(np.ma.asarray(values, dtype=np.float64), 0.0)).ravel()
    return float(weights(flat.size) @ flat)


def _delivered(info: Mapping[str, Any]) -> Floats:
    return np.concatenate([np.ravel(info["delivered"][name]) for name in sorted(info["delivered"])])


def numbers_of(played: Day) -> dict[str, list[float]]:
    """The columns that are compared on every processor; `observation` begins with that of `reset`."""
    infos = played.infos
    columns = {
        "reward": played.rewards,
        "cost": [info["cost"] for info in infos],
        **{f"costs.{name}": column.tolist() for name, column in costs_of(played).items()},
        "p_slack_mw": [info["p_slack_MW"] for info in infos],
        "q_slack_mvar": [info["q_slack_MVAr"] for info in infos],
        "p_loss_mw": [info["p_loss_MW"] for info in infos],
        "voltages": [_projected(info["voltages"]) for info in infos],
        "delivered": [_projected(_delivered(info)) for info in infos],
        "observation": [_projected(observation) for observation in played.observations],
    }
    return {name: values[:: _every(played)] for name, values in columns.items()}


def _every(played: Day) -> int:
    """Of a week one step in seven is kept as a number: the hashes hold them all."""
    return -(-len(played.infos) // STEPS_PER_DAY)


def hashes_of(played: Day) -> dict[str, str]:
    """sha256 of what the day is made of, byte for byte."""
    costs = hashlib.sha256(np.array([info["cost"] for info in played.infos], dtype=np.float64).tobytes())
    for name, column in costs_of(played).items():
        costs.update(name.encode() + column.tobytes())
    return {
        "actions": hashlib.sha256(np.array(played.actions).tobytes()).hexdigest(),
        "observations": hashlib.sha256(np.array(played.observations).tobytes()).hexdigest(),
        "rewards": hashlib.sha256(np.array(played.rewards, dtype=np.float64).tobytes()).hexdigest(),
        "costs": costs.hexdigest(),
    }


def processor() -> dict[str, str]:
    """What decides the last bits of a number: the machine, and the versions that choose its instructions."""
    features = llvm.get_host_cpu_features()
    sets = sorted(name for name, on in features.items() if on and name.startswith(VECTOR_SETS))
    versions = {name: sys.modules[name].__version__ for name in ("numpy", "numba", "llvmlite")}
    return {
        "machine": platform.machine(),
        "cpu": config.CPU_NAME or llvm.get_host_cpu_name(),
        "vector_sets": " ".join(sets) if config.CPU_FEATURES is None else config.CPU_FEATURES,
        "libc": " ".join(platform.libc_ver()),
        **versions,
    }


def entry_of(played: Day) -> dict[str, Any]:
    """What the file keeps of a day."""
    columns = {name: [float(f"{x:.12g}") for x in column] for name, column in numbers_of(played).items()}
    return {
        "seed": played.seed,
        "day": played.day,
        "processor": processor(),
        "sha256": hashes_of(played),
        "numbers": columns,
    }


def differences(recorded: Mapping[str, Any], played: Day) -> list[str]:
    """What has moved, in words; empty when the day is the recorded one."""
    mine = entry_of(played)
    told = [
        f"{name} is {mine[name]}, recorded {recorded[name]}"
        for name in ("seed", "day")
        if mine[name] != recorded[name]
    ]
    told += _moved_columns(recorded["numbers"], numbers_of(played), _float32_units(played))
    exact = mine["processor"] == recorded["processor"]
    told += [
        f"the bytes of {name} have changed"
        for name, digest in recorded["sha256"].items()
        if (exact or name == "actions") and mine["sha256"][name] != digest
    ]
    return told


def _float32_units(played: Day) -> Floats:
    """(steps + 1,) what one unit in the last place of every observed number adds up to in its projection."""
    stacked = np.abs(np.array(played.observations, dtype=np.float64))
    return np.asarray(2.0**-23 * (stacked @ np.abs(weights(stacked.shape[1]))))[:: _every(played)]


def _moved_columns(
    recorded: Mapping[str, Sequence[float]], mine: Mapping[str, Sequence[float]], units: Floats
) -> list[str]:
    told = [f"no column {name}" for name in sorted(set(recorded) - set(mine))]
    told += [f"column {name} is new" for name in sorted(set(mine) - set(recorded))]
    for name in [name for name in recorded if name in mine]:
        was, now = np.array(recorded[name]), np.array(mine[name])
        if was.shape != now.shape:
            told.append(f"{name}: {now.size} values, recorded {was.size}")
            continue
        allowed = units if name == "observation" else RELATIVE * np.abs(was).max(initial=SMALLEST)
        off = ~(np.abs(now - was) <= allowed)  # NaN is off
        if off.any():
            first = int(np.flatnonzero(off)[0])
            told.append(
                f"{name}: {int(off.sum())} of {off.size} values moved, the first at {first}: "
                f"{now[first]!r}, recorded {was[first]!r}"
            )
    return told


def load(path: Path = DAYS) -> dict[str, dict[str, Any]]:
    """The recorded days by id; none where there is no file."""
    if not path.exists():
        return {}
    found = json.loads(path.read_text())
    if found["format"] != FORMAT:
        raise ValueError(f"{path}: format {found['format']}, expected {FORMAT}")
    days: dict[str, dict[str, Any]] = found["days"]
    return days


def save(days: Mapping[str, Mapping[str, Any]], path: Path = DAYS) -> None:
    """Write the file in one piece: under a temporary name, then renamed. One line per column."""
    blocks = []
    for identity in sorted(days):
        rest = {name: value for name, value in days[identity].items() if name != "numbers"}
        lines = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in rest.items()]
        columns = days[identity]["numbers"].items()
        rows = [f"   {json.dumps(name)}: {json.dumps(c, separators=(',', ':'))}" for name, c in columns]
        lines.append('  "numbers": {\n' + ",\n".join(rows) + "\n  }")
        blocks.append(f" {json.dumps(identity)}: {{\n" + ",\n".join(lines) + "\n }")
    text = f'{{\n"format": {FORMAT},\n"days": {{\n' + ",\n".join(blocks) + "\n}\n}\n"
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as stream:
            stream.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def main(argv: Sequence[str], path: Path = DAYS) -> int:
    """Add what is missing, replace what is named; report what moved. Returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--replace", metavar="ID", action="append", default=[], help="play ID anew; repeatable"
    )
    replaced = set(parser.parse_args(argv).replace)
    ids = [entry.id for entry in ENTRIES]
    if unknown := replaced - set(ids):
        parser.error(f"{sorted(unknown)[0]!r} is not registered; known: {', '.join(ids)}")
    days, moved = load(path), False
    for identity in sorted(set(days) - set(ids)):
        moved = True
        print(f"{identity}: recorded, but registered no more; an old id still plays its old day")
    for identity in ids:
        played = play(identity)
        if identity not in days or identity in replaced:
            days[identity] = entry_of(played)
            print(f"{identity}: recorded, day {played.day}, seed {played.seed}")
        elif told := differences(days[identity], played):
            moved = True
            print(f"{identity}: moved, left as recorded; give it a new version, or --replace {identity}")
            print("\n".join(f"  {line}" for line in told))
    save(days, path)
    return int(moved)


if __name__ == "__main__":
    assert distgrid.__version__  # importing the package registers its environments
    sys.exit(main(sys.argv[1:]))
