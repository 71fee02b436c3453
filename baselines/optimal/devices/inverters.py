"""Rows of inverters that answer to the voltage by functions of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ....envs.kernels.inverter_functions import NONE, VOLT_VAR, inverter_response
from ....envs.resources.outlook import Functions
from ..affine import Affine, FloatArray
from ..program import Program
from .planned import Box, Planned, Setting, linear

_PARTS = 256  # of a range of voltages, in each of which what is given lies between its ends
_SLOPES = 6
_SETTLED = 1e-6  # of the apparent power: more than what is given may differ from the function at rest


def following_rows(of: Setting, functions: Functions) -> Planned:
    """Power within what the functions give at any voltage; `Following` ties it to the voltage."""
    answer = Following(of, functions)
    box = answer.box(np.full(of.shape, 0.0), np.full(of.shape, 2.0))
    p, q = (
        of.program.columns(of.shape, np.maximum(np.abs(low), np.abs(high)) + 1e-9)
        for low, high in ((box.p_low, box.p_high), (box.q_low, box.q_high))
    )
    answer.p, answer.q = p, q
    of.circle(p, q)
    high = of.outlook.p_max_mw

    def asked(x: FloatArray) -> Mapping[str, FloatArray]:
        return {"p": linear(p.at(x), np.zeros_like(high), high), "q": of.asked_q(q.at(x))}

    return Planned(of.outlook.units, p, q, of.outlook.s_mva, box, asked, answer=answer)


@dataclass(frozen=True)
class _Graph:
    """What is given in each part of a range of voltages, (parts, steps, n_units): between least and most."""

    v: FloatArray  # (parts + 1, ...) squared
    p_low: FloatArray
    p_high: FloatArray
    q_low: FloatArray
    q_high: FloatArray


class Following:
    """The functions of a program's inverters over a window."""

    p: Affine
    q: Affine

    def __init__(self, of: Setting, functions: Functions) -> None:
        """``of``: their outlook; ``functions``: theirs."""
        self._of, self._functions = of, functions
        self._own = functions.table.mode == NONE  # these are controlled by hand

    def box(self, v_low: FloatArray, v_high: FloatArray) -> Box:
        """See `planned.Answer`."""
        graph = self._graph(v_low, v_high)
        low, high = (one.min(axis=0) for one in (graph.p_low, graph.q_low))
        return Box(low, graph.p_high.max(axis=0), high, graph.q_high.max(axis=0))

    def add_rows(self, program: Program, v: Affine, v_low: FloatArray, v_high: FloatArray) -> None:
        """See `planned.Answer`: lines that touch the graph of each function from both sides."""
        graph = self._graph(v_low, v_high)
        for value, low, high in ((self.p, graph.p_low, graph.p_high), (self.q, graph.q_low, graph.q_high)):
            least, most = low.min(axis=0), high.max(axis=0)
            program.nonneg(value - least)
            program.nonneg(most - value)
            leans = np.flatnonzero((most - least > 1e-5 * self._of.outlook.s_mva).ravel())
            if leans.size:
                parts = [one.reshape(len(one), -1)[:, leans] for one in (low, high, graph.v)]
                _touch(program, value.reshape(-1)[leans], v.reshape(-1)[leans], parts[2], parts[0], parts[1])

    def _graph(self, v_low: FloatArray, v_high: FloatArray) -> _Graph:
        outlook, table = self._of.outlook, self._functions.table
        share = np.linspace(0.0, 1.0, _PARTS + 1)[:, None, None]
        v_pu = v_low + share * (v_high - v_low)
        p, q = zip(
            *(self._given(v_pu, offered) for offered in (outlook.p_min_mw, outlook.p_max_mw)), strict=True
        )
        margin = _SETTLED * outlook.s_mva
        ends = []
        for low, high in ((np.minimum(*p), np.maximum(*p)), (np.minimum(*q), np.maximum(*q))):
            below, above = np.minimum(low[1:], low[:-1]), np.maximum(high[1:], high[:-1])
            bends = np.where(np.isfinite(table.volt_watt_v_pu[:, 0]), above - below, 0.0)
            ends += [below - bends - margin, above + bends + margin]
        self._widen(ends, v_high)
        return _Graph(v_pu**2, *ends)

    def _given(self, v_pu: FloatArray, offered_mw: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(parts + 1, steps, n_units) P and Q where so much may flow."""
        n = self._of.shape[1]
        flat_v = np.ascontiguousarray(v_pu.reshape(-1, n))
        offered = np.ascontiguousarray(np.broadcast_to(offered_mw, v_pu.shape).reshape(-1, n))
        p, q = np.zeros_like(flat_v), np.zeros_like(flat_v)
        inverter_response(self._functions.table, flat_v, offered, np.zeros_like(flat_v), p, q)
        return p.reshape(v_pu.shape), q.reshape(v_pu.shape)

    def _widen(self, ends: list[FloatArray], v_high: FloatArray) -> None:
        """Where a unit may switch off, where one is controlled by hand, or where P rules Q and is free."""
        outlook, table, units = self._of.outlook, self._functions.table, self._of.units
        p_low, _, q_low, q_high = ends
        off = v_high >= self._functions.cease_pu
        p_low[:, off] = np.minimum(p_low[:, off], 0.0)
        q_low[:, off], q_high[:, off] = np.minimum(q_low[:, off], 0.0), np.maximum(q_high[:, off], 0.0)
        free = (outlook.p_min_mw < outlook.p_max_mw).any(axis=0) & (table.mode != VOLT_VAR)
        s = outlook.s_mva
        for u in np.flatnonzero(free & ~self._own):
            q_low[..., u], q_high[..., u] = -table.q_absorbed[u] * s[u], table.q_injected[u] * s[u]
            p_low[..., u] = 0.0
        for u in np.flatnonzero(self._own):
            most = outlook.q_max_mvar[u] if units[u].action_q is not None else 0.0
            q_low[..., u], q_high[..., u] = -most, most
            beside_q = np.sqrt(max(s[u] ** 2 - most**2, 0.0))
            p_low[..., u] = np.minimum(outlook.p_min_mw[:, u], beside_q)
            ends[1][..., u] = outlook.p_max_mw[:, u]


def _touch(
    program: Program, value: Affine, v: Affine, at: FloatArray, low: FloatArray, high: FloatArray
) -> None:
    """Lines of several slopes, up to the steepest of the graph, that lie above it and below it.

    ``at`` (parts + 1, k) squared voltages, ``low`` and ``high`` (parts, k) what is given in each part.
    """
    wide = np.maximum(np.diff(at, axis=0), 1e-12)
    slope = np.diff(0.5 * (low + high), axis=0) / wide[1:]
    for share in np.linspace(0.0, 1.0, _SLOPES):
        for end in (slope.min(axis=0), slope.max(axis=0)):
            lean = share * end
            corners = np.minimum(lean * at[1:], lean * at[:-1]), np.maximum(lean * at[1:], lean * at[:-1])
            program.nonneg((high - corners[0]).max(axis=0) + v * lean - value)
            program.nonneg(value - v * lean - (low - corners[1]).min(axis=0))
