from __future__ import annotations

from typing import Any

import pytest

from lambdas.summarize_run import handler as adapter
from lambdas.summarize_run.summarize_run import EveryModelFailed, summarize_run


def test_the_output_says_what_is_live_and_what_failed_and_why(event: Any, context: Any) -> None:
    assert adapter.handler(event("summarize_run"), context) == {
        "run_id": "0123456789ab",
        "trigger": "drift",
        "reason": "psi 0.4 of p99_latency",
        "source": {"kind": "synthetic", "device_prefix": "synthetic-7-", "records": 10000, "seed": 7},
        "rows": 10000,
        "export": {"method": "scan", "segments": 8, "reason": "About 10,000 rows are scanned. 8 segments."},
        "plan": {
            "rows": 10000,
            "processing_instances": 1,
            "training_instances": 1,
            "reasons": ["10,000 rows: one each."],
        },
        "manifest": "s3://iops-bucket/raw/0123456789ab/manifest.json",
        "models": {
            "risk": {
                "status": "promoted",
                "version": 3,
                "model_package_arn": "arn:aws:sagemaker:us-east-1:123456789012:model-package/iops-risk/3",
                "metrics": {"accuracy": 0.931},
                "gate": {"passed": True, "reasons": ["accuracy 0.931 >= 0.900: passed"]},
                "report": "s3://iops-bucket/models/0123456789ab/risk/evaluation/report.html",
                "endpoint": "iops-risk-predictor",
            },
            "performance": {
                "status": "failed",
                "cause": "TunePerformance: tuning job performance-x failed: no memory",
            },
        },
    }


def test_a_run_in_which_every_selected_model_failed_fails_with_both_causes(event: Any) -> None:
    given = event("summarize_run")
    outcomes = [
        {"kind": "risk", "status": "failed", "cause": "no disk"},
        {"kind": "performance", "status": "failed", "cause": "no memory"},
    ]
    with pytest.raises(EveryModelFailed, match="risk: no disk; performance: no memory"):
        summarize_run(run=given["run"], manifest=given["manifest"], outcomes=outcomes)


def test_a_model_that_was_not_asked_for_is_skipped_and_saves_no_run(event: Any) -> None:
    given = event("summarize_run")
    run = given["run"] | {"models": {"risk": True, "performance": False}}
    skipped = {"kind": "performance", "status": "skipped"}
    rejected = {"kind": "risk", "status": "rejected"}
    summary = summarize_run(run=run, manifest=given["manifest"], outcomes=[rejected, skipped])
    assert summary["models"] == {"risk": {"status": "rejected"}, "performance": {"status": "skipped"}}
    with pytest.raises(EveryModelFailed, match="risk: its branch gave no outcome"):
        summarize_run(run=run, manifest=given["manifest"], outcomes=[skipped])


def test_without_a_manifest_the_engineer_job_has_counted(cloud: Any, event: Any) -> None:
    given = event("summarize_run")
    asked = {"run": given["run"], "manifest": {}, "outcomes": given["models"], "s3": cloud.s3}
    assert summarize_run(**asked)["rows"] is None
    cloud.put("features/0123456789ab/engineer.json", b'{"rows": 321, "labelled": 300}')
    summary = summarize_run(**asked)
    assert (summary["rows"], summary["manifest"]) == (321, None)
