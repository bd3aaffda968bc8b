"""Deployments with live models for the tests beside; see served_models.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from local.cloud import LaptopCloud
from local.deploy import App, deploy
from local.run import Deployment
from tests.e2e.served_models import ServedModels, ServingOptions, train_models


@pytest.fixture(scope="session")
def trained_models(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """A small model of each kind, trained once for all deployments."""
    return train_models(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def serving_options() -> ServingOptions:
    """What a module's deployment is like; a test module overrides it."""
    return ServingOptions()


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, serving_options: ServingOptions, trained_models: Mapping[str, Path]
) -> Iterator[ServedModels]:
    """The module's own deployment, with a live model of each kind that its options name."""
    options = serving_options
    cloud = LaptopCloud(
        tmp_path_factory.mktemp("served") / "cloud",
        port=0,
        wait_scale=options.wait_scale,
        images=options.images,
        record_calls=options.record_calls,
    )
    with cloud:
        deploy(cloud, app=App(context=("stage=local", *options.context)))
        served = ServedModels(cloud, Deployment.of(cloud), trained_models)
        for kind in options.kinds:
            served.make_live(kind)
        yield served
