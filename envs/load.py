"""Where the load of each node comes from, interval by interval."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..cases import CaseError, Feeder, Problem
from ..cases.profiles import Assignment, Profiles
from ..physics import loads as kernels

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class LoadSource(ABC):
    """Net load per node over time; ``n_days`` whole days of ``steps_per_day`` intervals."""

    n_days: int
    #: (n_nodes,) largest apparent power of each node at any time, MVA: bounds the worst reward.
    s_max_mva: FloatArray

    @property
    @abstractmethod
    def active_mw(self) -> FloatArray | None:
        """(T, n_nodes) when the whole series is held, else None."""

    @property
    @abstractmethod
    def reactive_mvar(self) -> FloatArray | None:
        """(T, n_nodes) when reactive power is given of its own, else None: power factors are kept."""

    @abstractmethod
    def fill(self, t_index: IntArray, p_mw: FloatArray, q_mvar: FloatArray) -> None:
        """Write the loads of interval ``t_index`` (batch,) into (batch, n_nodes) arrays."""


class ProfileLoad(LoadSource):
    """The shipped year: each load follows its assigned shape, scaled to its nominal power."""

    def __init__(self, feeder: Feeder, assignment: Assignment, profiles: Profiles) -> None:
        self._feeder, self._assignment, self._profiles = feeder, assignment, profiles
        offset = np.where(assignment.is_pv, profiles.load_p.shape[1], 0)
        self._shape = (assignment.shape_index + offset).astype(np.int64)
        self._shape_p, self._shape_q = profiles.load_p, profiles.load_q
        if assignment.is_pv.any():  # net generation follows the sun
            self._shape_p = np.concatenate([profiles.load_p, profiles.pv], axis=1)
            self._shape_q = np.concatenate([profiles.load_q, profiles.pv], axis=1)
        self._scale_p, self._scale_q = assignment.p_scale_mw, assignment.q_scale_mvar
        self._node = assignment.node_row
        self.n_days = profiles.n_steps // profiles.steps_per_day
        peak_p = np.abs(self._scale_p) * np.abs(self._shape_p).max(axis=0)[self._shape]
        peak_q = np.abs(self._scale_q) * np.abs(self._shape_q).max(axis=0)[self._shape]
        s_max: FloatArray = np.zeros(feeder.n_nodes)
        np.add.at(s_max, self._node, np.hypot(peak_p, peak_q))
        self.s_max_mva = s_max

    @property
    def active_mw(self) -> FloatArray:
        """(T, n_nodes), computed on each call: the year of a large feeder takes hundreds of MB."""
        return self._assignment.node_series(self._feeder, self._profiles, slice(None))[0]

    @property
    def reactive_mvar(self) -> FloatArray:
        """(T, n_nodes), computed on each call: the shapes have reactive power of their own."""
        return self._assignment.node_series(self._feeder, self._profiles, slice(None))[1]

    def fill(self, t_index: IntArray, p_mw: FloatArray, q_mvar: FloatArray) -> None:
        """See :class:`LoadSource`."""
        kernels.shape_rows(
            self._shape_p,
            self._shape_q,
            self._shape,
            self._scale_p,
            self._scale_q,
            self._node,
            t_index,
            p_mw,
            q_mvar,
        )


class SeriesLoad(LoadSource):
    """Your own series.

    ``active_mw`` (T, n_nodes) in the order of ``feeder.nodes``, T a multiple of ``steps_per_day``.
    ``reactive_mvar``, the same shape, overrides reactive power; without it each node keeps the power factor
    that it has in the case: Q = P * Q_nominal / P_nominal, and no Q where the nominal P is 0.
    Raises CaseError for NaN, ValueError for a wrong shape.
    """

    def __init__(
        self,
        feeder: Feeder,
        active_mw: ArrayLike,
        reactive_mvar: ArrayLike | None = None,
        steps_per_day: int = 96,
    ) -> None:
        self._p = self._series("active_mw", active_mw, feeder, steps_per_day)
        self._reactive = None
        if reactive_mvar is None:
            self._q = self._p * power_factor_ratio(feeder)
        else:
            self._reactive = self._q = self._series("reactive_mvar", reactive_mvar, feeder, steps_per_day)
            if self._q.shape != self._p.shape:
                raise ValueError(
                    f"reactive_mvar has shape {self._q.shape}, active_mw {self._p.shape}: make them equal"
                )
        self.n_days = self._p.shape[0] // steps_per_day
        self.s_max_mva = np.hypot(self._p, self._q).max(axis=0)

    @staticmethod
    def _series(name: str, value: ArrayLike, feeder: Feeder, steps_per_day: int) -> FloatArray:
        array = np.array(value, dtype=np.float64, order="C")
        if (
            array.ndim != 2
            or array.shape[1] != feeder.n_nodes
            or array.shape[0] % steps_per_day
            or not len(array)
        ):
            raise ValueError(
                f"{name} must have shape (days * {steps_per_day}, {feeder.n_nodes} nodes), got {array.shape}"
            )
        if not np.isfinite(array).all():
            t, n = (int(i) for i in np.argwhere(~np.isfinite(array))[0])
            node = str(feeder.column("nodes", "node_id")[n])
            raise CaseError([Problem(name, t, f"node {node}", str(array[t, n]), "a finite number")])
        array.setflags(write=False)
        return array

    @property
    def active_mw(self) -> FloatArray:
        """(T, n_nodes) as given; read-only."""
        return self._p

    @property
    def reactive_mvar(self) -> FloatArray | None:
        """(T, n_nodes) as given, None where power factors are kept; read-only."""
        return self._reactive

    def fill(self, t_index: IntArray, p_mw: FloatArray, q_mvar: FloatArray) -> None:
        """See :class:`LoadSource`."""
        kernels.series_rows(self._p, self._q, t_index, p_mw, q_mvar)


def power_factor_ratio(feeder: Feeder) -> FloatArray:
    """(n_nodes,) Q / P of the nominal loads; 0 where P is 0."""
    p, q = feeder.column("nodes", "load_p_mw"), feeder.column("nodes", "load_q_mvar")
    return np.divide(q, p, out=np.zeros_like(p), where=p != 0.0)
