"""Where the load of each node comes from, interval by interval."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..cases import CaseError, Feeder, Problem
from ..cases.profiles import Assignment, Profiles
from ..physics import loads as kernels
from .columns import Points, load_points

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class LoadSource(ABC):
    """Net load per point over time; ``n_days`` whole days of ``steps_per_day`` intervals.

    The points are the nodes of a balanced feeder; of a per-phase feeder the phases and legs where its loads
    stand, see :func:`distgrid.envs.columns.load_points`.
    """

    n_days: int
    #: (n_points,) largest apparent power of each point at any time, MVA: bounds the worst reward.
    s_max_mva: FloatArray

    @property
    @abstractmethod
    def active_mw(self) -> FloatArray | None:
        """(T, n_points) when the whole series is held, else None."""

    @property
    @abstractmethod
    def reactive_mvar(self) -> FloatArray | None:
        """(T, n_points) when reactive power is given of its own, else None: power factors are kept."""

    @abstractmethod
    def fill(self, t_index: IntArray, p_mw: FloatArray, q_mvar: FloatArray) -> None:
        """Write the loads of interval ``t_index`` (batch,) into (batch, n_points) arrays."""


class ProfileLoad(LoadSource):
    """The shipped year: each load follows its assigned shape, scaled to its nominal power.

    A load of several phases or legs divides equally between them, as its row of the table does.
    """

    def __init__(self, feeder: Feeder, assignment: Assignment, profiles: Profiles) -> None:
        self._feeder, self._assignment, self._profiles = feeder, assignment, profiles
        offset = np.where(assignment.is_pv, profiles.load_p.shape[1], 0)
        self._shape = (assignment.shape_index + offset).astype(np.int64)
        self._shape_p, self._shape_q = profiles.load_p, profiles.load_q
        if assignment.is_pv.any():  # net generation follows the sun
            self._shape_p = np.concatenate([profiles.load_p, profiles.pv], axis=1)
            self._shape_q = np.concatenate([profiles.load_q, profiles.pv], axis=1)
        points = load_points(feeder)
        self._shape = self._shape[points.row]
        self._scale_p = assignment.p_scale_mw[points.row] * points.share
        self._scale_q = assignment.q_scale_mvar[points.row] * points.share
        self._point = points.point
        self.n_days = profiles.n_steps // profiles.steps_per_day
        peak_p = np.abs(self._scale_p) * np.abs(self._shape_p).max(axis=0)[self._shape]
        peak_q = np.abs(self._scale_q) * np.abs(self._shape_q).max(axis=0)[self._shape]
        s_max: FloatArray = np.zeros(len(points.names))
        np.add.at(s_max, self._point, np.hypot(peak_p, peak_q))
        self.s_max_mva = s_max

    @property
    def active_mw(self) -> FloatArray:
        """(T, n_points), computed on each call: the year of a large feeder takes hundreds of MB."""
        return self._year()[0]

    @property
    def reactive_mvar(self) -> FloatArray:
        """(T, n_points), computed on each call: the shapes have reactive power of their own."""
        return self._year()[1]

    def _year(self) -> tuple[FloatArray, FloatArray]:
        steps = np.arange(self._profiles.n_steps)
        p, q = (np.empty((steps.size, self.s_max_mva.size)) for _ in range(2))
        self.fill(steps, p, q)
        return p, q

    def fill(self, t_index: IntArray, p_mw: FloatArray, q_mvar: FloatArray) -> None:
        """See :class:`LoadSource`."""
        kernels.shape_rows(
            self._shape_p,
            self._shape_q,
            self._shape,
            self._scale_p,
            self._scale_q,
            self._point,
            t_index,
            p_mw,
            q_mvar,
        )


class SeriesLoad(LoadSource):
    """Your own series.

    ``active_mw`` (T, n_points) in the order of ``feeder.nodes`` (per-phase feeders: of ``load_points``), T
    a multiple of ``steps_per_day``. ``reactive_mvar``, the same shape, overrides reactive power; without it
    each point keeps the power factor that it has in the case: Q = P * Q_nominal / P_nominal, and no Q where
    the nominal P is 0.
    Raises CaseError for NaN, ValueError for a wrong shape.
    """

    def __init__(
        self,
        feeder: Feeder,
        active_mw: ArrayLike,
        reactive_mvar: ArrayLike | None = None,
        steps_per_day: int = 96,
    ) -> None:
        points = load_points(feeder)
        self._p = self._series("active_mw", active_mw, points, steps_per_day)
        self._reactive = None
        if reactive_mvar is None:
            self._q = self._p * power_factor_ratio(feeder, points)
        else:
            self._reactive = self._q = self._series("reactive_mvar", reactive_mvar, points, steps_per_day)
            if self._q.shape != self._p.shape:
                raise ValueError(
                    f"reactive_mvar has shape {self._q.shape}, active_mw {self._p.shape}: make them equal"
                )
        self.n_days = self._p.shape[0] // steps_per_day
        self.s_max_mva = np.hypot(self._p, self._q).max(axis=0)

    @staticmethod
    def _series(name: str, value: ArrayLike, points: Points, steps_per_day: int) -> FloatArray:
        array = np.array(value, dtype=np.float64, order="C")
        if (
            array.ndim != 2
            or array.shape[1] != len(points.names)
            or array.shape[0] % steps_per_day
            or not len(array)
        ):
            what = "load points" if points.phased else "nodes"
            wanted = f"(days * {steps_per_day}, {len(points.names)} {what})"
            raise ValueError(f"{name} must have shape {wanted}, got {array.shape}")
        if not np.isfinite(array).all():
            t, n = (int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise CaseError(
                [Problem(name, t, f"node {points.names[n]}", str(array[t, n]), "a finite number")]
            )
        array.setflags(write=False)
        return array

    @property
    def active_mw(self) -> FloatArray:
        """(T, n_points) as given; read-only."""
        return self._p

    @property
    def reactive_mvar(self) -> FloatArray | None:
        """(T, n_points) as given, None where power factors are kept; read-only."""
        return self._reactive

    def fill(self, t_index: IntArray, p_mw: FloatArray, q_mvar: FloatArray) -> None:
        """See :class:`LoadSource`."""
        kernels.series_rows(self._p, self._q, t_index, p_mw, q_mvar)


def nominal(feeder: Feeder, points: Points) -> tuple[FloatArray, FloatArray]:
    """Nominal P and Q of every load point."""
    if not points.phased:
        return feeder.column("nodes", "load_p_mw"), feeder.column("nodes", "load_q_mvar")
    out = []
    for column in ("p_mw", "q_mvar"):
        total = np.zeros(len(points.names))
        np.add.at(total, points.point, feeder.column("loads", column)[points.row] * points.share)
        out.append(total)
    return out[0], out[1]


def power_factor_ratio(feeder: Feeder, points: Points) -> FloatArray:
    """(n_points,) Q / P of the nominal loads; 0 where P is 0."""
    p, q = nominal(feeder, points)
    return np.divide(q, p, out=np.zeros_like(p), where=p != 0.0)
