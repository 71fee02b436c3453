"""The section of a family's page that shows the audits of its environments."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from distgrid.baselines.audit.report import markdown
from distgrid.baselines.audit.tables import SCORES, VERDICTS

from .markdown import tabs

AUDITS = Path(__file__).resolve().parents[2] / "docs" / "audits"


def audit_section(entries: Iterable[Any], folder: Path = AUDITS) -> str:
    """Scores and verdicts of the environments that were audited, in tabs; empty where none was."""
    found = {entry.feeder: _audit(report) for entry in entries if (report := _read(entry.id, folder))}
    if not found:
        return ""
    return (
        "## Audit\n\nWhether these tasks are worth learning: [what is played, and what each verdict means]"
        "(../audit.md). The share of the gap is 0 for doing nothing and 1 for the reference.\n\n"
        f"{tabs(found)}"
    )


def _read(identity: str, folder: Path) -> Mapping[str, Any] | None:
    path = folder / f"{identity.rpartition('/')[2]}.json"
    report: Mapping[str, Any] | None = json.loads(path.read_text()) if path.is_file() else None
    return report


def _audit(report: Mapping[str, Any]) -> str:
    scores, verdicts = (
        pa.Table.from_pylist(report[name], schema=of)
        for name, of in (("scores", SCORES), ("verdicts", VERDICTS))
    )
    days, judged = next(
        (row["days"], row["reference_days"]) for row in report["scores"] if row["kind"] == "rest"
    )
    budget = report["budget"]
    return (
        f"Returns over {days} test days, shares of the gap on the {judged} of them that have a reference; "
        f"seed {report['seed']}, {budget['ppo_steps']:,} steps of PPO, {budget['sac_steps']:,} of SAC. "
        f"`{' '.join(report['command'])}`\n\n{markdown(scores, verdicts)}"
    )
