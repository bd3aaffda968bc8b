"""Deployments with live models for the tests beside; see served_models.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from local.cloud import LaptopCloud
from local.deploy import App, deploy
from local.run import Deployment
from tests.conftest import OPTIONAL_PARTS, Assembly
from tests.e2e.served_models import KINDS, ServedModels, ServingOptions, train_models
from tests.once import once


@pytest.fixture(scope="session")
def trained_models(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """A small model of each kind, trained once for all deployments."""
    root = once(tmp_path_factory, "trained", train_models)
    return {kind: root / kind for kind in KINDS}


@pytest.fixture(scope="module")
def serving_options() -> ServingOptions:
    """What a module's deployment is like; a test module overrides it."""
    return ServingOptions()


@pytest.fixture(scope="module")
def deploy_to(
    serving_options: ServingOptions, trained_models: Mapping[str, Path], synthesise: Callable[..., Assembly]
) -> Callable[[LaptopCloud], ServedModels]:
    """Deploys what the module's options say to a cloud that runs, and makes their models live."""

    def deployed(cloud: LaptopCloud) -> ServedModels:
        context = ("stage=local", *serving_options.context)
        chosen = dict(pair.split("=", 1) for pair in context)
        synthesised = synthesise(**{**dict.fromkeys(OPTIONAL_PARTS, "off"), **chosen})
        assert synthesised.returncode == 0, synthesised.output
        deploy(cloud, app=App(context=context), assembly=synthesised.folder)
        served = ServedModels(cloud, Deployment.of(cloud), trained_models)
        for kind in serving_options.kinds:
            served.make_live(kind)
        return served

    return deployed


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory,
    serving_options: ServingOptions,
    deploy_to: Callable[[LaptopCloud], ServedModels],
) -> Iterator[ServedModels]:
    """The module's own deployment, with a live model of each kind that its options name."""
    options = serving_options
    cloud = LaptopCloud(
        tmp_path_factory.mktemp("served") / "cloud",
        port=0,
        wait_scale=options.wait_scale,
        images=options.images,
        record_calls=options.record_calls,
        faults=options.faults,
    )
    with cloud:
        yield deploy_to(cloud)
