"""From a finished audit to the page of its environment."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from distgrid.baselines.audit import audit

ID = "distgrid/VoltVar-33bw-v1"


@pytest.fixture
def tools(repo_root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The modules of tools/, which are no package of distgrid."""
    monkeypatch.syspath_prepend(str(repo_root / "tools"))
    before = set(sys.modules)
    import collect_audits
    from site_pages import audits

    yield SimpleNamespace(collect=collect_audits.collect, section=audits.audit_section)
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("collect_audits", "site_pages"):
            del sys.modules[name]


@pytest.mark.slow
def test_a_finished_audit_becomes_a_section_of_the_page(tools: Any, tmp_path: Path) -> None:
    """Scores and verdicts with the command and the seed that gave them; nothing where nothing was audited."""
    out, kept = tmp_path / "out", tmp_path / "audits"
    entries = [SimpleNamespace(id=ID, feeder="33bw")]
    assert tools.section(entries, kept) == ""
    found = audit(ID, budget="tiny", days=1, learners=(), out=out)
    assert tools.collect(out, kept) == "VoltVar-33bw-v1"
    told = json.loads((kept / "VoltVar-33bw-v1.json").read_text())
    assert told["seed"] == 0
    assert str(tmp_path) not in " ".join(told["command"])
    assert (kept / "VoltVar-33bw-v1.parquet").read_bytes() == (out / "episodes.parquet").read_bytes()
    page = tools.section(entries, kept)
    assert found.markdown() in page
    assert "seed 0" in page
    assert all(verdict in page for verdict in found.verdicts["verdict"].to_pylist())


def test_a_folder_without_an_audit_is_refused(tools: Any, tmp_path: Path) -> None:
    """The folder, and what was expected there."""
    with pytest.raises(
        ValueError, match=f"{tmp_path.name} holds no audit that has ended: expected audit.json"
    ):
        tools.collect(tmp_path, tmp_path / "audits")
