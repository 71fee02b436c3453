"""A script with load shapes for all that follows them, and files of shapes beside it."""

from __future__ import annotations

from pathlib import Path

GRID = """new circuit.day basekv=12.47 pu=1.02 bus1=head
new line.a bus1=head bus2=b length=2 units=km r1=.3 x1=.5 r0=.6 x0=1.4 c1=9 c0=5
new line.b bus1=b.1.2 bus2=c.1.2 phases=2 length=1 units=km r1=.4 x1=.5 r0=.7 x0=1.3 c1=9 c0=5
new transformer.t buses=[b low] conns=[delta wye] kvs=[12.47 .4] kvas=[400 400] xhl=4 %loadloss=1
"""
SHAPES = (
    """new loadshape.home npts=24 interval=1 mult=(.35 .3 .28 .27 .27 .3 .4 .55 .6 .58 .55 .57 .6 .58
""".strip()
    + """ .55 .55 .6 .75 .9 1 .95 .8 .6 .45)
new loadshape.shop npts=4 interval=6 mult=(.2 .9 1.1 .5) qmult=(.4 .8 1 .6)
new loadshape.meter npts=48 minterval=30 useactual=yes mult=(file=meter.csv)
new loadshape.sun npts=5 interval=0 hour=(0 6 12 18 24) mult=(0 .1 1 .2 0)
new loadshape.duty npts=96 sinterval=900 mult=(file=duty.csv)
"""
)
LOADS = """new load.pq bus1=b.2 phases=1 kv=7.2 kw=180 kvar=90 daily=home
new load.z bus1=c.1 phases=1 kv=7.2 kw=90 kvar=-40 model=2 daily=shop
new load.leg bus1=c.1.2 phases=1 conn=delta kv=12.47 kw=66 kvar=33 model=5 daily=home
new load.delta bus1=b conn=delta kv=12.47 kw=210 kvar=80 yearly=shop
new load.pf bus1=low.1 phases=1 kv=.231 kw=30 pf=.95 daily=meter
new load.kvar bus1=low.2 phases=1 kv=.231 kw=30 kvar=9 daily=meter
new load.still bus1=low.3 phases=1 kv=.231 kw=12 kvar=3
new load.fixed bus1=b.3 phases=1 kv=7.2 kw=36 kvar=12 daily=home status=fixed
new generator.gen bus1=b kv=12.47 kw=90 kvar=20 daily=home
new generator.yearly bus1=low.3 phases=1 kv=.231 kw=8 pf=.95 yearly=shop
new pvsystem.roof bus1=low kv=.4 kva=60 pmpp=55 irradiance=.9 daily=sun
new storage.box bus1=low kv=.4 kwrated=40 kwhrated=90 %stored=40 dispmode=follow duty=duty
"""
END = "set voltagebases=[12.47 .4]\ncalcvoltagebases\nset loadmult=.9\nsolve\n"


def written(folder: Path, text: str) -> Path:
    """A script, with files of shapes beside it."""
    (folder / "meter.csv").write_text("\n".join(str(18 + (k * 5) % 19) for k in range(48)))
    (folder / "duty.csv").write_text("\n".join(f"{((k * 7) % 23 - 11) / 11:.4f}" for k in range(96)))
    path = folder / "day.dss"
    path.write_text(text)
    return path
