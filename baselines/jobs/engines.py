"""Where chunks are done: in this process, in one process a core, on the machines of a Ray cluster.

An engine is a function of a job, its context in this process and the chunks that are left. It gives finished
parts as they come, in any order; only this process writes, so no shared folder is needed.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Any

from ..errors import RunError, unknown
from .files import table_bytes
from .job import Chunk, Job, Part
from .manifest import Scalar

AnyJob = Job[Any]


@dataclass(frozen=True)
class FinishedPart:
    """A chunk that was done: its tables as Parquet, by name."""

    index: int
    tables: Mapping[str, bytes]
    n_rows: int
    wall_s: float
    facts: list[dict[str, Scalar]]
    notes: list[str]


Engine = Callable[[AnyJob, Any, Sequence[Chunk]], Iterator[FinishedPart]]


def finish(job: AnyJob, context: Any, chunk: Chunk) -> FinishedPart:
    """Do one chunk."""
    started = time.perf_counter()
    part = job.do_chunk(context, chunk)
    wall_s = time.perf_counter() - started
    _check_names(job, part)
    tables = {name: table_bytes(table) for name, table in part.tables.items()}
    n_rows = part.tables[job.tables[0]].num_rows
    facts = [dict(fact) for fact in part.facts]
    return FinishedPart(chunk.index, tables, n_rows, wall_s, facts, list(part.notes))


def _check_names(job: AnyJob, part: Part) -> None:
    found, planned = set(part.tables), set(job.tables)
    if not (found == planned if job.keeps_parts else {job.tables[0]} <= found <= planned):
        raise ValueError(f"a part of `{job.kind}` has tables {sorted(found)}, planned are {sorted(planned)}")


def local(job: AnyJob, context: Any, chunks: Sequence[Chunk]) -> Iterator[FinishedPart]:
    """One after the other in this process."""
    for chunk in chunks:
        yield finish(job, context, chunk)


def processes(job: AnyJob, context: Any, chunks: Sequence[Chunk]) -> Iterator[FinishedPart]:
    """One process a core, through joblib."""
    if len(chunks) < 2:
        yield from local(job, context, chunks)
        return
    import joblib

    token, do = uuid.uuid4().hex, joblib.delayed(_in_worker)
    calls = (do(token, job, chunk) for chunk in chunks)
    yield from joblib.Parallel(n_jobs=-1, return_as="generator_unordered")(calls)


def ray(job: AnyJob, _context: Any, chunks: Sequence[Chunk]) -> Iterator[FinishedPart]:
    """Tasks of a Ray cluster: the one that is connected, the one of RAY_ADDRESS, or one of this machine.

    RunError where ray is not installed.
    """
    try:
        import ray as cluster
    except ImportError as error:
        raise RunError('engine "ray" needs the package ray: pip install "distgrid[ray]"') from error

    ours = not cluster.is_initialized()
    if ours:
        cluster.init(include_dashboard=False, log_to_driver=False)
    try:
        yield from _on_cluster(cluster, job, chunks)
    finally:
        if ours:
            cluster.shutdown()


def _on_cluster(cluster: Any, job: AnyJob, chunks: Sequence[Chunk]) -> Iterator[FinishedPart]:
    """At most two chunks a core are asked for at a time, so that what is done is soon taken away."""
    task, token, shared = cluster.remote(_in_worker), uuid.uuid4().hex, cluster.put(job)
    most = max(2 * int(cluster.cluster_resources().get("CPU", 1)), 2)
    left = iter(chunks)
    running: list[Any] = []
    while True:
        running += [task.remote(token, shared, chunk) for chunk in islice(left, most - len(running))]
        if not running:
            return
        done, running = cluster.wait(running)
        for reference in done:
            yield cluster.get(reference)


ENGINES: Mapping[str, Engine] = MappingProxyType({"local": local, "processes": processes, "ray": ray})


def engine_named(name: str) -> Engine:
    """The engine `name`. RunError with the nearest one where there is none."""
    if name not in ENGINES:
        raise unknown("engine", name, ENGINES)
    return ENGINES[name]


#: The last context of a worker process, by its run: making one may cost more than doing a chunk.
_prepared: dict[str, tuple[AnyJob, Any]] = {}


def _in_worker(token: str, job: AnyJob, chunk: Chunk) -> FinishedPart:
    """Do one chunk in a worker process; `token` is that of the run."""
    if token not in _prepared:
        for old, context in _prepared.values():
            old.release(context)
        _prepared.clear()
        _prepared[token] = job, job.prepare()
    return finish(*_prepared[token], chunk)
