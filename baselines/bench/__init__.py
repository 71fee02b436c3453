"""Timings beside those of other people's programs, in the same run on the same machine.

from distgrid.baselines.bench import bench_env, bench_pf

report = bench_pf(quick=True)
report.model_dump_json()

What is timed is said in each row; what is compared is compared at equal true error: every solver gets the
loosest tolerance that brings its voltages within the target of a Newton solution at 1e-12.
"""

from __future__ import annotations

from .env import bench_env
from .gradient import bench_gradient
from .hosting import bench_hosting
from .marl import bench_marl
from .opf import bench_opf
from .pf import bench_pf
from .pf_phases import bench_pf3
from .report.marl import MarlReport
from .report.results import (
    EnvReport,
    GradientReport,
    HostingReport,
    OpfReport,
    Pf3Report,
    PfReport,
    RolloutReport,
    VectorReport,
)
from .rollout import bench_rollout
from .vector import bench_vector

__all__ = [
    "EnvReport",
    "GradientReport",
    "HostingReport",
    "MarlReport",
    "OpfReport",
    "Pf3Report",
    "PfReport",
    "RolloutReport",
    "VectorReport",
    "bench_env",
    "bench_gradient",
    "bench_hosting",
    "bench_marl",
    "bench_opf",
    "bench_pf",
    "bench_pf3",
    "bench_rollout",
    "bench_vector",
]
