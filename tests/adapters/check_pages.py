"""Pages of libraries that do not install beside the tests, run as they stand: collected by `make adapters`.

Each page is a program of a fresh interpreter, as a reader would save it: environments of some of them are
processes of their own, which import it again.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
#: What a page is about, and the pages.
PAGES = {
    "torchrl": ("torchrl.md", "marl_torchrl.md"),
    "benchmarl": ("marl_benchmarl.md",),
    "agilerl": ("marl_agilerl.md",),
}
#: BenchMARL comes with TorchRL; only its own page is asked for there.
HERE = next((name for name in ("benchmarl", "agilerl", "torchrl") if find_spec(name)), None)


def test_the_library_is_here() -> None:
    """Otherwise there would be nothing to see, and nothing would fail."""
    assert HERE is not None


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", PAGES[HERE] if HERE else ())
def test_blocks_run(page: str, tmp_path: Path) -> None:
    """Row 102: blocks marked `py`, one after the other, end without an error."""
    blocks = re.findall(r"^```py\n(.*?)^```$", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)
    assert blocks
    program = tmp_path / "program.py"
    program.write_text("\n".join(blocks))
    done = subprocess.run(
        [sys.executable, str(program)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
