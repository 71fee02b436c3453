"""Verbs of the command: those that are jobs are made from the configuration of their job."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import typer

from ..jobs.job import Job
from .job_command import command_of

#: Module and class of every job with a verb; its kind says where it stands: "dist pf" is `distgrid dist pf`.
JOBS: tuple[tuple[str, str], ...] = (
    ("rollouts.job", "RolloutJob"),
    ("audit.job", "AuditJob"),
    ("certify.job", "CertifyJob"),
    ("training.job", "TrainJob"),
    ("workflows.dist.pf_job", "PowerFlowJob"),
    ("workflows.dist.controls_job", "ControlsJob"),
    ("workflows.dist.sensitivity_job", "SensitivitiesJob"),
    ("workflows.dist.opf_job", "OpfJob"),
    ("workflows.dist.hostcap_job", "HostCapJob"),
    ("workflows.dist.connect_job", "ConnectJob"),
    ("workflows.dist.featurize_job", "FeaturizeJob"),
    ("workflows.derms.schedule_job", "ScheduleJob"),
    ("workflows.derms.dispatch_job", "DispatchJob"),
    ("workflows.derms.envelope_job", "EnvelopeJob"),
    ("workflows.derms.stress_job", "StressJob"),
    ("workflows.adms.vvo_job", "VvoPlanJob"),
)

#: Verbs of two words that only show something, and module (beside this one) and function of their command.
COMMANDS: tuple[tuple[str, str, str], ...] = (("derms validate-assets", "derms", "validate_assets"),)

#: Help of the first words of verbs of two.
GROUPS = {
    "dist": "Analyse a feeder: power flow, local control, sensitivities, optimal power flow, hosting "
    "capacity, graphs.",
    "derms": "Manage distributed resources: asset tables, flexibility envelopes, schedules, stress tests.",
    "adms": "Plan the operation of a feeder: Volt/VAR optimisation.",
}


def jobs() -> Iterator[type[Job[Any]]]:
    """Every job with a verb, in the order of the help."""
    for module, name in JOBS:
        found = getattr(importlib.import_module(f"...{module}", __name__), name)
        assert issubclass(found, Job)
        yield found


def add_verbs(app: typer.Typer) -> None:
    """Add a command for every job, and those of `COMMANDS`, to `app`."""
    groups: dict[str, typer.Typer] = {}
    for job in jobs():
        place, verb = _place(app, groups, job.kind)
        place.command(verb)(command_of(job))
        for alias in job.aliases:
            place.command(alias, hidden=True)(command_of(job))
    for words, module, function in COMMANDS:
        place, verb = _place(app, groups, words)
        place.command(verb)(getattr(importlib.import_module(f"..{module}", __name__), function))


def _place(app: typer.Typer, groups: dict[str, typer.Typer], words: str) -> tuple[typer.Typer, str]:
    """Where a verb stands, in a group that is made for its first one, and its last word."""
    *group, verb = words.split()
    if not group:
        return app, verb
    (name,) = group
    if name not in groups:
        groups[name] = typer.Typer(help=GROUPS[name], no_args_is_help=True, rich_markup_mode=None)
        app.add_typer(groups[name], name=name)
    return groups[name], verb
