"""Take folders of `distgrid certify` into the package: python tools/ship_certificates.py OUT..."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq

from distgrid.baselines.scoring.certificates import FOLDER


def main(folders: list[str]) -> None:
    """One file for each folder, with the inputs' hashes in its schema."""
    FOLDER.mkdir(exist_ok=True)
    for folder in map(Path, folders):
        run = json.loads((folder / "run.json").read_text())
        if run["status"] != "done" or run["parameters"]["split"] != "test" or run["parameters"]["days"]:
            raise SystemExit(f"{folder}: not a finished run of all test days")
        table = pq.read_table(folder / "certificates.parquet")
        inputs = {record["name"]: record["sha256"] for record in run["inputs"]}
        kept = {b"inputs": json.dumps(inputs).encode(), b"seed": str(run["seed"]).encode()}
        name = run["parameters"]["env"].rsplit("/", 1)[-1]
        pq.write_table(table.replace_schema_metadata(kept), FOLDER / f"{name}.parquet", compression="zstd")
        print(FOLDER / f"{name}.parquet")


if __name__ == "__main__":
    main(sys.argv[1:])
