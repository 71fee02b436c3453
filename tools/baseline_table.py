"""Play `mpc` on test days and write docs/baselines.md.

Call: python tools/baseline_table.py [--days N] [NAME...]

NAME: environments of the page; all where none is given. --days: at most so many days of each, spread over the
split; without it all. A day that was played is kept in docs/baselines/mpc.parquet and is not played again: an
interrupted call goes on where it was. --days 0 writes the page alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from distgrid import baselines
from distgrid.baselines.errors import RunError
from distgrid.baselines.scoring.certificates import certificates

DOCS = Path(__file__).parents[1] / "docs"
PAGE, RETURNS = DOCS / "baselines.md", DOCS / "baselines" / "mpc.parquet"
BEGIN, END = "<!-- baselines: tools/baseline_table.py -->", "<!-- end of baselines -->"
#: The level of observation at which forecasts err as those of weather services do.
LEVEL = "global"
ENVIRONMENTS = (
    "VoltVar-33bw-v1", "VoltVar-141-v1", "VoltVar3-ieee13-v1", "DERDispatch-33bw-v0", "DERDispatch-118zh-v0",
    "DERDispatch-ieee123-v0", "PeakShaving-33bw-v0", "SetpointTracking-33bw-v0",
)  # fmt: skip
#: Played for docs/learned.md alone, where they are asked for by name.
OTHERS = ("EVCharging-33bw-v0", "marl_ders_benchmark-v0")
SCHEMA = pa.schema(
    [("env", pa.string()), ("day", pa.int64()), ("seed", pa.int64()), ("return", pa.float64())]
)
Row = dict[str, Any]


def main() -> None:
    """Play what is missing, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--days", type=int)
    asked = parser.parse_args()
    for name in asked.names or ENVIRONMENTS:
        for row in missing(name, asked.days):
            try:
                kept([*returns(), {**row, "env": name, "return": played(name, row)}])
            except RunError as refused:
                print(f"{name}: {refused}")
                break
            print(name, row["day"], flush=True)
    head, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{head}{BEGIN}\n{page_tables()}{END}{rest.partition(END)[2]}")


def spread(days: list[int]) -> list[int]:
    """The days in an order whose every beginning is spread over the split."""
    order = sorted(range(len(days)), key=lambda k: (k * 0.6180339887498949) % 1.0)
    return [days[k] for k in np.argsort(order, kind="stable").tolist()]


def missing(name: str, most: int | None) -> list[Row]:
    """Day and seed of what is to be played."""
    rows = {row["day"]: row for row in certificates(name).to_pylist()}
    known = {row["day"] for row in returns() if row["env"] == name}
    days = spread(sorted(rows))[: len(rows) if most is None else most]
    return [{"day": day, "seed": rows[day]["seed"] or 0} for day in days if day not in known]


def played(name: str, row: Row) -> float:
    """The return of a day."""
    env = gymnasium.make(f"distgrid/{name}", split="test", observation=LEVEL, disable_env_checker=True)
    policy = baselines.make("mpc", env)
    obs, info = env.reset(seed=row["seed"], options={"day": row["day"]})
    policy.reset(obs, info)
    total, over = 0.0, False
    while not over:
        obs, reward, terminated, truncated, info = env.step(policy.act(obs, info))
        total, over = total + float(reward), terminated or truncated
    env.close()
    return total


def returns() -> list[Row]:
    """What was played."""
    return pq.read_table(RETURNS).to_pylist() if RETURNS.exists() else []


def kept(rows: list[Row]) -> None:
    """Written to a temporary file, and renamed."""
    rows = sorted(rows, key=lambda row: ((*ENVIRONMENTS, *OTHERS).index(row["env"]), row["day"]))
    RETURNS.parent.mkdir(exist_ok=True)
    new = RETURNS.with_suffix(".new")
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), new, compression="zstd")
    new.replace(RETURNS)


def page_tables() -> str:
    """Mean returns and mean scores of the days that `mpc` played; of all days where it plays none."""
    returns_of = [
        "| Environment | Days | Do nothing | Best rule | MPC on forecasts | Optimum | Bound |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    scores_of = [
        "| Environment | Days | Best rule | MPC on forecasts | Its worst day | Days above the rule |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name in ENVIRONMENTS:
        cells, scores = _cells(name)
        returns_of.append(f"| `{name}` | {' | '.join(cells)} |")
        scores_of.append(f"| `{name}` | {' | '.join(scores)} |")
    return "\n".join([*returns_of, "", *scores_of]) + "\n"


def _cells(name: str) -> tuple[list[str], list[str]]:
    every = certificates(name).to_pylist()
    mine = {row["day"]: row["return"] for row in returns() if row["env"] == name}
    rows = [row for row in every if row["day"] in mine] or every
    brought = np.array([mine[row["day"]] for row in rows]) if mine else None
    none, rule, best = (
        np.array([row[key] for row in rows], dtype=np.float64)
        for key in ("do_nothing", "best_rule_return", "best_known")
    )
    bound = None if rows[0]["bound"] is None else np.array([row["bound"] for row in rows])
    days = f"{len(rows)} of {len(every)}"
    known = _number(best.mean()) + ("" if bound is not None else " (best known)")
    lacking = "not available" if bound is None else "not played"
    cells = [days, _number(none.mean()), _number(rule.mean())]
    cells += [lacking if brought is None else _number(brought.mean()), known]
    cells.append("not available" if bound is None else _number(bound.mean()))
    gain = best - none
    ruled = f"{np.mean((rule - none) / gain):.3f}"
    if brought is None:
        return cells, [days, ruled, lacking, "–", "–"]
    scores = (brought - none) / gain
    better = int((brought > rule).sum())
    return cells, [days, ruled, f"{scores.mean():.3f}", f"{scores.min():.3f}", f"{better} of {len(rows)}"]


def _number(value: float) -> str:
    return f"{value:,.2f}".replace("-", "−")


if __name__ == "__main__":
    main()
