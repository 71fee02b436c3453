"""`distgrid dist pf`: one power flow of a feeder as tables with units, balanced or phase by phase."""

from __future__ import annotations

import warnings
from pathlib import Path

from .... import cases, physics
from ....cases.library import source_notes
from ...errors import RunError, unknown
from .pf_balanced import balanced_tables
from .pf_phases import phase_tables
from .pf_result import PhasePowerFlow, PowerFlow

METHODS = ("backward-forward", "newton", "fast-decoupled")
LOOPS = ("keep", "prune", "refuse")
PHASES = ("balanced", "per-phase")


def power_flow(
    feeder: cases.Feeder | str | Path,
    *,
    method: str = "backward-forward",
    loops: str = "keep",
    phases: str | None = None,
    tol: float = 1e-8,
    max_iter: int = 100,
    voltage_bands: bool = False,
    vuf_max_pct: float = 2.0,
) -> PowerFlow | PhasePowerFlow:
    """Solve the nominal loads of a feeder and judge the result by the feeder's own limits.

    Args:
        feeder: A feeder, the name of a shipped one, a MATPOWER or .dss file or a folder of tables.
        method: "backward-forward", or of balanced feeders "newton" or "fast-decoupled".
        loops: "keep" solves meshed feeders with all their branches, "prune" leaves out those that close loops
            and says which, "refuse" raises.
        phases: "balanced" or "per-phase"; None: as the feeder is. A balanced feeder is solved per phase in
            the form of `distgrid.cases.model.three_phase`. The other way round there is no sound conversion.
        tol: Largest voltage change of the last iteration, pu.
        max_iter: Iterations after which it is given up.
        voltage_bands: Per phase only: loads outside their voltage band as in OpenDSS.
        vuf_max_pct: Per phase only: unbalance |V2| / |V1| allowed at nodes with three phases, %.

    Returns:
        What was found; a :class:`PhasePowerFlow` where it was solved per phase.

    Raises:
        ValueError: Unknown names, wrong numbers, a meshed feeder with "refuse", loads that the method cannot
            take, a per-phase feeder with "balanced". `distgrid.cases.CaseError`, a ValueError, for what is
            wrong with a file.
    """
    check_options(method, loops, phases, vuf_max_pct)
    if not isinstance(feeder, cases.Feeder):
        feeder = cases.load(feeder)
    feeder = in_phases(feeder, phases)
    if feeder.phases == "per-phase":
        return _per_phase(feeder, method, loops, tol, max_iter, voltage_bands, vuf_max_pct)
    return _balanced(feeder, method, loops, tol, max_iter, voltage_bands)


def check_options(method: str, loops: str, phases: str | None, vuf_max_pct: float) -> None:
    """RunError, with the nearest name, where one of them is unknown or no number."""
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    if loops not in LOOPS:
        raise unknown("way with loops", loops, LOOPS)
    if phases is not None and phases not in PHASES:
        raise unknown("form", phases, PHASES)
    if not 0.0 < vuf_max_pct < 100.0:
        raise RunError(f"the unbalance allowed must be above 0 and below 100 %, got {vuf_max_pct}")


def in_phases(feeder: cases.Feeder, phases: str | None) -> cases.Feeder:
    """The feeder in the form asked for. RunError where a per-phase one is asked to be balanced."""
    if phases == "balanced" and feeder.phases == "per-phase":
        raise RunError(
            f"feeder {feeder.name!r} is per-phase: its laterals, loads and couplings differ from phase to "
            "phase, so no balanced feeder has its power flow; leave --phases out, or choose per-phase"
        )
    return cases.three_phase(feeder) if phases == "per-phase" else feeder


def _balanced(
    feeder: cases.Feeder, method: str, loops: str, tol: float, max_iter: int, voltage_bands: bool
) -> PowerFlow:
    if loops == "refuse":
        _refuse_loops(feeder)
    with warnings.catch_warnings(record=True) as caught:
        _record()
        net = physics.compile(
            feeder, allow_mesh_pruning=loops == "prune", keep_loops=loops == "keep",
            voltage_bands=voltage_bands,
        )  # fmt: skip
    sol = physics.solve(net, method=method, tol=tol, max_iter=max_iter)
    return balanced_tables(net, sol, method, _notes(feeder, caught))


def _per_phase(
    feeder: cases.Feeder, method: str, loops: str, tol: float, max_iter: int, voltage_bands: bool,
    vuf_max_pct: float,
) -> PhasePowerFlow:  # fmt: skip
    with warnings.catch_warnings(record=True) as caught:
        _record()
        net = physics.compile_per_phase(
            feeder, allow_mesh_pruning=True, keep_loops=loops == "keep", voltage_bands=voltage_bands
        )
    if loops == "refuse" and net.topology.dropped.size:
        _refuse_loops(feeder)
    sol = physics.solve(net, method=method, tol=tol, max_iter=max_iter)
    return phase_tables(net, sol, method, _notes(feeder, caught), vuf_max_pct)


def _notes(feeder: cases.Feeder, caught: list[warnings.WarningMessage]) -> tuple[str, ...]:
    """What compilation left out, then what the importer noted of the feeder's source."""
    notes = source_notes(feeder)
    return (*(str(warning.message) for warning in caught), *([notes] if notes else []))


def _record() -> None:
    """Only what compilation says about the feeder."""
    warnings.simplefilter("ignore")
    warnings.simplefilter("always", physics.MeshWarning)
    warnings.simplefilter("always", physics.IslandWarning)


def _refuse_loops(feeder: cases.Feeder) -> None:
    found = feeder.topology().meshes
    if found:
        told = "; ".join(", ".join(loop) for loop in found[:5]) + (" …" if len(found) > 5 else "")
        raise RunError(
            f"feeder {feeder.name!r} is meshed; its loops: {told}. Open a branch of each, or choose loops "
            "'keep' (solve it as it is) or 'prune' (leave out the branches that close them)"
        )
