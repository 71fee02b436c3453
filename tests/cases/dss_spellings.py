"""Random OpenDSS scripts in every order and spelling of the language, and both readers' answers to them.

Each scene is a sound feeder with one kind of object whose properties come in any order, some of them twice,
over several commands (`new`, `~`, `more`, `edit`, `class.name.property=`), beside copies made by `like`,
codes that change after their use, and switching commands.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from .dss_scenes import (
    capacitors,
    changers,
    dead_phases,
    legs,
    loads,
    loops,
    regulators,
    some,
    spread,
    transformers,
)

HEAD = (
    "clear\n"
    "new circuit.t basekv=12.47 pu=1.02 mvasc3=200 mvasc1=180 bus1=src\n"
    "new line.l1 bus1=src bus2=b r1=0.3 x1=0.6 r0=0.8 x0=1.8 c1=10 c0=5 length=2 units=km\n"
    "new load.a bus1=b kv=12.47 kw=900 kvar=300\n"
)
TAIL = "set voltagebases=[12.47 4.16 .48 .208]\ncalcvoltagebases\n"


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
            "new line.y bus1=b.2 bus2=w.2 phases=1 r1=.4 x1=.7 c1=9"
            + rng.choice(["", " units=km", " length=3"])
        )
    text.append(f"new load.c bus1=c.{(nodes or '.1')[1]} phases=1 kv=7.2 kw=200 kvar=50")
    return "\n".join(text) + "\n"


SCENES: dict[str, Callable[[random.Random], str]] = {
    scene.__name__: scene
    for scene in (
        lines, codes, wires, loads, capacitors, transformers, legs, regulators, switches, sources, words,
        comments,
        options, changers, dead_phases, loops,
    )
}  # fmt: skip


def script(scene: str, seed: int) -> str:
    """One script of a scene."""
    return HEAD + SCENES[scene](random.Random(f"{scene}{seed}")) + TAIL
