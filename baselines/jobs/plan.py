"""What a run consists of: its items, cut into chunks, and the files of these.

A run.json may have been damaged, or made by somebody else. What it says has to be a plan that this program
could have written, or the folder is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from .manifest import FILE_NAME, ChunkRecord, GroupRecord, Manifest

PARTS = "parts"


def part_path(index: int, table: str) -> str:
    """Where a table of chunk `index` goes, relative to the folder."""
    return f"{PARTS}/{index:05d}.{table}.parquet"


def table_path(table: str) -> str:
    """Where a table of the whole run goes."""
    return f"{table}.parquet"


def cut(groups: Iterable[GroupRecord], size: int) -> Iterator[ChunkRecord]:
    """Chunks of `size` items, the last of each group with what is left; none holds items of two groups."""
    index = 0
    for group in groups:
        for first in range(0, group.n_items, size):
            n_items = min(size, group.n_items - first)
            yield ChunkRecord(index=index, label=group.label, first_item=first, n_items=n_items)
            index += 1


def planned_files(run: Manifest, part_tables: Sequence[str], outputs: Sequence[str]) -> list[str]:
    """Every file that a run may write, run.json last.

    Args:
        run: The run, whose plan is a good one.
        part_tables: Names of the tables of each chunk.
        outputs: Files of the whole run.
    """
    parts = [part_path(chunk.index, table) for chunk in run.chunks for table in part_tables]
    return [*parts, *outputs, FILE_NAME]


def plan_problem(run: Manifest, n_part_tables: int) -> str | None:
    """What is wrong with the chunks of a manifest, None where they are a whole run in order.

    Args:
        run: What a run.json says.
        n_part_tables: Files of a finished chunk; 0: of a job that keeps no parts, and has no chunks.
    """
    if not n_part_tables:
        return f"it has {len(run.chunks)} chunks, and such a run has none" if run.chunks else None
    problem = _groups_problem(run)
    if problem is not None:
        return problem
    for at, (chunk, planned) in enumerate(zip(run.chunks, cut(run.groups, _size(run)), strict=True)):
        found, wanted = _place(chunk), _place(planned)
        if found != wanted:
            return f"chunk {at} is {_words(*found)}, and in the order of the run it is {_words(*wanted)}"
        if chunk.n_rows < 0 or not math.isfinite(chunk.wall_s) or chunk.wall_s < 0:
            return f"chunk {at} has {chunk.n_rows} rows in {chunk.wall_s} s"
        if chunk.status == "done" and len(chunk.files) != n_part_tables:
            return f"chunk {at} is done, with {len(chunk.files)} files of {n_part_tables}"
        if run.status == "done" and chunk.status != "done":
            return f"it is done, and chunk {at} is not"
    return None


def _groups_problem(run: Manifest) -> str | None:
    labels = [group.label for group in run.groups]
    if not labels or len(set(labels)) < len(labels):
        return "its groups do not have labels of their own"
    if any(group.n_items < 1 for group in run.groups):
        return "it has groups without items"
    size = _size(run)
    if not 0 < size <= run.groups[0].n_items:
        return f"its first chunk has {size} of {run.groups[0].n_items} items"
    count = sum(-(-group.n_items // size) for group in run.groups)
    if len(run.chunks) != count:
        return f"it has {len(run.chunks)} chunks, and {count} make up the run"
    return None


def _size(run: Manifest) -> int:
    return run.chunks[0].n_items if run.chunks else 0


def _place(chunk: ChunkRecord) -> tuple[int, str, int, int]:
    return chunk.index, chunk.label, chunk.first_item, chunk.n_items


def _words(index: int, label: str, first: int, count: int) -> str:
    return f"number {index}, {count} items of {label!r} from {first} on"
