"""Time series that a pandapower net carries as SimBench's do, as loads of nodes.

`net.profiles` holds a table of columns for each kind of element, and the column `profile` of an element names
its own: `H0-A_pload` and `H0-A_qload` for a load with the profile `H0-A`, `PV5` for a generator. A value is a
share of what the element has in the net. Elements without a profile stay as they are. The rows follow each
other in even steps, whatever their clock calls them in summer; the first time is local standard time.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import CaseError, Problem
from ...model.edit import nearest
from ...model.feeder import Feeder
from ..reading import Profiles
from .names import unique_names
from .supported import rows_in_service

_FORMATS = ("%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S")
# Elements that may have one, the sign of a load, and the tables that their columns are in.
_KINDS = {"load": (1.0, ("load",)), "sgen": (-1.0, ("renewables", "powerplants")),
          "gen": (-1.0, ("powerplants", "renewables")), "storage": (1.0, ("storage",))}  # fmt: skip
# Labels of summer time stand an hour off; the rows behind them go on without a gap.
_CLOCKS = (datetime.timedelta(0), datetime.timedelta(hours=1))
Floats = NDArray[np.float64]


def profiles_of(net: Any, feeder: Feeder, file: str) -> Callable[[], Profiles] | None:
    """What makes the series of a balanced net; None where it has none.

    Args:
        net: the net.
        feeder: what it was read as.
        file: name of the source in messages.
    """
    tables = net.get("profiles")
    if not isinstance(tables, dict) or "load" not in tables or feeder.phases != "balanced":
        return None
    if not any("profile" in net[kind] for kind in _KINDS if kind in net):
        return None
    return lambda: _Series(net, feeder, tables, file).profiles()


class _Series:
    """The series of one net, summed by node."""

    def __init__(self, net: Any, feeder: Feeder, tables: dict[str, Any], file: str) -> None:
        self.net, self.feeder, self.tables, self.file = net, feeder, tables, file
        self.start, self.dt_h, self.n_steps = self._times()
        names = unique_names(net, "bus")
        p_mw = np.abs(feeder.column("loads", "p_mw"))
        loaded = feeder.column("loads", "node_id")[p_mw > 0]
        self.nodes = [str(node) for node in dict.fromkeys(loaded.tolist())]
        column = {node: k for k, node in enumerate(self.nodes)}
        self.at = {int(bus): column[name] for bus, name in names.items() if name in column}
        shape, index = (self.n_steps, 1), [feeder.node_index[node] for node in self.nodes]
        self.p = np.tile(feeder.column("nodes", "load_p_mw")[index], shape)
        self.q = np.tile(feeder.column("nodes", "load_q_mvar")[index], shape)

    def profiles(self) -> Profiles:
        """The nominal loads of the nodes, with what profiles make of their elements."""
        for kind, (sign, tables) in _KINDS.items():
            for row, values in self._rows(kind):
                self._add(kind, row, values, sign, tables)
        return Profiles(self.start.isoformat(), self.dt_h, tuple(self.nodes), self.p, self.q)

    def _rows(self, kind: str) -> list[tuple[Any, dict[str, Any]]]:
        if kind not in self.net or not len(self.net[kind]):
            return []
        frame, on = self.net[kind], rows_in_service(self.net, kind)
        rows = zip(frame.index, frame.to_dict("records"), on, strict=True)
        return [(row, v) for row, v, active in rows if active and int(v["bus"]) in self.at]

    def _add(self, kind: str, row: Any, values: dict[str, Any], sign: float, tables: tuple[str, ...]) -> None:
        name = values.get("profile")
        if not isinstance(name, str) or not name:
            return
        column, scaling = self.at[int(values["bus"])], float(values.get("scaling", 1.0))
        size = sign * (scaling if np.isfinite(scaling) else 1.0)
        parts = (("p_mw", "_pload", self.p), ("q_mvar", "_qload", self.q))
        for power, suffix, series in parts if kind == "load" else (("p_mw", "", self.p),):
            nominal = size * float(values.get(power) or 0.0)
            series[:, column] += nominal * (self._shares(kind, row, name, suffix, tables) - 1.0)

    def _shares(self, kind: str, row: Any, name: str, suffix: str, tables: tuple[str, ...]) -> Floats:
        wanted = f"{name}{suffix}"
        for table in tables:
            frame = self.tables.get(table)
            if frame is not None and wanted in frame:
                found = frame[wanted].to_numpy(float)
                if len(found) != self.n_steps or not np.isfinite(found).all():
                    expected = f"{self.n_steps} finite numbers"
                    raise CaseError([Problem(self.file, None, f"profiles {table}", wanted, expected)])
                return np.asarray(found)
        known = [str(one) for table in tables for one in self.tables.get(table, ()) if one != "time"]
        expected = f"a column of the profiles; {nearest(wanted, known)}"
        raise CaseError([Problem(self.file, None, f"{kind} {row}: profile", repr(name), expected)])

    def _times(self) -> tuple[datetime.datetime, float, int]:
        """First time, step in hours and number of steps."""
        texts = [str(one) for one in self.tables["load"].get("time", ())]
        times = [self._time(row, text) for row, text in enumerate(texts)]
        if len(times) < 2:
            raise CaseError([Problem(self.file, None, "profiles load: time", "", "two times or more")])
        step = times[1] - times[0]
        for row, time in enumerate(times):
            even = times[0] + row * step
            if abs(time - even) not in _CLOCKS or step <= datetime.timedelta(0):
                expected = f"{even}, as the steps are even"
                raise CaseError([Problem(self.file, row, "profiles load: time", texts[row], expected)])
        return times[0], step / datetime.timedelta(hours=1), len(times)

    def _time(self, row: int, text: str) -> datetime.datetime:
        for form in _FORMATS:
            try:
                return datetime.datetime.strptime(text, form)
            except ValueError:
                continue
        expected = "a time such as 01.01.2016 00:00"
        raise CaseError([Problem(self.file, row, "profiles load: time", repr(text), expected)])
