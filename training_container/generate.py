"""generate: a synthetic fleet's insights as files."""

from __future__ import annotations

import json
from pathlib import Path

from insights.files import write_csv, write_json
from insights.generator import generate, statistics
from training_container.errors import UnusableInput

PART_ROWS = 25_000  # one part is loaded into the table by one Lambda, well within its time


def generate_files(*, records: int, seed: int, output: Path, by_hand: bool) -> None:
    """By hand training-data.json, .csv and training-stats.json; in the workflow parts that Lambdas load side by side."""
    if records < 1:
        raise UnusableInput(f"--records is {records}; give a whole number above 0")
    output.mkdir(parents=True, exist_ok=True)
    insights = list(generate(records=records, seed=seed))
    stats = json.dumps(statistics(insights), indent=1)
    if by_hand:
        write_json(output / "training-data.json", insights)
        write_csv(output / "training-data.csv", insights)
        (output / "training-stats.json").write_text(stats + "\n")
    else:
        for start in range(0, len(insights), PART_ROWS):
            part = output / f"part-{start // PART_ROWS:05d}.json"
            write_json(part, insights[start : start + PART_ROWS])
    print(stats, flush=True)
