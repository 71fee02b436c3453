"""What an environment has to be for a trained policy to be played on it, as hashes by part."""

from __future__ import annotations

from collections.abc import Mapping

from ...envs.core.planning import PlannedScenario
from ..errors import RunError, printable
from ..jobs.feeder_content import feeder_sha256
from ..jobs.files import sha256_of

_DIGITS = 16


def fingerprints(scenario: PlannedScenario) -> dict[str, str]:
    """Hashes of the feeder, the task, the units, what is observed and what is acted on.

    Splits, days and what the episodes draw are left out: a policy is trained on some days to be played on
    others. The level of observation is part of what is observed.
    """
    shown = scenario.layout
    parts = {
        "feeder": feeder_sha256(scenario.feeder),
        "task": sha256_of(repr(scenario.task).encode()),
        "units": sha256_of(repr(scenario.units).encode()),
        "observation": sha256_of(repr((shown.level, shown.normalised, shown.describe())).encode()),
        "action": sha256_of(repr((scenario.codec.space, scenario.action_layout)).encode()),
    }
    return {name: digest[:_DIGITS] for name, digest in parts.items()}


def check_fits(wanted: Mapping[str, str], scenario: PlannedScenario, path: str, trained_on: str) -> None:
    """RunError where `scenario` is not what a policy was trained for; it says in which parts it differs."""
    found = fingerprints(scenario)
    differing = [name for name in found if wanted.get(name) != found[name]]
    if differing:
        raise RunError(
            f"{path} was trained on {printable(trained_on)}, and this environment has another "
            f"{', '.join(differing)}: play it on the id and version that it was trained on, "
            "or train on this one"
        )
