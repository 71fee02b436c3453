"""Transformers, tanks, taps and their controls of a model with single phases, as words of a script."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..models import CimObject, PowerTransformer, grouped
from .models import (
    NODES,
    NoLoadTest,
    PowerTransformerEnd,
    RatioTapChanger,
    ShortCircuitTest,
    Terminal,
    TransformerCoreAdmittance,
    TransformerEnd,
    TransformerEndInfo,
    TransformerMeshImpedance,
    TransformerTank,
    TransformerTankEnd,
)
from .network import Network
from .taps import tap

_CONDUCTOR = re.compile("s1|s2|[ABCN]")
_PAIRS = (("xhl", 0, 1), ("xht", 0, 2), ("xlt", 1, 2))


@dataclass(frozen=True)
class Winding:
    """One winding, whatever class describes it.

    Attributes:
        end: the object that says where it is connected.
        bus: bus and nodes.
        delta: whether it is connected in delta.
        rated_v: across a winding of one phase, else between phases.
        rated_va: its size.
        r_ohm: its resistance at its own voltage; None: tests or impedances between windings say it.
        clock: hours that its voltages lag those of the first winding.
        test: the object whose tests say what stands between windings.
    """

    end: TransformerEnd
    bus: str
    delta: bool
    rated_v: float
    rated_va: float
    r_ohm: float | None
    clock: int
    test: CimObject


@dataclass(frozen=True)
class Between:
    """What stands between two windings, at the voltage of the first.

    Attributes:
        first: whose voltage it is.
        x_ohm: its reactance, or where it was tested the magnitude of its impedance.
        tested: whether it was.
        r_ohm: its resistance; None: the model does not say.
    """

    first: str
    x_ohm: float
    tested: bool
    r_ohm: float | None


class Transformers:
    """All transformers of a model.

    Attributes:
        secondary_v: rated voltages of the halves behind centre taps.
    """

    def __init__(self, net: Network) -> None:
        self.net, model = net, net.model
        self.secondary_v: list[float] = []
        in_order = sorted(model.of(TransformerEnd), key=lambda one: one.number)
        self._ends = grouped(in_order, lambda one: one.owner)
        self._infos = {(one.info, one.number): one for one in model.of(TransformerEndInfo)}
        self._z: dict[frozenset[str], Between] = {
            frozenset((one.start, one.end)): Between(one.start, one.x_ohm, False, one.r_ohm)
            for one in model.of(TransformerMeshImpedance)
        } | {
            frozenset((one.energised, one.grounded)): Between(
                one.energised, one.z_ohm, True, self._of_loss(one)
            )
            for one in model.of(ShortCircuitTest)
        }
        self._no_load = {one.energised: one for one in model.of(NoLoadTest)}
        self._taps = {one.end: one for one in model.of(RatioTapChanger)}
        self._tanks = grouped(model.of(TransformerTank), lambda one: one.transformer)

    def words(self) -> Iterator[str]:
        """Words of all transformers, banks as so many units."""
        for one in self.net.model.of(PowerTransformer):
            tanks = self._tanks.get(one.mrid, [])
            for tank in tanks:
                yield from self._unit(one if len(tanks) == 1 else tank, self._of_tank(tank))
            if not tanks:
                yield from self._unit(one, [self._of_end(end) for end in self._own(one)])

    def _own(self, one: CimObject) -> list[TransformerEnd]:
        found = self._ends.get(one.mrid, [])
        if [end.number for end in found] not in ([1, 2], [1, 2, 3]):
            raise self.net.refuse(one, "ends with the numbers 1 and 2, or 1 to 3", f"{len(found)} ends")
        return found

    def _of_end(self, end: TransformerEnd) -> Winding:
        assert isinstance(end, PowerTransformerEnd)
        kind = end.connection
        if kind not in ("D", "Y", "Yn"):
            raise self.net.refuse(end, "a winding connected D, Y or Yn", kind)
        star = [] if kind == "D" else [self._star(end, end.transformer, kind == "Yn")]
        bus = self.net.bus(self._terminal(end), [1, 2, 3, *star])
        return Winding(end, bus, kind == "D", end.rated_v, end.rated_va, end.r_ohm, end.clock, end)

    def _of_tank(self, tank: TransformerTank) -> list[Winding]:
        found = []
        for end in self._own(tank):
            assert isinstance(end, TransformerTankEnd)
            info = self._infos.get((tank.info, end.number))
            if info is None:
                expected = f"a TransformerTankInfo with an end of number {end.number}"
                raise self.net.refuse(tank, expected, tank.info)
            conductors = _CONDUCTOR.findall((end.ordered or end.phases).replace("s12", "s1s2"))
            three = {"A", "B", "C"} <= set(conductors)
            if not conductors or (len(conductors) > 2 and not three):
                expected = "orderedPhases of one, two or three phases among A, B, C, N, s1 and s2"
                raise self.net.refuse(end, expected, end.ordered or end.phases)
            allowed = ("D", "Y", "Yn") if three else ("I", "D", "Y", "Yn")
            if info.connection not in allowed:
                raise self.net.refuse(info, f"a winding connected {', '.join(allowed)}", info.connection)
            neutral = self._star(end, tank.transformer, grounded=end.grounded is None)
            nodes = [NODES.get(one, neutral) for one in conductors]
            if len(nodes) == 1 or (three and info.connection != "D" and "N" not in conductors):
                nodes.append(self._star(end, tank.transformer))
            if not end.ordered and info.clock == 6 and not three:
                nodes.reverse()
            if any(one.startswith("s") for one in conductors):
                self.secondary_v.append(info.rated_v)
            bus = self.net.bus(self._terminal(end), nodes)
            clock, delta = info.clock if three else 0, info.connection == "D" and three
            found.append(Winding(end, bus, delta, info.rated_v, info.rated_va, info.r_ohm, clock, info))
        return found

    def _star(self, end: TransformerEnd, owner: str, grounded: bool = False) -> int:
        """Node of a star point: ground, or one of its transformer's own, which an impedance may ground."""
        through = end.r_ground_ohm or end.x_ground_ohm
        if not through and (end.grounded or grounded):
            return 0
        return self.net.star(f"{owner} {end.number}", self._terminal(end))

    def _terminal(self, end: TransformerEnd) -> Terminal:
        return self.net.model.get(Terminal, end.terminal)

    def _unit(self, one: CimObject, windings: list[Winding]) -> Iterator[str]:
        """One unit with all that belongs to it."""
        name, first = self.net.names.of(one.mrid), windings[0]
        base = [each.rated_v**2 / first.rated_va for each in windings]  # ohm, at the size of the first
        phases = 3 if len(first.bus.split(".")) > 3 else 1

        r = self._resistances(one, windings, base)
        percents = _row(repr(100.0 * pu) for pu in r)
        reactances = [
            f"{word}={self._reactance(one, windings, base, r, i, j)!r}"
            for word, i, j in _PAIRS
            if j < len(windings)
        ]
        yield (
            f"new transformer.{name} phases={phases} windings={len(windings)} "
            f"buses={_row(each.bus for each in windings)} "
            f"conns={_row('delta' if each.delta else 'wye' for each in windings)} "
            f"kvs={_row(repr(each.rated_v / 1e3) for each in windings)} "
            f"kvas={_row([repr(first.rated_va / 1e3)] * len(windings))} %rs={percents} "
            f"{' '.join(reactances)} {self._core(windings, base)}{self._lead(one, windings)}"
        )
        for number, each in enumerate(windings, 1):
            end, terminal = each.end, self._terminal(each.end)
            through = (end.r_ground_ohm or end.x_ground_ohm) and end.grounded is not False
            if through and not each.delta:
                neutral = f"rneut={end.r_ground_ohm!r} xneut={end.x_ground_ohm!r}"
                yield f"edit transformer.{name} wdg={number} {neutral}"
            if end.mrid in self._taps:
                yield from tap(self.net, self._taps[end.mrid], name, number, terminal, each.bus)
            if not terminal.connected:
                yield f"open transformer.{name} {number}"

    def _between(self, one: CimObject, a: Winding, b: Winding) -> Between:
        found = self._z.get(frozenset((a.test.mrid, b.test.mrid)))
        if found is None:
            expected = f"an impedance between its ends {a.end.number} and {b.end.number}"
            raise self.net.refuse(one, f"{expected} (TransformerMeshImpedance or ShortCircuitTest)")
        return found

    def _resistances(self, one: CimObject, windings: list[Winding], base: list[float]) -> list[float]:
        """Of each winding, pu at the size of the first; of a pair halves, of three a star."""
        own = [None if each.r_ohm is None else each.r_ohm / z for each, z in zip(windings, base, strict=True)]
        known = [pu for pu in own if pu is not None]
        if len(known) == len(own):
            return known
        pairs = []
        for _, i, j in _PAIRS[: 1 if len(windings) == 2 else 3]:
            found = self._between(one, windings[i], windings[j])
            if found.r_ohm is None:
                raise self.net.refuse(one, "r of its ends, or of what stands between them")
            pairs.append(found.r_ohm / base[i if found.first == windings[i].test.mrid else j])
        if len(pairs) == 1:
            return [0.5 * pairs[0]] * 2
        ab, ac, bc = pairs
        return [0.5 * (ab + ac - bc), 0.5 * (ab + bc - ac), 0.5 * (ac + bc - ab)]

    def _reactance(
        self, one: CimObject, windings: list[Winding], base: list[float], r: list[float], i: int, j: int
    ) -> float:
        """Percent between two windings, at the size of the first winding."""
        found = self._between(one, windings[i], windings[j])
        x = found.x_ohm / base[i if found.first == windings[i].test.mrid else j]
        if found.tested:  # a test measures the magnitude
            if not x > r[i] + r[j]:
                expected = "an impedance above the resistance of both windings"
                raise self.net.refuse(windings[i].test, expected, repr(found.x_ohm))
            x = math.sqrt(x * x - (r[i] + r[j]) ** 2)
        return 100.0 * x

    def _of_loss(self, test: ShortCircuitTest) -> float | None:
        """The resistance that the loss of a test means, at the voltage of the energised winding."""
        info = self.net.model.objects.get(test.energised)
        if test.loss_kw is None or not isinstance(info, TransformerEndInfo):
            return None
        return test.loss_kw * 1e3 * (info.rated_v / info.rated_va) ** 2

    def _core(self, windings: list[Winding], base: list[float]) -> str:
        """What a core draws, in percent."""
        for each, z in zip(windings, base, strict=True):
            test = self._no_load.get(each.test.mrid)
            if test is not None:
                loss = 1e5 * test.loss_kw / windings[0].rated_va
                exciting = test.exciting_pct * each.rated_va / windings[0].rated_va
                return f"%imag={exciting!r} %noloadloss={loss!r} "
            core = getattr(each.end, "core", "")
            if core:
                y = self.net.model.get(TransformerCoreAdmittance, core)
                return f"%imag={100.0 * abs(y.b_s) * z!r} %noloadloss={100.0 * y.g_s * z!r} "
        return ""

    def _lead(self, one: CimObject, windings: list[Winding]) -> str:
        """Which side leads by 30 degrees."""
        first, mixed = windings[0], {each.delta for each in windings[:2]} == {True, False}
        hours = {(each.clock - first.clock) % 12 for each in windings if each.delta != first.delta}
        same = {(each.clock - first.clock) % 12 for each in windings if each.delta == first.delta}
        if len(first.bus.split(".")) <= 3:
            return ""
        # where the first two are alike, a third has the angle that OpenDSS gives it
        allowed = {1, 11} if mixed else {11} if first.delta else {1}
        if same != {0} or len(hours) > 1 or not hours <= allowed:
            clocks = ", ".join(str(each.clock) for each in windings)
            expected = f"0, or {' or '.join(map(str, sorted(allowed)))} between delta and wye"
            raise self.net.refuse(one, f"phaseAngleClock {expected}", clocks)
        low_lags = (hours == {1}) == (first.rated_v >= windings[1].rated_v)
        return "leadlag=lag" if low_lags else "leadlag=lead"


def _row(values: Iterable[object]) -> str:
    return f"[{' '.join(map(str, values))}]"
