"""What an importer hands over: a feeder, what became of the source, and how its own engine solves it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ..model.feeder import Feeder


@dataclass(frozen=True, eq=False)
class EngineVoltages:
    """Voltages of a feeder's nodes as the engine that its format belongs to solves them.

    Attributes:
        engine: name and version of the engine.
        v_pu: complex, (n_nodes,) or (n_nodes, 3) in pu of the node's base; NaN where dead or absent.
        compared: same shape; False where the engine has no such node (the inner node of a transformer).
        tolerance_pu: what the engine's own method leaves open.
    """

    engine: str
    v_pu: NDArray[np.complex128]
    compared: NDArray[np.bool_]
    tolerance_pu: float = 1e-9


class EngineMissingError(RuntimeError):
    """The engine that would verify an import is not installed; the message says what to do."""


class EngineFailedError(RuntimeError):
    """The engine found no solution; the message says why."""


#: Solves the source in its own engine; EngineMissingError or EngineFailedError where that cannot be.
Engine = Callable[[], EngineVoltages]


@dataclass(frozen=True)
class ReadOptions:
    """How a source is read; an importer ignores what its format has not.

    Attributes:
        feeder_id: id of the feeder; by default what the format names it.
        root: folder that files read by a script have to lie in.
        approximate: whether what the tables cannot hold exactly may be reduced.
        phases: "balanced" or "per-phase" where a source can be either; None: by what it holds.
        apart: whether loads of one point that follow different series and depend on the voltage in different
            ways stand at nodes of their own, so that each point can have one series.
    """

    feeder_id: str | None = None
    root: Path | None = None
    approximate: bool = False
    phases: str | None = None
    apart: bool = False


@dataclass(frozen=True, eq=False)
class Profiles:
    """Time series that a source gives its loads.

    Attributes:
        start: ISO date and time of the first interval.
        dt_h: length of an interval in hours.
        node_ids: nodes with a series.
        p_mw: (n_steps, len(node_ids)) load of each node, positive when it consumes.
        q_mvar: the same in Mvar.
        phases: phase or leg of each column of a per-phase feeder; empty for a balanced one.
        solved: what the engine of the source finds in some of the steps, to be compared with.
        notes: what there is to say about them, in words.
        mixed: points whose loads follow different shapes and depend on the voltage in different ways, or
            leave their model at different voltages: series of points may not hold them exactly.
        without_der: the same without what the assets of the source give; None where it has none.
    """

    start: str
    dt_h: float
    node_ids: tuple[str, ...]
    p_mw: NDArray[np.float64]
    q_mvar: NDArray[np.float64]
    phases: tuple[str, ...] = ()
    solved: Mapping[int, EngineVoltages] = field(default_factory=lambda: MappingProxyType({}))
    notes: tuple[str, ...] = ()
    mixed: tuple[str, ...] = ()
    without_der: Profiles | None = None


@dataclass(frozen=True, eq=False)
class Reading:
    """One source as a feeder.

    Attributes:
        feeder: the feeder, not verified.
        engine: solves the source in its own engine; None where the format has none.
        converted: how many of each class of the source became part of the feeder.
        ignored: how many of each class were left out, as they change nothing in a power flow.
        profiles: makes the time series of the source; None where it has none.
        approximated: what was reduced on request, in words; the verification then says what that costs.
        assets: rows of `der_assets` for what the source has of distributed resources.
    """

    feeder: Feeder
    engine: Engine | None = None
    converted: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    ignored: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    profiles: Callable[[], Profiles] | None = None
    approximated: str = ""
    assets: tuple[Mapping[str, Any], ...] = ()
