"""Power flow with regulators and capacitor banks under local control, as in OpenDSS's static control mode."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .controlled import ControlledNetwork, ControlledSolution, PowerFlow
from .laws import BoolArray, IntArray, Readings
from .queue import ControlQueue
from .settings import LocalControls, local_controls


@dataclass(frozen=True)
class ControlAction:
    """One thing that one control did."""

    iteration: int  # of solve, ask, act; from 1
    delay_s: float  # by which its turn came
    kind: str  # "tap", "bank" or "direction"
    device: str  # reg_id or cap_id
    change: int  # steps; +1 close, -1 open; direction: -1 now reversed, +1 forward again
    state: int  # tap position, bank 0 or 1, direction -1 or 1 afterwards
    row: int = 0  # of the batch


@dataclass(frozen=True, eq=False)
class Settled:
    """Where local control came to rest; without the batch axis where the arguments had none."""

    tap_pos: IntArray  # (batch, n_regulator)
    cap_on: BoolArray  # (batch, n_capacitor)
    reversed: BoolArray  # (batch, n_regulator) relays that look backwards
    settled: Any  # (batch,) the power flow converged and no control wants to act
    iterations: Any  # (batch,) power flows until then
    actions: tuple[ControlAction, ...]
    solution: Any = field(repr=False)  # Solution3 of the power flow at rest


def settle(
    net: ControlledNetwork,
    power_flow: PowerFlow,
    tap_pos: ArrayLike | None,
    cap_on: ArrayLike | None,
    max_control_iterations: int,
    arguments: dict[str, Any],
) -> Settled:
    """Solve by ``power_flow``, let controls act, solve again: see ``physics.settle_controls``."""
    controls = local_controls(net)
    if "tap" in arguments:
        raise ValueError("tap is what the controls decide: give tap_pos, the steps to start from")
    if not max_control_iterations >= 1:
        raise ValueError(f"max_control_iterations must be at least 1, got {max_control_iterations}")
    taps = _start_taps(net, controls, tap_pos)
    banks = np.asarray(net.cap_on if cap_on is None else cap_on)
    run = _Run(net, power_flow, controls, taps, banks, arguments)
    for iteration in range(1, max_control_iterations + 1):
        run.iterate(iteration, last=iteration == max_control_iterations)
        if not run.active.any():
            break
    return run.result()


def _start_taps(net: ControlledNetwork, controls: LocalControls, given: ArrayLike | None) -> IntArray:
    settings = controls.taps
    stored = net.feeder.column("regulators", "tap_pos")
    array = np.asarray(stored if given is None else given, dtype=np.float64)
    n = stored.size
    if array.ndim == 0:
        array = np.full(n, array)
    if array.ndim > 2 or array.shape[-1] != n:
        raise ValueError(f"tap_pos must be one number, ({n},) or (batch, {n}), got {array.shape}")
    wrong = ~((array == np.rint(array)) & (array >= settings.tap_min) & (array <= settings.tap_max))
    if wrong.any():
        at = int(np.argwhere(wrong)[0][-1])
        raise ValueError(
            f"tap_pos of regulator {settings.reg_id[at]!r} is {array[wrong][0]}: it must be a whole number "
            f"from {settings.tap_min[at]} to {settings.tap_max[at]}"
        )
    return array.astype(np.int64)


class _Run:
    """Rows on their way to rest."""

    def __init__(
        self, net: ControlledNetwork, power_flow: PowerFlow, controls: LocalControls, tap_pos: IntArray,
        cap_on: Any, arguments: dict[str, Any],
    ) -> None:  # fmt: skip
        self.net, self.power_flow, self.controls, self.arguments = net, power_flow, controls, arguments
        self.solution = self._solved(tap_pos, cap_on)  # checks the arguments and knows the batch
        self.single = self.solution.v.ndim == 2
        rows = 1 if self.single else self.solution.v.shape[0]
        self.tap_pos: IntArray = np.array(np.broadcast_to(tap_pos, (rows, net.tap.size)))
        self.cap_on: BoolArray = np.array(np.broadcast_to(cap_on, (rows, net.cap_on.size)), dtype=bool)
        self.queue = ControlQueue(controls, rows)
        self.active: BoolArray = np.ones(rows, dtype=bool)  # rows that have not come to an end
        self.settled: BoolArray = np.zeros(rows, dtype=bool)
        self.iterations: IntArray = np.zeros(rows, dtype=np.int64)
        self.actions: list[ControlAction] = []

    def _solved(self, tap_pos: IntArray, cap_on: Any) -> ControlledSolution:
        ratio = 1.0 + tap_pos * self.controls.taps.tap_step_pu
        return self.power_flow(self.net, tap=ratio, cap_on=cap_on, **self.arguments)

    def _readings(self) -> Readings:
        sol = self.solution
        ends = (sol.p_from_mw + 1j * sol.q_from_mvar, sol.p_to_mw + 1j * sol.q_to_mvar)
        return self.controls.read(*(a[None] if self.single else a for a in (sol.v, *ends)))

    def iterate(self, iteration: int, *, last: bool) -> None:
        """Solve, unless nothing has changed, ask every control, let those act whose turn it is."""
        if iteration > 1:
            states = (self.tap_pos, self.cap_on)
            self.solution = self._solved(*(s[0] for s in states)) if self.single else self._solved(*states)
        self.iterations[self.active] = iteration
        usable = np.atleast_1d(self.solution.converged)
        self.queue.sample(self._readings(), self.tap_pos, self.cap_on)
        due = [group & (self.active & usable)[:, None] for group in self.queue.due()]
        busy = np.any([group.any(axis=1) for group in due], axis=0)
        self.settled |= self.active & usable & ~busy
        self.active = self.active & busy
        if last:
            self.active[:] = False
            return
        self._act(iteration, *due)

    def _act(self, iteration: int, taps: BoolArray, turns: BoolArray, banks: BoolArray) -> None:
        queue, controls = self.queue, self.controls
        delays = [np.where(g, d, 0.0) for g, d in ((taps, queue.tap_delay), (turns, queue.turn_delay))]
        bank_delay = queue.bank_delay.copy()
        before, before_on = self.tap_pos, self.cap_on
        queue.turn(turns)
        self.tap_pos = queue.move_taps(taps, before)
        self.cap_on = queue.switch_banks(banks, before_on)
        for k in np.argsort(controls.taps.order, kind="stable").tolist():
            reg_id = controls.taps.reg_id[k]
            for row in np.flatnonzero(turns[:, k]).tolist():
                way = -1 if queue.turned[row, k] else 1
                self._log(iteration, delays[1][row, k], "direction", reg_id, way, way, row)
            for row in np.flatnonzero(taps[:, k] & (self.tap_pos[:, k] != before[:, k])).tolist():
                now = int(self.tap_pos[row, k])
                self._log(iteration, delays[0][row, k], "tap", reg_id, now - int(before[row, k]), now, row)
        ids = self.net.feeder.column("capacitors", "cap_id")
        for k, cap in enumerate(controls.banks.cap_row.tolist()):
            for row in np.flatnonzero(banks[:, k] & (self.cap_on[:, cap] != before_on[:, cap])).tolist():
                on = int(self.cap_on[row, cap])
                self._log(iteration, bank_delay[row, k], "bank", str(ids[cap]), 2 * on - 1, on, row)

    def _log(
        self, iteration: int, delay: float, kind: str, device: str, change: int, state: int, row: int
    ) -> None:
        self.actions.append(ControlAction(iteration, float(delay), kind, device, change, state, row))

    def result(self) -> Settled:
        """Where every row is now."""

        def out(array: Any) -> Any:
            return array[0] if self.single else array

        return Settled(
            out(self.tap_pos), out(self.cap_on), out(self.queue.turned), out(self.settled),
            out(self.iterations), tuple(self.actions), self.solution,
        )  # fmt: skip
