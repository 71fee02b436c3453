"""Whether a feeder is what its source says: solved here and in the engine of its format, node by node."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .... import physics
from ....cases import Feeder
from ....cases.importers.reading import EngineFailedError, EngineMissingError, EngineVoltages, Reading
from ...errors import RunError
from .band_sides import held, jumping, sides

LARGEST_PU = 1e-6
NOT_VERIFIED = "not verified"
_TOL, _MAX_ITER = 1e-11, 2000
_SHOWN = 8  # elements around the worst node


@dataclass(frozen=True)
class Verification:
    """What came of one comparison.

    Attributes:
        engine: what solved the source.
        largest_pu: largest distance of two voltages (complex, so that angles count), in pu.
        node: where, with its phase on per-phase feeders.
        compared: how many voltages.
        between: how many of them were compared between phases: those of zones without ground, where their
            potentials to it differ.
        potential_pu: by how much the potentials of such zones to ground differ; next to nothing holds them.
        approximated: what was reduced on request, in words: the difference is what that costs.
        held: loads that were compared on the side of their voltage band where the engine has them, as the
            power flow has several solutions.
        apart_pu: how far the solution is that was found here without holding them; infinite: none was.
        steps: in how many steps of a series, in words.
    """

    engine: str
    largest_pu: float
    node: str
    compared: int
    approximated: str = ""
    between: int = 0
    potential_pu: float = 0.0
    held: int = 0
    apart_pu: float = 0.0
    steps: str = ""

    def __str__(self) -> str:
        if not self.compared:
            return f"{NOT_VERIFIED}: {self.engine} has none of its nodes under voltage"
        if self.approximated:
            return (
                f"approximate: {self.approximated}; compared with {self.engine} that costs at most "
                f"{self.largest_pu:.1e} pu (node {self.node}) of {self.compared} voltages{self._zones()}"
                f"{self.steps}"
            )
        return (
            f"verified by {self.engine}: largest difference {self.largest_pu:.1e} pu (node {self.node}) of "
            f"{self.compared} voltages{self._zones()}{self.steps}{self._several()}"
        )

    def _zones(self) -> str:
        if not self.between:
            return ""
        return (
            f", {self.between} of them between phases, in zones without ground (their potentials to it, "
            f"which next to nothing holds, differ by {self.potential_pu:.1e} pu)"
        )

    def _several(self) -> str:
        if not self.held:
            return ""
        own = "none is" if np.isinf(self.apart_pu) else f"another one, {self.apart_pu:.1e} pu away, is"
        loads = "1 load" if self.held == 1 else f"{self.held} loads"
        return (
            f", with {loads} on the side of the voltage band where {self.engine} has them: they jump at its "
            f"edges, so that there are several solutions, of which {own} found here"
        )


class ImportDifferenceError(RunError):
    """What was imported is not what the engine of the format solves."""


def verify(reading: Reading) -> Verification:
    """Solve a feeder here and in the engine of its format, and compare all voltages.

    Raises:
        ImportDifferenceError: a difference above 1e-6 pu; names the worst node and the elements around it.
        RunError: the engine is missing, or one of the two finds no solution.
    """
    if reading.engine is None:
        raise RunError("this format has no engine that could verify it")
    try:
        theirs = reading.engine()
    except EngineMissingError as error:
        raise RunError(str(error)) from error
    except EngineFailedError as error:
        raise RunError(f"cannot verify the import: {error}") from error
    return compare(reading.feeder, theirs, reading.approximated)


def compare(feeder: Feeder, theirs: EngineVoltages, approximated: str = "") -> Verification:
    """Compare the nominal power flow of a feeder with voltages of an engine; see `verify`.

    Where something was reduced on request the difference is told, whatever it is, as long as no node is dead
    on one side only.
    """
    solution = solution_of(feeder, {})
    ours = np.asarray(solution.v) if bool(solution.converged) else None
    return compare_solution(feeder, ours, theirs, {}, approximated, ungrounded(solution))


def compare_solution(
    feeder: Feeder,
    ours: NDArray[np.complex128] | None,
    theirs: EngineVoltages,
    powers: Mapping[str, NDArray[np.float64]],
    approximated: str = "",
    without_ground: NDArray[np.bool_] | None = None,
) -> Verification:
    """Compare a solution with that of an engine; where there are several, the same one.

    Args:
        feeder: what was solved.
        ours: its voltages; None: no solution was found.
        theirs: those of the engine.
        powers: loads in place of the nominal ones, see `band_sides.held`.
        approximated: see `compare`.
        without_ground: see `compare_voltages`.
    """
    try:
        if ours is None:
            raise _no_solution(feeder)
        return compare_voltages(feeder, ours, theirs, approximated, without_ground)
    except RunError as first:
        found = _held(feeder, ours, theirs, powers, approximated)
        if found is None:
            raise first from None
        return found


def _held(
    feeder: Feeder,
    ours: NDArray[np.complex128] | None,
    theirs: EngineVoltages,
    powers: Mapping[str, NDArray[np.float64]],
    approximated: str,
) -> Verification | None:
    """The comparison with loads that jump held where the engine has them; None where it fails, too."""
    parts = jumping(feeder) if feeder.phases != "balanced" and not approximated else []
    if not parts:
        return None
    there = sides(feeder, parts, theirs.v_pu)
    differing = np.ones(len(parts), dtype=bool) if ours is None else there != sides(feeder, parts, ours)
    if not differing.any():
        return None
    solution = solution_of(held(feeder, parts, there, powers), {})
    if not bool(solution.converged):
        return None
    try:
        found = compare_voltages(feeder, np.asarray(solution.v), theirs, "", ungrounded(solution))
    except ImportDifferenceError:
        return None
    apart = np.inf if ours is None else float(np.nanmax(np.abs(ours - np.asarray(solution.v))))
    return replace(found, held=int(differing.sum()), apart_pu=apart)


def compare_voltages(
    feeder: Feeder,
    ours: NDArray[np.complex128],
    theirs: EngineVoltages,
    approximated: str = "",
    without_ground: NDArray[np.bool_] | None = None,
) -> Verification:
    """Compare (n_nodes,) or (n_nodes, 3) voltages of a feeder with those of an engine; see `compare`.

    Voltages `without_ground`, see `ungrounded`, are compared between the phases of their node, in pu of the
    base voltage between phases.
    """
    here, there = (np.where(theirs.compared, v, np.nan) for v in (ours, theirs.v_pu))
    dead_here, dead_there = np.isnan(here), np.isnan(there)
    difference, potential_pu, between = np.abs(here - there), 0.0, 0
    if without_ground is not None:
        legs = _between_phases(here - there)
        adrift = without_ground & (difference > LARGEST_PU) & ~np.isnan(legs)
        potential_pu, between = float(difference[adrift].max(initial=0.0)), int(adrift.sum())
        difference = np.where(adrift, legs, difference)
    difference[np.isnan(difference)] = -1.0
    difference[dead_here ^ dead_there] = np.inf
    compared = int((difference >= 0).sum())
    if not compared:
        return Verification(theirs.engine, 0.0, "", 0)
    at = np.unravel_index(int(np.argmax(difference)), difference.shape)
    node, phase = int(at[0]), ("ABC"[at[1]] if difference.ndim == 2 else "")
    name = str(feeder.column("nodes", "node_id")[node])
    shown = f"{name} phase {phase}" if phase else name
    largest = float(difference[at])
    if not largest <= (sys.float_info.max if approximated else LARGEST_PU):
        to_ground = without_ground is None or not adrift[at]
        raise ImportDifferenceError(
            f"feeder {feeder.name!r}: {theirs.engine} differs by {largest:.2e} pu at node {shown} "
            f"({_volts(ours[at])} here, {_volts(theirs.v_pu[at])} there"
            f"{'' if to_ground else '; compared between phases, as the zone has no ground'}); at most "
            f"{LARGEST_PU:g} is taken for rounding. Around it: {around(feeder, name)}"
        )
    return Verification(theirs.engine, largest, shown, compared, approximated, between, potential_pu)


def _between_phases(difference: NDArray[np.complex128]) -> NDArray[np.float64]:
    """(n_nodes, 3) the larger one between a phase and the others of its node; NaN without another."""
    legs = [np.abs(difference - np.roll(difference, turn, axis=1)) / np.sqrt(3.0) for turn in (1, 2)]
    return np.asarray(np.fmax(*legs))


def ungrounded(solution: Any) -> NDArray[np.bool_] | None:
    """(n_nodes, 3) voltages of a per-phase solution in zones without ground; None of a balanced one."""
    net = solution.net
    return net.topology.ungrounded if net.feeder.phases == "per-phase" else None


def nominal_voltages(feeder: Feeder) -> NDArray[np.complex128]:
    """(n_nodes,) or (n_nodes, 3) complex voltages at nominal loads, loops closed.

    Raises:
        RunError: no solution, or loops that the power flow cannot close; names them.
    """
    solution = solution_of(feeder, {})
    if not bool(solution.converged):
        raise _no_solution(feeder)
    return np.asarray(solution.v)


def _no_solution(feeder: Feeder) -> RunError:
    loops = "; ".join(", ".join(loop) for loop in feeder.topology().loops)
    closes = f"; its loops: branches {loops}" if loops else ""
    return RunError(f"feeder {feeder.name!r}: the power flow finds no solution at nominal load{closes}")


def solution_of(feeder: Feeder, loads: dict[str, Any]) -> Any:
    """What the power flow finds, with loops closed, for other loads than the nominal ones or for these.

    Raises:
        RunError: loops that the power flow cannot close, loads that the feeder cannot have.
    """
    bands = feeder.phases == "per-phase"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            net: Any = physics.compile(feeder, keep_loops=True, voltage_bands=bands)
            return physics.solve(net, **loads, tol=_TOL, max_iter=_MAX_ITER)
        except ValueError as error:
            raise RunError(f"feeder {feeder.name!r} cannot be solved here: {error}") from error


def around(feeder: Feeder, node: str) -> str:
    """The elements at a node and of the branches that end there, in words."""
    found = []
    columns = ("branch_id", "from_node", "to_node", "type", "status")
    rows = zip(*(feeder.column("branches", name) for name in columns), strict=True)
    for branch, start, end, kind, closed in rows:
        if node in (start, end):
            found.append(f"{kind} {branch}{'' if closed else ' (open)'}")
    for table, key in (("loads", "load_id"), ("capacitors", "cap_id"), ("sources", "source_id")):
        ids = feeder.column(table, key)[feeder.column(table, "node_id") == node]
        found += [f"{table[:-1]} {one}" for one in ids]
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return (", ".join(found[:_SHOWN]) or "nothing") + more


def _volts(v: complex) -> str:
    return "dead" if np.isnan(v) else f"{abs(v):.6f} pu at {np.angle(v, deg=True):.4f} degrees"
