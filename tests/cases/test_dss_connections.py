"""Windings between phases, dead phases, taps on either winding: read as OpenDSS solves them, or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from distgrid import physics
from distgrid.cases import CaseError, Feeder, import_dss

from .dss_engine import feeder_from_text
from .dss_readers import compare
from .dss_spellings import HEAD, TAIL

dss = pytest.importorskip("dss").dss

SPLIT = "xhl=2.04 xht=2.1 xlt=1.36 %rs=[.6 1.2 1.3] kvas=[25 25 25]"
HOUSE = "new load.h bus1=s.1.2 phases=1 kv=.24 kw=6 kvar=2 model=5\nnew load.k bus1=s.1 phases=1 kv=.12 kw=3"
TWO = "new line.m bus1=b.1.2 bus2=e.1.2 phases=2 r1=.5 x1=.5 r0=1 x0=1 c1=0 c0=0\n"
LEG = "new line.x bus1=s.1 bus2=u.1 phases=1 r1=.01 x1=.01 c1=0\n"


def centre_tap(high: str, more: str = "", kv: float = 12.47) -> str:
    """A centre-tapped transformer whose first winding lies at the nodes `high`."""
    buses = f"buses=[{high} s.1.0 s.0.2] kvs=[{kv} .12 .12]"
    return f"new transformer.t phases=1 windings=3 {buses} {SPLIT} {more}\n{HOUSE}"


def changer(kinds: str, buses: str, control: str, more: str = "") -> str:
    """A three-phase transformer with a tap changer; what it feeds fits the winding there."""
    kv = "12.47 4.16" if buses == "b d" else "4.16 12.47"
    low = kinds.split()[buses.split().index("d")]
    return (
        f"new transformer.s buses=[{buses}] conns=[{kinds}] kvs=[{kv}] kvas=[5000 4000] xhl=7 %rs=[.4 .6] "
        f"taps=[1.0125 1.025] {more}\nnew regcontrol.s transformer=s {control}\n"
        f"new load.d bus1=d kv=4.16 conn={low} kw=1500 kvar=500 model=2\n"
        "new load.e bus1=d.1.2 phases=1 kv=4.16 kw=100 model=2"
    )


def cable(name: str, buses: str, nodes: str = "") -> str:
    """A line whose charging shows."""
    ends = [f"bus{k}={bus}{nodes}" for k, bus in enumerate(buses.split(), 1)]
    size = f"phases={nodes.count('.') or 3} length=8 units=km"
    return f"new line.{name} {' '.join(ends)} {size} r1=.2 x1=.1 r0=.6 x0=.3 c1=300 c0=250\n"


def single(high: str, low: str, kvs: str, control: str = "winding=1 tapnum=-5") -> str:
    """A one-phase unit with a tap changer."""
    nodes = low.split()[0]
    return (
        f"new transformer.s phases=1 buses=[b{high} d{nodes}] {low.removeprefix(nodes)} kvs=[{kvs}] "
        f"kvas=[500 400] xhl=7 %rs=[.4 .6]\nnew regcontrol.s transformer=s {control}\n"
        f"new load.d bus1=d{nodes} phases=1 kv={kvs.split()[1]} kw=150 kvar=50"
    )


def open_delta(first: int, second: int) -> str:
    """Two regulators between phases and the third phase past them; their taps on these windings."""
    units = "".join(
        f"new transformer.r{k} phases=1 buses=[b{nodes} r{nodes}] conns=[delta delta] kvs=[12.47 12.47] "
        f"kvas=[5000 5000] xhl=1\nnew regcontrol.r{k} transformer=r{k} winding={winding} tapnum={5 - 4 * k}\n"
        for k, nodes, winding in ((1, ".1.2", first), (2, ".3.2", second))
    )
    return (
        f"{units}new line.j bus1=b.2 bus2=r.2 phases=1 r1=.001 x1=.001 c1=0\n"
        "new load.r bus1=r kv=12.47 conn=delta kw=300 kvar=100"
    )


def bank(*windings: int) -> str:
    """Three units from a delta to a wye; taps on these windings, 0 for no control."""
    text = ""
    for k, winding in enumerate(windings, 1):
        text += f"new transformer.s{k} phases=1 buses=[b.{k}.{k % 3 + 1} d.{k}] conns=[delta wye] "
        text += "kvs=[12.47 2.4] kvas=[1500 1500] xhl=7 bank=q\n"
        if winding:
            text += f"new regcontrol.s{k} transformer=s{k} winding={winding} tapnum={k}\n"
    return text + "new load.d bus1=d kv=4.16 kw=1500 kvar=500"


def joined_stars(more: str = "") -> str:
    """Two wye-delta transformers whose star points are joined, beside loads that pull the phases apart."""
    units = "".join(
        f"new transformer.u{k} buses=[b.1.2.3.4 d{k}] conns=[wye delta] kvs=[12.47 .48] kvas=[{kva} {kva}] "
        f"xhl={4 + k} %imag=.5\nnew load.u{k} bus1=d{k}.1.2 phases=1 kv=.48 kw={kva / 3:g} kvar=20 model=2\n"
        for k, kva in ((1, 300), (2, 750))
    )
    return f"{units}new load.one bus1=b.2 phases=1 kv=7.2 kw=900 kvar=400\n{more}"


def capacitor(ends: str) -> str:
    """A capacitor with properties in this order."""
    return f"new capacitor.c {ends}"


RIGHT = {
    **{
        f"centre tap at {nodes} {conns}": centre_tap(f"b{nodes}", f"{conns} taps=[1.025 1 1] %imag=.5")
        for nodes, conns in ((".1.2", ""), (".3.2", ""), (".3.1", "conns=[delta wye wye]"))
    },
    "centre tap without ground": "new transformer.f buses=[b d] conns=[delta delta] kvs=[12.47 12.47]\n"
    + centre_tap("d.2.3", "conns=[delta wye wye]"),
    "dead delta": TWO + "new load.g bus1=e kv=12.47 conn=delta kw=100 kvar=50",
    "dead delta, impedance": TWO + "new load.g bus1=e kv=12.47 conn=delta kw=100 kvar=50 model=2",
    "dead wye": TWO + "new load.g bus1=e kv=12.47 kw=100 kvar=50",
    "dead one-phase load": TWO + "new load.g bus1=e.3 phases=1 kv=7.2 kw=100 kvar=50",
    "dead wye bank": TWO + "new capacitor.g bus1=e kv=12.47 kvar=300",
    "dead delta bank": TWO + "new capacitor.g bus1=e kv=12.47 kvar=300 conn=delta",
    "dead legs in series": TWO + "new capacitor.g bus1=e.2 bus2=e.3 phases=1 kv=12.47 kvar=50\n"
    "new load.i bus1=e.1.3 phases=1 kv=12.47 kw=50 kvar=50 model=2",
    "dead legs and ground": TWO + "new capacitor.g bus1=e kv=12.47 kvar=300\n"
    "new load.i bus1=e conn=delta kv=12.47 kw=100 kvar=50 model=2",
    "dead leg behind a centre tap": centre_tap("b.1", kv=7.2)
    + f"\n{LEG}new load.p bus1=u.2 phases=1 kv=.12 kw=2",
    **{
        f"taps of winding {winding}, {kinds}, {buses}, {step}": changer(
            kinds, buses, f"winding={winding} tapnum={step}"
        )
        for winding in (1, 2)
        for kinds in ("delta wye", "wye delta", "wye wye", "delta delta")
        for buses, step in (("b d", 4), ("d b", -7))
    },
    "taps of winding 1, unsaid": changer("delta wye", "b d", "tapnum=3"),
    "taps of winding 1, leading": changer("delta wye", "b d", "winding=1 tapnum=3", "leadlag=lead"),
    "taps of winding 1, said last": changer("wye wye", "b d", "tapwinding=2 winding=1 tapnum=3"),
    "taps of winding 2 and a core": changer("delta wye", "b d", "winding=2 tapnum=3", "%imag=1"),
    "one phase": single(".1", ".1", "7.2 2.4"),
    "one phase regulator": single(".2", ".2", "7.2 7.2"),
    "phases to phase": single(".3.1", ".3", "12.47 2.4"),
    "phase to phases": single(".3", ".3.1 conns=[wye delta]", "7.2 4.16"),
    "phase to phases, winding 2": single(".3", ".3.1 conns=[wye delta]", "7.2 4.16", "winding=2 tapnum=3"),
    "between phases": single(".1.3", ".1.3 conns=[delta delta]", "12.47 12.47"),
    "units of a bank, each its own way": "\n".join(
        f"new transformer.s{k} phases=1 buses=[b.{k} d.{k}] kvs=[7.2 7.2] kvas=[1500 1500] xhl=7\n"
        f"new regcontrol.s{k} transformer=s{k} winding={1 + k % 2} tapnum={k}"
        for k in (1, 2, 3)
    )
    + "\nnew load.d bus1=d kv=12.47 kw=1500 kvar=500",
    **{f"open delta, windings {w}": open_delta(*w) for w in ((1, 1), (1, 2), (2, 2))},
    **{f"delta to wye, windings {w}": bank(*w) for w in ((1, 1, 1), (2, 0, 1))},
    "two beside each other": changer("delta wye", "b d", "winding=1 tapnum=2")
    + "\nnew transformer.u buses=[b d] conns=[delta wye] kvs=[12.47 4.16] kvas=[900 900]",
    "tap number of a control that is off": changer(
        "wye wye", "b d", "winding=1 tapnum=5 enabled=n", "%imag=1"
    ),
    "capacitor across the legs": centre_tap("b.1", kv=7.2)
    + "\nnew capacitor.c bus1=s.1 bus2=s.2 phases=1 kv=.24 kvar=3",
    "capacitor between phases": capacitor("bus1=b.1 bus2=b.2 phases=1 kv=12.47 kvar=300"),
    "bus2 in front": capacitor("bus2=b.3 phases=1 bus1=b.2 kv=7.2 kvar=300"),
    "first node by default": capacitor("bus1=b bus2=b.3.0 phases=1 kv=12.47 kvar=30"),
    "bus2 edited": capacitor("phases=1 bus1=b.1 bus2=b.0 kv=12.47\ncapacitor.c.bus2=b.2"),
    "bus2 back at ground": capacitor("phases=1 bus1=b.1 bus2=b.3 kv=12.47\ncapacitor.c.bus2=b.0"),
    "capacitor off": capacitor("phases=1 bus1=b.1 bus2=b.3 kv=12.47 states=(0)"),
    "cable open at its end": cable("x", "b e") + "open line.x 2",
    "cable open at its start": cable("x", "b e") + "open line.x 1",
    "cable of one phase, open": cable("x", "b e", ".2") + "open line.x 2",
    "cable behind a cable, open": cable("x", "b e") + cable("y", "e f") + "open line.y 2",
    "cable open at a bus with a load": cable("x", "b e")
    + cable("y", "b e")
    + "new load.e bus1=e kv=12.47 kw=300\nopen line.x 2",
    "core losses beside taps on winding 1": changer("delta wye", "b d", "winding=1", "%imag=1"),
    "no-load losses, too": changer("wye delta", "b d", "winding=1", "%noloadloss=.2"),
    "one winding watched, the other tapped": changer("wye wye", "b d", "winding=1 tapwinding=2"),
    "the other way round": changer("wye wye", "b d", "winding=2 tapwinding=1"),
    "a capacitor between two nodes": capacitor("bus1=b.2 bus2=b phases=1"),
    "a capacitor across nothing": capacitor("bus1=b.2 bus2=b.2 phases=1"),
    "a capacitor in series": capacitor("bus1=b.2 bus2=src.2 phases=1"),
    "capacitors around": capacitor("bus1=b.1.2.3 bus2=b.2.3.1"),
    "a capacitor of one leg": capacitor("bus1=b.1 bus2=b.3 phases=1 conn=delta"),
    "a capacitor moved": capacitor("bus1=b.1 bus2=b.3 phases=1\ncapacitor.c.bus1=b.2"),
    "a floating leg called wye": single(".2", ".3.2", "7.2 4.16"),
    "one name of several classes": "new load.h bus1=b.1.2 phases=2 conn=delta kv=12.47 kw=90 model=2\n"
    "new reactor.h bus1=b kv=12.47 kvar=300 conn=delta\nnew capacitor.h bus1=b kv=12.47 kvar=200 r=3\n"
    "new generator.h bus1=b kv=12.47 kw=50",
    "star points joined": joined_stars(),
    "star points joined, phases turned": joined_stars("transformer.u2.wdg=1 bus=b.2.3.1.4"),
    "steps behind the state": capacitor("bus1=b kvar=300 states=(0) numsteps=1"),
}


@pytest.mark.quick(11)
@pytest.mark.parametrize("name", RIGHT)
def test_connections_are_read_as_opendss_solves_them(name: str, tmp_path: Path) -> None:
    """Every voltage of every node within a millionth; phases without a source have none in both."""
    path = tmp_path / "m.dss"
    path.write_text(HEAD + RIGHT[name] + "\n" + TAIL)
    verdict = compare(path)
    assert not verdict.wrong
    assert not verdict.refused


WRONG = {  # what the refusal says
    centre_tap("b.1.1"): "phases, each once",
    centre_tap("b.0.2"): "phases, each once",
    TWO + "new load.g bus1=e.2.3 phases=1 kv=12.47 kw=9": "parts from two such phases meet",
    TWO + "new load.g bus1=e.2.3 phases=1 kv=12.47 kw=9\nnew load.i bus1=e.3 phases=1 kv=7.2 kw=9": "meet",
    TWO + "new load.g bus1=e conn=delta kv=12.47 kw=0 kvar=0": "parts from two such phases meet",
    TWO + "new capacitor.g bus1=e conn=delta kv=12.47 states=(0)": "parts from two such phases meet",
    centre_tap("b.1") + f"\n{LEG}new load.p bus1=u.1.2 phases=1 kv=.24 kw=2": "two such phases meet",
    joined_stars("new load.n bus1=b.3.4 phases=1 kv=7.2 kw=9"): "phases, each once",
    centre_tap("b.1") + f"\n{LEG}new load.p bus1=u.3 phases=1 kv=.12 kw=2": "a phase that bus u has",
}


@pytest.mark.parametrize("lines", WRONG)
def test_what_cannot_be_read_right_is_refused_with_its_line(lines: str) -> None:
    """Capability 116: the reason and the line, never another circuit."""
    with pytest.raises(CaseError) as caught:
        feeder_from_text(HEAD + lines + "\n" + TAIL, "m.dss")
    assert 5 <= (caught.value.problems[0].row or 0) <= 5 + lines.count("\n")
    assert WRONG[lines] in str(caught.value)


def read(lines: str) -> Feeder:
    """A feeder from lines between the head and the tail that all scenes share."""
    return feeder_from_text(HEAD + lines + "\n" + TAIL, "m.dss")


def test_a_phase_without_a_source_is_noted() -> None:
    """The node has the phase of its load, and the notes say that nothing feeds it."""
    feeder = read(TWO + "new load.g bus1=e kv=12.47 kw=100")
    assert feeder.column("nodes", "phase")[feeder.node_index["e"]] == "ABC"
    assert "no line or transformer brings phase C to bus e: no source" in feeder.metadata["notes"]
    assert "notes" not in read(TWO + "new load.g bus1=e.1.2 phases=1 kv=12.47 kw=9").metadata


def test_the_unit_with_taps_on_its_first_winding_ends_there() -> None:
    """The tables know taps at the to end alone: the unit is written from its second winding to its first."""
    feeder = read(changer("delta wye", "b d", "winding=1 tapnum=4"))
    unit = feeder.transformers.to_pylist()[0]
    row = feeder.branch_index["s"]
    assert [feeder.column("branches", f"{end}_node")[row] for end in ("from", "to")] == ["d", "b"]
    assert (unit["connection"], unit["hv_kv"], unit["lv_kv"]) == ("wye-delta", 4.16, 12.47)
    assert (unit["tap_from"], unit["tap_to"], unit["lag_deg"]) == (1.025, 1.0, -30.0)
    assert feeder.column("regulators", "tap_pos")[0] == 4
    assert feeder.column("regulators", "monitored_phase")[0] == "AB"


def test_the_rating_of_a_centre_tap_between_phases_is_its_rated_current() -> None:
    """25 kVA at 12.47 kV between phases: 2 A, so much apparent power of a phase to ground at its high end."""
    feeder = read(centre_tap("b.1.2"))
    net = physics.compile_per_phase(feeder)
    row = feeder.branch_index["t"]
    assert net.phase_rating_mva[0, row, :2] == pytest.approx(0.025 / np.sqrt(3.0))
    assert net.phase_rating_mva[1, row, :2] == pytest.approx(0.0125)


@pytest.mark.parametrize(
    "setting",
    [
        "vreg=121 band=2 ptratio=20",
        "vreg=119 band=3 ptratio=20 r=2 x=3 ctprim=400",
        "vreg=121 band=2 ptratio=20 bus=d",
    ],
)
def test_a_control_on_winding_one_comes_to_rest_where_opendss_does(setting: str, tmp_path: Path) -> None:
    """The winding at the load's side is the first one: its control watches it and moves its taps."""
    path = tmp_path / "m.dss"
    path.write_text(
        HEAD
        + changer("wye wye", "d b", f"winding=1 {setting}").replace("taps=[1.0125 1.025]", "")
        + "\n"
        + TAIL
    )
    feeder = import_dss(path)
    settled = physics.settle_controls(physics.compile(feeder))
    bands = "batchedit load..* vminpu=.01 vmaxpu=99"
    for line in ("clear", f'redirect "{path}"', bands, "set controlmode=static", "solve"):
        dss.Text.Command = line
    dss.ActiveCircuit.RegControls.Name = "s"
    assert settled.tap_pos.tolist() == [dss.ActiveCircuit.RegControls.TapNumber]
    assert settled.tap_pos[0] not in (0, 16, -16)
