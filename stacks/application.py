"""The stacks in the order in which they depend on each other."""

import aws_cdk as cdk

from stacks.api_stack import ApiStack
from stacks.budget import tag_everything
from stacks.collectors_stack import CollectorsStack
from stacks.dashboard_stack import DashboardStack
from stacks.data_stack import DataStack
from stacks.endpoint_stack import EndpointStack
from stacks.functions import CodeMaker
from stacks.lambda_code import lambda_code
from stacks.monitoring.stack import MonitoringStack
from stacks.monitoring.watched import Watched
from stacks.names import KINDS, endpoint_stack_name
from stacks.settings import Settings
from stacks.training_stack import TrainingStack


def build_application(app: cdk.App, *, code: CodeMaker = lambda_code) -> None:
    """All stacks; tests pass a `code` that bundles nothing."""
    settings = Settings.from_context(app)
    tag_everything(app)
    data = DataStack(app, "IopsData", settings=settings)
    training = TrainingStack(app, "IopsTraining", settings=settings, data=data, code=code)
    endpoints = [
        EndpointStack(
            app,
            endpoint_stack_name(kind),
            kind=kind,
            settings=settings,
            serving_role=training.roles.serving,
        )
        for kind in KINDS
    ]
    api = ApiStack(app, "IopsApi", settings=settings, data=data, code=code)
    if not settings.rules.is_laptop:  # there local/dashboard.py serves the same files with the same headers
        DashboardStack(app, "IopsDashboard", settings=settings, api=api.api, sign_in=api.sign_in)
    collectors = (
        CollectorsStack(app, "IopsCollectors", settings=settings, data=data, code=code)
        if settings.ebs_collection == "on"
        else None
    )
    watched = Watched(
        settings=settings,
        api=api.api,
        access_log=api.access_log,
        workflows={
            "TrainModels": training.train_models,
            "PromoteModel": training.promote_model,
            "WatchModels": training.watch_models,
            "SwitchServing": training.switch_serving,
        },
        schedules=training.schedules | (collectors.schedules if collectors else {}),
        answering=api.functions.by_name,
        working=training.functions,
        track_devices=api.functions.track_devices,
        collect_volumes=collectors.collect_volumes if collectors else None,
        undelivered={"trainings": training.dead_letters},
        tables={
            "insights": data.insights_table,
            "predictions": data.predictions_table,
            "devices": data.devices_table,
            "requests": api.functions.requests_table,
        },
    )
    monitoring = MonitoringStack(app, "IopsMonitoring", watched=watched, topic=training.topic)
    for endpoint in endpoints:  # whose roll-back alarms its pages name
        monitoring.add_stack_dependency(endpoint)
