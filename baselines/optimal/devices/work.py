"""Rows of data centers and of soft open points."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ....envs.resources.outlook import WorkQueue
from ..affine import Affine, FloatArray
from .planned import Box, Planned, Setting


def data_center_rows(of: Setting) -> Planned:
    """Work is done after it has come, within its time or dropped at a price; servers and cooling draw."""
    program, queue = of.program, of.outlook.work
    assert queue is not None
    done = of.between(0.0, np.maximum(queue.room_mw, 0.0))
    p = -(done + queue.base_mw) * queue.pue
    cost, owed = Affine(0.0), Affine(0.0)
    for u in range(of.shape[1]):
        come, due = _come_and_due(queue, u, of.steps)
        left = program.columns((of.steps,), come[-1] + 1e-9)  # dropped so far
        finished = of.running(of.dt_h * done[:, u], come[-1] + 1e-9) + left
        program.nonneg(left)
        if of.steps > 1:
            program.nonneg(left[1:] - left[:-1])
        program.nonneg(come - finished)
        program.nonneg(finished - due)
        cost = cost + float(queue.cost_per_mwh[u]) * left[-1]
        owed = owed + float(queue.pue[-1, u]) * (come[-1] - finished[-1])

    def asked(x: FloatArray) -> Mapping[str, FloatArray]:
        room = np.where(queue.room_mw > 0.0, queue.room_mw, 1.0)
        return {"p": 1.0 - 2.0 * done.at(x) / room}

    none = Affine(np.zeros(of.shape))
    return Planned(of.outlook.units, p, none, of.outlook.s_mva, of.box(), asked, cost=cost, owed_mwh=owed)


def _come_and_due(queue: WorkQueue, u: int, steps: int) -> tuple[FloatArray, FloatArray]:
    """(steps,) MWh that have come, and that must be done or dropped, by the end of each interval."""
    waiting, arriving, depth = queue.waiting_mwh[:, u], queue.arriving_mwh[:, u], int(queue.depth[u])
    due = np.zeros(steps + max(depth, waiting.size))
    due[: waiting.size] += waiting
    due[depth - 1 : depth - 1 + steps] += arriving
    return float(waiting.sum()) + np.cumsum(arriving), np.cumsum(due)[:steps]


def soft_open_point_rows(of: Setting) -> Planned:
    """Both ends and their losses add up to nothing, each within its circle.

    A converter loses in proportion to its apparent power, which a cone bounds from below.
    """
    program, links = of.program, of.outlook.links
    assert links is not None
    n, s = links.s_mva.size, of.outlook.s_mva
    p, q = (program.columns(of.shape, s + 1e-9) for _ in range(2))
    passed = program.columns(of.shape, s + 1e-9)
    program.nonneg(np.broadcast_to(s, of.shape) - passed)
    program.cone(passed, p, q)
    ends = [np.arange(n) * 2 + k for k in range(2)]
    first, second = (p[:, at] + passed[:, at] * links.loss for at in ends)
    program.zero(first + second)

    def asked(x: FloatArray) -> Mapping[str, FloatArray]:
        power, vars_ = p.at(x), q.at(x)
        across = power + np.repeat(links.loss, 2) * np.hypot(power, vars_)
        share = np.zeros(of.shape)
        share[:, ::2] = across[:, ::2] / ((1.0 - links.loss) * links.s_mva)
        return {"p": share, "q": vars_ / s}

    most = np.broadcast_to(s, of.shape)
    return Planned(of.outlook.units, p, q, s, Box(-most, most, -most, most), asked)
