"""Take audits that were run over into `docs/audits/`, where the pages of environments read them.

    distgrid audit VoltVar-33bw-v1 --out runs/audit-VoltVar-33bw-v1
    python tools/collect_audits.py runs/audit-*

Of each folder the scores and verdicts go to `docs/audits/NAME.json`, the return of every contender on every
day to `docs/audits/NAME.parquet`; command, seed, budget and versions stand in the first.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from distgrid.baselines.jobs.files import write_atomic

ROOT = Path(__file__).resolve().parents[1]
AUDITS = ROOT / "docs" / "audits"


def collect(folder: Path, into: Path = AUDITS) -> str:
    """Take over one folder; the name of its environment. ValueError where no audit has ended there."""
    report, episodes = folder / "audit.json", folder / "episodes.parquet"
    if not (report.is_file() and episodes.is_file()):
        raise ValueError(f"{folder} holds no audit that has ended: expected audit.json and episodes.parquet")
    found = json.loads(report.read_text())
    found["command"] = without_folder(found["command"])
    name = str(found["env"]).rpartition("/")[2]
    into.mkdir(parents=True, exist_ok=True)
    write_atomic(into / f"{name}.json", (json.dumps(found, indent=1) + "\n").encode())
    write_atomic(into / f"{name}.parquet", episodes.read_bytes())
    return name


def without_folder(words: Sequence[str]) -> list[str]:
    """A command without the folder that it wrote to: a place on somebody's machine."""
    at = words.index("--out") if "--out" in words else len(words)
    return [*words[:at], *words[at + 2 :]]


def main(argv: Sequence[str]) -> None:
    """Take over every folder that is named."""
    if not argv:
        sys.exit(__doc__)
    for folder in argv:
        print(collect(Path(folder)))


if __name__ == "__main__":
    main(sys.argv[1:])
