"""Ratio and impedance of windings at the position of their tap changers, by steps or by tables."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import CaseError, Problem
from . import models as cim


@dataclass(frozen=True)
class AtTap:
    """What a tap makes of a winding: a factor of its rated voltage, and of r, x, g and b."""

    ratio: float = 1.0
    r: float = 1.0
    x: float = 1.0
    g: float = 1.0
    b: float = 1.0


class TapRatios:
    """The tap changers of a model, by winding."""

    def __init__(self, model: cim.Model) -> None:
        self._model = model
        self._changer = {one.end: one for one in model.of(cim.RatioTapChanger)}
        self._points = cim.grouped(model.of(cim.RatioTapChangerTablePoint), lambda one: one.table)

    def of(self, end: str) -> AtTap:
        """What holds at a winding.

        Raises:
            CaseError: a step that the table has not, or a ratio of 0 or below.
        """
        changer = self._changer.get(end)
        if changer is None:
            return AtTap()
        found = self._stepped(changer) if not changer.table else self._tabled(changer)
        if not found.ratio > 0:
            raise self._refuse(changer, "RatioTapChanger.stepVoltageIncrement", f"{found.ratio:g}",
                               "a step with a ratio above 0")  # fmt: skip
        return found

    def _stepped(self, changer: cim.RatioTapChanger) -> AtTap:
        return AtTap(1.0 + (changer.step - changer.neutral) * changer.step_pct / 100.0)

    def _tabled(self, changer: cim.RatioTapChanger) -> AtTap:
        points = [point for point in self._points.get(changer.table, []) if point.step == changer.step]
        if len(points) != 1:
            known = sorted(point.step for point in self._points.get(changer.table, []))
            expected = f"a step of its table: {', '.join(map(str, known)) or 'which has none'}"
            raise self._refuse(changer, "TapChanger.step", f"{changer.step:g}", expected)
        point = points[0]
        r, x, g, b = (
            1.0 + percent / 100.0 for percent in (point.r_pct, point.x_pct, point.g_pct, point.b_pct)
        )
        return AtTap(point.ratio, r, x, g, b)

    def _refuse(self, changer: cim.RatioTapChanger, field: str, value: str, expected: str) -> CaseError:
        place = f"RatioTapChanger {changer.mrid} {field}"
        return CaseError([Problem(self._model.file, None, place, value, expected)])
