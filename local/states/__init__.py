"""Step Functions on the laptop: MiniStack's interpreter with its gaps closed, and integrations that act in the role's
name."""

from __future__ import annotations

from local.settings import CloudSettings


def register(settings: CloudSettings) -> None:
    """Replace the functions of MiniStack's Step Functions that the modules here name; once per process."""
    from ministack.services import stepfunctions as sfn

    from local.states import engine, machines
    from local.states.clients import RoleClients
    from local.states.distributed_map import DistributedMap
    from local.states.integrations import Integrations

    clients = RoleClients(settings.endpoint_url)
    integrations = Integrations(clients, fallback=sfn._invoke_resource)
    sfn._invoke_resource = integrations.invoke
    sfn._invoke_resource_with_timeout = engine.timed_invocation(sfn._invoke_resource_with_timeout, integrations.invoke)
    sfn._execute_task = engine.task(sfn._execute_task)
    sfn._run_sub_machine = engine.sub_machine
    sfn._run_parallel_branches = engine.parallel(sfn._run_parallel_branches)
    sfn._run_map_items = engine.map_items(sfn._run_map_items, lambda *given: DistributedMap(clients, *given).run())
    sfn._execute_choice = engine.choice(sfn._execute_choice)
    sfn._apply_output_path = engine.output_path(sfn._apply_output_path)
    sfn._error_matches = engine.error_matches(sfn._error_matches)
    sfn._evaluate_jsonata = engine.evaluate_jsonata(sfn._evaluate_jsonata)
    sfn._add_event = engine.add_event(sfn._add_event)
    sfn._run_execution = engine.execution_with_time_limit(sfn._run_execution)
    sfn.jsonata = engine.patient_jsonata(sfn.jsonata)
    machines.register()
