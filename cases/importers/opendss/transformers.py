"""Transformers of OpenDSS as transformer units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from .edit_order import LAST
from .lexer import Param, Place, number, numbers, parts, whole
from .objects import Circuit, DssObject
from .properties import Handler, at_least, bus_of, connection, one_of, put, replay
from .tap_numbers import TapMove, moves_of, tap_moves

MAX_WINDINGS = 3
_PAIRS = {"xhl": ("xhl", "x12"), "xht": ("xht", "x13"), "xlt": ("xlt", "x23")}


@dataclass
class DssWinding:
    """One winding while its properties are read."""

    bus: Param | None = None
    since: int = 0  # number of the command that last set the tap
    ruled: int = 0  # of the command that last set its range or steps
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
    windings: list[DssWinding] = field(default_factory=lambda: [DssWinding(), DssWinding()])
    active: int = 0
    x_pct: dict[str, float] = field(default_factory=lambda: {"xhl": 7.0, "xht": 35.0, "xlt": 30.0})
    given: set[str] = field(default_factory=set)  # of x_pct
    reactance_in: int | None = None  # the command that last gave one of them by name
    array_in: int | None = None  # the command that last gave them as xscarray
    noload_pct: float = 0.0
    imag_pct: float = 0.0
    ppm: float = 1.0
    leads: bool = False
    bank: str = ""


Codes = Callable[[Param], _Transformer]


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
    windings: tuple[DssWinding, ...]
    place: Place

    def turned(self) -> Unit:
        """The same unit of two windings, from the second winding to the first."""
        from_kind, to_kind = self.connection.split("-")
        return replace(
            self,
            buses=self.buses[::-1],
            terminals=self.terminals[::-1],
            connection=f"{to_kind}-{from_kind}",
            kv=self.kv[::-1],
            r_pct=self.r_pct[::-1],
            taps=self.taps[::-1],
            lag_deg=-self.lag_deg if self.lag_deg else 0.0,
            windings=self.windings[::-1],
        )


def units(circuit: Circuit) -> list[Unit]:
    """The transformers that take part, in the order of their definition."""
    codes = _codes(circuit)
    moves = tap_moves(circuit)
    return [
        _unit(obj, codes, circuit.hz, moves_of(obj, circuit, moves) if moves else [])
        for obj in circuit.of("transformer")
    ]


def _codes(circuit: Circuit) -> Codes:
    """What a transformer takes over when it names a code: the code as it stands at that moment."""
    known: dict[tuple[str, int], _Transformer] = {}

    def code_of(edit: Param) -> _Transformer:
        obj = circuit.objects.get(("xfmrcode", edit.value.lower()))
        if obj is None or obj.order >= edit.order:
            raise edit.place.error("xfmrcode", repr(edit.value), "a transformer code that exists")
        late = bool(obj.edits) and obj.edits[-1].order >= edit.order
        key = (obj.name, edit.order if late else -1)
        if key not in known:
            known[key] = replay(obj, _Transformer(), _HANDLERS, circuit.hz, until=edit.order)
        return known[key]

    return code_of


def _unit(obj: DssObject, codes: Codes, hz: float, moves: list[TapMove]) -> Unit:
    handlers = {**_HANDLERS, "xfmrcode": lambda state, edit: _take_over(codes(edit), state, edit)}
    state = replay(obj, _Transformer(), handlers, hz)
    for move in moves:
        _moved(obj, state, move)
    return _finished(obj, state)


def _moved(obj: DssObject, state: _Transformer, move: TapMove) -> None:
    """Set a tap as a control's tap number does: so many steps from the middle, within the limits."""
    where = f"transformer.{obj.name} winding {move.winding}"
    if not 1 <= move.winding <= len(state.windings):
        raise move.edit.place.error(where, str(move.winding), "a winding that the transformer has")
    winding = state.windings[move.winding - 1]
    if winding.ruled > move.edit.order:
        expected = "mintap, maxtap and numtaps in front of the control's tap number"
        raise move.edit.place.error(f"{where} tapnum", move.edit.value, expected)
    if winding.since > move.edit.order:
        return
    step = (winding.max_tap - winding.min_tap) / winding.steps
    tap = (winding.max_tap + winding.min_tap) / 2.0 + move.steps * step
    winding.tap, winding.since = min(max(tap, winding.min_tap), winding.max_tap), move.edit.order


def _take_over(code: _Transformer, state: _Transformer, edit: Param) -> None:
    """Make `state` what a code says, but for its buses, bank, phase shift and active winding."""
    buses = [winding.bus for winding in state.windings] + [None] * len(code.windings)
    windings = [
        replace(winding, bus=bus, since=edit.order, ruled=edit.order)
        for winding, bus in zip(code.windings, buses, strict=False)
    ]
    kept = {
        "bank": state.bank,
        "leads": state.leads,
        "windings": windings,
        "active": min(state.active, len(windings) - 1),
    }
    state.__dict__.update(code.__dict__ | kept | {"x_pct": dict(code.x_pct), "given": set(code.given)})


# -- properties ----------------------------------------------------------------------------------------------


def _list(name: str) -> Handler[_Transformer]:
    """A handler that gives the values of a list to the windings, one each; the last winding stays active."""

    def handler(state: _Transformer, edit: Param) -> None:
        values = parts(edit)
        if len(values) > len(state.windings):
            raise edit.place.error(
                edit.name, repr(edit.value), f"{len(state.windings)} values, one per winding"
            )
        for state.active, value in enumerate(values):
            if name == "kva":
                state.windings[state.active].kva = number(value)
            else:
                _OF_WINDING[name](state, value)
        state.active = len(state.windings) - 1

    return handler


def _windings(state: _Transformer, edit: Param) -> None:
    count = whole(edit)
    if not 2 <= count <= MAX_WINDINGS:
        raise edit.place.error("windings", edit.value, f"2 to {MAX_WINDINGS}")
    buses = [winding.bus for winding in state.windings] + [None] * count
    state.windings = [DssWinding(bus, since=edit.order, ruled=edit.order) for bus in buses[:count]]
    state.active = min(state.active, count - 1)


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
    if state.reactance_in == edit.order:
        expected = "either this or xhl, xht and xlt in one command: OpenDSS takes the latter"
        raise edit.place.error("xscarray", repr(edit.value), expected)
    state.array_in = edit.order
    pairs = dict(zip(("xhl", "xht", "xlt"), values, strict=False))
    state.x_pct |= pairs
    state.given |= set(pairs)


def _reactance(name: str) -> Handler[_Transformer]:
    def handler(state: _Transformer, edit: Param) -> None:
        if state.array_in is not None and len(state.windings) > 2:
            expected = "xscarray alone: OpenDSS forgets the other two of it"
            raise edit.place.error(edit.name, edit.value, expected)
        state.x_pct[name] = number(edit)
        state.given.add(name)
        state.reactance_in = edit.order

    return handler


def _lead(state: _Transformer, edit: Param) -> None:
    word = edit.value.lower()
    if not word or not any(known.startswith(word) for known in ("lead", "lag", "ansi", "euro")):
        raise edit.place.error("leadlag", repr(edit.value), "lag, ansi, lead or euro")
    state.leads = word in ("lead", "lea", "le") or "euro".startswith(word)


def _bus(state: _Transformer, edit: Param) -> None:
    state.windings[state.active].bus = edit


def _kva(state: _Transformer, edit: Param) -> None:
    """The first winding's rating is everybody's until they get their own; two windings share one."""
    value = number(edit)
    shared = state.active == 0 or len(state.windings) == 2
    for winding in state.windings if shared else [state.windings[state.active]]:
        winding.kva = value


def _of_winding(
    name: str, convert: Callable[[Param], Any] = number, stamp: str = ""
) -> Handler[_Transformer]:
    def handler(state: _Transformer, edit: Param) -> None:
        winding = state.windings[state.active]
        setattr(winding, name, convert(edit))
        if stamp:
            setattr(winding, stamp, edit.order)

    return handler


def _solid(_: _Transformer, edit: Param) -> None:
    """Neutrals are grounded solidly; other neutral impedances cannot be kept."""
    value = number(edit)
    if (edit.name == "rneut" and value >= 0) or (edit.name == "xneut" and value != 0):
        raise edit.place.error(edit.name, edit.value, "a solidly grounded neutral (no impedance in it)")


_OF_WINDING: dict[str, Handler[_Transformer]] = {
    "bus": _bus,
    "conn": _of_winding("conn", connection),
    "kva": _kva,
    "kv": _of_winding("kv"),
    "tap": _of_winding("tap", stamp="since"),
    "%r": _of_winding("r_pct"),
    "mintap": _of_winding("min_tap", stamp="ruled"),
    "maxtap": _of_winding("max_tap", stamp="ruled"),
    "numtaps": _of_winding("steps", at_least(1, whole), stamp="ruled"),
    "rneut": _solid,
    "xneut": _solid,
}
_LISTS = {"buses": "bus", "conns": "conn", "kvs": "kv", "kvas": "kva", "taps": "tap", "%rs": "%r"}
_HANDLERS: dict[str, Handler[_Transformer]] = {
    **_OF_WINDING,
    **{name: _list(single) for name, single in _LISTS.items()},
    **{name: _reactance(x) for x, names in _PAIRS.items() for name in names},
    "phases": put("phases", one_of(1, 3)),  # a two-phase bank is two one-phase units
    "windings": _windings,
    "wdg": _active,
    "%loadloss": _load_loss,
    "xscarray": _reactances,
    "%noloadloss": put("noload_pct", at_least(0)),
    "%imag": put("imag_pct"),
    "ppm_antifloat": put("ppm", at_least(0)),
    "leadlag": _lead,
    "bank": put("bank", lambda edit: edit.value.lower()),
    LAST: lambda state, _: setattr(state, "active", len(state.windings) - 1),
}


# -- the unit ------------------------------------------------------------------------------------------------


def _finished(obj: DssObject, state: _Transformer) -> Unit:
    _positive(obj, state)
    ends = []
    for count, winding in enumerate(state.windings, 1):
        if winding.bus is None:
            raise obj.error(f"bus of winding {count}", "", "the bus of every winding")
        ends.append(bus_of(winding.bus, state.phases, state.phases + 1))
    tapped = len(state.windings) == 3
    if tapped:
        terminals = _centre_tap(obj, state, ends)
        kinds = ["centre", "tap"]
    else:
        shaped = [_terminals(obj, state, k, ends[k][1]) for k in range(2)]
        kinds = [shape[0] for shape in shaped]
        terminals = (shaped[0][1], shaped[1][1])
    first, second = state.windings[:2]
    mixed = not tapped and state.phases == 3 and kinds[0] != kinds[1]
    lag = 0.0
    if mixed:
        lag = 30.0 if (first.kv >= second.kv) != state.leads else -30.0
    return Unit(
        name=obj.name,
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
        place=obj.place,
    )


def _positive(obj: DssObject, state: _Transformer) -> None:
    for winding in state.windings:
        for name in ("kv", "kva", "tap"):
            if getattr(winding, name) <= 0:
                raise obj.error(name, str(getattr(winding, name)), "a number > 0")
        if winding.r_pct < 0:
            raise obj.error("%r", str(winding.r_pct), "a number >= 0")
    if state.x_pct["xhl"] == 0 and not any(winding.r_pct for winding in state.windings[:2]):
        raise obj.error("xhl", "0", "an impedance that is not zero")


def _terminals(
    obj: DssObject, state: _Transformer, k: int, nodes: tuple[int, ...]
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
            raise obj.error(f"bus of winding {k + 1}", shown, "a neutral at ground (node 0)")
    if 0 in hot or len(set(hot)) < len(hot):
        raise obj.error(f"bus of winding {k + 1}", shown, "phases, each once, and ground only as neutral")
    return kind, hot


def _centre_tap(
    obj: DssObject, state: _Transformer, ends: list[tuple[str, tuple[int, ...]]]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The terminals of a one-phase transformer with the middle of its secondary at ground."""
    if len(state.given) < 3:  # the defaults that OpenDSS shows are not those that it calculates with
        raise obj.error("xhl, xht, xlt", ", ".join(sorted(state.given)), "all three of them")
    _, low, other = state.windings
    expected = "bus.p or bus.p.q, bus.1.0, bus.0.2, legs alike: the only transformer of three windings"
    shown = " ".join(f"{name}.{'.'.join(map(str, nodes))}" for name, nodes in ends)
    same = ends[1][0] == ends[2][0] and low.kv == other.kv and low.tap == other.tap
    legs = ends[1][1] == (1, 0) and ends[2][1] == (0, 2)
    first, second = ends[0][1][:2]
    if state.phases != 1 or not same or not legs or first in (0, second):
        raise obj.error("buses", shown, expected)
    return ((first, second) if second else (first,)), (1, 2)
