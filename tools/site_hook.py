"""What mkdocs runs: pages of environments and devices are made here, none of them is kept in the repository.

`.site_cache/` holds what takes long (scores and animated days) and the package under its own name, where the
pages of the interface find its sources: the repository itself may be called anything.
"""

from __future__ import annotations

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from site_pages.catalogue import device_kinds, families
from site_pages.days import played
from site_pages.device_plots import device_plot
from site_pages.devices import device_page
from site_pages.families import family_page

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".site_cache"
#: The parts of the checkout that are the package.
PARTS = ("__init__.py", "baselines", "cases", "cli.py", "envs", "physics")


def on_startup(**_: object) -> None:
    """Lay links to the package where `paths` of mkdocstrings in mkdocs.yml looks, before it does."""
    package = CACHE / "package" / "distgrid"
    package.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        link = package / part
        if not link.exists():
            link.unlink(missing_ok=True)
            link.symlink_to(ROOT / part)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of families, with their pictures, and those of devices."""
    for family in families():
        found = played(family, CACHE / "days")
        _add(files, config, f"environments/{family}.md", family_page(family, found))
        _add(files, config, f"environments/{family}.gif", found.gif)
    for kind in device_kinds():
        _add(files, config, f"devices/{kind}.md", device_page(kind))
        _add(files, config, f"devices/{kind}.svg", device_plot(kind))
    return files


def _add(files: Files, config: MkDocsConfig, path: str, content: str | bytes) -> None:
    files.append(File.generated(config, path, content=content))
