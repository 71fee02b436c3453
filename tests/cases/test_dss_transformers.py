"""Transformers in the many ways that OpenDSS lets one write them."""

from __future__ import annotations

import numpy as np
import pytest

from .dss_engine import feeder_from_text
from .scripts import OpenDss, embedded, tool

pytest.importorskip("dss")
nodal = tool("nodal_reference")

BEFORE = """
new circuit.a basekv=12.47 mvasc3=2000 mvasc1=1800
new xfmrcode.k phases=3 xhl=6 %loadloss=1.2 kvs=[12.47 .48] kvas=[300 300] conns=[delta wye]
new xfmrcode.one phases=1 xhl=3 kvs=[7.2 .24] kvas=[50 50]
new transformer.model phases=3 buses=[sourcebus m] kvs=[12.47 4.16] kvas=[900 900] xhl=5 %rs=[.3 .4] tap=1.05
"""
WAYS = {
    "two windings by wdg": "wdg=1 bus=sourcebus kv=12.47 kva=500 %r=.3 wdg=2 bus=b kv=4.16 %r=.6 xhl=4",
    "a list leaves its last winding active": "buses=[sourcebus b] kvs=[12.47 4.16] tap=1.05 %r=.7",
    "a copy begins at the first": "like=model buses=[sourcebus b] wdg=1 tap=.95",
    "a copy begins at the first, unsaid": "like=model tap=1.1 buses=[sourcebus b]",
    "kva of the second winding": "buses=[sourcebus b] kvs=[12.47 4.16] wdg=2 kva=700",
    "kva of the first winding": "buses=[sourcebus b] kvs=[12.47 4.16] kva=700",
    "kvas that differ": "buses=[sourcebus b] kvs=[12.47 4.16] kvas=[700 400] %loadloss=2",
    "losses before the windings' own": "buses=[sourcebus b] kvs=[12.47 4.16] %loadloss=2 wdg=2 %r=.1",
    "xscarray": "buses=[sourcebus b] kvs=[12.47 4.16] xscarray=[9]",
    "x12": "buses=[sourcebus b] kvs=[12.47 4.16] x12=9",
    "taps as a list": "buses=[sourcebus b] kvs=[12.47 4.16] taps=[.975 1.05]",
    "delta wye": "buses=[sourcebus b] conns=[delta wye] kvs=[12.47 4.16]",
    "delta wye, leading": "buses=[sourcebus b] conns=[delta wye] kvs=[12.47 4.16] leadlag=euro",
    "wye delta": "buses=[sourcebus b] conns=(y, d) kvs=[12.47 4.16]",
    "wye delta, leading": "buses=[sourcebus b] conns=(ln, ll) kvs=[12.47 4.16] leadlag=lead",
    "delta delta": "buses=[sourcebus b] conns=[delta delta] kvs=[12.47 4.16] leadlag=lead",
    "step up, delta to wye": "buses=[sourcebus b] conns=[delta wye] kvs=[12.47 69]",
    "step up, wye to delta": "buses=[sourcebus b] conns=[wye delta] kvs=[12.47 69] leadlag=ansi",
    "phases turned round": "buses=[sourcebus.3.1.2 b.2.3.1] kvs=[12.47 4.16]",
    "phases turned in a delta": "buses=[sourcebus.2.3.1 b.1.2.3] conns=[delta wye] kvs=[12.47 4.16]",
    "phases swapped in a delta": "buses=[sourcebus.2.1.3 b.1.3.2] conns=[wye delta] kvs=[12.47 4.16]",
    "neutral written": "buses=[sourcebus.1.2.3.0 b.1.2.3.0] kvs=[12.47 4.16] rneut=-1",
    "core": "buses=[sourcebus b] conns=[delta wye] kvs=[12.47 4.16] %noloadloss=.4 %imag=1.2 tap=1.025 ppm=5",
    "no floating": "buses=[sourcebus b] conns=[delta delta] kvs=[12.47 .48] ppm=0",
    "of a code": "xfmrcode=k buses=[sourcebus b]",
    "buses before the code": "buses=[sourcebus b] xfmrcode=k",
    "a code and more": "xfmrcode=k buses=[sourcebus b] xhl=2 kvas=[400 400]",
    "like another": "like=model buses=[sourcebus b]",
    "one phase": "phases=1 buses=[sourcebus.2 b.2] kvs=[7.2 .24] kvas=[50 50]",
    "one phase of a code": "xfmrcode=one buses=[sourcebus.3 b.3]",
    "one phase on another": "phases=1 buses=[sourcebus.2 b.3] kvs=[7.2 .24]",
    "between phases": "phases=1 conns=[delta delta] buses=[sourcebus.1.2 b.1.2] kvs=[12.47 .48]",
    "between phases, turned": "phases=1 conns=[delta delta] buses=[sourcebus.3.1 b.1.3] kvs=[12.47 .48]",
    "between phases called wye": "phases=1 conns=[wye wye] buses=[sourcebus.3.2 b.3.2] kvs=[12.47 .48]\n"
    "new load.ground bus1=b.3 phases=1 kv=.24 kw=0",
    "phase to ground called delta": "phases=1 conns=[delta delta] buses=[sourcebus.3 b.3] kvs=[7.2 .24]",
    "phase to phases": "phases=1 conns=[wye delta] buses=[sourcebus.1 b.2.1] kvs=[7.2 .24] taps=[1 .9]",
    "phases to phase": "phases=1 conns=[delta wye] buses=[sourcebus.1.3 b.3] kvs=[12.47 .24] %noloadloss=.5",
    "centre tap": "phases=1 windings=3 buses=[sourcebus.2 b.1.0 b.0.2] kvs=[7.2 .12 .12] xhl=2 xht=3 xlt=2",
    "centre tap by windings": "phases=1 windings=3 kva=25 kv=7.2 bus=sourcebus.1 %r=.5 wdg=2 bus=b.1.0 "
    "kv=.12 %r=1.1 wdg=3 bus=b.0.2 kv=.12 %r=1.3 xhl=2 xht=2.2 xlt=1.5 %imag=.5 tap=1",
    "centre tap, taps": "phases=1 windings=3 buses=[sourcebus.3 b.1.0 b.0.2] kvs=[7.2 .12 .12] "
    "taps=[1.025 1 1] xscarray=[2 2.5 1.3] kvas=[25 25 25]",
    "centre tap between phases": "phases=1 windings=3 buses=[sourcebus.3.2 b.1.0 b.0.2] kvs=[12.47 .12 .12] "
    "conns=[delta wye wye] kvas=[25 25 25] xscarray=[2 2.5 1.3] taps=[.975 1 1] %imag=.7 %noloadloss=.3",
    "centre tap between phases called wye": "phases=1 windings=3 buses=[sourcebus.1.2 b.1.0 b.0.2] "
    "kvs=[12.47 .12 .12] kvas=[25 25 25] xscarray=[2 2.5 1.3]",
}


@pytest.mark.quick(14)
@pytest.mark.parametrize("way", WAYS)
def test_admittances(way: str) -> None:
    """The unit in the tables has OpenDSS's primitive admittances, without a solution in between."""
    script = f"{BEFORE}new transformer.x {WAYS[way]}\nset voltagebases=[69 12.47 4.16 .48 .416 .208]\n"
    feeder = feeder_from_text(script, "x.dss")
    theirs = embedded(OpenDss(script), ["transformer.x"], ("sourcebus", "b"))
    _, ours = nodal.Nodal(feeder).branch(feeder.branch_index["x"])
    # OpenDSS's shunts against floating know a neutral by `conn` even where it is a phase: a few microsiemens.
    exact = 1e-12 if "called" not in way else 1e-6
    assert np.abs(ours - theirs).max() < exact * np.abs(theirs).max()
    z = feeder.column("branches", "x")[feeder.branch_index["x"]]
    assert z > 0
    assert feeder.column("branches", "shift_deg")[feeder.branch_index["x"]] in (-30.0, 0.0, 30.0)
