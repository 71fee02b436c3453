"""Write the shipped asset sets into cases/data/assets: `cases.assets.synthetic_assets` at the shipped seed.

python tools/build_assets.py            # write what differs
python tools/build_assets.py --check    # say what differs, exit 1
"""

from __future__ import annotations

import sys

from distgrid import cases
from distgrid.cases.assets import OPERATING_POINTS, AssetSet, read_assets, synthetic_assets
from distgrid.cases.assets.shipped import SEED, SETS


def shipped_sets() -> dict[str, AssetSet]:
    """Every set, made anew."""
    return {
        name: synthetic_assets(cases.load(name), SEED, point.load_scale)
        for name, point in OPERATING_POINTS.items()
    }


def main(arguments: list[str]) -> int:
    """Exit status."""
    stale = [
        name
        for name, made in shipped_sets().items()
        if not (SETS / name).is_dir() or not read_assets(SETS / name).equals(made)
    ]
    for name in stale:
        print(f"the assets of {name} are out of date")
        if "--check" not in arguments:
            shipped_sets()[name].save(SETS / name)
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
