"""Write the JSON schemas of the tables that verbs write, and of asset tables, into docs/schemas.

python tools/output_schemas.py            # write what is out of date
python tools/output_schemas.py --check    # say what is out of date, exit 1
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from distgrid.baselines.jobs.table_schemas import output_schema
from distgrid.baselines.workflows.adms.output_schemas import ADMS_TABLES
from distgrid.baselines.workflows.derms.output_schemas import DERMS_TABLES
from distgrid.baselines.workflows.dist.output_schemas import DIST_TABLES
from distgrid.cases.assets import asset_tables_schema

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "schemas"


def documents() -> dict[Path, str]:
    """Text of each file."""
    found = {
        "dist_output.json": output_schema("Tables of `distgrid dist`", DIST_TABLES),
        "derms_output.json": output_schema("Tables of `distgrid derms`", DERMS_TABLES),
        "assets.json": asset_tables_schema(),
        "adms_output.json": output_schema("Tables of `distgrid adms`", ADMS_TABLES),
    }
    return {FOLDER / name: json.dumps(content, indent=2) + "\n" for name, content in found.items()}


def main(arguments: list[str]) -> int:
    """Exit status."""
    stale = [path for path, text in documents().items() if not path.is_file() or path.read_text() != text]
    for path in stale:
        print(f"{path} is out of date")
        if "--check" not in arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(documents()[path])
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
