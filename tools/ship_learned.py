"""Take trained policies into the package, and write the tables of docs/learned.md.

Call: python tools/ship_learned.py [OUT ...]

OUT is a folder of `distgrid train` that has ended. Its policy files, its days of val and test and its picture
take the place of those of the same environment and algorithm. Without OUT the tables are written anew.
What rules bring on the same days comes from tools/rules_on_val.py.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from distgrid.baselines.learned.policy_file import SUFFIX, read_policy
from distgrid.baselines.learned.shipped import FOLDER, TABLE
from distgrid.baselines.scoring.certificates import certificates, shipped
from distgrid.baselines.scoring.intervals import iqm_interval

DOCS = Path(__file__).parents[1] / "docs"
FloatArray = NDArray[np.float64]
PAGE, PICTURES = DOCS / "learned.md", DOCS / "images" / "learned"
BEGIN, END = "<!-- learned: tools/ship_learned.py -->", "<!-- end of learned -->"
RULES = DOCS / "learned" / "rules.parquet"
Row = dict[str, Any]


def main(given: list[str]) -> None:
    """Files, table of days, pictures, page."""
    rows: list[Row] = pq.read_table(TABLE).to_pylist() if TABLE.exists() else []
    for out in map(Path, given):
        run = json.loads((out / "run.json").read_text())
        if run["status"] != "done":
            raise SystemExit(f"{out}: not finished")
        env, algo = run["parameters"]["env"].rpartition("/")[2], run["parameters"]["algo"]
        rows = [row for row in rows if (row["env"], row["algo"]) != (env, algo)]
        rows += [{"env": env, **row} for row in pq.read_table(out / "episodes.parquet").to_pylist()]
        for old in (FOLDER / env).glob(f"{algo}-*{SUFFIX}"):
            old.unlink()
        (FOLDER / env).mkdir(parents=True, exist_ok=True)
        for path in out.glob(f"policy-*{SUFFIX}"):
            shutil.copyfile(path, FOLDER / env / path.name.replace("policy", algo))
        PICTURES.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(out / "curves.png", PICTURES / f"{env}-{algo}.png")
    rows.sort(key=lambda row: (row["env"], row["algo"], row["seed"], row["split"], row["episode"]))
    if rows:
        pq.write_table(pa.Table.from_pylist(rows), TABLE, compression="zstd")
    head, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{head}{BEGIN}\n{page_text(rows)}{END}{rest.partition(END)[2]}")


def page_text(rows: list[Row]) -> str:
    """Both tables and the pictures."""
    lines = _head(
        "Environment", "Learner", "Steps", "Do nothing", "Best constant", "Best rule of each day", "Learned",
        "MPC", "Best known",
    )  # fmt: skip
    for env, algo, own in _trainings(rows):
        steps = read_policy(next((FOLDER / env).glob(f"{algo}-*{SUFFIX}")))[0].training["steps"]
        learned = np.mean([row["return"] for row in own if row["split"] == "test"])
        known = _known(env)
        cells = [_number(value) for value in (known["do-nothing"], known["constant"], known["rule"], learned)]
        cells += [_mpc(env), _number(known["best"])]
        lines.append(f"| `{env}` | {algo} | {steps:,} | {' | '.join(cells)} |")
    lines += ["", *_head(
        "Environment", "Learner", "Seeds", "Score, IQM (95 % interval)", "Best rule of each day, IQM",
    )]  # fmt: skip
    for env, algo, own in _trainings(rows):
        seeds = sorted({row["seed"] for row in own})
        lines.append(f"| `{env}` | {algo} | {len(seeds)} | {_scores(own, seeds)} | {_rule_score(env)} |")
    lines += ["", *_head(
        "Environment", "Learner", "Do nothing", "Best rule", "Learned", "Worst and best seed",
        "Gain over the best rule, IQM (95 % interval)",
    )]  # fmt: skip
    for env, algo, own in _trainings(rows):
        lines.append(f"| `{env}` | {algo} | {' | '.join(_on_val(env, own))} |")
    lines += [
        "",
        *(f"![{algo} on {env}](images/learned/{env}-{algo}.png)" for env, algo, _ in _trainings(rows)),
    ]
    return "\n".join(lines) + "\n"


def _on_val(env: str, own: list[Row]) -> list[str]:
    """Cells of the table of val days."""
    val = [row for row in own if row["split"] == "val"]
    seeds = sorted({row["seed"] for row in val})
    returns = np.array([[row["return"] for row in val if row["seed"] == seed] for seed in seeds])
    rules = {name: found for name, found in rule_returns(env, "val").items() if name != "do-nothing"}
    best = max(rules, key=lambda name: float(rules[name].mean()))
    by_seed = returns.mean(axis=1)
    gain = iqm_interval(returns - rules[best])
    return [
        _number(np.mean([row["do_nothing"] for row in val])),
        f"{_number(rules[best].mean())} (`{best}`)",
        _number(returns.mean()),
        f"{_number(by_seed.min())}, {_number(by_seed.max())}",
        f"{_number(gain.value)} ({_number(gain.low)} to {_number(gain.high)})",
    ]


def rule_returns(env: str, split: str) -> dict[str, FloatArray]:
    """(days,) returns of each rule on the days of a split, in the order of episodes."""
    found: dict[str, list[float]] = {}
    for row in pq.read_table(RULES).to_pylist() if RULES.exists() else []:
        if (row["env"], row["split"]) == (env, split):
            found.setdefault(row["policy"], []).append(row["return"])
    return {name: np.array(returns) for name, returns in found.items()}


def _head(*names: str) -> list[str]:
    """The first two lines of a table; two columns of words, the others of numbers."""
    return [f"| {' | '.join(names)} |", f"|---|---|{'---:|' * (len(names) - 2)}"]


def _trainings(rows: list[Row]) -> Iterator[tuple[str, str, list[Row]]]:
    for env, algo in dict.fromkeys((row["env"], row["algo"]) for row in rows):
        yield env, algo, [row for row in rows if (row["env"], row["algo"]) == (env, algo)]


def _known(env: str) -> dict[str, float | None]:
    """Mean returns of test days: of certificates, and of the audit's best constant."""
    found: dict[str, float | None] = dict.fromkeys(("do-nothing", "constant", "rule", "best"))
    if env in shipped():
        table = certificates(env)
        for name, column in (
            ("do-nothing", "do_nothing"),
            ("rule", "best_rule_return"),
            ("best", "best_known"),
        ):
            found[name] = float(np.mean(table[column].drop_null().to_numpy()))
    elif played := rule_returns(env, "test"):
        found["do-nothing"] = float(played.pop("do-nothing").mean())
        found["rule"] = float(np.max(list(played.values()), axis=0).mean())
    audit = DOCS / "audits" / f"{env}.json"
    if audit.exists():
        scores = {row["contender"]: row["return_mean"] for row in json.loads(audit.read_text())["scores"]}
        found["constant"] = scores.get("best constant")
    return found


def _mpc(env: str) -> str:
    """The mean of the days that `mpc` has played, and how many these are."""
    table = pq.read_table(DOCS / "baselines" / "mpc.parquet").to_pylist()
    own = [row["return"] for row in table if row["env"] == env]
    return f"{_number(np.mean(own))} ({len(own)} days)" if own else "–"


def _scores(own: list[Row], seeds: list[int]) -> str:
    test = [row for row in own if row["split"] == "test"]
    by_seed = [[r["normalised_score"] for r in test if r["seed"] == seed] for seed in seeds]
    days = [day for day in zip(*by_seed, strict=True) if None not in day]
    if not days:
        return "–"
    found = iqm_interval(np.array(days).T)
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"


def _rule_score(env: str) -> str:
    if env not in shipped():
        return "–"
    rows = certificates(env).to_pylist()
    known = [row for row in rows if row["best_known"] > row["do_nothing"]]
    scores = [
        (row["best_rule_return"] - row["do_nothing"]) / (row["best_known"] - row["do_nothing"])
        for row in known
    ]
    return f"{iqm_interval(np.array([scores])).value:.3f}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.2f}".replace("-", "−")


if __name__ == "__main__":
    main(sys.argv[1:])
