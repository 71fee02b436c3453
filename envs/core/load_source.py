"""Where the load of each node comes from, interval by interval."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...cases import CaseError, Feeder, Problem
from ...cases.profiles import MODEL_YEAR, Assignment, Calendar, Profiles, resample
from ..kernels import series as kernels
from .columns import Points, load_points

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class LoadSource(ABC):
    """Net load per point over time: whole days, in the steps and from the date of its ``calendar``.

    The points are the nodes of a balanced feeder; of a per-phase feeder the phases and legs where its loads
    stand, see :func:`distgrid.envs.core.columns.load_points`. An environment plays the days and the steps of
    its load: sun, prices, charging sessions and the clock are those of the same dates, in the same steps.

    A source holds no state of an episode, as many environments share it. One that is random sets ``n_random``
    and writes :meth:`draw`: what it draws at each reset, from the generator of the environment, is kept for
    the episode, and ``fill`` gets it.
    """

    #: Whole days from midnight.
    calendar: Calendar
    #: (n_points,) largest apparent power of each point at any time, MVA: bounds the worst reward.
    s_max_mva: FloatArray
    #: Whether the dates of ``calendar`` are those of the data, for titles of pictures.
    dated: bool = False
    #: Numbers that each episode draws; above 0, ``fill`` has a fourth argument: (batch, n_random) of them.
    n_random: ClassVar[int] = 0
    #: Days by name, for ``split=``; empty: those of the profiles' splits that the source has.
    splits: Mapping[str, IntArray] = {}

    @property
    def n_days(self) -> int:
        """Number of days."""
        return self.calendar.n_days

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

    def draw(self, rng: np.random.Generator, day: int) -> FloatArray:
        """(n_random,) finite numbers for an episode that begins on ``day``, from the row's own generator."""
        raise NotImplementedError(f"{type(self).__name__} has n_random {self.n_random}: write draw(rng, day)")

    def checked_draws(self, rngs: Sequence[np.random.Generator], days: IntArray) -> list[FloatArray]:
        """``checked_draw`` for several episodes, each from its own generator."""
        return [self.checked_draw(rng, day) for rng, day in zip(rngs, days.tolist(), strict=True)]

    def checked_draw(self, rng: np.random.Generator, day: int) -> FloatArray:
        """What :meth:`draw` returns; ValueError for a wrong shape or what is no number."""
        random = np.asarray(self.draw(rng, day), dtype=np.float64)
        if random.shape != (self.n_random,) or not np.isfinite(random).all():
            raise ValueError(
                f"{type(self).__name__}.draw must return {self.n_random} finite numbers, got "
                f"{random.tolist()}"
            )
        return random


class ProfileLoad(LoadSource):
    """The shipped year: each load follows its assigned shape, scaled to its nominal power.

    A load of several phases or legs divides equally between them, as its row of the table does.
    """

    def __init__(self, feeder: Feeder, assignment: Assignment, profiles: Profiles) -> None:
        _check_assignment(feeder, assignment, profiles)
        self._feeder, self._assignment, self._profiles = feeder, assignment, profiles
        offset = np.where(assignment.is_pv, profiles.load_p.shape[1], 0)
        self._shape = (assignment.shape_index + offset).astype(np.int64)
        self._shape_p, self._shape_q = profiles.load_p, profiles.load_q
        if assignment.is_pv.any():  # net generation follows the sun
            self._shape_p = np.concatenate([profiles.load_p, profiles.pv], axis=1)
            self._shape_q = np.concatenate([profiles.load_q, profiles.pv], axis=1)
        points = load_points(feeder)
        self.point_names = points.names
        self._shape = self._shape[points.row]
        self._scale_p = assignment.p_scale_mw[points.row] * points.share
        self._scale_q = assignment.q_scale_mvar[points.row] * points.share
        self._point = points.point
        self.calendar, self.dated = profiles.calendar, True
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
        _check_room(self, t_index, p_mw, q_mvar)
        self.fill_rows(t_index, p_mw, q_mvar)

    def fill_rows(self, t_index: IntArray, p_mw: FloatArray, q_mvar: FloatArray) -> None:
        """As :meth:`fill`, into arrays that are known to fit."""
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

    ``active_mw`` (T, n_points) in the order of ``feeder.nodes`` (per-phase feeders: of ``load_points``), the
    mean power of each step. ``reactive_mvar``, the same shape, overrides reactive power; without it each
    point keeps the power factor that it has in the case: Q = P * Q_nominal / P_nominal, and no Q where the
    nominal P is 0. ``calendar``: begin, step and length, whole days from midnight; without it the rows are
    quarter hours from the first day of the model year on. ``splits`` names days for ``split=``, counted from
    the first, such as ``{"train": range(20), "test": range(20, 30)}``; without it the splits are those of the
    model year on the same dates.

    Before its first and after its last interval a series holds the loads that it has there.

    Raises CaseError for NaN, ValueError for a wrong shape or a calendar that does not fit.
    """

    def __init__(
        self,
        feeder: Feeder,
        active_mw: ArrayLike,
        reactive_mvar: ArrayLike | None = None,
        calendar: Calendar | None = None,
        *,
        splits: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        if not isinstance(feeder, Feeder):
            raise TypeError(f"SeriesLoad needs the feeder first, then active_mw; got {type(feeder).__name__}")
        if calendar is not None and not isinstance(calendar, Calendar):
            raise TypeError(f"calendar must be a Calendar(start, dt_h, n_steps), got {calendar!r}")
        if calendar is not None:
            _check_calendar("SeriesLoad", calendar)
        points = load_points(feeder)
        self._feeder, self.point_names, self.dated = feeder, points.names, calendar is not None
        self._p = self._series("active_mw", active_mw, points, calendar)
        self._reactive = None
        if reactive_mvar is None:
            self._q = self._p * power_factor_ratio(feeder, points)
        else:
            self._reactive = self._q = self._series("reactive_mvar", reactive_mvar, points, calendar)
            if self._q.shape != self._p.shape:
                raise ValueError(
                    f"reactive_mvar has shape {self._q.shape}, active_mw {self._p.shape}: make them equal"
                )
        self.calendar = calendar or replace(MODEL_YEAR, n_steps=self._p.shape[0])
        self.splits = named_days(splits or {}, self.n_days)
        self.s_max_mva = np.hypot(self._p, self._q).max(axis=0)

    def resampled(self, dt_h: float) -> SeriesLoad:
        """The same days in steps of ``dt_h`` hours; see ``cases.profiles.resampling``: energy is kept.

        ValueError for steps that do not divide the day.
        """
        calendar = self.calendar.resampled(dt_h)
        p, q = (
            None if series is None else resample(
                series, self.calendar.steps_per_day, calendar.steps_per_day, "linear"
            )
            for series in (self._p, self._reactive)
        )  # fmt: skip
        assert p is not None
        splits = {name: days.tolist() for name, days in self.splits.items()}
        return SeriesLoad(self._feeder, p, q, calendar, splits=splits)

    @staticmethod
    def _series(name: str, value: ArrayLike, points: Points, calendar: Calendar | None) -> FloatArray:
        array = np.array(value, dtype=np.float64, order="C")
        per_day = MODEL_YEAR.steps_per_day
        fits = array.ndim == 2 and array.shape[1] == len(points.names) and len(array) > 0
        whole = fits and (array.shape[0] % per_day == 0 if calendar is None else True)
        if not whole or (calendar is not None and calendar.n_steps != array.shape[0]):
            what = "load points" if points.phased else "nodes"
            rows = f"days * {per_day}" if calendar is None else f"{calendar.n_steps}"
            hint = ": give calendar=Calendar(start, dt_h, n_steps) for other steps" if fits else ""
            raise ValueError(
                f"{name} must have shape ({rows}, {len(points.names)} {what}), got {array.shape}{hint}"
            )
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
        _check_room(self, t_index, p_mw, q_mvar)
        self.fill_rows(t_index, p_mw, q_mvar)

    def fill_rows(self, t_index: IntArray, p_mw: FloatArray, q_mvar: FloatArray) -> None:
        """As :meth:`fill`, into arrays that are known to fit."""
        kernels.series_rows(self._p, self._q, t_index, p_mw, q_mvar)


def shipped(load: LoadSource) -> ProfileLoad | SeriesLoad | None:
    """The source itself where it fills arrays by code of this module, which needs no looking after."""
    own = type(load).fill not in (ProfileLoad.fill, SeriesLoad.fill) or load.n_random
    return load if isinstance(load, ProfileLoad | SeriesLoad) and not own else None


def fill_checked(
    load: LoadSource,
    t_index: IntArray,
    random: FloatArray,
    p_mw: FloatArray,
    q_mvar: FloatArray,
) -> None:
    """Let a source of the user's own fill the arrays, of intervals that it has.

    ValueError where a load is not finite or above the ``s_max_mva`` that observations and prices rest on.
    """
    t_index = np.minimum(t_index, load.calendar.n_steps - 1)
    if load.n_random:
        load.fill(t_index, p_mw, q_mvar, random)  # type: ignore[call-arg]
    else:
        load.fill(t_index, p_mw, q_mvar)
    s = np.hypot(p_mw, q_mvar)
    bad = ~(s <= load.s_max_mva * (1.0 + 1e-9) + 1e-12)
    if bad.any():
        row, point = (int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"{type(load).__name__}: the load of point {point} in interval {int(t_index[row])} is "
            f"{p_mw[row, point]} MW, {q_mvar[row, point]} MVAr: expected finite numbers of at most its "
            f"s_max_mva, {load.s_max_mva[point]}"
        )


def check_source(load: object, feeder: Feeder) -> LoadSource:
    """The source, where it is one for ``feeder``; TypeError and ValueError say what was expected."""
    if isinstance(load, type) and issubclass(load, LoadSource):
        raise TypeError(f"load is the class {load.__name__}: expected one made for the feeder")
    if not isinstance(load, LoadSource):
        raise TypeError(
            f"load must be a LoadSource, got {type(load).__name__}: write "
            "load=SeriesLoad(feeder, active_mw, reactive_mvar) for series of your own"
        )
    who, names = type(load).__name__, load_points(feeder).names
    calendar = getattr(load, "calendar", None)
    if not isinstance(calendar, Calendar):
        raise ValueError(f"{who}.calendar must be a Calendar(start, dt_h, n_steps), got {calendar!r}")
    _check_calendar(who, calendar)
    most = np.asarray(getattr(load, "s_max_mva", np.nan), dtype=np.float64)
    if most.shape != (len(names),) or not (np.isfinite(most) & (most >= 0.0)).all():
        raise ValueError(
            f"{who} is not for feeder {feeder.name!r}: s_max_mva must be {len(names)} finite numbers of 0 or "
            f"more, one for each of its load points, got shape {most.shape}"
        )
    if getattr(load, "point_names", names) != names:
        raise ValueError(
            f"{who} was made for another feeder: its load points are not those of {feeder.name!r}"
        )
    named_days(load.splits, load.n_days)
    return load


def named_days(splits: object, n_days: int) -> dict[str, IntArray]:
    """Splits as rising arrays of days; ValueError for days that are not there, or train twice."""
    if not isinstance(splits, Mapping):
        raise TypeError(f"splits must be a dict of days by name, got {type(splits).__name__}")
    found: dict[str, IntArray] = {}
    for name, days in splits.items():
        if not isinstance(name, str):
            raise TypeError(f"splits must have names, one of them is {name!r}")
        array = np.asarray(list(days))
        if not array.size or array.dtype.kind not in "iu" or array.min() < 0 or array.max() >= n_days:
            raise ValueError(
                f"split {name!r} must list days of the series, whole numbers in 0..{n_days - 1}, got {days!r}"
            )
        found[name] = np.unique(array).astype(np.int64)
        found[name].setflags(write=False)
    held_out = {int(day) for name in ("val", "test") if name in found for day in found[name]}
    twice = sorted(held_out & {int(day) for day in found.get("train", ())})
    if twice:
        raise ValueError(f"day {twice[0]} is in the split train and held out: training would see the test")
    return found


def _check_calendar(who: str, calendar: Calendar) -> None:
    """ValueError where there is a part of a day: days are numbered from midnight to midnight."""
    if not calendar.whole_days:
        raise ValueError(
            f"{who}.calendar must cover whole days from midnight, not {calendar}: cut what is before the "
            "first and after the last midnight"
        )


def _check_room(load: LoadSource, t_index: IntArray, p_mw: FloatArray, q_mvar: FloatArray) -> None:
    """ValueError where arrays have other shapes than the compiled loop will write to."""
    shape = (t_index.size, load.s_max_mva.size)
    if p_mw.shape != shape or q_mvar.shape != shape:
        raise ValueError(f"loads of {shape} have no room in arrays of {p_mw.shape} and {q_mvar.shape}")


def _check_assignment(feeder: Feeder, assignment: Assignment, profiles: Profiles) -> None:
    """ValueError for an assignment of another feeder, or to shapes that there are not."""
    if assignment.load_ids != tuple(feeder.loads["load_id"].to_pylist()):
        raise ValueError(
            f"the assignment has {len(assignment.load_ids)} loads that are not the "
            f"{feeder.loads.num_rows} of feeder {feeder.name!r}: make it with profiles.assignment(feeder)"
        )
    n = np.where(assignment.is_pv, profiles.pv.shape[1], profiles.load_p.shape[1])
    if ((assignment.shape_index < 0) | (assignment.shape_index >= n)).any():
        raise ValueError("the assignment names shapes that the profiles do not have")


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
