"""What is hosted: kinds of plants, and what they inject at the voltages that they bring about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...envs.resources.inverter_functions import InverterFunctions, functions_of
from ..errors import RunError, unknown
from .flows import Arguments, Shown

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Solve = Callable[[Arguments, FloatArray, FloatArray], Shown]

_ROUNDS = 60  # of coming to rest on curves of the voltage
_REST = 1e-6  # of the rating: how close P and Q are to their curves


@dataclass(frozen=True)
class PlantKind:
    """A kind of what asks for connection.

    Attributes:
        name: As people write it.
        signs: Ways in which its rated power may flow: 1 injects, -1 draws; the worst of them counts.
        profile: What it has of its rating over time: see `moments`.
        q_per_p: Mvar that it draws for each MW that it draws, without inverter functions.
        inverter: Whether it may run inverter functions.
    """

    name: str
    signs: tuple[int, ...]
    profile: str
    q_per_p: float = 0.0
    inverter: bool = True


_LAGGING_095 = float(np.tan(np.arccos(0.95)))
KINDS_OF_PLANT = {
    kind.name: kind
    for kind in (
        PlantKind("solar", (1,), "pv"),
        PlantKind("wind", (1,), "wind"),
        PlantKind("storage", (1, -1), "always"),  # may charge and discharge at any time
        PlantKind("ev", (-1,), "ev", inverter=False),
        PlantKind("load", (-1,), "load", _LAGGING_095, inverter=False),
    )
}


@dataclass(frozen=True)
class Plant:
    """What asks for connection: a kind and its inverter.

    Attributes:
        kind: See `KINDS_OF_PLANT`.
        functions: What its inverter runs by itself (IEEE Std 1547-2018); None: unity power factor.
        s_per_p: Rated apparent power of the inverter over rated active power.
    """

    kind: PlantKind
    functions: InverterFunctions | None = None
    s_per_p: float = 1.0

    @classmethod
    def named(cls, kind: str, inverter: str | InverterFunctions | None = None, s_per_p: float = 1.0) -> Plant:
        """By the name of its kind, and those of its inverter's functions: "volt-var-b", "watt-var-a", ...

        RunError for an unknown kind, with the nearest, for unknown functions, and for functions of what has
        no inverter.
        """
        if kind not in KINDS_OF_PLANT:
            raise unknown("type", kind, KINDS_OF_PLANT)
        found = KINDS_OF_PLANT[kind]
        if not 1.0 <= s_per_p < np.inf:
            raise RunError(f"apparent over active rated power is {s_per_p}: expected 1 or more")
        if inverter is None or inverter == "unity":
            return cls(found, None, s_per_p)
        if not found.inverter:
            raise RunError(f"type {kind!r} has no inverter that rules reactive power: leave the inverter out")
        try:
            return cls(found, functions_of(f"type {kind!r}", inverter), s_per_p)
        except ValueError as error:
            raise RunError(str(error)) from None

    @property
    def looks_at_voltage(self) -> bool:
        """Whether P or Q depend on the voltage."""
        f = self.functions
        return f is not None and not (f.volt_var is None and f.volt_watt is None and f.cease_above_pu is None)


def solve_with(
    solve: Solve, arguments: Arguments, fixed: tuple[FloatArray, FloatArray], plant: Plant,
    share: FloatArray, size_mw: FloatArray, part: FloatArray,
) -> Shown:  # fmt: skip
    """Power flows of rows with a plant each, at rest on the curves of its inverters.

    Args:
        solve: `Flows.solve`.
        arguments: Loads of the rows.
        fixed: P and Q that is injected whatever the plant does, rows or 1.
        plant: Of all rows.
        share: (rows, *places) what part of the size stands where; sums to 1.
        size_mw: (rows,) rated power.
        part: (rows,) what of it flows, 1 injected in full, -1 drawn in full.
    """
    wide = (slice(None),) + (None,) * (share.ndim - 1)
    if plant.functions is None:
        p = share * (size_mw * part)[wide]
        return solve(arguments, p + fixed[0], plant.kind.q_per_p * np.minimum(p, 0.0) + fixed[1])
    rated = share * size_mw[wide]
    at = np.flatnonzero(share.reshape(len(share), -1).any(axis=0))  # places that any row uses
    return _Rest(solve, arguments, fixed, plant, rated, at, part).run()


class _Rest:
    """Inverters on their way to rest: Newton's method of each unit by the secant of its last two rounds."""

    def __init__(
        self, solve: Solve, arguments: Arguments, fixed: tuple[FloatArray, FloatArray], plant: Plant,
        rated: FloatArray, at: NDArray[np.int64], part: FloatArray,
    ) -> None:  # fmt: skip
        self.solve, self.arguments, self.fixed = solve, arguments, fixed
        self.plant, self.rated, self.at = plant, rated, at
        self.ratings = rated.reshape(len(rated), -1)[:, at]
        self.offered = np.abs(part)[:, None]
        self.sign = np.where(part < 0.0, -1.0, 1.0)[:, None]
        self.ceased = np.zeros(self.ratings.shape, dtype=bool)

    def target(self, v: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Per unit of the rating, at these voltages; what has ceased stays off."""
        functions = self.plant.functions
        assert functions is not None
        offered = np.broadcast_to(self.offered, v.shape)
        p, q = functions.response(v, offered, p_mw=1.0, s_mva=self.plant.s_per_p)
        if functions.cease_above_pu is not None:
            self.ceased |= v >= functions.cease_above_pu
        return np.where(self.ceased, 0.0, self.sign * p), np.where(self.ceased, 0.0, q)

    def flow(self, p: FloatArray, q: FloatArray) -> tuple[Shown, FloatArray]:
        """The power flow at these shares of the ratings, and the voltage of each unit."""
        power = [np.zeros((len(self.rated), self.rated[0].size)) for _ in range(2)]
        for array, share in zip(power, (p, q), strict=True):
            array[:, self.at] = share * self.ratings
        shape = self.rated.shape
        shown = self.solve(
            self.arguments, *(a.reshape(shape) + f for a, f in zip(power, self.fixed, strict=True))
        )
        return shown, terminal_voltage(shown.v_pu, shape, self.rated)[:, self.at]

    def run(self) -> Shown:
        """At rest; rows that find none count as not found."""
        shape = self.ratings.shape
        p, q = (np.zeros(shape) for _ in range(2))
        p[:], q[:] = self.target(np.ones(shape))
        used = self.ratings != 0.0
        state, last = np.stack([p, q]), None
        for _ in range(_ROUNDS):
            shown, v = self.flow(*state)
            rest = np.stack(self.target(np.nan_to_num(v, nan=1.0))) - state
            rest[:, ~used] = 0.0
            restless = (np.abs(rest) > _REST).any(axis=(0, 2)) & shown.found
            if not restless.any():
                return shown
            slope = np.full_like(state, -1.5)
            if last is not None:
                moved = state - last[0]
                with np.errstate(divide="ignore", invalid="ignore"):
                    slope = np.where(np.abs(moved) > 1e-12, (rest - last[1]) / moved, -1.0)
            step = -rest / np.clip(np.nan_to_num(slope, nan=-1.0), -1e3, -1.0)
            last = state, rest
            state = np.where(restless[None, :, None], state + step, state)
        return replace(shown, found=shown.found & ~restless)


def terminal_voltage(v_pu: FloatArray, shape: tuple[int, ...], rated: FloatArray) -> FloatArray:
    """(rows, places) voltage that the inverter at each place looks at: of its bus, or the mean over those
    phases of its bus that it feeds.
    """
    if len(shape) == 2:
        return v_pu
    feeds = rated != 0.0  # (rows, buses, 6)
    phases = feeds[..., :3] | feeds[..., 3:]  # at floating nodes voltages are those of the legs
    v = np.nan_to_num(v_pu)
    count = np.maximum(phases.sum(axis=-1), 1)
    mean = (v * phases).sum(axis=-1) / count
    return np.repeat(mean[..., None], 6, axis=-1).reshape(len(v), -1)
