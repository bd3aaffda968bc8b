"""CloudFormation on the laptop: the resource types that MiniStack lacks, and stack operations in a service role's
name."""

from __future__ import annotations

from typing import Any

from local.settings import CloudSettings


def register(settings: CloudSettings) -> None:
    """Add the types, have them run off the event loop (an endpoint takes its time), and honour RoleARN."""
    from ministack import app
    from ministack.services.cloudformation import provisioners, stacks

    from local.cloudformation import (
        api_account,
        autoscaling_types,
        change_sets,
        custom_resources,
        monitoring_types,
        sagemaker_types,
    )
    from local.cloudformation.service_role import (
        OWN_TYPES,
        StackRoles,
        with_output_check,
        with_service_role,
        with_type_check,
    )

    provisioners._RESOURCE_HANDLERS.update(monitoring_types.HANDLERS)
    provisioners._REPLACING_PROPERTIES.update(monitoring_types.REPLACING)
    for resource_type, handlers in provisioners._RESOURCE_HANDLERS.items():
        if not resource_type.startswith(OWN_TYPES):
            for operation in ("create", "update", "delete"):
                if operation in handlers:
                    handlers[operation] = with_type_check(resource_type, operation, handlers[operation])
    for module in (sagemaker_types, autoscaling_types):
        provisioners._RESOURCE_HANDLERS.update(module.HANDLERS)
        provisioners._REPLACING_PROPERTIES.update(module.REPLACING)
    stacks._resolve_refs = with_output_check(stacks._resolve_refs)
    api_account.register()
    change_sets.register()
    custom_resources.register(settings.endpoint_url)
    _run_off_the_loop((*sagemaker_types.HANDLERS, *autoscaling_types.HANDLERS))
    app.SERVICE_HANDLERS["cloudformation"] = with_service_role(app.SERVICE_HANDLERS["cloudformation"], StackRoles())


def _run_off_the_loop(types: tuple[str, ...]) -> None:
    from ministack.services.cloudformation import stacks

    original: Any = stacks._runs_on_worker_thread

    def runs_on_worker_thread(resource_type: str) -> bool:
        return resource_type in types or bool(original(resource_type))

    stacks._runs_on_worker_thread = runs_on_worker_thread
