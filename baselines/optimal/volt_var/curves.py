"""Inverters on volt-var curves of their own: what is set is the slope, and voltages say the reactive power.

A curve is a line through 1 pu without a dead band: reactive power per apparent power falls by the slope for
each pu of voltage, within the capability (M. Farivar, L. Chen, S. Low: Equilibrium and dynamics of local
voltage control in distribution systems, CDC 2013). Where all inverters rest is found by Newton's method, the
slopes of saturated ones left out.
"""

from __future__ import annotations

import numpy as np

from ..units import Unit
from .study import LEVELS, BoolArray, FloatArray, IntArray, Loads, Setting, VoltVarStudy

#: Of the apparent power for each pu: 0.44 within 0.02 pu, the narrowest that IEEE Std 1547-2018 allows.
STEEPEST = 22.0
_CENTRE_PU = 1.0
_ROUNDS, _REST = 40, 1e-7  # of the apparent power
_PLAIN = 20  # rounds after which steps are halved
_PROBE = 1e-3  # of the apparent power, for the effect on voltages


class CurveStudy(VoltVarStudy):
    """As `VoltVarStudy`, where the shares of a setting are slopes over `STEEPEST`, from 0 to 1."""

    inverter_kind = "inverter curve"
    inverter_scale = STEEPEST

    def relaxed_units(self, sun: float) -> list[Unit] | None:
        """None: curves are no setpoints."""
        return None

    def inverter_levels(self) -> IntArray:
        """Slopes, from none to the steepest."""
        return np.arange(LEVELS + 1)

    def reactive(self, setting: Setting, loads: Loads, sun: FloatArray) -> FloatArray:
        """(rows, n_inverter) Mvar with all inverters at rest on their curves, taps and banks as set."""
        n, rows = len(self.inverters), len(setting.q_share)
        if not n or not setting.q_share.any():
            return np.zeros((rows, n))
        sky = np.broadcast_to(np.asarray(sun)[..., None], (rows, n))
        most, slope = self.inverters.capability_mvar(sky), STEEPEST * self.inverters.s_mva * setting.q_share
        effect = self._effect(setting, loads, np.asarray(sky[:, 0]))
        q = np.zeros((rows, n))
        for turn in range(_ROUNDS):
            short, inside = self._short(setting, q, loads, sky[:, 0], slope, most)
            if (np.abs(short) <= _REST * self.inverters.s_mva).all():
                break
            bent = np.eye(n) + np.where(inside, slope, 0.0)[:, :, None] * effect
            step = np.linalg.solve(bent, short[:, :, None])[:, :, 0]
            q = np.clip(q + (step if turn < _PLAIN else 0.5 * step), -most, most)
        return q

    def _short(
        self, setting: Setting, q: FloatArray, loads: Loads, sun: FloatArray, slope: FloatArray,
        most: FloatArray,
    ) -> tuple[FloatArray, BoolArray]:  # fmt: skip
        """(rows, n) by how much reactive power is off the curves, and where they are not saturated."""
        v = self._voltage(setting, q, loads, sun)
        wanted = slope * (_CENTRE_PU - v)
        return np.clip(wanted, -most, most) - q, np.asarray(np.abs(wanted) < most)

    def _voltage(self, setting: Setting, q: FloatArray, loads: Loads, sun: FloatArray) -> FloatArray:
        shown = self.flow(setting.tap_pos, setting.cap_on, q, loads, sun)
        return np.nan_to_num(self.inverters.voltage(shown.solution.v_pu), nan=_CENTRE_PU)

    def _effect(self, setting: Setting, loads: Loads, sun: FloatArray) -> FloatArray:
        """(n, n) pu at each inverter for a Mvar of each, about the first row's point."""
        n, plain = len(self.inverters), len(self.inverters.shape)
        first = setting.rows(np.zeros(n + 1, dtype=np.int64))
        own = {name: part[0] if part.ndim > plain else part for name, part in loads.items()}
        probe = _PROBE * self.inverters.s_mva
        q = np.vstack([np.zeros(n), np.diag(probe)])
        v = self._voltage(first, q, own, np.full(n + 1, sun[0]))
        return np.asarray(((v[1:] - v[0]) / probe[:, None]).T)
