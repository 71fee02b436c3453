"""A made-up job, as somebody would add one: primes, block by block.

As a script it does what lines of stdin ask for, each in a forked child: a process of its own, which may be
killed, and which need not import everything anew.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from pydantic import Field

from distgrid.baselines.jobs.job import Job, JobConfig, Part
from distgrid.baselines.jobs.runner import prepared, run_job


class PrimesConfig(JobConfig):
    """Count the primes of blocks of numbers."""

    blocks: int = Field(default=12, ge=1, description="How many blocks.")
    size: int = Field(default=50, ge=1, description="Numbers of a block.")


class Primes(Job[PrimesConfig]):
    """The primes of each block."""

    kind = "made-up"
    config_model = PrimesConfig
    tables = ("primes",)

    def items(self, context: None) -> Sequence[int]:
        """The blocks by number."""
        return range(self.config.blocks)

    def do(self, context: None, item: int) -> Part:
        """Find the primes of a block."""
        if os.environ.get("DIES_AT_BLOCK") == str(item):
            os.kill(int(os.environ["DIES_PID"]), signal.SIGKILL)
        numbers = range(item * self.config.size, (item + 1) * self.config.size)
        found = [n for n in numbers if n > 1 and all(n % k for k in range(2, int(n**0.5) + 1))]
        table = pa.table({"block": pa.array([item] * len(found), pa.int64()), "prime": found})
        return Part({"primes": table})


def do_job(out: str, engine: str) -> None:
    """Do the job in this process, or from it."""
    os.environ["DIES_PID"] = str(os.getpid())
    if engine == "ray":
        import ray

        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    job = Primes(PrimesConfig())
    with prepared(job) as context:
        run_job(job, context, Path(out), engine=engine, chunk_size=2)
    if engine == "ray":
        ray.shutdown()


def in_child(out: str, engine: str, log: str, environment: dict[str, str]) -> None:
    """Do the job in a session of its own, what is said into ``log``, and leave the process."""
    os.setsid()
    os.environ.update(environment)
    said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(said, stream)
    code = 1
    try:
        do_job(out, engine)
        code = 0
    finally:
        if code:
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(code)


def serve() -> None:
    """How each child ended is a line of stdout; what it started ends with it, also where it is killed."""
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if not child:
            in_child(**asked)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        sys.stdout.write(f"{code}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
