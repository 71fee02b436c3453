"""Build the shipped feeders from MATPOWER case files.

    python tools/build_feeders.py --matpower FOLDER_WITH_M_FILES --out cases/data/feeders
    python tools/build_feeders.py --matpower FOLDER_WITH_M_FILES --out cases/data/feeders --check

What is added to the case files:

- coordinates (`distgrid.cases.model.tree_drawing`);
- thermal ratings where the file has none, or one constant that no flow could reach: the smallest current of
  the ladder `LADDER_A` that the nominal load fills to at most `LOADING`; an open tie gets the larger rating
  of the closed branches that it touches;
- at the source, the voltage limits of the rest of the feeder in place of Vmin = Vmax;
- title, source and licence.

The same input makes the same bytes with the same version of pyarrow.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from shipping import LADDER_A, LOADING, deliver, with_open_ties

from distgrid import cases, physics
from distgrid.cases.model.edit import replaced
from distgrid.cases.model.tree_drawing import with_layout

FACTS = (
    "figures published in the cited paper, as given in the MATPOWER case file; MATPOWER's BSD licence does "
    "not cover case files"
)
CC_BY = "CC BY 4.0, (c) 2023 Gabriel Malmer and Lovisa Thorin; changed as stated in the notes"


@dataclass(frozen=True)
class Shipped:
    """What the metadata of one shipped feeder says, and whether the file's ratings mean anything."""

    title: str
    source: str
    licence: str = FACTS
    rated: bool = False  # the file has ratings that are worth keeping
    note: str = ""


MALMER = Shipped(
    title="",
    source="G. Malmer and L. Thorin, Network reconfiguration for renewable generation maximization, Master's "
    "thesis, Lund University, 2023, http://lup.lub.lu.se/student-papers/record/9124806",
    licence=CC_BY,
    rated=True,
)
SHIPPED = {
    "case33bw": Shipped(
        title="33-bus feeder of Baran and Wu",
        source="M. E. Baran and F. F. Wu, Network reconfiguration in distribution systems for loss reduction "
        "and load balancing, IEEE Trans. Power Delivery 4(2), 1401-1407, 1989, doi:10.1109/61.25627",
    ),
    "case69": Shipped(
        title="69-bus feeder of Baran and Wu (PG&E)",
        source="M. E. Baran and F. F. Wu, Optimal capacitor placement on radial distribution systems, IEEE "
        "Trans. Power Delivery 4(1), 725-734, 1989, doi:10.1109/61.19265",
    ),
    "case118zh": Shipped(
        title="118-bus system of Zhang, Fu and Zhang",
        source="D. Zhang, Z. Fu and L. Zhang, An improved TS algorithm for loss-minimum reconfiguration in "
        "large-scale distribution systems, Electric Power Systems Research 77, 685-694, 2007, "
        "doi:10.1016/j.epsr.2006.06.005",
    ),
    "case136ma": Shipped(
        title="136-bus system of Mantovani, Casari and Romero",
        source="J. R. S. Mantovani, F. Casari and R. A. Romero, Reconfiguração de sistemas de distribuição "
        "radiais utilizando o critério de queda de tensão, SBA Controle & Automação 11, 150-159, 2000",
        note="the file's 100 MVA on every branch, five times the whole load, was replaced",
    ),
    "case141": Shipped(
        title="141-bus feeder of Khodr et al. (Caracas)",
        source="H. M. Khodr, F. G. Olsina, P. M. De Oliveira-De Jesus and J. M. Yusta, Maximum savings "
        "approach for location and sizing of capacitors in distribution systems, Electric Power Systems "
        "Research 78, 1192-1203, 2008, doi:10.1016/j.epsr.2007.10.002",
    ),
    "case533mt_lo": dataclasses.replace(
        MALMER, title="533-bus system of Malmer and Thorin (southern Sweden), lowest net load of 2022"
    ),
    "case533mt_hi": dataclasses.replace(
        MALMER, title="533-bus system of Malmer and Thorin (southern Sweden), highest net load of 2022"
    ),
}


def with_usable_limits(feeder: cases.Feeder) -> cases.Feeder:
    """The feeder with the band of its other nodes at sources whose limits only pin the voltage."""
    low, high = (np.array(feeder.column("nodes", name)) for name in ("v_min", "v_max"))
    source = feeder.column("nodes", "type") == "source"
    if (low[~source] >= high[~source]).any():
        raise ValueError(f"{feeder.name}: Vmin = Vmax at load buses cannot be shipped as voltage limits")
    pinned = source & (low == high)
    low[pinned], high[pinned] = low[~source].min(), high[~source].max()
    nodes = replaced(replaced(feeder.nodes, "v_min", low), "v_max", high)
    return dataclasses.replace(feeder, nodes=nodes)


def with_synthetic_ratings(feeder: cases.Feeder) -> cases.Feeder:
    """The feeder with a rating from the ladder on every branch, whatever it had before."""
    solution = physics.solve(physics.compile(feeder))
    if not solution.converged:
        raise ValueError(f"{feeder.name}: the nominal power flow does not converge")
    flow = np.maximum(
        np.hypot(solution.p_from_mw, solution.q_from_mvar), np.hypot(solution.p_to_mw, solution.q_to_mvar)
    )
    start = [feeder.node_index[node] for node in feeder.column("branches", "from_node")]
    kv = feeder.column("nodes", "base_kv")[start]
    step_mva = np.sqrt(3.0) * kv[:, None] * np.array(LADDER_A) / 1e3  # (branches, steps)
    enough = step_mva * LOADING >= flow[:, None] - 1e-9
    if not enough.any(axis=1).all():
        raise ValueError(f"{feeder.name}: the ladder ends below the largest flow")
    step = with_open_ties(feeder, enough.argmax(axis=1), feeder.column("branches", "status"))
    rating = np.round(step_mva[np.arange(len(step)), step], 6)
    branches = replaced(feeder.branches, "thermal_limit_mva", rating)
    branches = replaced(branches, "rating_source", pa.array(["synthetic"] * feeder.n_branches))
    return dataclasses.replace(feeder, branches=branches)


def finish(feeder: cases.Feeder) -> cases.Feeder:
    """Limits, coordinates, ratings and metadata of an imported feeder that is to be shipped."""
    about = SHIPPED[feeder.name]
    notes = [feeder.metadata["notes"]] if "notes" in feeder.metadata else []
    limited = with_usable_limits(feeder)
    if not limited.nodes.equals(feeder.nodes):
        notes.append("the source, pinned by Vmin = Vmax, has the voltage limits of the other nodes")
    feeder = with_layout(limited, replace=True)
    if not about.rated:
        feeder = with_synthetic_ratings(feeder)
        notes.append(
            f"ratings are synthetic: the nominal load fills each to at most {LOADING:.0%}, in steps of "
            f"{LADDER_A[0]} to {LADDER_A[-1]} A"
        )
    if about.note:
        notes.append(about.note)
    notes.append("coordinates are drawn")
    metadata = {
        "title": about.title,
        "source": about.source,
        "file": f"{feeder.name}.m of MATPOWER",
        "licence": about.licence,
        "notes": "; ".join(notes),
    }
    return dataclasses.replace(feeder, metadata=metadata)


def main() -> int:
    """Build or check; the exit status is 1 when a checked folder differs."""
    parser = argparse.ArgumentParser(description="Build the shipped feeders from MATPOWER case files.")
    parser.add_argument("--matpower", type=Path, required=True, help="folder with the .m files")
    parser.add_argument("--out", type=Path, required=True, help="folder of the shipped feeders")
    parser.add_argument("--check", action="store_true", help="write nothing; compare the bytes")
    args = parser.parse_args()
    feeders = (finish(cases.import_matpower(args.matpower / f"{name}.m")) for name in SHIPPED)
    return deliver(feeders, args.out, check=args.check)


if __name__ == "__main__":
    sys.exit(main())
