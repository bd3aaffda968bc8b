"""engineer: insights to features, labels, splits and statistics; everything a training reads, and files for people.

Memory is bounded by a shard of whole devices, not by the input: every insight is read once into columns on disk, and
features and labels are computed shard by shard into a file, of which merge makes the features folder. One instance does
both; of several each makes the file of its own objects, and a second job merges them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from insights.columns import InsightColumns
from insights.features import compute_features
from insights.files import UnreadableFile
from insights.labels import given_labels, label
from insights.oracle import ORACLE, Foretold
from insights.schema import InvalidInsight
from training_container.errors import UnusableInput
from training_container.export_manifest import MANIFEST, ExportManifest
from training_container.feature_shard import Engineered, FeatureShard, folder_name
from training_container.merge import DEFAULT_CHOICES, Choices, merge_shards, scratch_beside
from training_container.read_columns import read_columns
from training_container.shards import Shards

NOT_INSIGHTS: Final = (MANIFEST, "splits.json", "training-stats.json")
BESIDE_FOLDERS: Final = frozenset({"parts", "generated"})
INSIGHT_ENDINGS: Final = (".json", ".jsonl", ".csv", ".json.gz", ".jsonl.gz", ".csv.gz")


@dataclass(frozen=True, slots=True)
class Source:
    """Insights in a file or folder; `manifest` and `oracle` are folders for an export's, where they are not in it."""

    insights: Path
    manifest: Path | None = None
    oracle: Path | None = None
    labels: str = "given"

    def find_manifest(self) -> ExportManifest | None:
        return ExportManifest.find(self.insights, *([self.manifest] if self.manifest else []))

    def find_foretold(self) -> Foretold:
        """What the generator's oracle foretold of these insights: beside the file, or anywhere below the folder; else
        nothing."""
        places = sorted(self.insights.rglob(ORACLE)) if self.insights.is_dir() else [self.insights.with_name(ORACLE)]
        found = [path for path in (*places, *([self.oracle / ORACLE] if self.oracle else [])) if path.is_file()]
        return Foretold.read(found[0]) if found else Foretold.nothing()


class Place(NamedTuple):
    """This instance among those of its job."""

    instance: int
    instances: int


ALONE: Final = Place(0, 1)


def engineer(source: Source, output: Path, choices: Choices = DEFAULT_CHOICES) -> None:
    """Read every insight of a file or folder and write the features folder; raises UnusableInput with the true reason.

    Of insights with one key (device, time) the last read wins, files in the order of their paths; their order changes
    nothing else. Nothing asks the clock: a future timestamp is a time like any other. Labels are what the source brings;
    by hindsight where it brings none at all, or where `labels` asks for it. What was said of single rows later, by an
    operator or a joined outcome, goes before hindsight and is no label that the source brings.
    """
    with scratch_beside(output) as scratch:
        merge_shards([engineer_shard(source, scratch / "shards", ALONE)], output, choices)


def engineer_shard(source: Source, output: Path, place: Place) -> FeatureShard:
    """The features and labels of one instance's objects, in a folder of its own below `output`. Among several, the
    manifest says what is true of all of them; an instance may have none."""
    manifest = source.find_manifest()
    if place.instances > 1 and manifest is None:
        raise UnusableInput(
            f"{place.instances} instances need the export's {MANIFEST}: without it none knows what the others' files hold; "
            "engineer plain files with one instance"
        )
    with scratch_beside(output) as scratch:
        shards, objects = read_shards(source.insights, scratch, may_be_empty=place.instances > 1)
        if manifest and place.instances > 1:
            manifest.check_shard(objects, shards.devices)
        said = manifest.is_labelled_by_source if manifest else None
        if said is None and place.instances > 1:
            raise UnusableInput("the manifest does not say whether the source labels its rows; export again")
        hindsight = source.labels != "given" or not (shards.brings_labels if said is None else said)
        return FeatureShard.write(
            output / folder_name(*place),
            engineered(shards, hindsight),
            source.find_foretold(),
            shards.device_classes,
            shard=place.instance,
            shards=place.instances,
            hindsight=hindsight,
            objects=objects,
            manifest=manifest.sha256 if manifest else "",
            manifest_rows=manifest.rows if manifest else 0,
        )


def read_shards(source: Path, scratch: Path, *, may_be_empty: bool = False) -> tuple[Shards, dict[str, int]]:
    """The insights of a file, or of every insight file below a folder, as shards, and how many rows each file had; a bad
    record is refused by name."""
    files = [source] if source.is_file() else sorted(insight_files(source))
    if not files and not may_be_empty:
        raise UnusableInput(f"{source} holds no insight file; accepted are {', '.join(INSIGHT_ENDINGS)}")
    rows = dict.fromkeys(files, 0)

    def read() -> Iterator[InsightColumns]:
        for file in files:
            for block in read_columns(file):
                rows[file] += block.rows
                yield block.columns

    try:
        shards = Shards.spool(read(), scratch)
    except (InvalidInsight, UnreadableFile) as refused:
        raise UnusableInput(str(refused)) from refused
    if not shards.devices and not may_be_empty:
        raise UnusableInput(f"{source} holds no insight; load insights into the table, or give a source that has some")
    return shards, {_name_in(source, file): count for file, count in rows.items()}


def _name_in(source: Path, file: Path) -> str:
    return file.name if file == source else file.relative_to(source).as_posix()


def insight_files(folder: Path) -> Iterator[Path]:
    """What the export writes, or any folder of insights; not the summaries, sources and copies that stand beside it."""
    for path in folder.rglob("*"):
        beside = path.name in NOT_INSIGHTS or path.name.startswith("full-export-")
        below = path.relative_to(folder).parts[:-1]
        if path.is_file() and path.name.endswith(INSIGHT_ENDINGS) and not beside and not set(below) & BESIDE_FOLDERS:
            yield path


def engineered(shards: Shards, hindsight: bool) -> Iterator[Engineered]:
    """Shard after shard, in the order of their devices."""
    for columns in shards:
        yield Engineered(columns, label(columns) if hindsight else given_labels(columns), compute_features(columns))
