"""Write the tables of environments, devices and options into README, the overview page and the guide.

    python tools/env_tables.py            # write what is out of date
    python tools/env_tables.py --check    # say what is out of date, exit 1

The pages that the tables lead to are made when the site is built, see `tools/site_hook.py`.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from pathlib import Path

from site_pages.catalogue import device_kinds, make, registered
from site_pages.markdown import between_marks, plain_code, sentence, table

from distgrid.envs.core.options import option_rows

ROOT = Path(__file__).resolve().parents[1]
README, OVERVIEW = ROOT / "README.md", ROOT / "docs" / "environments" / "index.md"
GUIDE = ROOT / "docs" / "guide.md"


def environments(*, linked: bool) -> str:
    """One line for each id; `linked`: to the page of its family."""
    rows = []
    for entry in registered():
        env = make(entry)
        sizes = (env.observation_space.shape[0], len(env.action_layout))
        name = f"[`{entry.id}`]({entry.family}.md)" if linked else f"`{entry.id}`"
        rows.append((name, f"`{entry.case}`", *sizes, sentence(entry.summary)))
        env.close()
    return table(("Id", "Feeder", "Observations", "Actions", "What it is"), rows)


def devices() -> str:
    """One line for each kind of device."""
    rows = [
        (f"[`{name}`](../devices/{name}.md)", plain_code((inspect.getdoc(kind) or "").partition("\n")[0]))
        for name, kind in device_kinds().items()
    ]
    return table(("Device", "What it is"), rows)


def options() -> str:
    """One line for each option that all faces share."""
    rows = [(f"`{row.name}`", f"`{row.default}`", plain_code(sentence(row.meaning))) for row in option_rows()]
    return table(("Option", "Default", "Meaning"), rows)


def wanted() -> dict[Path, str]:
    """The files with the content that they should have."""
    overview = between_marks(OVERVIEW.read_text(), "environments", environments(linked=True))
    return {
        README: between_marks(README.read_text(), "environments", environments(linked=False)),
        OVERVIEW: between_marks(overview, "devices", devices()),
        GUIDE: between_marks(GUIDE.read_text(), "options", options()),
    }


def main(argv: Sequence[str]) -> int:
    """Write, or with --check report, what is out of date. Returns the exit code."""
    files = wanted()
    stale = [path for path, text in files.items() if path.read_text() != text]
    for path in stale:
        print(path.relative_to(ROOT))
        if "--check" not in argv:
            path.write_text(files[path])
    return 1 if stale and "--check" in argv else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
