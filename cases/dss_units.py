"""Transformers of OpenDSS as transformer units, and the controls of their taps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .dss_lex import Param, Place, flag, number, numbers, parts, whole
from .dss_run import Circuit, Thing
from .dss_wires import base_frequency, bus_of, refuse

MAX_WINDINGS = 3


@dataclass
class Winding:
    """One winding while its properties are read."""

    bus: Param | None = None
    conn: str = "wye"
    kv: float = 12.47
    kva: float = 1000.0
    tap: float = 1.0
    r_pct: float = 0.2
    min_tap: float = 0.9
    max_tap: float = 1.1
    steps: int = 32


@dataclass
class _Transformer:
    """A transformer while its properties are read."""

    phases: int = 3
    windings: list[Winding] = field(default_factory=lambda: [Winding(), Winding()])
    active: int = 0
    x_pct: dict[str, float] = field(default_factory=lambda: {"xhl": 7.0, "xht": 35.0, "xlt": 30.0})
    noload_pct: float = 0.0
    imag_pct: float = 0.0
    ppm: float = 1.0
    leads: bool = False
    bank: str = ""


@dataclass(frozen=True)
class Unit:
    """A row of the transformers table in the making."""

    name: str
    bank: str
    buses: tuple[str, str]
    terminals: tuple[tuple[int, ...], tuple[int, ...]]  # phases in winding order; (1, 2) behind a centre tap
    connection: str
    phases: int
    kv: tuple[float, float]
    kva: float
    r_pct: tuple[float, ...]  # of each winding
    x_pct: tuple[float, ...]  # high to leg 1; centre-tap also high to leg 2, leg 1 to leg 2
    taps: tuple[float, float]
    lag_deg: float
    noload_pct: float
    imag_pct: float
    ppm: float
    windings: tuple[Winding, ...]
    place: Place


def units(circuit: Circuit) -> list[Unit]:
    """The transformers that take part, in the order of their definition."""
    codes = {name: thing for (kind, name), thing in circuit.things.items() if kind == "xfmrcode"}
    return [_unit(thing, codes, circuit.hz) for thing in circuit.of("transformer")]


def _unit(thing: Thing, codes: Mapping[str, Thing], hz: float) -> Unit:
    state = _Transformer()
    for edit in thing.edits:
        if edit.name == "xfmrcode":
            code = codes.get(edit.value.lower())
            if code is None:
                raise edit.place.error(
                    f"transformer.{thing.name} xfmrcode", repr(edit.value), "one that exists"
                )
            state = _of_code(code, state, hz)
        else:
            _property(thing, state, edit, hz)
    return _finished(thing, state)


def _of_code(code: Thing, old: _Transformer, hz: float) -> _Transformer:
    """What a code says, with the buses that the transformer had before."""
    state = _Transformer(bank=old.bank)
    for edit in code.edits:
        _property(code, state, edit, hz)
    for winding, before in zip(state.windings, old.windings, strict=False):
        winding.bus = before.bus
    return state


# -- properties ----------------------------------------------------------------------------------------------


def _property(thing: Thing, state: _Transformer, edit: Param, hz: float) -> None:
    name = edit.name
    if name in _SIMPLE:
        _SIMPLE[name](state, edit)
    elif name in _OF_WINDING:
        _OF_WINDING[name](state, edit)
    elif name in _LISTS:
        values = parts(edit)
        if len(values) > len(state.windings):
            raise edit.place.error(name, repr(edit.value), f"{len(state.windings)} values, one per winding")
        at = state.active
        for state.active, value in enumerate(values):
            if name == "kvas":
                state.windings[state.active].kva = number(value)
            else:
                _OF_WINDING[_LISTS[name]](state, value)
        state.active = at
    elif name == "basefreq":
        base_frequency(thing, edit, hz)
    else:
        refuse(thing, edit, frozenset({"enabled"}))


def _phases(state: _Transformer, edit: Param) -> None:
    state.phases = whole(edit)
    if state.phases not in (1, 3):
        raise edit.place.error("phases", edit.value, "1 or 3 (a two-phase bank is two one-phase units)")


def _windings(state: _Transformer, edit: Param) -> None:
    count = whole(edit)
    if not 2 <= count <= MAX_WINDINGS:
        raise edit.place.error("windings", edit.value, f"2 to {MAX_WINDINGS}")
    if count != len(state.windings):
        state.windings = [Winding() for _ in range(count)]
        state.active = 0


def _active(state: _Transformer, edit: Param) -> None:
    at = whole(edit)
    if not 1 <= at <= len(state.windings):
        raise edit.place.error("wdg", edit.value, f"1 to {len(state.windings)}")
    state.active = at - 1


def _load_loss(state: _Transformer, edit: Param) -> None:
    for winding in state.windings[:2]:
        winding.r_pct = number(edit) / 2.0


def _reactances(state: _Transformer, edit: Param) -> None:
    values = numbers(edit)
    if len(values) != (1 if len(state.windings) == 2 else 3):
        raise edit.place.error("xscarray", repr(edit.value), "one value per pair of windings")
    state.x_pct.update(zip(("xhl", "xht", "xlt"), values, strict=False))


def _reactance(name: str) -> Callable[[_Transformer, Param], None]:
    def put(state: _Transformer, edit: Param) -> None:
        state.x_pct[name] = number(edit)

    return put


def _attribute(name: str) -> Callable[[_Transformer, Param], None]:
    def put(state: _Transformer, edit: Param) -> None:
        setattr(state, name, number(edit))

    return put


def _lead(state: _Transformer, edit: Param) -> None:
    word = edit.value.lower()
    if not word or not any(known.startswith(word) for known in ("lead", "lag", "ansi", "euro")):
        raise edit.place.error("leadlag", repr(edit.value), "lag, ansi, lead or euro")
    state.leads = word in ("lead", "lea", "le") or "euro".startswith(word)


def _bank(state: _Transformer, edit: Param) -> None:
    state.bank = edit.value.lower()


def _bus(state: _Transformer, edit: Param) -> None:
    state.windings[state.active].bus = edit


def connection(edit: Param) -> str:
    """Wye or delta, from the words that OpenDSS takes."""
    word = edit.value.lower()
    if word.startswith(("w", "y", "ln")):
        return "wye"
    if word.startswith(("d", "ll")):
        return "delta"
    raise edit.place.error("conn", repr(edit.value), "wye (y, ln) or delta (d, ll)")


def _conn(state: _Transformer, edit: Param) -> None:
    state.windings[state.active].conn = connection(edit)


def _kva(state: _Transformer, edit: Param) -> None:
    """The first winding's rating is everybody's until they get their own; two windings share one."""
    value = number(edit)
    shared = state.active == 0 or len(state.windings) == 2
    for winding in state.windings if shared else [state.windings[state.active]]:
        winding.kva = value


def _of_winding(name: str) -> Callable[[_Transformer, Param], None]:
    def put(state: _Transformer, edit: Param) -> None:
        setattr(state.windings[state.active], name, number(edit))

    return put


def _steps(state: _Transformer, edit: Param) -> None:
    state.windings[state.active].steps = whole(edit)
    if state.windings[state.active].steps < 1:
        raise edit.place.error("numtaps", edit.value, "at least 1")


def _solid(state: _Transformer, edit: Param) -> None:
    """Neutrals are grounded solidly; other neutral impedances cannot be kept."""
    if edit.name == "rneut" and number(edit) < 0:
        return
    if edit.name == "xneut" and number(edit) == 0:
        return
    raise edit.place.error(edit.name, edit.value, "a solidly grounded neutral (no impedance in it)")


_SIMPLE: Mapping[str, Callable[[_Transformer, Param], None]] = {
    "phases": _phases, "windings": _windings, "wdg": _active, "%loadloss": _load_loss, "xscarray": _reactances,
    "xhl": _reactance("xhl"), "x12": _reactance("xhl"), "xht": _reactance("xht"), "x13": _reactance("xht"),
    "xlt": _reactance("xlt"), "x23": _reactance("xlt"), "%noloadloss": _attribute("noload_pct"),
    "%imag": _attribute("imag_pct"), "ppm_antifloat": _attribute("ppm"), "leadlag": _lead, "bank": _bank,
}  # fmt: skip
_OF_WINDING: Mapping[str, Callable[[_Transformer, Param], None]] = {
    "bus": _bus, "conn": _conn, "kva": _kva, "kv": _of_winding("kv"), "tap": _of_winding("tap"),
    "%r": _of_winding("r_pct"), "mintap": _of_winding("min_tap"), "maxtap": _of_winding("max_tap"),
    "numtaps": _steps, "rneut": _solid, "xneut": _solid,
}  # fmt: skip
_LISTS = {"buses": "bus", "conns": "conn", "kvs": "kv", "kvas": "kva", "taps": "tap", "%rs": "%r"}


# -- the unit ------------------------------------------------------------------------------------------------


def _finished(thing: Thing, state: _Transformer) -> Unit:
    _positive(thing, state)
    ends = []
    for count, winding in enumerate(state.windings, 1):
        if winding.bus is None:
            raise thing.error(f"bus of winding {count}", "", "the bus of every winding")
        ends.append(bus_of(winding.bus, state.phases, state.phases + 1))
    tapped = len(state.windings) == 3
    if tapped:
        terminals = _centre_tap(thing, state, ends)
        kinds = ["centre", "tap"]
    else:
        shaped = [_terminals(thing, state, k, ends[k][1]) for k in range(2)]
        kinds = [shape[0] for shape in shaped]
        terminals = (shaped[0][1], shaped[1][1])
    first, second = state.windings[:2]
    mixed = not tapped and state.phases == 3 and kinds[0] != kinds[1]
    lag = 0.0
    if mixed:
        lag = 30.0 if (first.kv >= second.kv) != state.leads else -30.0
    return Unit(
        name=thing.name,
        bank=state.bank,
        buses=(ends[0][0], ends[1][0]),
        terminals=terminals,
        connection="-".join(kinds),
        phases=state.phases,
        kv=(first.kv, second.kv),
        kva=first.kva,
        r_pct=tuple(winding.r_pct for winding in state.windings),
        x_pct=tuple(state.x_pct[name] for name in (("xhl", "xht", "xlt") if tapped else ("xhl",))),
        taps=(first.tap, second.tap),
        lag_deg=lag,
        noload_pct=state.noload_pct,
        imag_pct=state.imag_pct,
        ppm=state.ppm,
        windings=tuple(state.windings),
        place=thing.place,
    )


def _positive(thing: Thing, state: _Transformer) -> None:
    for winding in state.windings:
        for name in ("kv", "kva", "tap"):
            if getattr(winding, name) <= 0:
                raise thing.error(name, str(getattr(winding, name)), "a number > 0")
        if winding.r_pct < 0:
            raise thing.error("%r", str(winding.r_pct), "a number >= 0")
    if state.x_pct["xhl"] == 0 and not any(winding.r_pct for winding in state.windings[:2]):
        raise thing.error("xhl", "0", "an impedance that is not zero")


def _terminals(
    thing: Thing, state: _Transformer, k: int, nodes: tuple[int, ...]
) -> tuple[str, tuple[int, ...]]:
    """Connection of winding k and its phases in order; the neutral must be ground."""
    winding, hot = state.windings[k], nodes[: state.phases]
    shown = ".".join(str(node) for node in nodes)
    if state.phases == 1:
        # Across one winding there is no wye and delta, only from where to where.
        kind = "delta" if nodes[1] else "wye"
        hot = nodes if nodes[1] else nodes[:1]
    else:
        kind = winding.conn
        if kind == "wye" and nodes[3] != 0:
            raise thing.error(f"bus of winding {k + 1}", shown, "a neutral at ground (node 0)")
    if 0 in hot or len(set(hot)) < len(hot):
        raise thing.error(f"bus of winding {k + 1}", shown, "phases, each once, and ground only as neutral")
    return kind, hot


def _centre_tap(
    thing: Thing, state: _Transformer, ends: list[tuple[str, tuple[int, ...]]]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The terminals of a one-phase transformer with the middle of its secondary at ground."""
    high, low, other = state.windings
    expected = "bus.p, bus.1.0, bus.0.2 with two equal legs: the only transformer of three windings"
    shown = " ".join(f"{name}.{'.'.join(map(str, nodes))}" for name, nodes in ends)
    same = ends[1][0] == ends[2][0] and low.kv == other.kv and low.tap == other.tap
    legs = ends[1][1] == (1, 0) and ends[2][1] == (0, 2)
    if state.phases != 1 or not same or not legs or ends[0][1][0] == 0 or ends[0][1][1] != 0:
        raise thing.error("buses", shown, expected)
    return ends[0][1][:1], (1, 2)


# -- controls of taps ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TapControl:
    """A regulator control."""

    name: str
    unit: Unit
    tap_num: int | None
    settings: Mapping[str, float]  # by the column of the regulators table
    flags: Mapping[str, bool]
    monitored: int  # which phase of the winding
    place: Place


_SETTINGS = {  # column, and the value that OpenDSS starts from
    "vreg": ("v_reg_v", 120.0), "band": ("band_v", 3.0), "ptratio": ("pt_ratio", 60.0), "ctprim": ("ct_a", 300.0),
    "r": ("ldc_r_v", 0.0), "x": ("ldc_x_v", 0.0), "delay": ("delay_s", 15.0), "tapdelay": ("tap_delay_s", 2.0),
    "maxtapchange": ("max_tap_change", 16.0), "vlimit": ("v_limit_v", 0.0), "revvreg": ("rev_v_reg_v", 120.0),
    "revband": ("rev_band_v", 3.0), "revr": ("rev_ldc_r_v", 0.0), "revx": ("rev_ldc_x_v", 0.0),
    "revdelay": ("rev_delay_s", 60.0), "revthreshold": ("rev_threshold_mw", 100.0),
}  # fmt: skip
_FLAGS = {"reversible": "reversible", "revneutral": "rev_neutral"}
_HARMLESS = {"inversetime": "n", "cogen": "n", "ldc_z": "0", "rev_z": "0"}  # unless they say something else


def tap_controls(circuit: Circuit, known: list[Unit]) -> list[TapControl]:
    """The regulator controls that take part."""
    by_name = {unit.name: unit for unit in known}
    return [_control(thing, by_name, circuit.hz) for thing in circuit.of("regcontrol")]


def _control(thing: Thing, known: Mapping[str, Unit], hz: float) -> TapControl:
    settings = dict(_SETTINGS.values())
    flags = dict.fromkeys(_FLAGS.values(), False)
    unit, tap, phase = None, None, 1
    for edit in thing.edits:
        name = edit.name
        if name == "transformer":
            unit = known.get(edit.value.lower())
        elif name in ("winding", "tapwinding"):
            if whole(edit) != 2:
                raise edit.place.error(f"regcontrol.{thing.name} {name}", edit.value, "2, the far winding")
        elif name in _SETTINGS:
            settings[_SETTINGS[name][0]] = number(edit)
        elif name in _FLAGS:
            flags[_FLAGS[name]] = flag(edit)
        elif name == "ptphase":
            phase = whole(edit)
        elif name == "tapnum":
            tap = whole(edit)
        elif name == "basefreq":
            base_frequency(thing, edit, hz)
        elif name in _HARMLESS and edit.value.lower().startswith(_HARMLESS[name]):
            continue
        else:
            refuse(thing, edit, frozenset({"enabled"}))
    if unit is None:
        raise thing.error("transformer", "", "a transformer that exists and takes part")
    if thing.last("winding") is None or not 1 <= phase <= unit.phases or len(unit.windings) != 2:
        raise thing.error("winding, ptphase", "", "winding=2 of a transformer of two, and one of its phases")
    settings["rev_threshold_mw"] /= 1000.0
    return TapControl(thing.name, unit, tap, settings, flags, phase - 1, thing.place)
