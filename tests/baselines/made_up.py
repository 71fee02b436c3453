"""A made-up job, as somebody would add one: primes, block by block. Tests also start it as a script."""

from __future__ import annotations

import os
import signal
import sys
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


def main(out: str, engine: str) -> None:
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


if __name__ == "__main__":
    main(*sys.argv[1:])
