"""The dispatch of a per-phase feeder on the AC power flow itself: the voltage of every phase is a limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import physics
from ..errors import RunError, unknown
from .ac_problem import AcLimits, AcProblem
from .affine import FloatArray, IntArray
from .branch_flow import NetworkLimits
from .dispatch_program import Case
from .local import LocalOptimum, found_from, load_rows, setpoints_of
from .switched import best_settings
from .units import Unit
from .verdict import KEPT

_PHASES = "ABC"
_OF_SETTINGS = {"loss": "loss", "cost": "head"}  # what settings make small for an objective


@dataclass(frozen=True)
class PhaseUnit(Unit):
    """A device of a per-phase feeder, between phases and ground.

    Attributes:
        phase: One to three of "A", "B", "C"; its power is split equally over them.

    Raises:
        ValueError: as `Unit`, or other phases.
    """

    phase: str = "ABC"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.phase or set(self.phase) - set(_PHASES) or len(set(self.phase)) < len(self.phase):
            raise ValueError(
                f"unit {self.name!r}: phase must be of the letters A, B and C, got {self.phase!r}"
            )


def phase_optimum(
    net: physics.Network3,
    units: Sequence[PhaseUnit],
    *,
    objective: str = "loss",
    limits: NetworkLimits | None = None,
    head_usd_mwh: float = 0.0,
    p_mw: FloatArray | None = None,
    q_mvar: FloatArray | None = None,
    p_delta_mw: FloatArray | None = None,
    q_delta_mvar: FloatArray | None = None,
    v_source_pu: float | None = None,
    tap: FloatArray | None = None,
    cap_on: Any = None,
    start: tuple[FloatArray, FloatArray] | None = None,
    max_iterations: int = 60,
) -> LocalOptimum:
    """A local optimum of the dispatch of a per-phase feeder.

    As `local.local_optimum`, with the band at every node and phase, and of each rating a third for each phase
    (see `physics.Solution3.loading`). Nothing bounds it: the best that is known, never called optimal.

    Args:
        net: Compiled, per phase.
        units: What is dispatched, with bus and phases.
        objective: "loss", "cost", "voltage" (the sum over nodes and phases of (V - 1)^2) or "host".
        limits: Of the network; None: the band [0.95, 1.05] and the ratings.
        head_usd_mwh: Price of what the head delivers.
        p_mw: (n_bus, 3) or (steps, n_bus, 3) loads to ground; None: the nominal ones.
        q_mvar: With ``p_mw``.
        p_delta_mw: Loads between phases; None: the nominal ones.
        q_delta_mvar: With ``p_delta_mw``.
        v_source_pu: Of all sources; None: as stored.
        tap: (n_regulator,) ratios; None: as stored.
        cap_on: (n_cap,) states of banks; None: as stored.
        start: P and Q of units; None: 0, or as near to it as limits let.
        max_iterations: Subproblems at most.

    Raises:
        RunError: an unknown bus or objective, a phase that a bus does not have, a band outside the physical,
            loads or a start of wrong shape, a balanced feeder.
    """
    given = {"p_mw": p_mw, "q_mvar": q_mvar, "p_delta_mw": p_delta_mw, "q_delta_mvar": q_delta_mvar}
    settings = {"v_source_pu": v_source_pu, "tap": tap, "cap_on": cap_on}
    problem, steps = phase_problem(net, units, objective, limits, head_usd_mwh, given, settings)
    return found_from(problem, tuple(units), start, steps, max_iterations)


def phase_problem(
    net: physics.Network3, units: Sequence[PhaseUnit], objective: str, limits: NetworkLimits | None,
    head_usd_mwh: float, given: dict[str, FloatArray | None], settings: dict[str, Any],
) -> tuple[AcProblem, int | None]:  # fmt: skip
    """The problem of `phase_optimum`, checked, and its steps (None: a single operating point)."""
    limits = NetworkLimits() if limits is None else limits
    if not isinstance(net, physics.Network3):
        raise RunError("a dispatch per phase needs a per-phase feeder: of balanced ones use local_optimum")
    case = Case.of(net, units, objective, limits, head_usd_mwh)
    loads, steps = load_rows(given, (net.n_bus, 3))
    present = grounded(net)
    live = present.copy()
    live[[source.node for source in net.sources]] = False
    problem = AcProblem(
        net, setpoints_of(case.units, objective), shares_of(case.at, units, present), objective, head_usd_mwh,
        AcLimits.of(net, limits, live.ravel()), loads,
        {name: value for name, value in settings.items() if value is not None},
    )  # fmt: skip
    return problem, steps


def grounded(net: physics.Network3) -> NDArray[np.bool_]:
    """(n_bus, 3) phases that are fed and have a voltage to ground of their own."""
    topology = net.topology
    slots = np.asarray(topology.ground_slots, dtype=bool).reshape(-1, 3)
    return np.asarray(net.present & topology.energised & slots, dtype=bool)


def shares_of(
    at: Sequence[int] | IntArray, units: Sequence[PhaseUnit], present: NDArray[np.bool_]
) -> FloatArray:
    """(n_unit, 3 n_bus) what of a unit is fed in at each bus and phase."""
    share = np.zeros((len(units), *present.shape))
    for k, (unit, bus) in enumerate(zip(units, at, strict=True)):
        places = [_PHASES.index(letter) for letter in unit.phase]
        if not present[bus, places].all():
            has = "".join(letter for letter, there in zip(_PHASES, present[bus], strict=True) if there)
            raise RunError(
                f"unit {unit.name!r}: phase {unit.phase!r} is not at bus {unit.bus!r}, which has "
                f"{has or 'no fed phase to ground'}"
            )
        share[k, bus, places] = 1.0 / len(places)
    return share.reshape(len(units), present.size)


@dataclass(frozen=True, eq=False)
class TunedOptimum:
    """Setpoints of units together with positions of taps and banks: the best known.

    Attributes:
        dispatch: Of the units, at these settings.
        tap_pos: (n_regulator,) positions. cap_on: (n_cap,) states of banks.
        rounds: How often units and settings took turns.
    """

    dispatch: LocalOptimum
    tap_pos: IntArray
    cap_on: NDArray[np.bool_]
    rounds: int


def tuned_phase_optimum(
    net: physics.Network3, units: Sequence[PhaseUnit], *, objective: str = "loss",
    limits: NetworkLimits | None = None, head_usd_mwh: float = 0.0, taps: Sequence[str] | None = None,
    banks: Sequence[str] | None = None, most_rounds: int = 4, starts: int = 1, **point: Any,
) -> TunedOptimum:  # fmt: skip
    """Units, taps and banks in turn: `phase_optimum` at the settings, `best_settings` at the setpoints.

    A round that breaks the limits less, or keeps them and gains, is kept; one that does neither ends it. A
    coordinate search over two blocks: nothing says that no better pair exists.

    Args:
        net: Compiled, per phase, with tap changers or banks.
        units: What is dispatched.
        objective: "loss", or "cost", for which settings with the least power at the head are looked for.
        limits: Of the network.
        head_usd_mwh: Price of what the head delivers.
        taps: Ids of tap changers that may move; None: all.
        banks: Ids of banks that may switch; None: all.
        most_rounds: At most.
        starts: Of each search of settings.
        **point: Loads and source voltage as `phase_optimum` takes them; left out: as stored.

    Raises:
        RunError: as `phase_optimum` and `best_settings`; another objective.
    """
    if objective not in _OF_SETTINGS:
        raise unknown("objective", objective, _OF_SETTINGS)
    limits = NetworkLimits() if limits is None else limits
    band = limits.v_band or (0.0, 2.0)
    names = net.feeder.column("nodes", "node_id")
    judged = limits.judges(names)
    judged[[source.node for source in net.sources]] = False
    fed = [str(name) for name in names[judged]]
    stored = net.feeder.regulators.column("tap_pos").to_numpy().astype(np.int64)
    step = net.feeder.regulators.column("tap_step_pu").to_numpy()
    numbers: dict[str, Any] = {
        "objective": objective, "limits": limits, "head_usd_mwh": head_usd_mwh, **point
    }  # fmt: skip
    best = TunedOptimum(phase_optimum(net, units, **numbers), stored, np.asarray(net.cap_on, dtype=bool), 0)
    idle = setpoints_of(units, objective).projected(np.zeros((1, 2 * len(units))))[0]
    for rounds in range(1, most_rounds + 1):
        present, gained = best, False
        starts_of_units = [(present.dispatch.p_mw, present.dispatch.q_mvar)]
        if present.dispatch.violation > KEPT:  # setpoints that strive for the band mislead the settings
            starts_of_units.append((idle[: len(units)], idle[len(units) :]))
        for start in starts_of_units:
            p, q = fed_in(net, units, *start)
            found = best_settings(
                net, objective=_OF_SETTINGS[objective], v_band=band, buses=fed, most_exhaustive=0,
                starts=starts, taps=taps, banks=banks, p_inject_mw=p, q_inject_mvar=q, **point,
            )  # fmt: skip
            ratio = 1.0 + found.tap_pos * step
            again = phase_optimum(net, units, tap=ratio, cap_on=found.cap_on, start=start, **numbers)
            if _gains(again, best.dispatch):
                best, gained = TunedOptimum(again, found.tap_pos, found.cap_on, rounds), True
        if not gained:
            break
    return best


def _gains(new: LocalOptimum, old: LocalOptimum) -> bool:
    """Whether limits are broken less, or kept by both and the objective is lower by more than rounding."""
    if max(new.violation, old.violation) > KEPT:
        return bool(new.violation < old.violation - KEPT)
    return bool(new.objective < old.objective - 1e-9 * abs(old.objective))


def injections(
    net: physics.Network3, units: Sequence[PhaseUnit], found: LocalOptimum
) -> tuple[FloatArray, FloatArray]:
    """What setpoints feed in, (n_bus, 3) or (steps, n_bus, 3), MW and Mvar: arguments of `physics.solve`."""
    return fed_in(net, units, found.p_mw, found.q_mvar)


def fed_in(
    net: physics.Network3, units: Sequence[PhaseUnit], p_mw: FloatArray, q_mvar: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """What powers of units feed in, (n_bus, 3) or (steps, n_bus, 3), MW and Mvar."""
    at = [net.feeder.node_index[unit.bus] for unit in units]
    share = shares_of(at, units, grounded(net))
    p, q = (x @ share for x in (p_mw, q_mvar))
    return p.reshape(*p.shape[:-1], -1, 3), q.reshape(*q.shape[:-1], -1, 3)
