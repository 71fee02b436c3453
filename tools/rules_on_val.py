"""Play the rules that fit on the days that trained policies are chosen on, for the tables of docs/learned.md.

Call: python tools/rules_on_val.py ENV [ENV ...]

Days of val; where no certificates tell what rules bring on days of test, these too. The rows that the table
had of these environments are replaced.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import gymnasium
import pyarrow as pa
import pyarrow.parquet as pq

from distgrid import baselines
from distgrid.baselines import RunError
from distgrid.baselines.registry import fitting, rules_among
from distgrid.baselines.scoring.certificates import shipped

TABLE = Path(__file__).parents[1] / "docs" / "learned" / "rules.parquet"
Row = dict[str, Any]


def main(given: list[str]) -> None:
    """Write the table."""
    for name in given:
        kept: list[Row] = pq.read_table(TABLE).to_pylist() if TABLE.exists() else []
        rows = [row for row in kept if row["env"] != name]
        for split in ("val",) if name in shipped() else ("val", "test"):
            rows += played(name, split)
        rows.sort(key=lambda row: (row["env"], row["split"], row["policy"], row["episode"]))
        TABLE.parent.mkdir(exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), TABLE, compression="zstd")


def played(name: str, split: str) -> list[Row]:
    """Every rule on every day of a split, and doing nothing."""
    env = gymnasium.make(f"distgrid/{name}", split=split)
    n_days = len(env.unwrapped.days)  # type: ignore[attr-defined]
    rows: list[Row] = []
    for rule in ("do-nothing", *rules_among(fitting(env))):
        try:
            found = baselines.rollout(name, rule, episodes=n_days, split=split, progress=False, report=False)
        except RunError as error:  # a rule that finds out when it begins that there is nothing to do
            print(f"{name}: {rule}: {error}", file=sys.stderr)
            continue
        for row in found.episodes.select(["episode", "day", "return"]).to_pylist():
            rows.append({"env": name, "split": split, "policy": rule, **row})
    return rows


if __name__ == "__main__":
    main(sys.argv[1:])
