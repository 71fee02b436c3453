"""What the importer makes of a script is what OpenDSS makes of it, element by element and node by node."""

from __future__ import annotations

import numpy as np
import pytest

from distgrid.cases import Feeder

from .dss_engine import feeder_from_text
from .scripts import EVERYTHING, OpenDss, embedded, tool

pytest.importorskip("dss")
nodal = tool("nodal_reference")
SLOT = {"A": 1, "B": 2, "C": 3, "1": 1, "2": 2}


@pytest.fixture(scope="module")
def feeder() -> Feeder:
    """Without its solve, so that taps and banks are where the script sets them."""
    return feeder_from_text(EVERYTHING.removesuffix("solve\n"), "all.dss")


@pytest.fixture(scope="module")
def engine() -> OpenDss:
    return OpenDss(EVERYTHING)


def parts_of(feeder: Feeder, k: int) -> list[str]:
    """The elements of the script that branch k was made of."""
    branch = str(feeder.column("branches", "branch_id")[k])
    units = feeder.column("transformers", "transformer_id")
    mine = units[feeder.column("transformers", "branch_id") == branch]
    if len(mine):
        return [f"transformer.{unit}" for unit in mine]
    return ["reactor.limit"] if branch == "limit" else [f"line.{part}" for part in branch.split("+")]


def test_every_branch_has_the_admittances_of_its_elements(feeder: Feeder, engine: OpenDss) -> None:
    """Capability 105: mutual coupling; lines, switches, reactors, every kind of transformer, taps set."""
    network = nodal.Nodal(feeder)
    kinds = set()
    for k in range(feeder.n_branches):
        if feeder.column("branches", "branch_id")[k] == "tie":
            continue
        ends = (feeder.column("branches", "from_node")[k], feeder.column("branches", "to_node")[k])
        theirs = embedded(engine, parts_of(feeder, k), ends)
        _, ours = network.branch(k)
        assert np.abs(ours - theirs).max() < 1e-8 * np.abs(theirs).max(), parts_of(feeder, k)
        kinds.add(feeder.column("branches", "type")[k])
    assert kinds == {"line", "switch", "transformer", "regulator"}
    assert set(feeder.column("transformers", "connection")) == {
        "wye-wye", "delta-wye", "wye-delta", "delta-delta", "centre-tap",
    }  # fmt: skip


@pytest.mark.parametrize("band", [False, True])
def test_every_voltage(feeder: Feeder, band: bool) -> None:
    """Capability 6: every load model, wye and delta, with and without OpenDSS's voltage band."""
    theirs = OpenDss(EVERYTHING, band=band).volts()
    solved = nodal.Nodal(feeder).solve(band=band)
    assert {(node, slot + 1) for node, slot in solved.nodal.row} == set(theirs)
    for (node, slot), row in solved.nodal.row.items():
        assert abs(solved.v[row] - theirs[node, slot + 1]) < 1e-7 * solved.nodal.base_v[row], (node, slot)


def test_every_load_and_capacitor_draws_its_rated_power(feeder: Feeder, engine: OpenDss) -> None:
    """At the voltage that the script rates it at, a load takes the script's kW and kvar."""
    loads = engine.dss.ActiveCircuit.Loads
    column = feeder.column
    for k, name in enumerate(column("loads", "load_id")):
        loads.Name = str(name)
        v = column("loads", "v_rated_pu")[k]
        for part, shown in (("p", loads.kW), ("q", loads.kvar)):
            z, i = column("loads", f"{part}_z_frac")[k], column("loads", f"{part}_i_frac")[k]
            cvr = column("loads", f"cvr_{part}")[k]
            law = z * v * v + i * v + 1 - z - i if np.isnan(cvr) else v**cvr
            power = column("loads", "p_mw" if part == "p" else "q_mvar")[k]
            assert 1000 * power * law == pytest.approx(shown, rel=1e-9), name
    banks = engine.dss.ActiveCircuit.Capacitors
    for k, name in enumerate(column("capacitors", "cap_id")):
        banks.Name = str(name)
        base = column("nodes", "base_kv")[feeder.node_index[column("capacitors", "node_id")[k]]]
        rated = banks.kV * (3**0.5 if len(column("capacitors", "phase")[k]) == 1 else 1)
        assert 1000 * column("capacitors", "q_mvar")[k] * (rated / base) ** 2 == pytest.approx(banks.kvar)
    assert column("capacitors", "status").tolist() == [True, True, False]


def test_the_source(feeder: Feeder, engine: OpenDss) -> None:
    z = feeder.column("sources", "r_ohm")[0] + 1j * feeder.column("sources", "x_ohm")[0]
    assert np.linalg.inv(z) == pytest.approx(engine.yprim("vsource.source")[:3, :3], rel=1e-9)
    assert feeder.column("sources", "v_pu")[0] == 1.02
    assert feeder.column("sources", "v_deg")[0] == 10.0


def test_base_voltages(feeder: Feeder, engine: OpenDss) -> None:
    """The same bases as CalcVoltageBases finds by a power flow."""
    circuit = engine.dss.ActiveCircuit
    for node, kv in zip(feeder.column("nodes", "node_id"), feeder.column("nodes", "base_kv"), strict=True):
        circuit.SetActiveBus(str(node))
        assert kv / 3**0.5 == pytest.approx(circuit.ActiveBus.kVBase, rel=1e-6), node


def test_regulator_settings(feeder: Feeder, engine: OpenDss) -> None:
    """Capability 8: band, line drop compensation, delays and taps of each control."""
    controls = engine.dss.ActiveCircuit.RegControls
    column = feeder.column
    pairs = {
        "v_reg_v": "ForwardVreg", "band_v": "ForwardBand", "ldc_r_v": "ForwardR", "ldc_x_v": "ForwardX",
        "pt_ratio": "PTratio", "ct_a": "CTPrimary", "delay_s": "Delay", "tap_delay_s": "TapDelay",
        "tap_pos": "TapNumber", "max_tap_change": "MaxTapChange", "rev_v_reg_v": "ReverseVreg",
        "reversible": "IsReversible",
    }  # fmt: skip
    for k, name in enumerate(column("regulators", "reg_id")):
        controls.Name = str(name)
        for ours, theirs in pairs.items():
            assert column("regulators", ours)[k] == getattr(controls, theirs), (name, ours)
    assert column("regulators", "tap_pos").tolist() == [5, -3, 8]
    assert column("regulators", "v_set_pu")[0] == pytest.approx(124 * 60 / (12470 / 3**0.5))
    assert column("regulators", "monitored_phase").tolist() == ["A", "B", "C"]


CODES = {
    "default line": "bus1=sourcebus bus2=b",
    "one phase of it": "bus1=sourcebus.2 bus2=b.2 phases=1",
    "two phases": "bus1=sourcebus.2.3 bus2=b.2.3 phases=2 r1=1 x1=2 r0=3 x0=4 c1=5 c0=6",
    "switch": "bus1=sourcebus bus2=b switch=y",
    "positions without names": "bus1=sourcebus bus2=b switch=y r1=1 1 1 1 length=.002",
    "units without a code": "bus1=sourcebus bus2=b r1=1 x1=1 length=2 units=mi",
    "code in miles": "bus1=sourcebus bus2=b linecode=m length=3000 units=ft",
    "units before the code": "bus1=sourcebus bus2=b length=3000 units=ft linecode=m",
    "a line without units": "bus1=sourcebus bus2=b length=3 linecode=m",
    "a code without units": "bus1=sourcebus bus2=b length=3 linecode=u units=km",
    "fewer phases than the code": "bus1=sourcebus.3 bus2=b.3 linecode=m phases=1 length=1 units=kft",
    "resistance after the code": "bus1=sourcebus bus2=b linecode=m r1=9 length=2 units=kft",
    "resistance after code and units": "bus1=sourcebus bus2=b length=2 units=kft linecode=m r1=9",
    "capacitance after the code": "bus1=sourcebus bus2=b linecode=m length=2 units=kft c1=30",
    "a matrix after the code": "bus1=sourcebus bus2=b linecode=z length=2 units=kft rmatrix=(2|.1 2|.1 .1 2)",
    "a whole matrix": "bus1=sourcebus bus2=b rmatrix=[1 .5 .4|.5 1 .3|.4 .3 1] xmatrix=[1|.1 1|.1 .1 1]",
    "susceptances": "bus1=sourcebus bus2=b linecode=s length=2 units=km",
    "short forms": "bus1=sourcebus bus2=b linec=m len=2 unit=mi",
    "inline mathematics": "bus1=sourcebus bus2=b linecode=m length=(1.5 2 / 3 sqr *) units=kft",
    "x alone in the code": "bus1=sourcebus.1.2 bus2=b.1.2 linecode=x length=2 units=mi phases=2",
}
BEFORE = """
new circuit.a basekv=12.47 mvasc3=2000 mvasc1=1800
new linecode.m r1=.3 x1=.6 r0=.7 x0=1.9 c1=9 c0=4 units=mi
new linecode.u r1=.3 x1=.6 r0=.7 x0=1.9 c1=9 c0=4
new linecode.s r1=.3 x1=.6 r0=.7 x0=1.9 b1=5 b0=2 units=km
new linecode.z rmatrix=(1 | .5 1| .5 .5 1) xmatrix=(1|.1 1|.1 .1 1) units=mi
new linecode.x nphases=2 xmatrix=(1|.1 1) units=mi
"""
AFTER = "set voltagebases=[12.47]\ncalcv\n"


@pytest.mark.parametrize("what", CODES)
def test_lines(what: str) -> None:
    script = f"{BEFORE}new line.x {CODES[what]}\n{AFTER}"
    theirs = embedded(OpenDss(script), ["line.x"], ("sourcebus", "b"))
    _, ours = nodal.Nodal(feeder_from_text(script, "x.dss")).branch(0)
    assert np.abs(ours - theirs).max() < 1e-9 * np.abs(theirs).max()
    # The charging is too small to be seen beside the series admittances.
    b_ours, b_theirs = ours[:3, :3] + ours[:3, 3:], theirs[:3, :3] + theirs[:3, 3:]
    assert np.abs(b_ours - b_theirs).max() < 1e-6 * np.abs(b_theirs).max() + 1e-11 * np.abs(theirs).max()


def test_an_open_delta_regulator_with_its_jumper() -> None:
    """Capability 8: two units across AB and CB, phase B passing beside them, in one branch."""
    script = """
new circuit.d basekv=4.8 mvasc3=500 mvasc1=400
new transformer.ra phases=1 bank=r buses=(sourcebus.1.2 out.1.2) conns='delta delta' kvs="4.8 4.8"
~ kvas="2000 2000" xhl=1
new regcontrol.ca transformer=ra winding=2 vreg=122 band=2 ptratio=40 ctprim=350 r=1 x=2 tapnum=7
new transformer.rc like=ra buses=(sourcebus.3.2 out.3.2)
new regcontrol.cc like=ca transformer=rc tapnum=4
new line.jump phases=1 bus1=sourcebus.2 bus2=out.2 r1=1e-3 r0=1e-3 x1=0 x0=0 c1=0 c0=0
new load.l bus1=out conn=delta kv=4.8 kw=900 kvar=400
set voltagebases=[4.8]
calcv
"""
    feeder = feeder_from_text(script, "d.dss")
    assert feeder.n_branches == 1
    assert feeder.topology().is_radial
    assert feeder.column("transformers", "from_phase").tolist() == ["AB", "CB"]
    assert feeder.column("regulators", "phase").tolist() == ["AB", "BC"]
    assert feeder.column("regulators", "monitored_phase").tolist() == ["AB", "CB"]
    engine = OpenDss(script)
    theirs = embedded(engine, ["transformer.ra", "transformer.rc", "line.jump"], ("sourcebus", "out"))
    network = nodal.Nodal(feeder)
    assert np.abs(network.branch(0)[1] - theirs).max() < 1e-9 * np.abs(theirs).max()
    solved = network.solve()
    for (node, slot), row in solved.nodal.row.items():
        assert abs(solved.v[row] - engine.volts()[node, slot + 1]) < 1e-8 * solved.nodal.base_v[row]


def test_specifications_of_reactive_power() -> None:
    """kvar, pf and kVA in any order: the last one given says what Q is."""
    orders = [
        "kw=80 kvar=30", "kvar=30 kw=80", "kw=80 pf=.9", "pf=.9 kw=80", "kva=90 pf=.9", "pf=-.9 kva=90",
        "kw=80 kvar=30 pf=.95", "kw=80 pf=.95 kvar=20", "kw=80", "kva=90 kw=70", "kvar=30 pf=.9 kw=70",
    ]  # fmt: skip
    loads = "\n".join(f"new load.l{k} bus1=b kv=12.47 {order}" for k, order in enumerate(orders))
    script = f"{BEFORE}new line.x bus1=sourcebus bus2=b linecode=m length=1\n{loads}\n{AFTER}"
    feeder, engine = feeder_from_text(script, "q.dss"), OpenDss(script)
    table = engine.dss.ActiveCircuit.Loads
    for k, order in enumerate(orders):
        table.Name = f"l{k}"
        got = 1000 * feeder.column("loads", "p_mw")[k], 1000 * feeder.column("loads", "q_mvar")[k]
        assert got == pytest.approx((table.kW, table.kvar), rel=1e-6), order


def test_editing_a_load_keeps_its_power_factor() -> None:
    """kW given in a later command keeps the ratio of P and Q; in the same one it drops kvar for pf."""
    edits = "new load.a bus1=b kv=12.47 kw=80 kvar=-30\nload.a.kw=100\nnew load.b bus1=b like=a kw=50\n"
    edits += "new load.c bus1=b kv=12.47 kw=80 pf=.9\nload.c.kvar=20\nedit load.c kw=40\nedit load.b kva=7\n"
    edits += "new load.d bus1=b kv=12.47 kw=80 kvar=20\nload.d.pf=.8\n"
    script = f"{BEFORE}new line.x bus1=sourcebus bus2=b linecode=m length=1\n{edits}{AFTER}"
    feeder, engine = feeder_from_text(script, "q.dss"), OpenDss(script)
    table = engine.dss.ActiveCircuit.Loads
    for k, name in enumerate("abcd"):
        table.Name = name
        got = 1000 * feeder.column("loads", "p_mw")[k], 1000 * feeder.column("loads", "q_mvar")[k]
        assert got == pytest.approx((table.kW, table.kvar), rel=1e-6), name


def test_source_levels() -> None:
    """Short-circuit power, short-circuit current, and impedances."""
    for words in (
        "mvasc3=300 mvasc1=250",
        "mvasc3=20000",
        "isc3=3000 isc1=5",
        "x1r1=7 x0r0=2 mvasc3=800 mvasc1=700",
        "r1=.1 x1=1 r0=.2 x0=3",
    ):
        script = f"new circuit.s basekv=33 {words}\nnew line.x bus1=sourcebus bus2=b\nset voltagebases=[33]\n"
        feeder = feeder_from_text(script, "s.dss")
        z = feeder.column("sources", "r_ohm")[0] + 1j * feeder.column("sources", "x_ohm")[0]
        theirs = OpenDss(script).yprim("vsource.source")[:3, :3]
        assert np.linalg.inv(z) == pytest.approx(theirs, rel=1e-9), words
