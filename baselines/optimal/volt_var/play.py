"""Ways of setting voltages, played interval by interval over days through the AC power flow."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .... import physics
from ....envs.resources.inverter_functions import InverterFunctions
from ...errors import RunError
from .levels import SettingsTable
from .study import Loads, Setting, Shown, VoltVarStudy

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_VOLTS = 120.0  # nominal, on which the bands of relays are written
_CONTROL_ITERATIONS = 60
_MOST_CHECKS, _HELPS = 24, 1e-6  # single steps of taps, and pu that each must bring
_ROUNDS, _DAMPING, _REST = 60, 0.5, 1e-6  # of inverters on their curves: of the apparent power


@dataclass(frozen=True)
class SwitchingLimits:
    """What holds taps and banks back.

    Attributes:
        most_steps: Of a tap changer from one interval to the next; None: any.
        most_operations: Of each tap changer (steps) and bank (switchings) in a day; None: any.
        within_steps: A tap changer that is no further from where it shall be stays, one number for each, or
            one for all.

    Raises:
        RunError: negative numbers.
    """

    most_steps: int | None = None
    most_operations: int | None = None
    within_steps: tuple[int, ...] | int = 0

    def __post_init__(self) -> None:
        for name, value in (("most_steps", self.most_steps), ("most_operations", self.most_operations)):
            if value is not None and value < 0:
                raise RunError(f"{name} is {value}: expected 0 or more")
        if np.min(self.within_steps, initial=0) < 0:
            raise RunError(f"within_steps is {self.within_steps}: expected 0 or more")


def within_band(study: VoltVarStudy, band_v: FloatArray) -> tuple[int, ...]:
    """How many steps of each tap changer lie within half the band of its relay, volts on a 120 V base."""
    volts = _VOLTS * study.step_pu
    return tuple(np.floor(0.5 * np.nan_to_num(band_v) / volts + 1e-9).astype(int).tolist())


@dataclass(frozen=True, eq=False)
class Days:
    """Days side by side.

    Attributes:
        day: (days,) numbers. loads: Arguments of `physics.solve`, each (days, steps, ...).
        sun: (days, steps) share of their rated power that inverters have. dt_h: Hours of a step.
    """

    day: IntArray
    loads: Loads
    sun: FloatArray
    dt_h: float


@dataclass(frozen=True, eq=False)
class State:
    """Of rows: positions, states, and reactive power that flows."""

    tap_pos: IntArray
    cap_on: BoolArray
    q_mvar: FloatArray


@dataclass(frozen=True, eq=False)
class Present:
    """What rows meet in the interval that is decided."""

    loads: Loads
    sun: FloatArray  # (rows,)
    load_level: FloatArray  # (rows,)


class Strategy(ABC):
    """Decides an interval of many days at once, knowing its loads and sun."""

    name: str

    @abstractmethod
    def decide(self, present: Present, last: State | None) -> State:
        """What is set; ``last``: in the interval before, None at the beginning of a day."""


class DoNothing(Strategy):
    """Taps and banks as stored, inverters at unity power factor."""

    name = "do-nothing"

    def __init__(self, study: VoltVarStudy) -> None:
        self._study = study

    def decide(self, present: Present, last: State | None) -> State:
        """See `Strategy`."""
        stored, rows = self._study.stored, present.sun.size
        return State(
            np.repeat(stored.tap_pos[None], rows, axis=0), np.repeat(stored.cap_on[None], rows, axis=0),
            np.zeros((rows, len(self._study.inverters))),
        )  # fmt: skip


class LocalControl(Strategy):
    """Every device for itself: relays of regulators and banks come to rest, inverters on their curve.

    Relays are those of per-phase feeders (`physics.settle_controls`); a balanced one has none. Inverters run
    volt-var of IEEE Std 1547-2018, category B. In an interval inverters rest, relays act, inverters rest.

    Args:
        study: Of the feeder with the relays that are asked for.
        functions: Of the inverters.
    """

    name = "local-control"

    def __init__(self, study: VoltVarStudy, functions: InverterFunctions | None = None) -> None:
        self._study = study
        self._functions = functions or InverterFunctions.named("volt-var-b")

    def decide(self, present: Present, last: State | None) -> State:
        """See `Strategy`."""
        state = DoNothing(self._study).decide(present, None) if last is None else last
        state = self._at_rest(present, state)
        if not (self._study.per_phase and self._study.reg_ids):
            return state
        run = physics.settle_controls(
            self._study.net, tap_pos=state.tap_pos, cap_on=state.cap_on, **present.loads,
            max_control_iterations=_CONTROL_ITERATIONS, **self._study.options,
            **self._study.injected(state.q_mvar, present.sun),
        )  # fmt: skip
        moved = State(np.atleast_2d(run.tap_pos), np.atleast_2d(run.cap_on).astype(bool), state.q_mvar)
        return self._at_rest(present, moved)

    def _at_rest(self, present: Present, state: State) -> State:
        """Inverters go half the way to their curves until all are there."""
        study, q = self._study, state.q_mvar
        if not len(study.inverters):
            return state
        units, sun = study.inverters, np.repeat(present.sun[:, None], len(study.inverters), axis=1)
        most = units.capability_mvar(sun)
        for _ in range(_ROUNDS):
            shown = study.flow(state.tap_pos, state.cap_on, q, present.loads, present.sun)
            v = np.nan_to_num(units.voltage(shown.solution.v_pu), nan=1.0)
            wanted = np.clip(self._functions.response(v, 1.0)[1] * units.s_mva, -most, most)
            if (np.abs(wanted - q) <= _REST * units.s_mva).all():
                break
            q = q + _DAMPING * (wanted - q)
        return State(state.tap_pos, state.cap_on, q)


@dataclass(eq=False)
class Planned(Strategy):
    """Looks settings up by the levels of load and sun, held back by limits of switching.

    Before it is sent a setting is checked by a power flow: where it leaves the band, taps go the single steps
    that help most until it does not or none helps. What stands at the beginning of a day is what its first
    interval asks for.
    """

    study: VoltVarStudy
    table: SettingsTable
    limits: SwitchingLimits = field(default_factory=SwitchingLimits)
    name: str = "vvo-plan"
    _used: Any = None

    def decide(self, present: Present, last: State | None) -> State:
        """See `Strategy`."""
        wanted = self.wanted(present)
        q = self.study.reactive(wanted, present.loads, present.sun)
        n = wanted.tap_pos.shape[1]
        if last is None:
            self._used = np.zeros((present.sun.size, n + wanted.cap_on.shape[1]), dtype=np.int64)
            free = np.full(wanted.tap_pos.shape, np.iinfo(np.int64).max)
            state = self.checked(present, State(wanted.tap_pos, wanted.cap_on, q), wanted.tap_pos, free)
            return self._answered(present, state, wanted)
        state, left = self._held_back(wanted, last, q)
        state = self._answered(present, self.checked(present, state, last.tap_pos, left), wanted)
        self._used = self._used + np.hstack(
            [np.abs(state.tap_pos - last.tap_pos), state.cap_on != last.cap_on]
        )
        return state

    def _answered(self, present: Present, state: State, wanted: Setting) -> State:
        """With the reactive power of inverters where taps and banks are as they are."""
        setting = Setting(state.tap_pos, state.cap_on, wanted.q_share)
        return State(state.tap_pos, state.cap_on, self.study.reactive(setting, present.loads, present.sun))

    def wanted(self, present: Present) -> Setting:
        """Settings of rows, before limits."""
        return self.table.at(present.load_level, present.sun)

    def _held_back(self, wanted: Setting, last: State, q: FloatArray) -> tuple[State, IntArray]:
        """As near to what is wanted as limits let, and (rows, n_regulator) operations that are left."""
        limits, n = self.limits, wanted.tap_pos.shape[1]
        most = np.iinfo(np.int64).max if limits.most_operations is None else limits.most_operations
        left = most - self._used
        move = wanted.tap_pos - last.tap_pos
        move = np.where(np.abs(move) <= np.asarray(limits.within_steps), 0, move)
        if limits.most_steps is not None:
            move = np.clip(move, -limits.most_steps, limits.most_steps)
        move = np.clip(move, -left[:, :n], left[:, :n])
        turn = (wanted.cap_on != last.cap_on) & (left[:, n:] > 0)
        return State(last.tap_pos + move, last.cap_on ^ turn, q), left[:, :n]

    def checked(self, present: Present, state: State, before: IntArray, left: IntArray) -> State:
        """The state with the steps of taps that bring it into the band; no more than ``left`` from before."""
        study, taps = self.study, state.tap_pos.copy()
        low, high = study.tap_ends
        steps = np.vstack(
            [np.eye(len(study.reg_ids), dtype=np.int64), -np.eye(len(study.reg_ids), dtype=int)]
        )
        worst = study.flow(taps, state.cap_on, state.q_mvar, present.loads, present.sun).violation_pu
        for _ in range(_MOST_CHECKS if len(steps) else 0):
            rows = np.flatnonzero(worst > 0.0)
            if not rows.size:
                break
            tried = taps[rows, None] + steps
            allowed = (
                (tried >= low) & (tried <= high) & (np.abs(tried - before[rows, None]) <= left[rows, None])
            )
            each = np.repeat(rows, len(steps))
            loads = {name: values[each] for name, values in present.loads.items()}
            shown = study.flow(
                tried.reshape(len(each), -1), state.cap_on[each], state.q_mvar[each], loads, present.sun[each]
            )
            outside = np.where(shown.found, shown.violation_pu, np.inf).reshape(len(rows), -1)
            outside = np.where(allowed.all(axis=2), outside, np.inf)
            best = outside.argmin(axis=1)
            value = outside[np.arange(len(rows)), best]
            helps = value < worst[rows] - _HELPS
            if not helps.any():
                break
            taps[rows[helps]] = tried[np.arange(len(rows)), best][helps]
            worst[rows] = np.where(helps, value, 0.0)  # what nothing helps is left alone
        return State(taps, state.cap_on, state.q_mvar)


@dataclass(eq=False)
class DayTyped(Planned):
    """Holds the settings of a day's type all day. ``of_day``: (days,) rows of ``by_type``."""

    by_type: Setting | None = None
    of_day: IntArray | None = None
    name: str = "vvo-day-type"

    def wanted(self, present: Present) -> Setting:
        """Settings of rows."""
        assert self.by_type is not None
        assert self.of_day is not None
        return self.by_type.rows(self.of_day)

    def checked(self, present: Present, state: State, before: IntArray, left: IntArray) -> State:
        """As it is: nobody looks at it during the day."""
        return state


@dataclass(frozen=True, eq=False)
class Played:
    """Days as a strategy brought them about; arrays are (days, steps) or (days, steps, devices).

    Attributes:
        strategy: Name. tap_pos, cap_on, q_mvar: What was set.
        tap_steps, bank_turns: (days, steps) moved since the interval before, all devices together.
        p_loss_mw, p_head_mw: Of the power flow. p_load_mw: What loads took: from head and sun, less losses.
        v_min_pu, v_max_pu, deviation_pu: Least, most, and mean of |V - 1| where the band is judged.
        violation_pu: Sum of what lies outside the band.
        found: Whether the power flow is a solution.
    """

    strategy: str
    tap_pos: IntArray
    cap_on: BoolArray
    q_mvar: FloatArray
    tap_steps: IntArray
    bank_turns: IntArray
    p_loss_mw: FloatArray
    p_head_mw: FloatArray
    p_load_mw: FloatArray
    v_min_pu: FloatArray
    v_max_pu: FloatArray
    deviation_pu: FloatArray
    violation_pu: FloatArray
    found: BoolArray


def play(study: VoltVarStudy, strategy: Strategy, days: Days) -> Played:
    """Days from their first to their last interval, side by side.

    Args:
        study: Of the feeder; its band and its nodes are judged.
        strategy: Decides.
        days: Loads and sun.
    """
    last: State | None = None
    columns: list[dict[str, Any]] = []
    for t in range(days.sun.shape[1]):
        loads = {name: np.ascontiguousarray(values[:, t]) for name, values in days.loads.items()}
        present = Present(loads, days.sun[:, t], study.load_level(loads))
        state = strategy.decide(present, last)
        shown = study.flow(state.tap_pos, state.cap_on, state.q_mvar, loads, present.sun)
        columns.append(_column(study, state, state if last is None else last, shown, present))
        last = state
    stacked = {name: np.stack([one[name] for one in columns], axis=1) for name in columns[0]}
    return Played(strategy.name, **stacked)


def _column(
    study: VoltVarStudy, state: State, before: State, shown: Shown, present: Present
) -> dict[str, Any]:
    fed = shown.p_head_mw + present.sun * study.inverters.p_mw.sum()
    return {
        "tap_pos": state.tap_pos, "cap_on": state.cap_on, "q_mvar": state.q_mvar,
        "tap_steps": np.abs(state.tap_pos - before.tap_pos).sum(axis=1),
        "bank_turns": (state.cap_on != before.cap_on).sum(axis=1),
        "p_loss_mw": shown.p_loss_mw, "p_head_mw": shown.p_head_mw, "p_load_mw": fed - shown.p_loss_mw,
        "v_min_pu": shown.v_pu.min(axis=1), "v_max_pu": shown.v_pu.max(axis=1),
        "deviation_pu": np.abs(shown.v_pu - 1.0).mean(axis=1), "violation_pu": shown.violation_pu,
        "found": shown.found,
    }  # fmt: skip
