"""Take certificates into the package.

Call: python tools/ship_certificates.py OUT|AUDIT.parquet|NAME=BASE|NAME@DAY,DAY...

OUT is a folder of `distgrid certify`; one that is not finished betters the days that it has, of a table that
is shipped already. AUDIT.parquet: the episodes of `distgrid audit`, docs/audits; NAME=BASE: an environment
that only shows less than another one; NAME@DAY,DAY: bounds of shipped days again.
Of two tables of an environment the better value of each day is kept, and the bound that one of them has.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from distgrid.baselines.certify.tables import CERTIFICATES
from distgrid.baselines.jobs.unit_tables import table_of_rows
from distgrid.baselines.optimal.bracket import played
from distgrid.baselines.optimal.day import plan_day
from distgrid.baselines.policy import scenario_of
from distgrid.baselines.rollouts.env_content import content_of
from distgrid.baselines.rollouts.env_source import input_records, make_source
from distgrid.baselines.scoring.certificates import FOLDER, SPLIT, belongs_to, certificates, shipped

#: Where the table of all environments stands.
PAGE = Path(__file__).parents[1] / "docs" / "certificates.md"
BEGIN, END = "<!-- certificates: tools/ship_certificates.py -->", "<!-- end of certificates -->"
Row = dict[str, Any]
_SAME = 1e-9  # relative difference up to which two returns of doing nothing are those of one day


def main(given: list[str]) -> None:
    """One file for each environment, with the inputs' hashes in its schema."""
    FOLDER.mkdir(exist_ok=True)
    for path in map(Path, given):
        name, inputs, rows = _read(path)
        if not rows:
            raise SystemExit(f"{path}: it holds no certificate of {name}")
        known = certificates(name).to_pylist() if name in shipped() and belongs_to(name, inputs) else []
        if {_episode(row) for row in rows} <= {_episode(row) for row in known}:
            rows = [_better(row, rows) for row in known]
        elif _unfinished(path):
            raise SystemExit(f"{path}: not finished, and no table of {name} has its days")
        rows = [_with_gap(row) for row in rows]
        table = table_of_rows([tuple(row[f.name] for f in CERTIFICATES) for row in rows], CERTIFICATES)
        kept = {b"inputs": json.dumps(inputs).encode()}
        pq.write_table(table.replace_schema_metadata(kept), FOLDER / f"{name}.parquet", compression="zstd")
        certificates.cache_clear()
        print(FOLDER / f"{name}.parquet")
    head, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{head}{BEGIN}\n{page_table()}{END}{rest.partition(END)[2]}")


def page_table() -> str:
    """The table of the page: means over the test days of each environment."""
    lines = [
        "| Environment | Do nothing | Best rule | Best known | Bound | Days within 1 % | Found by |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for name in shipped():
        rows = certificates(name).to_pylist()
        means = [_mean(rows, key) for key in ("do_nothing", "best_rule_return", "best_known", "bound")]
        gaps = [row["gap"] for row in rows if row["gap"] is not None]
        close = f"{sum(gap <= 0.01 for gap in gaps) / len(gaps):.0%}" if gaps else "–"
        found = [row["found_by"].split()[0] for row in rows]
        by = ", ".join(sorted(set(found), key=lambda who: (-found.count(who), who)))
        lines.append(f"| `{name}` | {' | '.join(means)} | {close} | {by} |")
    return "\n".join(lines) + "\n"


def _mean(rows: list[Row], key: str) -> str:
    known = [row[key] for row in rows if row[key] is not None]
    if not known:
        return "–"
    mean = sum(known) / len(known)
    return (f"{mean:.2g}" if 0.0 < abs(mean) < 0.1 else f"{mean:,.2f}").replace("-", "−")


def _read(path: Path) -> tuple[str, dict[str, str], list[Row]]:
    if "@" in path.name:
        return _of_days(*path.name.split("@"))
    if "=" in path.name:
        return _of_twin(*path.name.split("="))
    return _of_audit(path) if path.suffix == ".parquet" else _of_folder(path)


def _of_twin(name: str, base: str) -> tuple[str, dict[str, str], list[Row]]:
    """The certificates of another environment, where the same actions bring the same on both."""
    envs = [make_source(one, SPLIT).open() for one in (name, base)]
    rows, rng = certificates(base).to_pylist(), np.random.default_rng(0)
    scenario = scenario_of(envs[0])
    shape = (scenario.episode_steps, len(scenario.action_layout))
    for row in rows[::8]:
        actions, seed = rng.uniform(-1.0, 1.0, shape), row["seed"] or 0
        one, other = (played(env, actions, row["day"], seed) for env in envs)
        if one != other:
            raise SystemExit(f"{name} is no twin of {base}: day {row['day']} brings {one!r} and {other!r}")
    return name, _inputs(envs[0]), rows


def _of_days(name: str, days: str) -> tuple[str, dict[str, str], list[Row]]:
    """What is shipped, with the bounds of some days as the relaxation has them now, where they are lower."""
    env, rows = make_source(name, SPLIT).open(), certificates(name).to_pylist()
    inputs = _inputs(env)
    if not belongs_to(name, inputs):
        raise SystemExit(f"{name}: what is shipped belongs to another environment or other data")
    for row in rows:
        if row["day"] in {int(day) for day in days.split(",")}:
            env.reset(seed=row["seed"] or 0, options={"day": row["day"]})
            row["bound"] = min(row["bound"], plan_day(scenario_of(env)).bound)
    return name, inputs, rows


def _inputs(env: Any) -> dict[str, str]:
    attached = content_of(env)
    return {one.name: one.sha256 for one in (*input_records(env, SPLIT, attached.sha256), *attached.own)}


def _of_folder(folder: Path) -> tuple[str, dict[str, str], list[Row]]:
    run = json.loads((folder / "run.json").read_text())
    if run["parameters"]["split"] != SPLIT or run["parameters"]["days"]:
        raise SystemExit(f"{folder}: not a run of all test days")
    inputs = {record["name"]: record["sha256"] for record in run["inputs"]}
    name = run["parameters"]["env"].rsplit("/", 1)[-1]
    parts = [folder / "certificates.parquet"]
    if _unfinished(folder):
        parts = sorted((folder / "parts").glob("*.certificates.parquet"))
    return name, inputs, [row for part in parts for row in pq.read_table(part).to_pylist()]


def _unfinished(path: Path) -> bool:
    record = path / "run.json"
    return record.exists() and json.loads(record.read_text())["status"] != "done"


def _episode(row: Row) -> tuple[int, int | None]:
    return row["day"], row["seed"]


def _of_audit(path: Path) -> tuple[str, dict[str, str], list[Row]]:
    """What the contenders of an audit reached, on the environment as it is now."""
    source = make_source(path.stem, SPLIT)
    env = source.open()
    inputs = _inputs(env)
    episodes = pq.read_table(path).to_pylist()
    rows = []
    for day in sorted({one["day"] for one in episodes}):
        own = [one for one in episodes if one["day"] == day]
        best = max(own, key=lambda one: float(one["return"]))
        rule = max((one for one in own if one["kind"] == "rule"), key=lambda one: float(one["return"]))
        rest = next(one["return"] for one in own if one["contender"] == "do-nothing")
        rows.append(
            {
                "day": day, "seed": _seed(env, day, own[0]["seed"]), "do_nothing": rest,
                "best_rule": rule["contender"], "best_rule_return": rule["return"],
                "best_known": best["return"], "found_by": f"audit {best['contender']}", "bound": None,
                "gap": None,
            }
        )  # fmt: skip
    source.close(env)
    return path.stem, inputs, rows


def _seed(env: Any, day: int, seed: int) -> int | None:
    """None where a reset with another seed gives the same day, as far as resting units and draws tell."""
    states = []
    for one in (seed, seed + 1):
        env.reset(seed=one, options={"day": day})
        window = env.unwrapped.scenario.window()
        drawn = (repr(window.outlooks), repr(window.setpoint_mw))
        states.append((window.load_p_mw.tolist(), window.price_usd_mwh.tolist(), *drawn))
    return None if states[0] == states[1] else seed


def _better(row: Row, others: list[Row]) -> Row:
    """The row with what another of the same day and seed does better."""
    for other in others:
        if _episode(other) != _episode(row):
            continue
        if abs(other["do_nothing"] - row["do_nothing"]) > _SAME * abs(row["do_nothing"]):
            raise SystemExit(f"day {row['day']}: doing nothing brings {other['do_nothing']!r} now")
        out = dict(row)
        for names in (("best_rule_return", "best_rule"), ("best_known", "found_by")):
            if _or_least(other[names[0]]) > _or_least(row[names[0]]):
                out |= {name: other[name] for name in names}
        bounds = [one["bound"] for one in (row, other) if one["bound"] is not None]
        return {**out, "bound": min(bounds, default=None)}
    return row


def _or_least(value: float | None) -> float:
    return -float("inf") if value is None else value


def _with_gap(row: Mapping[str, Any]) -> Row:
    """The gap of the best known value to the bound."""
    gain = row["best_known"] - row["do_nothing"]
    if row["bound"] is None:
        return {**row, "gap": None}
    return {**row, "gap": (row["bound"] - row["best_known"]) / gain if gain > 0.0 else float("inf")}


if __name__ == "__main__":
    main(sys.argv[1:])
