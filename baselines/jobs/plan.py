"""What a run consists of: its chunks, their files, and what these must hold.

A run.json may have been damaged, or made by somebody else. What it says has to be a plan that this program
could have written, or the folder is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa

from .episodes import KINDS
from .manifest import FILE_NAME, ChunkRecord, Manifest

PARTS = "parts"
REPORT = "report.png"
EPISODES = "episodes.parquet"


def part_path(chunk: ChunkRecord, kind: str) -> str:
    """Where a table of `chunk` goes, relative to the folder."""
    return f"{PARTS}/{chunk.index:05d}.{kind}.parquet"


def table_path(kind: str) -> str:
    """Where a table of the whole run goes."""
    return f"{kind}.parquet"


def planned_files(chunks: Iterable[ChunkRecord]) -> list[str]:
    """Every file that a run of these chunks may write, run.json last."""
    parts = [part_path(chunk, kind) for chunk in chunks for kind in KINDS]
    return [*parts, *(table_path(kind) for kind in KINDS), EPISODES, REPORT, FILE_NAME]


def plan_problem(run: Manifest) -> str | None:
    """What is wrong with the chunks of a manifest, None where they are a whole run in order."""
    names = [policy.name for policy in run.parameters.policies]
    if not names or len(set(names)) < len(names):
        return "its policies do not have names of their own"
    if run.parameters.episodes < 1 or run.parameters.seed < 0 or run.seed != run.parameters.seed:
        return f"{run.parameters.episodes} episodes from seed {run.seed} are no run"
    size = run.chunks[0].n_episodes if run.chunks else 0
    if not 0 < size <= run.parameters.episodes:
        return f"its first chunk has {size} of {run.parameters.episodes} episodes"
    each = -(-run.parameters.episodes // size)
    if len(run.chunks) != each * len(names):
        return f"it has {len(run.chunks)} chunks, and {each * len(names)} make up the run"
    for at, chunk in enumerate(run.chunks):
        first = at % each * size
        planned = (at, names[at // each], first, min(size, run.parameters.episodes - first))
        found = (chunk.index, chunk.policy, chunk.first_episode, chunk.n_episodes)
        if found != planned:
            return f"chunk {at} is {_words(found)}, and in the order of the run it is {_words(planned)}"
        if chunk.n_steps < 0 or not math.isfinite(chunk.wall_s) or chunk.wall_s < 0:
            return f"chunk {at} has {chunk.n_steps} steps in {chunk.wall_s} s"
        if chunk.status == "done" and len(chunk.files) != len(KINDS):
            return f"chunk {at} is done, with {len(chunk.files)} files of {len(KINDS)}"
        if run.status == "done" and chunk.status != "done":
            return f"it is done, and chunk {at} is not"
    return None


def _words(chunk: tuple[int, str, int, int]) -> str:
    index, policy, first, count = chunk
    return f"number {index}, {count} episodes of {policy!r} from {first} on"


def check_part(chunk: ChunkRecord, tables: Mapping[str, pa.Table]) -> str | None:
    """What is wrong with the tables of a finished chunk, None where they are of its episodes and policy."""
    last = chunk.first_episode + chunk.n_episodes - 1
    for kind, table in tables.items():
        missing = {"policy", "episode"} - set(table.column_names)
        if missing or not pa.types.is_integer(table.schema.field("episode").type):
            return f"{part_path(chunk, kind)} has no usable columns policy and episode"
        if kind in ("branches", "violations") and not table.num_rows:
            continue
        if table["policy"].unique().to_pylist() != [chunk.policy]:
            return f"{part_path(chunk, kind)} holds other policies than {chunk.policy!r}"
        episodes = table["episode"].to_numpy()
        inside = episodes[0] >= chunk.first_episode and episodes[-1] <= last
        ordered = inside and bool((np.diff(episodes) >= 0).all())
        if not ordered or (kind != "violations" and len(np.unique(episodes)) != chunk.n_episodes):
            return f"{part_path(chunk, kind)} does not hold the episodes {chunk.first_episode} to {last}"
    if tables["steps"].num_rows != chunk.n_steps:
        found = tables["steps"].num_rows
        return f"chunk {chunk.index} is said to have {chunk.n_steps} steps, and has {found}"
    return None
