"""Load shapes of a script as time series of the points where loads stand.

OpenDSS plays whole days in daily mode with its controls at rest: steps as short as the shortest interval of a
shape that something follows, as many days as the longest one lasts; shorter ones go round. Step k is solved
for the hour at which it ends, so that the first value of an hourly shape holds from midnight to one o'clock.
Loads are computed from their shapes by OpenDSS's rules. What generators, PV systems, storage and the like
give is read out of each step, as constant power.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...model.feeder import Feeder
from ...phases import places
from ..reading import EngineVoltages, Profiles
from .compiled.pieces import Node
from .engine.process import Compiled
from .parts import Shunt, listed
from .reader import DssOptions, DssReport, run
from .rows import load_row
from .shapes import Floats, Shape, ends_of_steps, shapes_of
from .voltages import engine_voltages

START = "2016-01-01T00:00:00"  # of the model year: scripts have no dates
_LEGS = {"AB": (0, 1), "BC": (1, 2), "CA": (2, 0)}
_EXACT = 1e-9  # of the largest power of a point: what shares of models may move


def profiles_of(compiled: Compiled, feeder: Feeder, report: DssReport) -> Profiles:
    """The series of a script that was read, and what OpenDSS finds in some of the steps.

    Args:
        compiled: days of the script.
        feeder: what came of it.
        report: beside the feeder.

    Raises:
        CaseError: a shape that is not usable.
    """
    return _Days(compiled, feeder, report).profiles()


def days_of(path: str | Path, options: DssOptions) -> Compiled:
    """Days of a script, as OpenDSS plays them.

    Raises:
        CaseError: nothing follows a shape, a shape that is not usable, a step that OpenDSS does not solve.
    """
    return run(path, options, days=True)


def shapes_followed(compiled: Compiled) -> dict[str, str]:
    """Which shape each element follows in days of a script, by class and name."""
    return {title: shape for title, (shape, _) in compiled.header["taken"].items()}


class Series(NamedTuple):
    """Power of one row of the loads table in each step."""

    p_mw: Floats
    q_mvar: Floats


class _Days:
    """Days of one script."""

    def __init__(self, compiled: Compiled, feeder: Feeder, report: DssReport) -> None:
        self.compiled, self.feeder, self.report = compiled, feeder, report
        header = compiled.header
        self.taken: dict[str, list[str]] = header["taken"]
        self.n_steps, self.per_day = int(header["steps"]), int(header["per_day"])
        self.shapes = shapes_of(compiled)
        self.hours = ends_of_steps(self.per_day, self.n_steps)
        names = feeder.column("loads", "load_id")
        self.row = {str(name): row for row, name in enumerate(names)}
        self.values: dict[str, tuple[Floats, Floats]] = {}

    def profiles(self) -> Profiles:
        """Series of all points."""
        given = dict(self._given())
        moved = dict(self._moved())
        points, alone = (_Points(self.feeder, self.n_steps) for _ in range(2))
        own = {self.row[load] for load in self.report.der_loads}
        for row in range(self.feeder.loads.num_rows):
            series = moved.get(row) or given.get(row)
            points.add(row, series)
            if row not in own:
                alone.add(row, series)
        dt_h = 24.0 / self.per_day
        rest = Profiles(START, dt_h, *alone.columns()) if own else None
        node_ids, p_mw, q_mvar, phases = points.columns()
        return Profiles(
            START, dt_h, node_ids, p_mw, q_mvar, phases, dict(self._solved()), tuple(self._notes()),
            tuple(points.mixed()), rest,
        )  # fmt: skip

    def _notes(self) -> Iterator[str]:
        """Which shapes were taken."""
        found: Counter[tuple[str, str]] = Counter()
        names: dict[tuple[str, str], list[str]] = {}
        for title, (_, mode) in self.taken.items():
            key = (mode, title.partition(".")[0])
            found[key] += 1
            names.setdefault(key, []).append(title)
        for mode in ("daily", "yearly", "duty"):
            kinds = {kind: count for (one, kind), count in found.items() if one == mode}
            if not kinds:
                continue
            text = f"{mode} shapes: " + ", ".join(f"{count} {kind}" for kind, count in kinds.items())
            if mode != "daily":
                every = [title for (one, _), titles in names.items() if one == mode for title in titles]
                text += f" (without a daily one: {listed(every)})"
            yield text

    # -- rows ----------------------------------------------------------------------------------------------

    def _moved(self) -> Iterator[tuple[int, Series]]:
        """Rows of loads that follow a shape."""
        p_mw, q_mvar = self.feeder.column("loads", "p_mw"), self.feeder.column("loads", "q_mvar")
        for title, shunts in self.report.loads.items():
            if title not in self.taken or title in self.report.steady:
                continue
            name = self.taken[title][0]
            shape, (p, q) = self.shapes[name], self._values(name)
            for shunt, share in zip(shunts, _shares(shunts), strict=True):
                row = self.row[shunt.name]
                fixed = np.full(self.n_steps, q_mvar[row]) if title in self.report.fixed_q else None
                if not shape.actual:
                    yield row, Series(p_mw[row] * p, q_mvar[row] * q if fixed is None else fixed)
                    continue
                unit = load_row(self.report.frame, replace(shunt, p_mw=share, q_mvar=share))
                own_q = q if shape.q is not None else p * self.compiled.header["ratios"][title]
                moved = own_q * unit["q_mvar"] / 1e3
                yield row, Series(p * unit["p_mw"] / 1e3, moved if fixed is None else fixed)

    def _values(self, name: str) -> tuple[Floats, Floats]:
        """What a shape is worth in each step, of P and Q."""
        if name not in self.values:
            shape: Shape = self.shapes[name]
            p = shape.at(shape.p, self.hours)
            self.values[name] = (p, p if shape.q is None else shape.at(shape.q, self.hours))
        return self.values[name]

    def _given(self) -> Iterator[tuple[int, Series]]:
        """Rows of what gives constant power."""
        for title, injection in self.report.given.items():
            if title not in self.compiled.header["given"]:
                continue
            volts, amps = (
                self.compiled.complex(at).reshape(self.n_steps, -1)
                for at in self.compiled.header["given"][title]
            )
            power = injection.powers(volts[:, : injection.size], amps[:, : injection.size])
            for k, shunt in enumerate(injection.rows):
                yield self.row[shunt.name], Series(power[:, k].real, power[:, k].imag)

    # -- what OpenDSS finds --------------------------------------------------------------------------------

    def _solved(self) -> Iterator[tuple[int, EngineVoltages]]:
        header = self.compiled.header
        nodes: list[Node] = []
        for name in header["node_names"]:
            bus, _, number = name.rpartition(".")
            node = (bus, int(number))
            nodes.append(self.report.names.get(node, node))
        volts = self.compiled.complex(header["volts"]).reshape(len(header["checked"]), -1)
        for step, row in zip(header["checked"], volts.tolist(), strict=True):
            found = {node: volt for node, volt in zip(nodes, row, strict=True) if node[1]}
            solved = engine_voltages(self.feeder, replace(self.report, volts=found))
            yield int(step), replace(solved, engine="OpenDSS in daily mode")


def _shares(shunts: list[Shunt]) -> list[float]:
    """What each row has of its load."""
    for powers in ([one.p_mw for one in shunts], [one.q_mvar for one in shunts]):
        if sum(powers):
            return [power / sum(powers) for power in powers]
    return [1.0 / len(shunts) for _ in shunts]


class _Points:
    """Power of phases and legs: what rows of one point have in all, by how they depend on the voltage."""

    def __init__(self, feeder: Feeder, n_steps: int) -> None:
        self.feeder, self.n_steps = feeder, n_steps
        self.nominal = (feeder.column("loads", "p_mw"), feeder.column("loads", "q_mvar"))
        self.rows = feeder.loads.to_pylist()
        self.at: dict[tuple[str, str], list[tuple[int, float]]] = {}
        self.series: dict[int, Series | None] = {}

    def add(self, row: int, series: Series | None) -> None:
        """A row; without a series it stays as it is."""
        one = self.rows[row]
        self.series[row] = series
        points = _points(one["phase"], one["connection"] == "delta")
        for phase in points:
            self.at.setdefault((one["node_id"], phase), []).append((row, 1.0 / len(points)))

    def columns(self) -> tuple[tuple[str, ...], Floats, Floats, tuple[str, ...]]:
        """Nodes, P and Q of (n_steps, points), phases."""
        shape = (self.n_steps, len(self.at))
        powers: list[Floats] = []
        for part in (0, 1):
            values: Floats = np.zeros(shape)
            for column, rows in enumerate(self.at.values()):
                for row, share in rows:
                    values[:, column] += share * self._power(row, part)
            powers.append(values)
        return tuple(node for node, _ in self.at), powers[0], powers[1], tuple(phase for _, phase in self.at)

    def _power(self, row: int, part: int) -> Floats:
        series = self.series[row]
        return np.full(self.n_steps, self.nominal[part][row]) if series is None else series[part]

    def mixed(self) -> Iterator[str]:
        """Points where one mixture of models does not hold in every step."""
        for (node, phase), rows in self.at.items():
            if len(rows) > 1 and any(not self._holds(rows, part) for part in (0, 1)):
                yield f"{node}.{phase}"

    def _holds(self, rows: list[tuple[int, float]], part: int) -> bool:
        """Whether each model has in every step the share of a point's power that it has at nominal power."""
        models: dict[tuple[float | None, ...], tuple[float, Floats]] = {}
        for row, share in rows:
            key = _model(self.rows[row], "pq"[part])
            at, values = models.get(key, (0.0, np.zeros(self.n_steps)))
            models[key] = (at + share * self.nominal[part][row], values + share * self._power(row, part))
        if len(models) < 2:
            return True
        total = sum(values for _, values in models.values())
        nominal = sum(at for at, _ in models.values())
        most = max(float(np.abs(values).max()) for _, values in models.values())
        shares = [at / nominal if nominal else 1.0 / len(models) for at, _ in models.values()]
        off = [
            float(np.abs(values - total * share).max())
            for share, (_, values) in zip(shares, models.values(), strict=True)
        ]
        return max(off) <= _EXACT * most


def _model(row: dict[str, float | None], part: str) -> tuple[float | None, ...]:
    """How a row's power depends on the voltage."""
    names = (f"{part}_z_frac", f"{part}_i_frac", f"cvr_{part}", "v_low_pu", "v_high_pu", "v_rated_pu")
    return tuple(row[name] for name in names)


def _points(phase: str, delta: bool) -> tuple[str, ...]:
    """Phases of a wye, legs of a delta."""
    if not delta or phase == "12":
        return (phase,) if delta else tuple(phase)
    at = set(places(phase))
    return tuple(leg for leg, pair in _LEGS.items() if set(pair) <= at)
