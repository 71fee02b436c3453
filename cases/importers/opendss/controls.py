"""Controls of taps and of capacitors in OpenDSS circuits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .lexer import Param, Place, flag, number, whole
from .objects import Circuit, DssObject
from .properties import Handler, one_of, only, put, replay
from .tap_numbers import check_transformer
from .transformers import Unit

# By property: the column of the regulators table, and the value that OpenDSS starts from.
TAP_SETTINGS = {
    "vreg": ("v_reg_v", 120.0),
    "band": ("band_v", 3.0),
    "ptratio": ("pt_ratio", 60.0),
    "ctprim": ("ct_a", 300.0),
    "r": ("ldc_r_v", 0.0),
    "x": ("ldc_x_v", 0.0),
    "delay": ("delay_s", 15.0),
    "tapdelay": ("tap_delay_s", 2.0),
    "maxtapchange": ("max_tap_change", 16.0),
    "vlimit": ("v_limit_v", 0.0),
    "revvreg": ("rev_v_reg_v", 120.0),
    "revband": ("rev_band_v", 3.0),
    "revr": ("rev_ldc_r_v", 0.0),
    "revx": ("rev_ldc_x_v", 0.0),
    "revdelay": ("rev_delay_s", 60.0),
    "revthreshold": ("rev_threshold_mw", 100.0),
}
TAP_FLAGS = {"reversible": "reversible", "revneutral": "rev_neutral"}
BANK_SETTINGS = {  # the same for the cap_controls table
    "ptratio": ("pt_ratio", 60.0),
    "ctratio": ("ct_ratio", 60.0),
    "onsetting": ("on_setting", 300.0),
    "offsetting": ("off_setting", 200.0),
    "delay": ("delay_on_s", 15.0),
    "delayoff": ("delay_off_s", 15.0),
    "deadtime": ("dead_time_s", 300.0),
    "vmin": ("v_min_v", 115.0),
    "vmax": ("v_max_v", 126.0),
}


@dataclass(frozen=True)
class TapControl:
    """A regulator control."""

    name: str
    unit: Unit  # its last winding is the one with the taps
    settings: Mapping[str, float]  # by the column of the regulators table
    flags: Mapping[str, bool]
    monitored: int  # which phase of the winding
    place: Place


@dataclass(frozen=True)
class BankControl:
    """A capacitor control."""

    name: str
    capacitor: str
    line: str
    end: str
    phase: int
    kind: str
    settings: Mapping[str, float]  # by the column of the cap_controls table
    v_override: bool
    place: Place


@dataclass
class _Control:
    """A control while its properties are read."""

    settings: dict[str, float]
    flags: dict[str, bool] = field(default_factory=dict)
    transformer: str = ""
    element: str = ""
    capacitor: str = ""
    winding: int = 1  # whose voltage it watches
    tap_winding: int = 1
    kind: str = "current"
    override: bool = False
    terminal: int = 1
    ct_phase: int = 1
    pt_phase: int = 1


def _setting(column: str) -> Handler[_Control]:
    def handler(state: _Control, edit: Param) -> None:
        state.settings[column] = number(edit)

    return handler


def _switch(column: str) -> Handler[_Control]:
    def handler(state: _Control, edit: Param) -> None:
        state.flags[column] = flag(edit)

    return handler


def _winding(state: _Control, edit: Param) -> None:
    """The winding that is watched is also the one with the taps, until `tapwinding` names another."""
    state.winding = state.tap_winding = one_of(1, 2)(edit)


def _word(edit: Param) -> str:
    return edit.value.lower()


def _kind(edit: Param) -> str:
    if _word(edit) not in ("kvar", "voltage", "current"):
        raise edit.place.error("type", edit.value, "kvar, voltage or current")
    return _word(edit)


_TAP: dict[str, Handler[_Control]] = {
    **{name: _setting(column) for name, (column, _) in TAP_SETTINGS.items()},
    **{name: _switch(column) for name, column in TAP_FLAGS.items()},
    "transformer": put("transformer", _word),
    "winding": _winding,
    "tapwinding": put("tap_winding", one_of(1, 2)),
    "ptphase": put("pt_phase", whole),
    "tapnum": lambda *_: None,  # moves the transformer's tap, where the transformer is read
    "inversetime": only("n", "f"),
    "cogen": only("n", "f"),
    "ldc_z": only("0"),
    "rev_z": only("0"),
}
_BANK: dict[str, Handler[_Control]] = {
    **{name: _setting(column) for name, (column, _) in BANK_SETTINGS.items()},
    "element": put("element", _word),
    "capacitor": put("capacitor", _word),
    "type": put("kind", _kind),
    "voltoverride": put("override", flag),
    "terminal": put("terminal", one_of(1, 2)),
    "ctphase": put("ct_phase", whole),
    "ptphase": put("pt_phase", whole),
}


def tap_controls(circuit: Circuit, known: list[Unit]) -> list[TapControl]:
    """The regulator controls that take part."""
    by_name = {unit.name: unit for unit in known}
    return [_tap_control(obj, by_name, circuit) for obj in circuit.of("regcontrol")]


def _tap_control(obj: DssObject, known: Mapping[str, Unit], circuit: Circuit) -> TapControl:
    state = _Control(dict(TAP_SETTINGS.values()), dict.fromkeys(TAP_FLAGS.values(), False))
    replay(obj, state, _TAP, circuit.hz)
    check_transformer(obj, circuit)
    unit = known.get(state.transformer)
    if unit is None:
        raise obj.error("transformer", state.transformer, "a transformer that exists and takes part")
    if not 1 <= state.pt_phase <= unit.phases or len(unit.windings) != 2:
        shown = f"{state.winding}, {state.pt_phase}"
        raise obj.error(
            "winding, ptphase", shown, "winding 1 or 2 of a transformer of two, and one of its phases"
        )
    if state.tap_winding != state.winding:
        shown = f"{state.winding}, {state.tap_winding}"
        raise obj.error("winding, tapwinding", shown, "one winding, which is watched and has the taps")
    if state.winding == 1:
        unit = _turned(obj, unit)
    state.settings["rev_threshold_mw"] /= 1000.0
    return TapControl(obj.name, unit, state.settings, state.flags, state.pt_phase - 1, obj.place)


def _turned(obj: DssObject, unit: Unit) -> Unit:
    """A unit with the taps on its first winding, written from the second one to it."""
    if unit.noload_pct or unit.imag_pct:  # OpenDSS has them across winding 2, the tables at the taps
        expected = "no %noloadloss and %imag of a transformer with the taps on winding 1 (or winding=2)"
        raise obj.error("winding", f"1, {unit.noload_pct:g}, {unit.imag_pct:g}", expected)
    return unit.turned()


def bank_controls(circuit: Circuit) -> list[BankControl]:
    """The capacitor controls that take part."""
    return [_bank_control(obj, circuit.hz) for obj in circuit.of("capcontrol")]


def _bank_control(obj: DssObject, hz: float) -> BankControl:
    state = replay(obj, _Control(dict(BANK_SETTINGS.values())), _BANK, hz)
    if not state.element.startswith("line.") or not state.capacitor:
        raise obj.error("element, capacitor", state.element, "a line, and a capacitor")
    if state.ct_phase != state.pt_phase:
        raise obj.error("ctphase, ptphase", f"{state.ct_phase}, {state.pt_phase}", "one phase for both")
    return BankControl(
        name=obj.name,
        capacitor=state.capacitor,
        line=state.element[5:],
        end=("from", "to")[state.terminal - 1],
        phase=state.ct_phase - 1,
        kind=state.kind,
        settings=state.settings,
        v_override=state.override,
        place=obj.place,
    )
