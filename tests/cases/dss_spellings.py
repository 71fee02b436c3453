"""Random OpenDSS scripts in every order and spelling of the language, and both readers' answers to them.

Each scene is a sound feeder with one kind of object whose properties come in any order, some of them twice,
over several commands (`new`, `~`, `more`, `edit`, `class.name.property=`), beside copies made by `like`,
codes that change after their use, and switching commands.
"""

from __future__ import annotations

import dataclasses
import random
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from distgrid import physics
from distgrid.cases import CaseError, Feeder, import_dss

HEAD = (
    "clear\n"
    "new circuit.t basekv=12.47 pu=1.02 mvasc3=200 mvasc1=180 bus1=src\n"
    "new line.l1 bus1=src bus2=b r1=0.3 x1=0.6 r0=0.8 x0=1.8 c1=10 c0=5 length=2 units=km\n"
    "new load.a bus1=b kv=12.47 kw=900 kvar=300\n"
)
TAIL = "set voltagebases=[12.47 4.16 .48 .208]\ncalcvoltagebases\n"
Volts = dict[tuple[str, int], complex]


class Verdict(NamedTuple):
    """What both readers make of a script: what is wrong with ours, or the empty text."""

    wrong: str
    refused: str


# -- the engine ------------------------------------------------------------


def engine_volts(path: Path) -> Volts | str:
    """Voltages to ground in V by (bus, node) with the controls off, or the engine's error."""
    from dss import DSSException, dss

    dss.AllowForms = False
    try:
        for line in (
            "clear",
            "set defaultbasefrequency=60",
            f'redirect "{path}"',
            "batchedit load..* vminpu=0.01 vmaxpu=99",
            "set controlmode=off",
            "set tolerance=1e-11",
            "set maxiterations=500",
            "solve mode=snap",
        ):
            dss.Text.Command = line
        circuit = dss.ActiveCircuit
        if not circuit.Solution.Converged:
            return "not converged"
    except DSSException as error:
        return str(error)
    flat = np.asarray(circuit.AllBusVolts, dtype=float)
    names = [str(name).lower().rpartition(".") for name in circuit.AllNodeNames]
    volts = (flat[::2] + 1j * flat[1::2]).tolist()
    return {(bus, int(node)): v for (bus, _, node), v in zip(names, volts, strict=True)}


def with_stubs(feeder: Feeder) -> Feeder:
    """The same feeder, with every open end of a line at a node of its own that nothing else is at."""
    rows, nodes = feeder.branches.to_pylist(), feeder.nodes.to_pylist()
    at = {node["node_id"]: node for node in nodes}
    for row in rows:
        end = {"from": "from_node", "to": "to_node"}.get(row["open_ends"])
        if end:
            stub = {
                "node_id": f"{row['branch_id']}~",
                "type": "junction",
                "load_p_mw": 0.0,
                "load_q_mvar": 0.0,
            }
            nodes.append(at[row[end]] | stub | {"phase": row["phase"]})
            row |= {end: stub["node_id"], "open_ends": ""}
    tables = {
        name: pa.Table.from_pylist(found, schema=getattr(feeder, name).schema)
        for name, found in (("branches", rows), ("nodes", nodes))
    }
    return dataclasses.replace(feeder, **tables)


def our_volts(feeder: Feeder) -> Volts:
    """The same from the tables by this package's power flow; dead nodes have 0 V."""
    feeder = with_stubs(feeder) if (feeder.column("branches", "open_ends") != "").any() else feeder
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = physics.compile(feeder)
        solved = physics.solve(network, tol=1e-9)
    if not bool(np.all(solved.converged)):
        raise ValueError("not converged")
    base = feeder.column("nodes", "base_kv") * 1e3 / np.sqrt(3.0)
    v = (
        np.nan_to_num(solved.v_pu * np.exp(1j * np.deg2rad(solved.v_deg))).reshape(feeder.n_nodes, 3)
        * base[:, None]
    )
    found = {}
    nodes = zip(feeder.column("nodes", "node_id"), feeder.column("nodes", "phase"), strict=True)
    for row, (node, letters) in enumerate(nodes):
        if node.endswith("~"):
            continue
        for letter in letters:
            slot = {"A": 0, "B": 1, "C": 2, "1": 0, "2": 1}[letter]
            found[node, slot + 1] = complex(v[row, slot])
    return found


def compare(path: Path, tolerance: float = 1e-6) -> Verdict:
    """Read a script with both; anything but a refusal with a place or equal voltages is wrong."""
    try:
        feeder = import_dss(path)
    except CaseError as error:
        first = error.problems[0]
        placed = first.file.endswith(".dss") and (first.row or 0) > 0
        return Verdict("" if placed else f"no place: {error}", str(first))
    theirs = engine_volts(path)
    if theirs == "not converged":
        return Verdict("", theirs)
    if isinstance(theirs, str):
        return Verdict(f"OpenDSS says {theirs.splitlines()[0]}", "")
    try:
        ours = our_volts(feeder)
    except ValueError as error:
        return Verdict("" if "not modelled" in str(error) else f"physics says {error}", str(error))
    base = {
        node: kv * 1e3 / np.sqrt(3.0)
        for node, kv in zip(feeder.column("nodes", "node_id"), feeder.column("nodes", "base_kv"), strict=True)
    }
    worst, where = 0.0, ("", 0)
    for key in theirs.keys() | ours.keys():
        gap = abs(theirs.get(key, 0j) - ours.get(key, 0j)) / base.get(key[0], 7200.0)
        if not gap <= worst:
            worst, where = gap, key
    return Verdict(f"{worst:.2g} pu at {where[0]}.{where[1]}" if not worst <= tolerance else "", "")


# -- the scripts ------------------------------------------------------------


def spread(rng: random.Random, name: str, parts: list[str], late: list[str]) -> Iterator[str]:
    """An object made of `parts` over several commands, and what is edited later, in one of the spellings."""
    cut = sorted(rng.sample(range(len(parts) + 1), k=min(rng.choice([0, 0, 1, 2]), len(parts) + 1)))
    pieces = [parts[a:b] for a, b in zip([0, *cut], [*cut, len(parts)], strict=True)]
    yield f"new {name} {' '.join(pieces[0])}"
    for piece in pieces[1:]:
        if piece:
            yield rng.choice(["~ ", "more "]) + " ".join(piece)
    for part in late:
        yield rng.choice([f"edit {name} {part}", f"{name}.{part}"])


def some(rng: random.Random, choices: list[str], low: int, high: int) -> list[str]:
    """A few of them in any order, sometimes one twice."""
    found = rng.sample(choices, k=min(rng.randint(low, high), len(choices)))
    if rng.random() < 0.2 and found:
        found.append(rng.choice(found))
    return found


CODES = [
    "new linecode.k r1=.3 x1=.5 r0=.8 x0=1.5 c1=40 c0=20 units=km",
    "new linecode.m rmatrix=(.4|.1 .5|.1 .1 .4) xmatrix=(.9|.3 1|.3 .3 .9) units=mi cmatrix=(9|-1 9|-1 -1 9)",
    "new linecode.n r1=.2 x1=.4 r0=.6 x0=1.1 c1=60 c0=30",
    "new linecode.two nphases=2 r1=.5 x1=.7 r0=.9 x0=1.6",
]
CODE_EDITS = ["r1=2", "c1=500", "units=kft", "nphases=3", "rmatrix=(1|.1 1|.1 .1 1)", "b1=90", "x0=4"]
LINE = [
    "linecode=k", "linecode=m", "linecode=n", "length=3", "length=.5", "units=km", "units=mi", "units=kft",
    "units=none", "r1=1", "x1=1.2", "r0=2", "x0=3", "c1=90", "c0=70", "b1=70", "b0=40", "switch=y",
    "switch=n",
    "rmatrix=(1|.1 1|.1 .1 1)", "xmatrix=(2|.1 2|.1 .1 2)", "cmatrix=(90|-9 90|-9 -9 90)", "normamps=300",
    "phases=3",
    "basefreq=60", "rho=50", "enabled=y", "bus1=b", "linetype=ug",
]  # fmt: skip


def lines(rng: random.Random) -> str:
    """Lines: codes, components, matrices, switches, lengths and units in any order."""
    text = [rng.choice(CODES[:1] + CODES) for _ in range(0)] + list(CODES)
    late = some(rng, LINE, 0, 2) if rng.random() < 0.5 else []
    text += spread(rng, "line.x", ["bus1=b bus2=c", *some(rng, LINE, 1, 5)], [])
    if rng.random() < 0.3:
        text.append(rng.choice(["calcvoltagebases", "solve"]))
    if rng.random() < 0.3:
        text += [f"linecode.{rng.choice('kmn')}.{part}" for part in some(rng, CODE_EDITS, 1, 2)]
    text += [rng.choice([f"edit line.x {part}", f"line.x.{part}"]) for part in late]
    text.append("new load.c bus1=c kv=12.47 kw=700 kvar=200")
    if rng.random() < 0.3:
        more = (
            ["like=x", *some(rng, LINE, 0, 2)] if rng.random() < 0.8 else [*some(rng, LINE, 1, 2), "like=x"]
        )
        text += spread(rng, "line.y", ["bus1=c bus2=d", *more], [])
        text.append("new load.d bus1=d kv=12.47 kw=100 kvar=200")
    return "\n".join(text) + "\n"


LOAD = [
    "kw=400", "kw=250", "kvar=120", "kvar=-90", "pf=.8", "pf=-.95", "kva=500", "kv=12.47", "kv=7.2",
    "conn=delta",
    "conn=wye", "phases=3", "phases=1", "model=1", "model=2", "model=5", "model=4", "model=8", "cvrwatts=.8",
    "cvrvars=3", "zipv=(.3 .2 .5 .4 .1 .5 0)", "bus1=b", "bus1=b.2", "bus1=b.1.3", "bus1=b.2.3.1",
    "enabled=n",
    "enabled=y", "status=fixed", "yearly=s", "daily=s", "growth=g", "numcust=3", "vminpu=.8", "xfkva=200",
    "kwh=400",
    "cfactor=3", "allocationfactor=.4", "kwhdays=20", "rneut=3", "%mean=40", "class=2",
]  # fmt: skip


def loads(rng: random.Random) -> str:
    """Loads: kW, kvar, kVA and pf in any order over several commands; connections, buses and copies."""
    shape = rng.choice(["", " useactual=yes", " useact=n", " usea=true"])
    text = [
        f"new loadshape.s npts=2 interval=1 mult=(33 55){shape}",
        "new growthshape.g npts=1 year=1 mult=1.1",
    ]
    text += spread(rng, "load.x", ["bus1=b", *some(rng, LOAD, 1, 5)], [])
    if rng.random() < 0.3:
        text.append(rng.choice(["calcvoltagebases", "solve", "disable load.x", "enable load.x"]))
    late = some(rng, LOAD, 1, 3)
    text += [rng.choice([f"edit load.x {part}", f"load.x.{part}"]) for part in late if rng.random() < 0.5]
    if rng.random() < 0.5:
        more = (
            ["like=x", *some(rng, LOAD, 0, 3)] if rng.random() < 0.6 else [*some(rng, LOAD, 1, 3), "like=x"]
        )
        text += spread(rng, "load.y", ["bus1=b", *more], some(rng, LOAD, 0, 1))
    return "\n".join(text) + "\n"


CAPACITOR = [
    "kvar=300", "kvar=(200)", "kv=12.47", "kv=7.2", "conn=delta", "conn=wye", "phases=3", "phases=1",
    "phases=2",
    "bus1=b", "bus1=b.2", "bus1=b.1.3", "bus2=b.0.0.0", "states=(0)", "states=(1)", "numsteps=1", "enabled=n",
    "enabled=y", "basefreq=60", "r=0", "xl=0", "harm=0", "cuf=3", "cmatrix=(3|1 3|1 1 3)",
]  # fmt: skip


def capacitors(rng: random.Random) -> str:
    """Capacitors: wye and delta, with the bus before and after, steps, copies."""
    text = list(
        spread(rng, "capacitor.x", ["bus1=b", *some(rng, CAPACITOR, 1, 4)], some(rng, CAPACITOR, 0, 2))
    )
    if rng.random() < 0.5:
        more = some(rng, CAPACITOR, 0, 3)
        more.insert(rng.choice([0, 0, len(more)]), "like=x")
        text += spread(rng, "capacitor.y", ["bus1=b", *more], some(rng, CAPACITOR, 0, 1))
    return "\n".join(text) + "\n"


BANK = [
    "xhl=6", "%loadloss=1.2", "%rs=(.4 .5)", "%r=.7", "kvas=(1500 1500)", "kva=900", "taps=(1 1.02)",
    "tap=1.01",
    "wdg=1", "wdg=2", "wdg=1 tap=.98", "wdg=2 %r=.9", "wdg=2 kva=700", "wdg=1 kva=1100", "ppm_antifloat=0",
    "ppm_antifloat=5", "%imag=.4", "%noloadloss=.3", "mintap=.85", "leadlag=lead", "leadlag=lag",
    "conns=(delta wye)", "xrconst=y",
    "conns=(wye wye)", "conn=delta", "wdg=1 conn=wye", "maxtap=1.05", "numtaps=16", "windings=2", "phases=3",
    "bank=z", "x12=5", "xscarray=(5)", "normhkva=3000", "sub=y", "enabled=y", "xfmrcode=q",
    "kvs=(12.47 4.16)",
    "wdg=2 kv=4.16", "wdg=1 kv=12.47", "thermal=3", "rdcohms=1", "buses=(b d)", "wdg=2 bus=d",
]  # fmt: skip


def transformers(rng: random.Random) -> str:
    """Three-phase transformers: windings one by one and in lists, codes that change, copies."""
    code = ["phases=3 windings=2 kvs=(12.47 4.16) kvas=(2000 2000) xhl=5", *some(rng, BANK, 0, 2)]
    text = list(spread(rng, "xfmrcode.q", [p for p in code if "bus" not in p and "xfmrcode" not in p], []))
    text += spread(
        rng,
        "transformer.x",
        [*some(rng, ["buses=(b d)", "kvs=(12.47 4.16)", *BANK], 2, 6)],
        ["buses=(b d) kvs=(12.47 4.16)"],
    )
    if rng.random() < 0.3:
        text += [
            f"xfmrcode.q.{part}" for part in ("xhl=9", "%rs=(1 1)", "kvas=(500 500)") if rng.random() < 0.5
        ]
    text += [rng.choice([f"edit transformer.x {p}", f"transformer.x.{p}"]) for p in some(rng, BANK, 0, 2)]
    text.append("new load.d bus1=d kv=4.16 kw=600 kvar=200")
    if rng.random() < 0.3:
        more = some(rng, [p for p in BANK if "(b d)" not in p and "bus=d" not in p], 0, 2)
        more.insert(rng.choice([0, 0, len(more)]), "like=x")
        text += spread(rng, "transformer.y", [*more, "buses=(b e)"], [])
        text.append("new load.e bus1=e kv=4.16 kw=300 kvar=100")
    return "\n".join(text) + "\n"


CONTROL = [
    "vreg=122", "band=2", "ptratio=60", "tapnum=5", "tapnum=-3", "tapnum=20", "winding=2", "winding=1",
    "tapwinding=2",
    "enabled=n", "enabled=y", "transformer=r1", "transformer=r2", "maxtapchange=4", "vlimit=125",
    "reversible=y",
]  # fmt: skip
MOVES = [
    "taps=(1 1.0125)",
    "wdg=2 tap=.975",
    "wdg=2 maxtap=1.05",
    "wdg=2 numtaps=16",
    "wdg=1 tap=1.025",
    "wdg=2 mintap=.95",
]


def regulators(rng: random.Random) -> str:
    """Regulators: tap numbers and taps in any order, on controls that are enabled or not, and copies."""
    text = []
    for k in (1, 2, 3):
        like = "like=r1 " if k > 1 and rng.random() < 0.3 else ""
        text.append(
            f"new transformer.r{k} {like}phases=1 buses=(b.{k} d.{k}) kvs=(7.2 7.2) kvas=(2000 2000) xhl=.5 "
            "%loadloss=.01"
        )
        if rng.random() < 0.7:
            parts = [f"transformer=r{k}", "winding=2", *some(rng, CONTROL, 0, 4)]
            if rng.random() < 0.3:
                rng.shuffle(parts)
            if rng.random() < 0.2 and any(line.startswith("new regcontrol") for line in text):
                parts.insert(0, "like=c1")
            text += spread(rng, f"regcontrol.c{k}", parts, some(rng, CONTROL, 0, 1))
        if rng.random() < 0.4:
            text += [f"edit transformer.r{rng.randint(1, k)} {part}" for part in some(rng, MOVES, 1, 2)]
    for k in (1, 2, 3):
        if rng.random() < 0.2:
            text.append(f"transformer.r{k}.{rng.choice(MOVES)}")
    if rng.random() < 0.3:
        text.append(
            rng.choice(
                ["disable regcontrol.c1", "regcontrol.c1.enabled=n", "regcontrol.c1.tapnum=7", "calcv"]
            )
        )
    text.append("new load.d bus1=d kv=12.47 kw=900 kvar=300")
    return "\n".join(text) + "\n"


SWITCHING = [
    "open line.{} 1", "open line.{} 2", "close line.{} 1", "close line.{} 2", "open line.{} term=2",
    "open line.{}",
    "close line.{}", "open line.{} 2 1", "open line.{} 1 0", "disable line.{}", "enable line.{}",
    "line.{}.enabled=n",
    "line.{}.enabled=y", "edit line.{} phases=3", "open line.{} cond=1", "line.{}.length=2",
    "open object=line.{} 2",
    "open load.q 1", "close line.{} 2 0", "solve",
]  # fmt: skip


def switches(rng: random.Random) -> str:
    """Switches and lines without charging: terminals opened and closed one by one, disabled and enabled."""
    kinds = [
        "switch=y",
        "r1=.5 x1=.6 r0=1 x0=1 c1=0 c0=0",
        "switch=y enabled=n",
        "c1=300 c0=200 units=km length=6",
    ]
    text = [f"new line.s bus1=b bus2=e {rng.choice(kinds)}", f"new line.t bus1=e bus2=f {rng.choice(kinds)}"]
    text.append("new load.q bus1=e kv=12.47 kw=300 kvar=100")
    text.append("new load.f bus1=f kv=12.47 kw=200 kvar=100")
    text += [choice.format(rng.choice("st")) for choice in rng.choices(SWITCHING, k=rng.randint(1, 4))]
    return "\n".join(text) + "\n"


SOURCE = [
    "basekv=12.47", "pu=1.01", "angle=20", "mvasc3=300", "mvasc1=250", "isc3=9000", "isc1=8000", "x1r1=6",
    "x0r0=2",
    "r1=.1", "x1=.5", "r0=.2", "x0=.9", "z1=(.1 .5)", "puz1=(.01 .05)", "phases=3", "bus1=src", "basemva=50",
    "frequency=60", "scantype=pos", "sequence=pos", "bus2=src.0.0.0", "r1=.1 x1=.5 r0=.2 x0=.9",
    "basekv=13.2",
    "model=thevenin", "enabled=y",
]  # fmt: skip


def sources(rng: random.Random) -> str:
    """The source: short-circuit levels and impedances in any order."""
    parts = some(rng, SOURCE, 1, 4)
    return "\n".join(rng.choice(["edit vsource.source ", "vsource.source."]) + part for part in parts) + "\n"


WORDS = [
    "b",
    "12.47",
    "3",
    "7.2",
    "14",
    "kw=200",
    "kvar=50",
    "bus1=b",
    "kv=12.47",
    "phases=3",
    "pf=.95",
    "yes",
    "[7.2]",
]
GAPS = [" ", ",", ", ", " , ", "  ", "\t", ",,", " ,, ", "=", " = "]


def words(rng: random.Random) -> str:
    """Values without names, and what stands between them."""
    kind = rng.choice(["load.x", "capacitor.x", "line.x"])
    parts = rng.choices(WORDS, k=rng.randint(1, 6))
    text = f"new {kind} bus1=b" + (" bus2=c" if kind == "line.x" else "")
    for part in parts:
        text += rng.choices(GAPS, weights=[9, 2, 4, 1, 1, 1, 1, 1, 0.2, 0.2])[0] + part
    return text + rng.choice(["", " ! kw=7", " // kw=9", ",", "\n~ kvar=20 7.2", "\n~ 3"]) + "\n"


ODD = [
    "\x0b",
    "\x0c",
    "\x85",
    "\xa0",
    "\r",
    "\x1c",
    "\x1e",
    "\u2028",
    "\x00",
    "\x1a",
    "\r\n",
    "\n",
    "\t",
    "\u00c9",
    "@a",
]


def comments(rng: random.Random) -> str:
    """Characters that end a line for some readers, inside of comments and outside of them."""
    odd = rng.choice(ODD)
    return rng.choice(
        [
            f"! note{odd} new load.z bus1=b kv=12.47 kw=2000 kvar=0\n",
            f"// note{odd}new load.z bus1=b kv=12.47 kw=2000 kvar=0\n",
            f"new load.x bus1=b kv=12.47{odd} kw=500 kvar=20\n",
            f"new load.x bus1=b{odd}kv=12.47 kw=500{odd} kvar=20\n",
            f"/* note{odd}\nnew load.z bus1=b kv=12.47 kw=2000 kvar=0\n*/\n",
            f"new load.x{odd} bus1=b kv=12.47 kw=500 ! {odd}\nnew load.y{odd} bus1=b kv=12.47 pf={odd}1\n",
        ]
    )


OPTIONS = [
    "set year=2", "set year=0", "set loadmult=2", "set loadmult=1", "solve year=2", "solve loadmult=1.5",
    "set controlmode=off year=3", "set mode=daily", "set number=3", "set element=load.a\n~ kw=100",
    "set object=load.a\n~ kw=100", "set hour=5", "set %growth=3", "load.a.kw=500\n~ kvar=100",
    "? load.a.kw\n~ kw=400",
    "open line.l1 2\nclose line.l1 2\n~ length=3", "set genmult=2", "clear", "var @x=5",
    "batchedit load..* kw=5",
    "edit load.a kw=300\nset controlmode=off\n~ kvar=50", "disable load.a\nenable load.a", "solve mode=snap",
    "set defaultbasefrequency=50", "set trapezoidal=no", "set loadmodel=admittance", "more kw=400",
    "~ kw=400",
    "new load.b bus1=b kv=12.47 kw=100 pf=1\nmore kw=400", "set algorithm=newton", "set allowduplicates=y",
    "edit circuit.t pu=1.01", "vsource.source.pu=1.03 angle=5", "sol", "calcv", "set normvminpu=.93", "reset",
    "new circuit.u", "cleanup", "new monitor.m element=line.l1\n~ mode=1", "load.a.daily=default",
]  # fmt: skip


def options(rng: random.Random) -> str:
    """Options, and commands that set options or move what the next line goes on with."""
    return "\n".join(rng.choices(OPTIONS, k=rng.randint(1, 3))) + "\n"


CODE = [
    "nphases=3", "nphases=2", "nphases=1", "nphases=4", "r1=.4", "x1=.8", "r0=1", "x0=2", "c1=30", "c0=12",
    "b1=9",
    "b0=4", "units=km", "units=mi", "units=none", "rmatrix=(.4|.1 .5|.1 .1 .4)", "xmatrix=(.9|.3 1|.3 .3 .9)",
    "cmatrix=(20|-4 20|-4 -4 20)", "rmatrix=(.4|.1 .5)", "xmatrix=(.9|.3 1)", "rmatrix=(.3)", "normamps=200",
    "rmatrix=(.1|.02 .1|.02 .02 .1|.02 .02 .02 .3)", "xmatrix=(.2|.05 .2|.05 .05 .2|.05 .05 .05 .4)",
    "kron=y",
    "kron=n", "neutral=4", "neutral=1", "basefreq=60", "linetype=ug", "faultrate=.2",
]  # fmt: skip


def codes(rng: random.Random) -> str:
    """Line codes of every order, over several commands, copied, used by lines of this and another order."""
    text = list(spread(rng, "linecode.k", some(rng, CODE, 1, 6), some(rng, CODE, 0, 2)))
    name = "k"
    if rng.random() < 0.3:
        text += spread(rng, "linecode.j", ["like=k", *some(rng, CODE, 0, 2)], [])
        name = "j"
    nodes = rng.choice(["", ".1.2.3", ".1.2", ".2", ".3.1"])
    phases = rng.choice(["", " phases=1", " phases=2", " phases=3"])
    text.append(
        f"new line.x bus1=b{nodes} bus2=c{nodes}{rng.choice(['', phases])} linecode={name} length=2 units=km"
    )
    text += [
        f"line.x.{part}"
        for part in rng.sample(["phases=2", "phases=1", "phases=3", "linecode=k"], k=1)
        if rng.random() < 0.2
    ]
    text.append(f"new load.c bus1=c.{(nodes or '.1')[1]} phases=1 kv=7.2 kw=200 kvar=50")
    return "\n".join(text) + "\n"


WIRE = [
    "phases=1", "phases=2", "phases=3", "linecode=two", "linecode=k", "length=2", "units=mi", "r1=.5",
    "x1=.6", "r0=1",
    "x0=1.4", "c1=30", "c0=20", "switch=y", "rmatrix=(.5)", "rmatrix=(.5|.1 .5)", "xmatrix=(.9|.3 1)",
    "cmatrix=(30)",
    "bus1=b.2", "bus2=c.2", "bus1=b.1.3", "bus2=c.1.3", "bus1=b", "bus2=c",
]  # fmt: skip


def wires(rng: random.Random) -> str:
    """Lines of one and two phases, with phases and nodes set in any order, beside each other."""
    text = list(CODES)
    nodes = rng.choice([".1.3", ".2", ".2.1", ""])
    start = [f"bus1=b{nodes}", f"bus2=c{nodes}", f"phases={nodes.count('.') or 3}"]
    text += spread(rng, "line.x", [*some(rng, start, 3, 3), *some(rng, WIRE, 0, 4)], some(rng, WIRE, 0, 1))
    if nodes == ".1.3" and rng.random() < 0.6:
        text.append(
            "new line.y bus1=b.2 bus2=c.2 phases=1 r1=.4 x1=.7 c1=9"
            + rng.choice(["", " units=km", " length=3"])
        )
    text.append(f"new load.c bus1=c.{(nodes or '.1')[1]} phases=1 kv=7.2 kw=200 kvar=50")
    return "\n".join(text) + "\n"


UNIT = [
    "phases=1", "windings=3", "kvs=(7.2 .12 .12)", "kvas=(50 50 50)", "%rs=(.6 1.2 1.2)", "xhl=2.1",
    "xht=2.2",
    "xlt=1.4", "buses=(b.1 h.1.0 h.0.2)", "conns=(wye wye wye)", "xscarray=(2 2 1.5)", "wdg=2 tap=1.02",
    "wdg=3 tap=1.02", "wdg=1 kva=40", "wdg=2 kva=30", "%imag=.5", "%noloadloss=.2", "taps=(1 1 1)",
    "x12=2.4", "x23=1.2",
]  # fmt: skip


def legs(rng: random.Random) -> str:
    """Centre-tapped transformers, with the properties of their windings in any order."""
    first = [
        "phases=1 windings=3",
        "buses=(b.1 h.1.0 h.0.2)",
        "kvs=(7.2 .12 .12)",
        "kvas=(50 50 50)",
        "xhl=2 xht=2 xlt=1.3",
    ]
    parts = first + some(rng, UNIT, 0, 3)
    if rng.random() < 0.3:
        rng.shuffle(parts)
    text = list(spread(rng, "transformer.x", parts, some(rng, UNIT, 0, 2)))
    if rng.random() < 0.4:
        text.append(
            "new transformer.y like=x "
            + " ".join(some(rng, ["buses=(b.2 g.1.0 g.0.2)", "%imag=1", "xhl=3"], 1, 3))
        )
    text += [
        "new load.h bus1=h.1 phases=1 kv=.12 kw=5 kvar=1",
        "new load.g bus1=h.2 phases=1 kv=.12 kw=4 kvar=1",
    ]
    return "\n".join(text) + "\n"


SCENES: dict[str, Callable[[random.Random], str]] = {
    scene.__name__: scene
    for scene in (
        lines, codes, wires, loads, capacitors, transformers, legs, regulators, switches, sources, words,
        comments,
        options,
    )
}  # fmt: skip


def script(scene: str, seed: int) -> str:
    """One script of a scene."""
    return HEAD + SCENES[scene](random.Random(f"{scene}{seed}")) + TAIL
