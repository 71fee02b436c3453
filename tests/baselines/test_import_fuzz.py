"""Mutated files of every format: an error or a feeder, the process alive, nothing half-written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from distgrid import cases

HERE = Path(__file__).parent
CASES = HERE.parent / "reference" / "imports"
FILES = (
    CASES / "pandapower" / "ring.json", CASES / "pandapower" / "per_phase.json",
    CASES / "cim" / "powsybl_cgmes2.zip", CASES / "cim" / "valley.xml",
    CASES / "psse" / "feeder_v33.raw", CASES / "psse" / "feeder_v35.raw",
    CASES / "matpower" / "two_buses.m",
)  # fmt: skip
TRIALS = 20


@pytest.mark.slow
def test_mutated_files_in_a_process_of_its_own(tmp_path: Path) -> None:
    """Rows 1-3: with limits of time and memory, the process reads all of them and ends by itself."""
    pytest.importorskip("resource", reason="limits of a process are those of POSIX systems")
    model = tmp_path / "model.xml"
    model.write_bytes(_one_document(FILES[2]))
    assert cases.load(model).n_nodes == 5
    folder = tmp_path / "mutants"
    folder.mkdir()
    command = [sys.executable, str(HERE / "import_fuzzer.py"), str(folder), str(TRIALS), *map(str, FILES)]
    done = subprocess.run([*command, str(model)], capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(FILES) + 1
    for one in found:
        assert one["refused"] + one["read"] == TRIALS
        assert one["refused"] > TRIALS // 5, one


def _one_document(archive: Path) -> bytes:
    """The profiles of an archive in one document: a mutated archive is mostly no archive any more."""
    import zipfile

    with zipfile.ZipFile(archive) as zipped:
        texts = [zipped.read(name).decode() for name in zipped.namelist()]
    head = texts[0][: texts[0].index("<md:FullModel")]
    bodies = [text[text.index("</md:FullModel>") + 15 : text.rindex("</rdf:RDF>")] for text in texts]
    return f"{head}{''.join(bodies)}</rdf:RDF>".encode()
