"""The intervals of a day on a per-phase feeder: one batch of power flows, and what terms have of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .... import physics
from ....envs.core.phase_stepper import PhaseStepper
from ....envs.core.planning import PlannedScenario, Window
from ....envs.core.power_flow import solved_grid
from ...errors import RunError
from ..affine import FloatArray, IntArray
from .answering import Answering

_TOLERANCE = 1e-11


@dataclass(frozen=True, eq=False)
class Setpoints:
    """What the fleet does in every interval.

    Attributes:
        p_mw, q_mvar: (steps, n_units) of all units, positive when injecting; 0 of those that move the grid.
        position: (steps, n_moved) of tap changers and banks, in the order of `PhaseNetwork.moved`.
    """

    p_mw: FloatArray
    q_mvar: FloatArray
    position: FloatArray

    def at(self, steps: IntArray) -> Setpoints:
        """Those of some intervals, in this order."""
        return Setpoints(self.p_mw[steps], self.q_mvar[steps], self.position[steps])


@dataclass(frozen=True, eq=False)
class Moved:
    """A tap changer or a bank.

    Attributes:
        name: Of the unit.
        row: Of the table of regulators, or of banks.
        is_tap: Which.
        step_pu: Of a tap changer.
        now, low, high: Positions.
        most: Steps of one interval, inf: any number.
        left, budget: Steps until the day ends, and of each later day.
        action: Column of the action.
    """

    name: str
    row: int
    is_tap: bool
    step_pu: float
    now: int
    low: int
    high: int
    most: float
    left: float
    budget: float
    action: int


class PhaseNetwork:
    """A per-phase feeder with loads of a window, and a fleet whose setpoints are asked for.

    Attributes:
        places: Columns of voltages, branches and unbalance as an environment reads them.
        moved: Tap changers and banks.
        answering: Inverters that follow functions of their own.
        steps: Intervals.
        margin_pu: By how much voltages are to keep within the band.
    """

    def __init__(self, scenario: PlannedScenario, window: Window, margin_pu: float = 0.0) -> None:
        """RunError for a feeder that is not per phase."""
        net = per_phase(scenario)
        self.net, self.steps, self.window = net, window.t_index.size, window
        self.margin_pu = margin_pu
        places = solved_grid(net, 1, scenario.fleet, scenario.task)
        assert isinstance(places, PhaseStepper)
        self.places, self._port_of = places, scenario.fleet.columns
        self.moved = _moved(scenario, window)
        self.answering = Answering(scenario, window, places)
        self._tap, self._cap = places.tap.copy(), places.cap_on.copy()
        p, q = (self._placed(part) for part in (window.load_p_mw, window.load_q_mvar))
        self._load: dict[str, Any] = {"p_mw": p[0], "q_mvar": q[0], "p_delta_mw": p[1], "q_delta_mvar": q[1]}

    def solve(self, setpoints: Setpoints, steps: IntArray | None = None) -> physics.Solution3:
        """The power flow of a row of setpoints each; ``steps``: intervals that they are of (None: all).

        Units that follow functions of their own give what they answer to the voltage, whatever is set.
        """
        steps = np.arange(self.steps) if steps is None else steps
        load = {k: part[steps] for k, part in self._load.items()}
        tap, cap = (np.repeat(part, len(setpoints.p_mw), axis=0) for part in (self._tap, self._cap))
        for k, one in enumerate(self.moved):
            if one.is_tap:
                tap[:, one.row] = 1.0 + setpoints.position[:, k] * one.step_pu
            else:
                cap[:, one.row] = setpoints.position[:, k] > 0.5
        states = {"tap": tap, "cap_on": cap.astype(np.bool_), "tol": _TOLERANCE}
        p_mw, q_mvar = setpoints.p_mw, setpoints.q_mvar
        sol = self._solved(p_mw, q_mvar, **load, **states)
        for _ in range(self.answering.rounds):
            p_mw, q_mvar, rested = self.answering.asked(sol, p_mw, q_mvar, steps)
            if rested:
                break
            sol = self._solved(p_mw, q_mvar, **load, **states)
        return sol

    def _solved(self, of_p: FloatArray, of_q: FloatArray, **given: Any) -> physics.Solution3:
        """``of_p``, ``of_q``: (rows, n_units) of the fleet."""
        p, q = self._fed_in(of_p), self._fed_in(of_q)
        return physics.solve(
            self.net, p_inject_mw=p[0], q_inject_mvar=q[0], p_delta_inject_mw=p[1],
            q_delta_inject_mvar=q[1], **given,
        )  # fmt: skip

    def by_setpoints(self, sol: physics.Solution3, seeds: Mapping[str, Any]) -> tuple[FloatArray, FloatArray]:
        """(rows, n_units) twice: derivatives of scalars by P and by Q of every unit, by an adjoint sweep.

        ``seeds``: keywords of `physics.gradient`.
        """
        found = physics.gradient(sol, **seeds)
        p = np.concatenate([_flat(found.p_inject_mw), _flat(found.p_delta_inject_mw)], axis=1)
        q = np.concatenate([_flat(found.q_inject_mvar), _flat(found.q_delta_inject_mvar)], axis=1)
        return self._at_ports(p), self._at_ports(q)

    def _at_ports(self, by_slot: FloatArray) -> FloatArray:
        columns = self.places.columns
        by_port = np.zeros((columns.n_port, len(by_slot)))
        np.add.at(by_port, columns.port, (by_slot[:, columns.port_slot] * columns.port_share).T)
        return np.asarray(by_port[self._port_of].T)

    def _fed_in(self, of_units: FloatArray) -> tuple[FloatArray, FloatArray]:
        columns = self.places.columns
        of_ports = np.zeros((columns.n_port, len(of_units)))
        np.add.at(of_ports, self._port_of, of_units.T)
        slots = np.zeros((6 * self.net.n_bus, len(of_units)))
        np.add.at(slots, columns.port_slot, of_ports[columns.port] * columns.port_share[:, None])
        return self._halves(slots.T)

    def _placed(self, of_points: FloatArray) -> tuple[FloatArray, FloatArray]:
        slots = np.zeros((len(of_points), 6 * self.net.n_bus))
        slots[:, self.places.points.slot] = of_points
        return self._halves(slots)

    def _halves(self, slots: FloatArray) -> tuple[FloatArray, FloatArray]:
        """To ground and between phases, (rows, n_bus, 3)."""
        shape, middle = (len(slots), self.net.n_bus, 3), 3 * self.net.n_bus
        return slots[:, :middle].reshape(shape), slots[:, middle:].reshape(shape)


def per_phase(scenario: PlannedScenario) -> physics.Network3:
    """The network; RunError for a balanced one."""
    net = scenario.network
    if not isinstance(net, physics.Network3):
        raise RunError(f"feeder {scenario.feeder.name!r} is balanced: expected one with phases")
    return net


def _flat(found: FloatArray) -> FloatArray:
    return found.reshape(len(found), -1)


def _moved(scenario: PlannedScenario, window: Window) -> tuple[Moved, ...]:
    """Every tap changer and bank of the fleet, where it stands."""
    column = {(d.name, d.quantity): d.index for d in scenario.action_layout}
    steps_pu = scenario.feeder.column("regulators", "tap_step_pu")
    found = []
    for program in scenario.fleet.switched_devices:
        outlook = next(o for o in window.outlooks.values() if o.units == program.names)
        stands, is_tap = outlook.positions, program.kind == "tap_changer"
        assert stands is not None
        if program.kind not in ("tap_changer", "capacitor_bank"):
            raise RunError(f"devices of kind {program.kind!r} are not planned on per-phase feeders")
        for k, name in enumerate(program.names):
            row = int(program.rows[k])
            found.append(Moved(
                name, row, is_tap, float(steps_pu[row]) if is_tap else 0.0, int(stands.now[k]),
                int(stands.low[k]), int(stands.high[k]), float(stands.max_steps[k]),
                float(stands.steps_left[k]), float(program.moves.budget[k]),
                column[name + "." + program.quantity, program.quantity],
            ))  # fmt: skip
    return tuple(found)
