"""Whole days of a circuit as OpenDSS plays them in daily mode, with its controls at rest.

What has no daily shape takes its yearly one, else its duty cycle, as `edit daily=` would give it to it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .readout import INJECTING, Blob
from .refusal import RefusedError
from .said import Said

MODES = ("daily", "yearly", "duty")
CHECKED = 9  # steps that are compared, the first and the last among them
_TOLERANCES = (1e-8, 1e-7, 1e-6)  # steps of zones without ground come no closer than one of these
_ASKED = 25  # steps in which loads are asked for their power factor
STEPS_PER_DAY = 86_400  # at most: steps of a second
MAX_VALUES = 30_000_000  # steps times elements with a shape
_SHAPED = INJECTING | {"load"}
_MEAN = 1e-9  # of a step


class Steps(NamedTuple):
    """Steps of the same length from midnight on, whole days of them."""

    per_day: int
    number: int

    def spread(self, count: int) -> list[int]:
        """Some of the steps, the first and the last among them, far from each other."""
        return sorted({round(k * (self.number - 1) / (count - 1)) for k in range(count)})

    def begin(self, step: int) -> tuple[int, float]:
        """Hour and second at which a step begins."""
        seconds = step * 86_400.0 / self.per_day
        return int(seconds // 3600), seconds % 3600.0


class Days:
    """Days of the active circuit.

    Args:
        dss: the engine, its circuit solved in the snapshot.
        said: what the script says of its load shapes.
        file: the script.
    """

    def __init__(self, dss: Any, said: Said, file: Path) -> None:
        self.dss, self.said, self.file = dss, said, file
        self.circuit = dss.ActiveCircuit
        self.taken: dict[str, tuple[str, str]] = {}  # by element: its shape, and what named it
        self.injecting: list[str] = []

    def read(self, blob: Blob) -> dict[str, Any]:
        """Shapes, what injects in each step, and voltages in some steps.

        Raises:
            RefusedError: nothing follows a shape, a shape that is not usable, a step without a solution.
        """
        self._take()
        shapes = self._shapes(blob)
        steps = self._steps(shapes)
        checked = steps.spread(CHECKED)
        volts, given = self._play(steps, checked)
        return {
            "per_day": steps.per_day, "steps": steps.number, "checked": checked, "taken": self.taken,
            "shapes": shapes, "volts": blob.put(volts), "ratios": self._ratios(shapes, steps),
            "node_names": [str(name).lower() for name in self.circuit.AllNodeNames],
            "given": {name: [blob.put(values) for values in parts] for name, parts in given.items()},
        }  # fmt: skip

    # -- who follows what ----------------------------------------------------------------------------------

    def _take(self) -> None:
        for name in self.dss.Classes:
            kind = str(name).lower()
            if kind not in _SHAPED:
                continue
            self.circuit.SetActiveClass(name)
            for one in [str(one) for one in self.circuit.ActiveClass.AllNames]:
                self.circuit.SetActiveElement(f"{kind}.{one}")
                active = self.circuit.ActiveCktElement
                if not active.Enabled:
                    continue
                title = f"{kind}.{one.lower()}"
                if kind in INJECTING:
                    self.injecting.append(title)
                known = {str(name).lower() for name in active.AllPropertyNames}
                named = [(active.Properties(mode).Val.lower(), mode) for mode in MODES if mode in known]
                shape, mode = next((pair for pair in named if pair[0]), ("", ""))
                if not shape:
                    continue
                if kind == "vsource":
                    raise self.said.error(title, mode, shape, "no shape of a source's voltage")
                self.taken[title] = (shape, mode)
        if not self.taken:
            expected = "a load or resource that names a load shape; leave out --profiles"
            raise RefusedError(str(self.file), None, "daily", "", expected)

    def _shapes(self, blob: Blob) -> dict[str, Any]:
        table = self.circuit.LoadShapes
        found: dict[str, Any] = {}
        for name in dict.fromkeys(shape for shape, _ in self.taken.values()):
            table.Name = name
            n = int(table.Npts)
            self.said.check(name, n)
            p, q, at = (
                np.asarray(values, dtype=float) for values in (table.Pmult, table.Qmult, table.TimeArray)
            )
            interval = float(table.HrInterval)
            self._check(name, "mult", p, n)
            if q.size == n and (n > 1 or q[0]):
                self._check(name, "qmult", q, n)
            if not interval > 0.0:
                self._check(name, "hour", at, n)
                if (np.diff(at) <= 0.0).any() or at[0] < 0.0 or at[-1] <= 0.0:
                    raise self.said.error(f"loadshape.{name}", "hour", _shown(at), "hours that rise")
            edge = self._said(name, "interpolation").lower().startswith("e")
            if edge and not interval > 0.0:
                expected = "avg with hours: OpenDSS has no reactive power between points of the other kind"
                raise self.said.error(f"loadshape.{name}", "interpolation", "edge", expected)
            found[name] = {
                "interval": interval if interval > 0.0 else 0.0, "actual": bool(table.UseActual),
                "edge": edge, "p": blob.put(p),
                "q": blob.put(q) if q.size == n and self._has_q(name) else None,
                "hours": None if interval > 0.0 else blob.put(at), "points": n,
                "length": n * interval if interval > 0.0 else float(at[-1]),
                "step": interval if interval > 0.0 else float(np.diff(at).min(initial=24.0)),
            }  # fmt: skip
        return found

    def _has_q(self, name: str) -> bool:
        return bool(self._said(name, "qmult").strip("[]() "))

    def _said(self, name: str, field: str) -> str:
        """A property of a shape, whose name may have dots; no question of a script can have them."""
        self.circuit.SetActiveClass("LoadShape")
        self.circuit.ActiveClass.Name = name
        return str(self.circuit.ActiveDSSElement.Properties(field).Val)

    def _check(self, name: str, field: str, values: np.ndarray, n: int) -> None:
        if values.size != n or n < 1:
            raise self.said.error(f"loadshape.{name}", field, f"{values.size} values", f"{n}, as npts says")
        if not np.isfinite(values).all():
            at = int(np.argmin(np.isfinite(values)))
            shown = f"{values[at]:g} (value {at + 1})"
            raise self.said.error(f"loadshape.{name}", field, shown, "finite numbers")

    def _steps(self, shapes: dict[str, Any]) -> Steps:
        """Steps as short as the shortest of a shape, as many days as the longest lasts."""
        finest = min(shapes, key=lambda name: float(shapes[name]["step"]))
        step = shapes[finest]["step"]
        per_day = round(24.0 / step)
        if not 1 <= per_day <= STEPS_PER_DAY or abs(24.0 / step - per_day) > _MEAN * per_day:
            expected = "steps of a second or more that a day is a whole number of"
            raise self.said.error(f"loadshape.{finest}", "interval", f"{step:g} h", expected)
        longest = max(shapes, key=lambda name: float(shapes[name]["length"]))
        days = max(1, int(np.ceil(shapes[longest]["length"] / 24.0 - _MEAN)))
        if days * per_day * (len(self.taken) + len(self.injecting)) > MAX_VALUES:
            shown = f"{days * per_day} steps of {step:g} h"
            raise self.said.error(f"loadshape.{finest}", "interval", shown, f"at most {MAX_VALUES} values")
        return Steps(per_day, days * per_day)

    # -- the days ------------------------------------------------------------------------------------------

    def _play(self, steps: Steps, checked: list[int]) -> tuple[np.ndarray, dict[str, list[np.ndarray]]]:
        """Voltages in the checked steps; volts and amperes of what injects in each step.

        Where something injects all steps are played in their order: what storage holds comes from before.
        """
        self._follow(steps)
        volts = []
        given: dict[str, list[list[np.ndarray]]] = {title: [[], []] for title in self.injecting}
        feeding = [title for title in self.injecting if title.startswith("vsource.")][:1]
        alone = self.injecting == feeding  # the first source is what feeds the circuit
        wanted = set(checked)
        for step in checked if alone else range(steps.number):
            self._solve(steps, step)
            for title, (v, i) in () if alone else given.items():
                self.circuit.SetActiveElement(title)
                active = self.circuit.ActiveCktElement
                v.append(np.asarray(active.Voltages, dtype=float))
                i.append(np.asarray(active.Currents, dtype=float))
            if step in wanted:
                volts.append(np.asarray(self.circuit.AllBusVolts, dtype=float))
        return np.array(volts), {
            title: [np.array(part) for part in parts] for title, parts in given.items() if parts[0]
        }

    def _follow(self, steps: Steps) -> None:
        for title, (shape, mode) in self.taken.items():
            if mode != "daily":
                self.dss.Text.Command = f"edit {title} daily={shape}"
        for text in ("set controlmode=off", "set mode=daily", "set number=1"):
            self.dss.Text.Command = text
        self.circuit.Solution.StepSize = 86_400.0 / steps.per_day

    def _solve(self, steps: Steps, step: int) -> None:
        """Solve one step; what stores energy goes on in each solution, so it has one only."""
        hour, second = steps.begin(step)
        stores = any(title.startswith("storage.") for title in self.injecting)
        for tolerance in _TOLERANCES[:1] if stores else _TOLERANCES:
            self.dss.Text.Command = f"set tolerance={tolerance}"
            self.dss.Text.Command = f"set hour={hour} sec={second!r}"
            self.dss.Text.Command = "solve"
            if self.circuit.Solution.Converged:
                return
        expected = "a step that OpenDSS solves with its controls at rest"
        raise RefusedError(str(self.file), None, "solve mode=daily", f"step {step}", expected)

    def _ratios(self, shapes: dict[str, Any], steps: Steps) -> dict[str, float]:
        """Mvar for each MW of loads with a shape of actual power and none of reactive power.

        OpenDSS keeps the power factor of a load if it was given one; of constant power that can be seen.
        """
        loads = [
            title for title, (shape, _) in self.taken.items()
            if title.startswith("load.") and shapes[shape]["actual"] and shapes[shape]["q"] is None
        ]  # fmt: skip
        found = dict.fromkeys(loads, 0.0)
        if not loads:
            return found
        for title in loads:
            self.dss.Text.Command = f"edit {title} model=1 vminpu=0 vmaxpu=1000"
        for step in steps.spread(_ASKED):
            self._solve(steps, step)
            for title in [one for one in loads if not found[one]]:
                self.circuit.SetActiveElement(title)
                power = np.asarray(self.circuit.ActiveCktElement.Powers, dtype=float)
                p, q = power[0::2].sum(), power[1::2].sum()
                found[title] = float(q / p) if abs(p) > 1e-6 and abs(q) > 1e-7 * abs(p) else 0.0
        return found


def _shown(values: np.ndarray) -> str:
    return " ".join(f"{one:g}" for one in values[:6]) + (" ..." if values.size > 6 else "")
