"""Verbs of the command: those that are jobs are made from the configuration of their job."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from typing import Any

import typer

from ..jobs.job import Job
from .job_command import command_of

#: Verbs that are jobs, module and class: "dist pf" is `distgrid dist pf`, and the kind of its job.
JOBS: dict[str, tuple[str, str]] = {
    "run": ("rollouts.job", "RolloutJob"),
    "audit": ("audit.job", "AuditJob"),
    "certify": ("certify.job", "CertifyJob"),
    "train": ("training.job", "TrainJob"),
    "dist pf": ("workflows.dist.pf_job", "PowerFlowJob"),
    "dist controls": ("workflows.dist.controls_job", "ControlsJob"),
    "dist sensitivities": ("workflows.dist.sensitivity_job", "SensitivitiesJob"),
    "dist opf": ("workflows.dist.opf_job", "OpfJob"),
    "dist hostcap": ("workflows.dist.hostcap_job", "HostCapJob"),
    "dist connect": ("workflows.dist.connect_job", "ConnectJob"),
    "dist featurize": ("workflows.dist.featurize_job", "FeaturizeJob"),
    "derms schedule": ("workflows.derms.schedule_job", "ScheduleJob"),
    "derms dispatch": ("workflows.derms.dispatch_job", "DispatchJob"),
    "derms envelope": ("workflows.derms.envelope_job", "EnvelopeJob"),
    "derms stress-test": ("workflows.derms.stress_job", "StressJob"),
    "adms vvo-plan": ("workflows.adms.vvo_job", "VvoPlanJob"),
}

#: Other verbs, and module and function of their command.
COMMANDS: dict[str, tuple[str, str]] = {
    "describe": ("cli.describe", "describe_env"),
    "train-rllib": ("cli.train_rllib", "train_rllib"),
    "derms validate-assets": ("cli.derms", "validate_assets"),
}

#: Groups of verbs that stand in a module together, under the name `app`.
APPS: dict[str, str] = {"bench": "cli.bench", "case": "cli.case"}

#: Help of the first words of verbs of two.
GROUPS = {
    "dist": "Analyse a feeder: power flow, local control, sensitivities, optimal power flow, hosting "
    "capacity, graphs.",
    "derms": "Manage distributed resources: asset tables, flexibility envelopes, schedules, stress tests.",
    "adms": "Plan the operation of a feeder: Volt/VAR optimisation.",
}


def jobs() -> Iterator[type[Job[Any]]]:
    """Every job with a verb, in the order of the help."""
    for verb in JOBS:
        yield _job(verb)


def add_verbs(app: typer.Typer, words: Sequence[str] = ()) -> None:
    """Add the verb that `words` of a command line begin with to `app`; all of them where it is none in full.

    What a verb does not need is not imported: to import all of them takes longer than a short command.
    """
    named = [verb for verb in (*COMMANDS, *JOBS, *APPS) if [*words[: len(verb.split())]] == verb.split()]
    groups: dict[str, typer.Typer] = {}
    for verb in named or (*COMMANDS, *JOBS, *APPS):
        if verb in APPS:
            app.add_typer(_found(APPS[verb], "app"), name=verb)
            continue
        place, word = _place(app, groups, verb)
        if verb in COMMANDS:
            place.command(word)(_found(*COMMANDS[verb]))
            continue
        job = _job(verb)
        place.command(word)(command_of(job))
        for alias in job.aliases:
            place.command(alias, hidden=True)(command_of(job))


def _job(verb: str) -> type[Job[Any]]:
    found = _found(*JOBS[verb])
    assert issubclass(found, Job)
    assert found.kind == verb
    return found


def _found(module: str, name: str) -> Any:
    return getattr(importlib.import_module(f"...{module}", __name__), name)


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
