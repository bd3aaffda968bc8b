"""`python -m bench NAME`: one measurement; prints a table and writes build/bench/NAME.json."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

AVAILABLE = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("__"))


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in AVAILABLE:
        print(f"give one of: {', '.join(AVAILABLE)}  (make bench BENCH={AVAILABLE[0]})", file=sys.stderr)
        return 2
    importlib.import_module(f"bench.{arguments[0]}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
