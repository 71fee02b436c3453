"""Random scripts about loads, capacitors, transformers and regulators; see `dss_spellings`."""

from __future__ import annotations

import random
from collections.abc import Iterator


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
    "bus1=b", "bus1=b.2", "bus1=b.1.3", "bus2=b.0.0.0", "bus2=b.3", "bus1=b.1 bus2=b.2 phases=1 conn=wye",
    "states=(0)", "states=(1)", "numsteps=1", "enabled=n",
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


UNIT = [
    "phases=1", "windings=3", "kvs=(7.2 .12 .12)", "kvas=(50 50 50)", "%rs=(.6 1.2 1.2)", "xhl=2.1",
    "xht=2.2",
    "xlt=1.4", "buses=(b.1 h.1.0 h.0.2)", "conns=(wye wye wye)", "xscarray=(2 2 1.5)", "wdg=2 tap=1.02",
    "wdg=3 tap=1.02", "wdg=1 kva=40", "wdg=2 kva=30", "%imag=.5", "%noloadloss=.2", "taps=(1 1 1)",
    "x12=2.4", "x23=1.2", "buses=(b.3.2 h.1.0 h.0.2) kvs=(12.47 .12 .12)", "conns=(delta wye wye)",
    "wdg=1 bus=b.1.3 kv=12.47",
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


CHANGER = [
    "tapnum=5",
    "tapnum=-3",
    "winding=1",
    "winding=2",
    "tapwinding=1",
    "tapwinding=2",
    "ptphase=2",
]


def changers(rng: random.Random) -> str:
    """Load tap changers on either winding of banks and single units of every connection, fed from either."""
    low, kinds = rng.choice(["4.16", "12.47"]), rng.choices(["wye", "delta"], k=2)
    buses, kvs = ["b", "d"], ["12.47", low]
    if rng.random() < 0.5:
        buses, kvs, kinds = buses[::-1], kvs[::-1], kinds[::-1]
    kind = kinds[buses.index("d")]
    more = some(rng, ["taps=(1.0125 .975)", "%rs=(.3 .6)", "kvas=(3000 2500)", "leadlag=lead"], 0, 3)
    if rng.random() < 0.3:
        more.append(rng.choice(["%imag=.5", "%noloadloss=.3"]))
    text = list(
        spread(
            rng,
            "transformer.x",
            [f"buses=({' '.join(buses)}) kvs=({' '.join(kvs)}) conns=({' '.join(kinds)}) xhl=5", *more],
            [],
        )
    )
    text += spread(rng, "regcontrol.x", ["transformer=x winding=1", *some(rng, CHANGER, 0, 3)], [])
    text.append(f"new load.d bus1=d kv={low} conn={kind} kw=600 kvar=200 model=2")
    text.append(f"new load.e bus1=d.1.2 phases=1 kv={low} kw=60 kvar=20 model=2")
    return "\n".join(text) + "\n"


DEAD = [
    "load.{} bus1=e conn=delta kv=12.47 kw=90 kvar=30 model=2",
    "load.{} bus1=e conn=delta kv=12.47 kw=90 kvar=30",
    "load.{} bus1=e conn=delta kv=12.47 kw=0 kvar=0",
    "load.{} bus1=e kv=12.47 kw=90 model=2",
    "load.{} bus1=e.2.3 phases=1 kv=12.47 kw=50 model=2",
    "load.{} bus1=e.3.1 phases=1 kv=12.47 kw=50 model=2",
    "load.{} bus1=e.3 phases=1 kv=7.2 kw=20 kvar=5 model=2",
    "load.{} bus1=e.1 phases=1 kv=7.2 kw=20 kvar=5",
    "load.{} bus1=e.1.2 phases=1 kv=12.47 kw=30 model=2",
    "capacitor.{} bus1=e kv=12.47 kvar=60",
    "capacitor.{} bus1=e conn=delta kv=12.47 kvar=60",
    "capacitor.{} bus1=e conn=delta kv=12.47 kvar=60 states=(0)",
    "capacitor.{} bus1=e.1 bus2=e.3 phases=1 kv=12.47 kvar=30",
]


def dead_phases(rng: random.Random) -> str:
    """Loads and capacitors at a bus that one or two phases lead to."""
    nodes = rng.choice([".1.2", ".1.2", ".2.1", ".1", ".1.3"])
    text = [
        f"new line.m bus1=b{nodes} bus2=e{nodes} phases={nodes.count('.')} r1=.5 x1=.5 r0=1 x0=1 c1=0 c0=0"
    ]
    text += ["new " + part.format(f"n{k}") for k, part in enumerate(some(rng, DEAD, 1, 3))]
    return "\n".join(text) + "\n"


CHORD = [
    "bus1=b bus2=d phases=3", "bus1=c.1.3 bus2=e.1.3 phases=2", "bus1=e.2 bus2=b.2 phases=1",
    "bus1=d.3.1 bus2=b.3.1 phases=2", "bus1=e bus2=d phases=3", "bus1=c bus2=b phases=3",
    "bus1=b bus2=e phases=3 switch=y", "bus1=d.2 bus2=c.2 phases=1 switch=y",
]  # fmt: skip


def loops(rng: random.Random) -> str:
    """Lines of one phase to three, switches and transformers that close loops, some opened again."""

    def line(name: str, at: str) -> str:
        r, x = rng.uniform(0.1, 0.6), rng.uniform(0.3, 1.2)
        size = "" if "switch" in at else f" c1={rng.choice([0, 9])} c0={rng.choice([0, 5])}"
        z = "" if "switch" in at else f" r1={r:.3f} x1={x:.3f} r0={2 * r:.3f} x0={3 * x:.3f}"
        return f"new line.{name} {at}{z}{size} length={rng.uniform(0.3, 2):.2f} units=km"

    text = [line("t0", "bus1=b bus2=c phases=3"), line("t1", "bus1=c bus2=d phases=3")]
    text.append(line("t2", "bus1=d bus2=e phases=3"))
    chords = rng.sample(CHORD, k=rng.randint(1, 4))
    text += [line(f"k{k}", at) for k, at in enumerate(chords)]
    if rng.random() < 0.5:
        conns = rng.choice(["delta wye", "wye wye", "delta delta"])
        size = f"conns=[{conns}] kvs=[12.47 .48] kvas=[500 500] xhl=5"
        text += [f"new transformer.u buses=[c lv] {size}", f"new transformer.v buses=[e lw] {size}"]
        text.append("new line.low bus1=lv bus2=lw phases=3 r1=.02 x1=.03 r0=.05 x0=.08 c1=0 c0=0 length=.1")
        text.append("new load.low bus1=lv kv=.48 kw=90 kvar=30 conn=delta")
    loads = ["bus1=d kv=12.47 kw=600 kvar=200", "bus1=e.2 phases=1 kv=7.2 kw=200 kvar=80 model=2",
             "bus1=c.1.3 phases=1 conn=delta kv=12.47 kw=150 kvar=50 model=5"]  # fmt: skip
    text += [f"new load.x{k} {at}" for k, at in enumerate(rng.sample(loads, k=rng.randint(1, 3)))]
    if rng.random() < 0.4:
        text.append(rng.choice([f"open line.k0 {rng.randint(1, 2)}", "disable line.k0", "open line.k0 1 1"]))
    return "\n".join(text) + "\n"
