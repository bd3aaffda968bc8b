"""SwitchServing: takes endpoints down and puts them back with the model that was live, by a parameter of their stacks.

Its input is {"serving": "off"}, "on" or "as-planned" (what the serving hours say of this minute), and may name "kinds".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.functions import InsightFunction
from stacks.names import KINDS, endpoint_stack_name
from stacks.permissions import allow, grant
from stacks.serving_hours import DAY_MINUTES, WEEK_MINUTES, ServingHours
from stacks.settings import Settings
from stacks.workflows.machine import workflow_machine
from stacks.workflows.stack_update import describe_stack, update_permissions, update_stack
from stacks.workflows.steps import CAUGHT, choice, describe, expression, task, when

Json = Any

_POLL = cdk.Duration.seconds(10)
_KINDS = [*KINDS]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingParts:
    """What the workflow calls; `update_role` is whom CloudFormation becomes."""

    settings: Settings
    functions: Mapping[str, InsightFunction]
    update_role: iam.IRole


class SwitchServing(Construct):
    """The state machine. A stack that is busy is waited for, as a promotion may be under way."""

    def __init__(self, scope: Construct, construct_id: str, *, parts: ServingParts) -> None:
        super().__init__(scope, construct_id)
        self._parts = parts
        self.state_machine = workflow_machine(
            self,
            name="SwitchServing",
            definition=self._begin(),
            settings=parts.settings,
            # As long as a promotion may take that is waited for, and half as much again for this one's own update.
            timeout=cdk.Duration.hours(6),
        )
        describe_failure = parts.functions["describe_failure"]
        grant(
            self.state_machine,
            [
                allow(
                    ["lambda:InvokeFunction"],
                    [describe_failure.arn],
                    unused_because="Asked why a switch has failed; none did.",
                ),
                *update_permissions(cdk.Stack.of(self), parts.update_role.role_arn),
            ],
        )

    def _begin(self) -> sfn.IChainable:
        begin = sfn.Pass.jsonata(self, "Begin", outputs=expression(what_is_asked(self._parts.settings.hours)))
        wrong = sfn.Fail.jsonata(
            self, "InvalidRequest", error="InvalidRequest", cause=expression("$states.input.remedy")
        )
        return begin.next(
            choice(self, "IsRequestValid").when(when("$exists($states.input.remedy)"), wrong).otherwise(self._each())
        )

    def _each(self) -> sfn.Map:
        each = sfn.Map.jsonata(
            self,
            "SwitchEach",
            items=sfn.ProvideItems.jsonata(
                expression(
                    "[$map($states.input.kinds, function($kind) { {'kind': $kind, 'serving': $states.input.serving} })]"
                )
            ),
            outputs=expression("{'endpoints': [$states.result]}"),
        )
        each.item_processor(self._one())
        failed = sfn.Fail.jsonata(
            self,
            "NotSwitched",
            error="ServingNotSwitched",
            cause=expression("$join($states.input.endpoints[$exists(error)].(kind & ': ' & cause), '; ')"),
        )
        done = sfn.Succeed.jsonata(self, "Done")
        each.next(
            choice(self, "IsEachSwitched").when(when("$exists($states.input.endpoints.error)"), failed).otherwise(done)
        )
        return each

    def _one(self) -> sfn.Pass:
        """What is meant travels in `$plan`, as the input is an error's after a refusal."""
        begin, look = self._plan_one(), self._look_at_stack()
        begin.next(look)
        update = update_stack(
            self,
            "UpdateServing",
            "$states.input.parameters",
            initial="s",
            role_arn=self._parts.update_role.role_arn,
        )
        busy = sfn.Wait.jsonata(self, "WaitForOtherUpdate", time=sfn.WaitTime.duration(_POLL))
        unchanged = self._result("Unchanged", "'result': 'unchanged'")
        failed = self._failed()
        look.add_catch(failed, errors=["States.ALL"], assign={"caught": expression(CAUGHT)})
        look.next(
            choice(self, "IsStackBusy")
            .when(when("$contains($states.input.status, 'IN_PROGRESS')"), busy.next(look))
            .when(when("$states.input.present = $plan.serving"), unchanged)
            .otherwise(update)
        )
        refused = choice(self, "WhyWasUpdateRefused")
        refused.when(when("$contains($caught.cause, '_IN_PROGRESS')"), busy)
        refused.otherwise(failed)
        update.add_catch(refused, errors=["States.ALL"], assign={"caught": expression(CAUGHT)})
        update.next(self._await_update(failed))
        return begin

    def _plan_one(self) -> sfn.Pass:
        facts = ", ".join(
            f"'{kind}': {{'stack_name': '{endpoint_stack_name(kind)}',"
            f" 'endpoint_name': '{self._parts.settings.endpoint_name(kind)}'}}"
            for kind in KINDS
        )
        plan = f"$merge([$states.input, $lookup({{{facts}}}, $states.input.kind)])"
        return sfn.Pass.jsonata(self, "PlanOne", assign={"plan": expression(plan)})

    def _look_at_stack(self) -> sfn.CustomState:
        return task(
            self,
            "LookAtStack",
            "aws-sdk:cloudformation:describeStacks",
            {"StackName": expression("$plan.stack_name")},
            timeout=cdk.Duration.minutes(1),
            # UpdateStack takes the template's default for a parameter that is not named, so each one is.
            output=expression(
                """($parameters := $states.result.Stacks[0].Parameters;
                {'status': $states.result.Stacks[0].StackStatus,
                'present': $parameters[ParameterKey = 'Serving'].ParameterValue,
                'parameters': [$map($parameters, function($parameter) { $parameter.ParameterKey = 'Serving'
                ? {'ParameterKey': 'Serving', 'ParameterValue': $plan.serving}
                : {'ParameterKey': $parameter.ParameterKey, 'UsePreviousValue': true} })]})"""
            ),
        )

    def _await_update(self, failed: sfn.CustomState) -> sfn.Wait:
        waiting = sfn.Wait.jsonata(self, "WaitForUpdate", time=sfn.WaitTime.duration(_POLL))
        status = describe_stack(self, "DescribeStack")
        status.add_catch(failed, errors=["States.ALL"], assign={"caught": expression(CAUGHT)})
        # CloudFormation has put the stack back; DescribeFailure finds the resource and what its container said.
        rolled_back = sfn.Pass.jsonata(
            self,
            "StackRolledBack",
            assign={
                "caught": expression(
                    """{'state': 'UpdateServing', 'error': $states.input.status,
                    'cause': 'the stack ' & $plan.stack_name & ' ended as ' & $states.input.status,
                    'stack_name': $plan.stack_name, 'client_request_token': $update_token,
                    'endpoint_name': $plan.endpoint_name, 'since': $updated_since}"""
                )
            },
        )
        rolled_back.next(failed)
        status.next(
            choice(self, "IsUpdateDone")
            .when(when("$contains($states.input.status, 'IN_PROGRESS')"), waiting)
            .when(when("$states.input.status = 'UPDATE_COMPLETE'"), self._result("Switched", "'result': 'switched'"))
            .otherwise(rolled_back)
        )
        waiting.next(status)
        return waiting

    def _failed(self) -> sfn.CustomState:
        """One endpoint's failure must not keep the other from being switched, so it is an answer here."""
        failed = describe(self, "DescribeFailure", self._parts.functions["describe_failure"], "$caught")
        failed.add_catch(
            self._result("FailedUndescribed", "'error': $caught.error, 'cause': $caught.cause"), errors=["States.ALL"]
        )
        failed.next(self._result("Failed", "'error': $states.input.error, 'cause': $states.input.cause"))
        return failed

    def _result(self, name: str, members: str) -> sfn.Pass:
        answer = f"{{'kind': $plan.kind, 'serving': $plan.serving, {members}}}"
        return sfn.Pass.jsonata(self, name, outputs=expression(answer))


def what_is_asked(hours: ServingHours | None) -> str:
    """What is asked for, or a `remedy`; an event and a nested execution may bring fields that are not ours."""
    planned, remedy = _plan(hours)
    return f"""($asked := $states.input; $kinds := $exists($asked.kinds) ? [$asked.kinds] : {_KINDS};
        $unknown := $kinds[$not($ in {_KINDS})];
        $serving := $asked.serving = 'as-planned' ? {planned} : $asked.serving;
        $not($serving in ['on', 'off']) ? {{'remedy': {remedy}}}
        : $count($unknown) > 0 or $count($kinds) = 0
        ? {{'remedy': 'field kinds has the value ' & $string($asked.kinds) & '; leave it out, or name risk, performance'}}
        : {{'serving': $serving, 'kinds': [$kinds]}})"""


def _plan(hours: ServingHours | None) -> tuple[str, str]:
    """What the hours say of this execution's start, and what to write instead of a wrong `serving`."""
    wrong = "'field serving has the value ' & ($exists($asked.serving) ? $string($asked.serving) : 'nothing') & '; write {}'"
    if hours is None:
        return "'unplanned'", wrong.format('{"serving": "off"} or "on"; as-planned needs the setting serving_hours')
    windows = ", ".join(f"{{'opens': {opens}, 'closes': {closes}}}" for opens, closes in hours.windows)
    # 1 January 1970 was a Thursday, three days after a Monday.
    minute = f"($floor($toMillis($states.context.Execution.StartTime) / 60000) + {3 * DAY_MINUTES}) % {WEEK_MINUTES}"
    is_open = f"(closes > $minute and opens <= $minute or closes > $minute + {WEEK_MINUTES})"
    planned = f"($minute := {minute}; $count([{windows}][{is_open}]) > 0 ? 'on' : 'off')"
    return planned, wrong.format('{"serving": "off"}, "on" or "as-planned"')
