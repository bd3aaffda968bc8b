import json
import tarfile
from pathlib import Path

import pytest

from insights.feature_table import FEATURE_NAMES, FEATURE_TABLE_HASH, FEATURES, Feature, table_hash

DESIGN = (
    "read_iops write_iops total_iops iops_variance avg_latency p95_latency p99_latency latency_spike_count bandwidth_mbps "
    "throughput_variance error_rate error_trend hour_of_day day_of_week time_since_last_alert sequential_access_ratio "
    "random_access_ratio queue_depth io_size_avg io_size_variance iops_per_latency anomaly_score trend_score "
    "capacity_utilization efficiency_ratio"
)


def test_the_table_holds_the_designs_features_in_its_order() -> None:
    assert " ".join(FEATURE_NAMES) == DESIGN


def test_the_table_is_the_one_that_live_models_were_trained_on() -> None:
    """As a model of the last release says. Who changes the table means to: every live model is then served by its own image
    alone until the next training (docs/features.md), and tests/upgrade/make_previous.py makes that model anew."""
    with tarfile.open(Path(__file__).parents[1] / "upgrade" / "previous" / "risk.tar.gz") as archive:
        model = json.load(archive.extractfile("model.json"))  # type: ignore[arg-type]
    assert model["feature_table_hash"] == FEATURE_TABLE_HASH


def test_what_an_explanation_calls_each_feature() -> None:
    assert ", ".join(feature.phrase for feature in FEATURES) == (
        "read load, write load, load, load, mean latency, p95 latency, p99 latency, latency spikes, bandwidth, bandwidth, "
        "error rate, error rate, the hour of the day, the day of the week, the last alert, sequential share, random share, "
        "queue depth, I/O size, I/O size, load per latency, latency, latency, use of the provisioned IOPS, "
        "bytes per operation"
    )


def test_every_feature_has_a_unit_a_description_and_a_range() -> None:
    assert all(f.unit and f.description and f.minimum < f.maximum for f in FEATURES)


@pytest.mark.parametrize(
    "changed",
    [
        FEATURES[1:],
        (FEATURES[1], FEATURES[0], *FEATURES[2:]),
        *[
            (FEATURES[0]._replace(**{field: value}), *FEATURES[1:])
            for field, value in [
                ("name", "reads"),
                ("unit", "operations/min"),
                ("minimum", 1.0),
                ("maximum", 9e9),
                ("description", "reads per minute"),
            ]
        ],
    ],
)
def test_the_hash_changes_with_every_part_of_a_definition(changed: tuple[Feature, ...]) -> None:
    assert table_hash(changed) != FEATURE_TABLE_HASH
    assert table_hash(FEATURES) == FEATURE_TABLE_HASH


def test_a_model_outlives_other_words_in_its_explanations() -> None:
    reworded = tuple(feature._replace(phrase=f"the {feature.phrase}") for feature in FEATURES)
    assert table_hash(reworded) == FEATURE_TABLE_HASH
