"""Jobs: anything that is many independent items, in a folder that can be resumed, on one of three engines."""

from __future__ import annotations

from .job import Job, JobConfig, Part
from .runner import prepared, run_job

__all__ = ["Job", "JobConfig", "Part", "prepared", "run_job"]
