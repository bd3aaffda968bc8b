from __future__ import annotations

from pathlib import Path

import pytest

from local.cloud import LaptopCloud
from local.target import NoTarget, find_cloud


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials of whoever runs the tests, no instance to ask for any, and a port that no cloud listens on."""
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.fixture
def is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LaptopCloud, "is_running", lambda self: True)
    monkeypatch.setattr(LaptopCloud, "is_healthy", lambda self: True)


def test_without_a_laptop_cloud_and_without_credentials_it_says_what_to_do(tmp_path: Path):
    with pytest.raises(NoTarget, match="`make up`, or set AWS_PROFILE"):
        find_cloud("", {}, tmp_path)
    with pytest.raises(NoTarget, match="start one with `make up`"):
        find_cloud("laptop", {}, tmp_path)


def test_a_given_endpoint_url_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")

    where, client = find_cloud("", {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, tmp_path)

    assert where == "http://127.0.0.1:1"
    assert client("sts").meta.endpoint_url == "http://127.0.0.1:1"


@pytest.mark.usefixtures("is_up")
def test_a_laptop_cloud_that_is_up_is_asked_unless_aws_may_be_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    named = {"AWS_ACCESS_KEY_ID": "key"}

    assert find_cloud("", {}, tmp_path)[0].startswith("the laptop cloud http://127.0.0.1:")
    with pytest.raises(NoTarget, match="TARGET=laptop or TARGET=aws"):
        find_cloud("", named, tmp_path)
    assert find_cloud("aws", named, tmp_path)[0] == "AWS"
    assert find_cloud("laptop", named, tmp_path)[0].startswith("the laptop cloud")
