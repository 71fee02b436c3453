"""Inverters that follow functions of their own, in the power flows of a day per phase."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .... import physics
from ....envs.core.phase_stepper import PhaseStepper
from ....envs.core.planning import PlannedScenario, Window
from ....envs.kernels.inverter_functions import NONE, inverter_response
from ....envs.resources.outlook import Functions
from ....physics.unbalanced.stepper import terminals
from ..affine import FloatArray, IntArray

_ROUNDS, _SETTLED = 12, 1e-6  # times that they are asked; MVA of a unit of 1 MVA


@dataclass(frozen=True, eq=False)
class _Program:
    """Units of one program.

    Attributes:
        unit: (n,) their places in the fleet.
        answers: (n,) whether each has a function; others are controlled by hand.
        offered_mw: (steps, n) what may flow.
    """

    unit: IntArray
    answers: IntArray
    functions: Functions
    offered_mw: FloatArray


class Answering:
    """Units whose power answers to the voltage, asked until both agree.

    That they may switch off at a voltage (momentary cessation) is left out: the replay has it.

    Attributes:
        unit: (n,) places in the fleet of all that answer.
    """

    def __init__(self, scenario: PlannedScenario, window: Window, places: PhaseStepper) -> None:
        place = {name: k for k, name in enumerate(scenario.fleet.names)}
        self._programs = []
        for told in window.outlooks.values():
            if told.functions is not None:
                unit = np.array([place[name] for name in told.units], dtype=np.int64)
                answers = np.flatnonzero(told.functions.table.mode != NONE)
                self._programs.append(_Program(unit, answers, told.functions, told.p_max_mw))
        units = [one.unit[one.answers] for one in self._programs]
        self.unit: IntArray = np.concatenate([np.empty(0, dtype=np.int64), *units])
        self._s_mva = np.array([scenario.units[int(k)].s_mva for k in self.unit])
        self._columns, self._port = places.columns, scenario.fleet.columns

    def asked(
        self, sol: physics.Solution3, p_mw: FloatArray, q_mvar: FloatArray, steps: IntArray
    ) -> tuple[FloatArray, FloatArray, bool]:
        """(rows, n_units) twice: powers as they answer to these voltages, and whether they are those given.

        Args:
            sol: Power flow with the powers.
            p_mw: (rows, n_units) of the fleet; q_mvar: with it.
            q_mvar: With ``p_mw``.
            steps: (rows,) the intervals that rows are of.
        """
        v_pu = self._at_terminals(sol)
        p, q = p_mw.copy(), q_mvar.copy()
        for one in self._programs:
            own = [np.ascontiguousarray(part[:, one.unit]) for part in (v_pu, p_mw, q_mvar)]
            offered = np.ascontiguousarray(one.offered_mw[steps])
            inverter_response(
                one.functions.table, own[0], offered, np.zeros_like(own[0]), own[1], own[2]
            )  # fmt: skip
            at = one.unit[one.answers]
            p[:, at], q[:, at] = own[1][:, one.answers], own[2][:, one.answers]
        moved = np.abs(p - p_mw)[:, self.unit] + np.abs(q - q_mvar)[:, self.unit]
        rested = bool((np.nan_to_num(moved) <= _SETTLED * self._s_mva).all())
        return np.nan_to_num(p), np.nan_to_num(q), rested

    @property
    def rounds(self) -> int:
        """Times that they are asked at most."""
        return _ROUNDS if self.unit.size else 0

    def _at_terminals(self, sol: physics.Solution3) -> FloatArray:
        """(rows, n_units) mean across the terminals of each."""
        columns, net = self._columns, sol.net
        first, second = terminals(columns.port_slot, net.n_bus)
        v = np.concatenate([sol.v.reshape(len(sol.v), -1), np.zeros((len(sol.v), 1))], axis=1)
        scale = np.where(second >= 0, net.node_loads.leg_pu[first // 3], 1.0)
        size = np.abs(v[:, first] - v[:, second]) / scale
        total, count = np.zeros((columns.n_port, len(size))), np.zeros(columns.n_port)
        np.add.at(total, columns.port, size.T)
        np.add.at(count, columns.port, 1.0)
        return np.asarray((total / np.maximum(count, 1.0)[:, None])[self._port].T)
