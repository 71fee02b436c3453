"""State of local controls between solutions: which are armed, for when, and what they will do.

Arrays are (rows, controls): every row is a feeder of its own.
"""

from __future__ import annotations

import numpy as np

from .laws import (
    BoolArray,
    FloatArray,
    IntArray,
    Readings,
    banks_wanted,
    relay_volts,
    steps_at_once,
    steps_in_time,
    taps_wanted,
    wants_to_turn,
)
from .settings import LocalControls

NEVER = np.inf


class ControlQueue:
    """Delays in seconds after which each armed control acts; inf where it is not armed.

    ``elapsed_s`` arrays grow by :meth:`wait`; a static solution, which leaves time where it is, never waits.
    """

    def __init__(self, controls: LocalControls, rows: int) -> None:
        self.controls = controls
        n_reg, n_bank = controls.taps.v_reg_v.size, controls.banks.cap_row.size
        self.tap_delay = np.full((rows, n_reg), NEVER)
        self.tap_steps: IntArray = np.zeros((rows, n_reg), dtype=np.int64)
        self.turn_delay = np.full((rows, n_reg), NEVER)
        self.turned: BoolArray = np.zeros((rows, n_reg), dtype=bool)
        self.bank_delay = np.full((rows, n_bank), NEVER)
        self.bank_change: IntArray = np.zeros((rows, n_bank), dtype=np.int64)
        self.since_opened_s = np.full((rows, n_bank), NEVER)
        self.tap_elapsed_s, self.turn_elapsed_s = np.zeros((rows, n_reg)), np.zeros((rows, n_reg))
        self.bank_elapsed_s = np.zeros((rows, n_bank))

    def restart(self, rows: BoolArray) -> None:
        """Disarm everything in ``rows``."""
        for delay in (self.tap_delay, self.turn_delay, self.bank_delay, self.since_opened_s):
            delay[rows] = NEVER
        for array in (self.tap_steps, self.bank_change, self.turned):
            array[rows] = 0
        for elapsed in (self.tap_elapsed_s, self.turn_elapsed_s, self.bank_elapsed_s):
            elapsed[rows] = 0.0

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        for elapsed in (self.tap_elapsed_s, self.turn_elapsed_s, self.bank_elapsed_s, self.since_opened_s):
            elapsed += seconds

    def sample(self, readings: Readings, tap_pos: IntArray, cap_on: BoolArray) -> None:
        """Arm those that want to act, disarm those that no longer do. ``cap_on``: (rows, n_capacitor)."""
        self._sample_turns(readings)
        self._sample_taps(readings, tap_pos)
        self._sample_banks(readings, cap_on[:, self.controls.banks.cap_row])

    def _sample_turns(self, readings: Readings) -> None:
        taps = self.controls.taps
        wants = wants_to_turn(taps, readings.forward_mw, self.turned)
        self._arm(self.turn_delay, self.turn_elapsed_s, wants, taps.rev_delay_s)
        self.turn_delay[~wants] = NEVER

    def _sample_taps(self, readings: Readings, tap_pos: IntArray) -> None:
        taps = self.controls.taps
        volts = relay_volts(taps, readings, tap_pos, self.turned)
        local_v = np.abs(readings.winding_v) / taps.pt_ratio
        wanted, out = taps_wanted(taps, volts, local_v, self.turned)
        homing = self.turned & taps.rev_neutral  # to neutral, whatever the voltage
        armed = np.isfinite(self.tap_delay)
        home = np.where(armed, self.tap_steps, -tap_pos)
        self.tap_steps = np.where(homing, home, wanted)
        room = np.where(wanted > 0, tap_pos < taps.tap_max, tap_pos > taps.tap_min)
        ready = (self.tap_steps != 0) & (homing | (out & room))
        delay = np.where(homing, taps.tap_delay_s, taps.delay_s)
        self._arm(self.tap_delay, self.tap_elapsed_s, ready, delay)
        self.tap_delay[~homing & ~out] = NEVER

    def _sample_banks(self, readings: Readings, on: BoolArray) -> None:
        banks = self.controls.banks
        self.bank_change = banks_wanted(banks, readings, on)
        discharging = np.maximum(banks.dead_time_s - self.since_opened_s, 0.0)
        delay = np.where(self.bank_change > 0, banks.delay_on_s + discharging, banks.delay_off_s)
        self._arm(self.bank_delay, self.bank_elapsed_s, self.bank_change != 0, delay)
        self.bank_delay[self.bank_change == 0] = NEVER

    @staticmethod
    def _arm(delay: FloatArray, elapsed: FloatArray, wants: BoolArray, seconds: FloatArray) -> None:
        fresh = wants & ~np.isfinite(delay)
        np.copyto(delay, seconds, where=fresh)
        elapsed[fresh] = 0.0

    def due(self, *, in_time: bool = False) -> tuple[BoolArray, BoolArray, BoolArray]:
        """Per row those with the shortest delay: regulators, turning relays, banks.

        ``in_time``: only among those whose delay has passed.
        """
        pairs = (
            (self.tap_delay, self.tap_elapsed_s),
            (self.turn_delay, self.turn_elapsed_s),
            (self.bank_delay, self.bank_elapsed_s),
        )
        delays = [np.where(elapsed >= delay, delay, NEVER) if in_time else delay for delay, elapsed in pairs]
        first = np.min([d.min(axis=1, initial=NEVER) for d in delays], axis=0)[:, None]
        taps, turns, banks = (np.isfinite(d) & (d == first) for d in delays)
        return taps, turns, banks

    def elapsed(self) -> tuple[BoolArray, BoolArray, BoolArray]:
        """All whose delay has passed, whatever the others do."""
        return (
            self.tap_elapsed_s >= self.tap_delay,
            self.turn_elapsed_s >= self.turn_delay,
            self.bank_elapsed_s >= self.bank_delay,
        )

    def turn(self, due: BoolArray) -> None:
        """Reverse the direction in which the relays look."""
        self.turned = self.turned ^ due
        self.turn_delay[due] = NEVER

    def move_taps(
        self, due: BoolArray, tap_pos: IntArray, *, at_once: bool = True, in_time: bool = False
    ) -> IntArray:
        """Positions after the due regulators have acted; they are disarmed.

        ``at_once``: 70 % of the way and at most ``max_tap_change``, else all the way. ``in_time``: no more
        than the delay between two taps allows for.
        """
        taps = self.controls.taps
        steps = self.tap_steps
        if at_once:
            steps = np.where(steps == 0, 0, steps_at_once(steps, taps.max_tap_change))
        if in_time:
            allowed = steps_in_time(self.tap_elapsed_s - self.tap_delay, taps.tap_delay_s)
            steps = np.sign(steps) * np.minimum(np.abs(steps), allowed)
        moved = np.clip(tap_pos + steps, taps.tap_min, taps.tap_max)
        self.tap_delay[due] = NEVER
        self.tap_steps = np.where(due, 0, self.tap_steps)
        return np.where(due, moved, tap_pos)

    def switch_banks(self, due: BoolArray, cap_on: BoolArray) -> BoolArray:
        """States (rows, n_capacitor) after the due banks have switched; they are disarmed."""
        states = cap_on.copy()
        for control, cap in enumerate(self.controls.banks.cap_row):
            rows = due[:, control]
            states[rows, cap] = self.bank_change[rows, control] > 0
            self.since_opened_s[rows & (self.bank_change[:, control] < 0), control] = 0.0
        self.bank_delay[due] = NEVER
        return states
