"""How a run grows with its rows: seconds, rows/s and peak memory of each step at each size, beside the model's word.

Every step is a process of its own: generate, engineer, train and evaluate as the container starts them, ingest, export and
manifest as the Lambdas' code over a table and a bucket on disk. Up to LARGEST_TABLE rows the export reads the table that
ingest has written; above, the same code is answered with the generator's rows, which no table holds.
ROWS=10000,100000,1000000;
RATES=write keeps the fitted rates for the plan (lambdas/prepare_run/rates.json): those of CPU seconds, which others on the
same machine stretch less than the clock's.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.material.measured_process import Measured, measure
from bench.material.paged_table import StoredTable
from bench.material.scale_fit import fitted_rates, linearity, predicted
from bench.material.scale_steps import RAW_PREFIX
from bench.material.table import keep, show
from insights.schema import KINDS
from lambdas.prepare_run.rates import RATES_FILE, Rates

DEFAULT_ROWS = "10000,100000,1000000"
LARGEST_TABLE = 1_000_000
SEED = 7
FEW_ROUNDS, MORE_ROUNDS = 10, 40
# One depth of the tuning space's middle; early stopping never comes, so that every size boosts the same rounds.
# One thread: threads that wait for each other on a busy machine spin, and would count as work.
HYPERPARAMETERS = {"max-depth": "6", "eta": "0.1", "early-stopping-rounds": "1000", "nthread": "1"}
WORK = Path("build/scale")
NO_AWS = {
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def main() -> None:
    sizes = sorted(int(float(text)) for text in os.environ.get("ROWS", DEFAULT_ROWS).split(","))
    steps: dict[str, list[dict[str, Any]]] = {}
    for rows in sizes:
        print(f"\n{rows:,} rows", flush=True)
        for name, figures in Scale(rows, WORK / str(rows)).measured():
            steps.setdefault(name, []).append({"rows": rows, **figures})
            print(f"  {name}: {figures['seconds']:.1f} s, {figures['peak_mb']:.0f} MB", flush=True)
    show_steps(steps)
    rates = fitted_rates(steps, origin=origin(sizes))
    show_model(steps)
    keep("scale", {"steps": steps, "linearity": linearity(steps), "rates": rates})
    if os.environ.get("RATES") == "write":
        RATES_FILE.write_text(Rates.text_of(rates))
        print(RATES_FILE)


def origin(sizes: Sequence[int]) -> dict[str, str]:
    day = datetime.now(UTC).date().isoformat()
    return {"measured_on": day, "command": f"make bench BENCH=scale ROWS={','.join(map(str, sizes))} RATES=write"}


@dataclass(frozen=True)
class Scale:
    """One size from nothing to judged models, in a folder that is removed at the end."""

    rows: int
    folder: Path

    def measured(self) -> Iterator[tuple[str, dict[str, Any]]]:
        shutil.rmtree(self.folder, ignore_errors=True)
        raw = self.folder / "bucket" / RAW_PREFIX
        raw.mkdir(parents=True)
        try:
            yield "generate", self._of(self._generate(raw))
            yield from self._exported(raw)
            features = self.folder / "features"
            engineer = ("engineer", "--input", str(raw), "--output", str(features))
            yield (
                "features",
                self._of(
                    self._container(*engineer),
                    features=size_bytes(features),
                    columnar=size_bytes(features / "columnar"),
                    columnar_train=size_bytes(features / "columnar", "train*"),
                ),
            )
            shutil.rmtree(raw)
            for kind in KINDS:
                yield f"train_{kind}", self._trained(kind, features)
            for kind in KINDS:
                yield f"evaluate_{kind}", self._of(self._evaluated(kind, features))
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _generate(self, raw: Path) -> Measured:
        """As the workflow's job: parts, and no oracle at any size (it would simulate futures up to 100,000 rows alone)."""
        command = ("generate", "--records", str(self.rows), "--seed", str(SEED), "--futures", "0")
        taken = self._container(*command)
        shutil.move(self.folder / "opt" / "processing" / "output" / "generated", raw / "generated")
        return taken

    def _exported(self, raw: Path) -> Iterator[tuple[str, dict[str, Any]]]:
        if self.rows <= LARGEST_TABLE:
            taken = self._lambda("ingest")
            yield "ingest", self._of(taken, item=StoredTable.opened(self.folder / "table").item_bytes)
            yield "export", self._of(self._lambda("export"), raw=size_bytes(raw, "export-batch-*"))
            shutil.rmtree(self.folder / "table")
        else:
            yield "export", self._of(self._lambda("export_generated"), raw=size_bytes(raw, "export-batch-*"))
        shutil.rmtree(raw / "generated")
        yield "manifest", self._of(self._lambda("manifest"), full_csv=size_bytes(raw, "full-export-*"))

    def _trained(self, kind: str, features: Path) -> dict[str, Any]:
        """Two trials that differ in their rounds alone: what a round costs, and what a trial costs without any."""
        few, more = (self._trial(kind, features, rounds) for rounds in (FEW_ROUNDS, MORE_ROUNDS))
        return {
            "seconds": round(few.seconds + more.seconds, 3),
            "cpu_seconds": round(few.cpu_seconds + more.cpu_seconds, 3),
            "peak_mb": max(few.peak_mb, more.peak_mb),
            "trials": [
                {"rounds": rounds, "seconds": trial.seconds, "cpu_seconds": trial.cpu_seconds}
                for rounds, trial in ((FEW_ROUNDS, few), (MORE_ROUNDS, more))
            ],
        }

    def _trial(self, kind: str, features: Path, rounds: int) -> Measured:
        settings = {**HYPERPARAMETERS, "num-round": str(rounds)}
        given = [word for name, value in settings.items() for word in (f"--{name}", value)]
        place = ("--kind", kind, "--input", str(features), "--model", str(self.folder / "models" / kind))
        return self._container("train", *place, *given)

    def _evaluated(self, kind: str, features: Path) -> Measured:
        model, output = self.folder / "models" / kind, self.folder / "evaluation" / kind
        place = ("--model", str(model), "--input", str(features), "--output", str(output))
        return self._container("evaluate", "--kind", kind, *place)

    def _of(self, taken: Measured, **written_bytes: int) -> dict[str, Any]:
        sizes = {name: round(size / self.rows, 1) for name, size in written_bytes.items()}
        return {**asdict(taken), **({"bytes_per_row": sizes} if sizes else {})}

    def _container(self, *arguments: str) -> Measured:
        root = self.folder / "opt"
        root.mkdir(exist_ok=True)
        command = (sys.executable, "-m", "training_container", *arguments)
        return measure(command, log=self.folder / "log", environment={"SAGEMAKER_ROOT": str(root)})

    def _lambda(self, step: str) -> Measured:
        command = (sys.executable, "-m", "bench.material.scale_steps", step, str(self.folder))
        return measure(command, log=self.folder / "log", environment=NO_AWS)


def size_bytes(folder: Path, pattern: str = "*") -> int:
    return sum(path.stat().st_size for path in folder.rglob(pattern) if path.is_file())


def show_steps(steps: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    rows = [
        {
            "step": name,
            "rows": figures["rows"],
            "seconds": float(figures["seconds"]),
            "CPU s": float(figures["cpu_seconds"]),
            "rows/s": round(figures["rows"] / figures["seconds"]),
            "peak MB": float(figures["peak_mb"]),
            "bytes/row written": ", ".join(f"{k} {v:.0f}" for k, v in figures.get("bytes_per_row", {}).items()),
        }
        for name, sizes in steps.items()
        for figures in sizes
    ]
    show(
        "Steps of a run by size (above a million rows the export is answered with the generator's, without a table)",
        rows,
    )
    if any(len(sizes) > 1 for sizes in steps.values()):
        show(
            "Linearity: the exponent e of seconds ~ rows^e (1 is linear), and what a CPU second does beside the size before",
            linearity(steps),
        )


def show_model(steps: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """The committed rates against what was measured just now."""
    if not RATES_FILE.is_file():
        print("\nno rates are kept yet: RATES=write keeps these")
        return
    rates = Rates.read()
    found = [row for name, sizes in steps.items() for figures in sizes if (row := predicted(rates, name, figures))]
    show(f"The model (rates of {rates.measured_on}: {rates.command}) beside this measurement", found)
