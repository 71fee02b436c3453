"""Controls of taps and banks of a compiled circuit."""

from __future__ import annotations

from collections.abc import Container, Mapping

from ..parts import BankControl, TapControl, Unit, Winding
from .pieces import Piece

# By property: the column of the regulators table, as a text.
TAP_SETTINGS = {
    "vreg": "v_reg_v",
    "band": "band_v",
    "ptratio": "pt_ratio",
    "ctprim": "ct_a",
    "r": "ldc_r_v",
    "x": "ldc_x_v",
    "delay": "delay_s",
    "tapdelay": "tap_delay_s",
    "maxtapchange": "max_tap_change",
    "vlimit": "v_limit_v",
    "revvreg": "rev_v_reg_v",
    "revband": "rev_band_v",
    "revr": "rev_ldc_r_v",
    "revx": "rev_ldc_x_v",
    "revdelay": "rev_delay_s",
    "revthreshold": "rev_threshold_mw",
}
TAP_FLAGS = {"reversible": "reversible", "revneutral": "rev_neutral"}
BANK_SETTINGS = {  # the same for the cap_controls table
    "ptratio": "pt_ratio",
    "ctratio": "ct_ratio",
    "onsetting": "on_setting",
    "offsetting": "off_setting",
    "delay": "delay_on_s",
    "delayoff": "delay_off_s",
    "deadtime": "dead_time_s",
    "vmin": "v_min_v",
    "vmax": "v_max_v",
}
_ABOVE_ZERO = frozenset("vreg revvreg ptratio ctprim ctratio maxtapchange".split())
_NOT_BELOW = frozenset("band revband delay delayoff tapdelay revdelay deadtime vlimit".split())
UnitsOf = Mapping[tuple[str, int], Unit]  # by transformer and winding


def tap_control(piece: Piece, units: UnitsOf) -> TapControl:
    """A regulator control.

    Raises:
        CaseError: a transformer that is not there, or another winding watched than tapped.
    """
    transformer, watched = piece.text("transformer"), round(piece.number("winding"))
    tapped = round(piece.number("tapwinding"))
    unit = units.get((transformer, tapped))
    if unit is None:
        raise piece.error("transformer", transformer, "a transformer that exists and takes part")
    if watched != tapped:
        raise piece.error("winding, tapwinding", f"{watched}, {tapped}", "one winding, watched and tapped")
    star = unit.windings[0 if tapped == 1 else 1].conn == "wye"
    if star and unit.connection == "delta-delta" and unit.phases == 3:
        raise piece.error("transformer", transformer, "no star whose neutral carries nothing")
    if not _watches_itself(piece, unit, tapped):
        raise piece.error("bus", piece.text("bus"), "no bus far away: the voltage of its own winding")
    if tapped == 1 and (unit.noload_pct or unit.imag_pct):  # the tables have them across the tapped winding
        expected = "no %noloadloss and %imag of a transformer with the taps on winding 1"
        raise piece.error("tapwinding", "1", expected)
    if tapped == 1:
        unit = unit.turned()
    settings = _settings(piece, TAP_SETTINGS)
    _check_taps(piece, unit.windings[1])
    settings["rev_threshold_mw"] /= 1000.0
    flags = {column: piece.flag(name) for name, column in TAP_FLAGS.items()}
    phase = piece.text("ptphase")
    monitored = int(phase) - 1 if phase.lstrip("-").isdigit() else 0
    if not 0 <= monitored < unit.phases:
        raise piece.error("ptphase", phase, "one of the phases of its transformer")
    return TapControl(piece.name, unit, settings, flags, monitored, piece.place)


def _settings(piece: Piece, columns: Mapping[str, str]) -> dict[str, float]:
    """Numbers by column."""
    found = {column: piece.number(name) for name, column in columns.items()}
    for name, column in columns.items():
        if name in _ABOVE_ZERO and found[column] <= 0:
            raise piece.error(name, f"{found[column]:g}", "a number > 0")
        if name in _NOT_BELOW and found[column] < 0:
            raise piece.error(name, f"{found[column]:g}", "a number >= 0")
    return found


def _check_taps(piece: Piece, winding: Winding) -> None:
    """Raise where the taps of a winding have no steps, or where it stands at none of them."""
    low, high, tap = winding.min_tap, winding.max_tap, winding.tap
    if low >= high or not winding.steps:
        raise piece.error("transformer", f"mintap {low:g}, maxtap {high:g}", "taps that it can move")
    if not low <= tap <= high:
        raise piece.error("transformer", f"tap {tap:g}", f"a tap from {low:g} to {high:g}")


def _watches_itself(piece: Piece, unit: Unit, tapped: int) -> bool:
    """Whether no bus is named, or that of the tapped winding: phases to ground, without line drop."""
    bus, end = piece.text("bus"), 0 if tapped == 1 else 1
    plain = unit.connection.split("-")[end] == "wye" and unit.phases == 3
    still = not (piece.number("r") or piece.number("x") or piece.flag("reversible"))
    return not bus or (bus == unit.buses[end] and plain and still)


def bank_control(piece: Piece, banks: Container[str]) -> BankControl:
    """A capacitor control.

    Args:
        piece: the control.
        banks: ids of the banks that are rows of their own.

    Raises:
        CaseError: what the tables of controls cannot say.
    """
    if piece.text("capacitor") not in banks:
        expected = "a bank of one step that takes part"
        raise piece.error("capacitor", piece.text("capacitor"), expected)
    element, kind = piece.text("element"), piece.text("type")
    if not element.startswith("line."):
        raise piece.error("element", element, "a line")
    if kind not in ("kvar", "voltage", "current"):
        raise piece.error("type", kind, "kvar, voltage or current")
    return BankControl(
        piece.name, piece.text("capacitor"), element[5:], ("from", "to")[round(piece.number("terminal")) - 1],
        _watched_phase(piece, kind), kind, _settings(piece, BANK_SETTINGS), piece.flag("voltoverride"),
        piece.place,
    )  # fmt: skip


def _watched_phase(piece: Piece, kind: str) -> int:
    """The phase whose voltage, current or power a control watches, counted from 0."""
    current, voltage = piece.text("ctphase"), piece.text("ptphase")
    if current != voltage and kind != "voltage" and piece.flag("voltoverride"):
        raise piece.error("ctphase, ptphase", f"{current}, {voltage}", "one phase for both")
    phase = voltage if kind == "voltage" else current
    if not phase.isdecimal() or int(phase) < 1:
        raise piece.error("ptphase" if kind == "voltage" else "ctphase", phase, "one phase")
    return int(phase) - 1
