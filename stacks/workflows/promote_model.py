"""PromoteModel: makes a registered model live by updating its endpoint's stack, takes it back if it is not right, and
records what came of it. In the same way it begins and ends an experiment beside the live model.

A rolled-back endpoint reports InService, so what is live is believed only when the endpoint's configuration is the
stack's and the endpoint gives the golden answers that were stored with the model.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.functions import InsightFunction
from stacks.names import KINDS, endpoint_arn, generated_arns
from stacks.permissions import Permission, allow, grant
from stacks.settings import Settings
from stacks.workflows.endpoint_check import describe_endpoint, verify_endpoint
from stacks.workflows.machine import workflow_machine
from stacks.workflows.nested_promotion import PROMOTE_MODEL, end_experiment, nested_execution_permissions
from stacks.workflows.promotion_record import PREFIX, PromotionRecord
from stacks.workflows.replaced import LEFT, RemoveReplaced
from stacks.workflows.stack_update import describe_stack, request_token, update_permissions, update_stack
from stacks.workflows.steps import CAUGHT, Failures, choice, expression, invoke, task, when

Json = Any

_POLL = cdk.Duration.seconds(10)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionParts:
    """What the workflow calls; `update_role` is whom CloudFormation becomes."""

    settings: Settings
    functions: Mapping[str, InsightFunction]
    update_role: iam.IRole
    bucket: s3.IBucket
    switch_serving: sfn.IStateMachine


class PromoteModel(Construct):
    """The state machine; docs/promotion.md has its input."""

    def __init__(self, scope: Construct, construct_id: str, *, parts: PromotionParts) -> None:
        super().__init__(scope, construct_id)
        self._parts = parts
        self._record = PromotionRecord(self, "Record", bucket=parts.bucket)
        self._failures = Failures(
            self, "Failure", describe_failure=parts.functions["describe_failure"], end=self._ended_otherwise()
        )
        self._prepare = self._prepare_promotion()
        self._roll_back = self._update_stack("RollBack", "$plan.rollback_parameters", initial="r")
        self._take_back()
        begin = sfn.Pass.jsonata(self, "Begin", outputs={}, assign=_UNTIL_KNOWN)
        self.state_machine = workflow_machine(
            self,
            name=PROMOTE_MODEL,
            definition=begin.next(self._prepare).next(self._when_idle(self._put_live(self._check()))),
            settings=parts.settings,
            # A blue/green deployment's limit (endpoint_stack.py) twice, as it may have to be taken back, and as much
            # again for another update that is waited for.
            timeout=cdk.Duration.hours(4),
        )
        grant(self.state_machine, _permissions(cdk.Stack.of(self), parts))

    def _prepare_promotion(self) -> sfn.CustomState:
        prepare = invoke(
            self,
            "PreparePromotion",
            self._parts.functions["prepare_promotion"],
            # Of a nested execution's input, the console's link to its caller is no part of the request.
            expression(
                """($asked_for := $sift($states.context.Execution.Input,
                function($value, $name) { $name != 'AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID' });
                $exists($asked_for) ? $asked_for : {})"""
            ),
            timeout=cdk.Duration.seconds(60),
            # A plan that is made again and finds its model live finds this execution's own update, which was asked for
            # twice: what was live before it, and is to be removed or to come back, only the first plan knows.
            assign={
                "plan": expression(
                    """($new := $states.result.Payload; $exists($plan.target_package) and $new.action = 'promote'
                    and $new.previous_package = $new.target_package ? $plan : $new)"""
                )
            },
        )
        self._failures.catch(prepare)
        return prepare

    def _when_idle(self, update: sfn.CustomState) -> sfn.CustomState:
        """A busy stack is waited for, and the plan is made again: the other update may have changed what is live."""
        status = describe_stack(self, "DescribeStackBefore")
        busy = sfn.Wait.jsonata(self, "WaitForOtherUpdate", time=sfn.WaitTime.duration(_POLL))
        self._failures.catch(status)
        status.next(
            choice(self, "IsStackBusy")
            .when(when("$contains($states.input.status, 'IN_PROGRESS')"), busy.next(self._prepare))
            .when(when("$plan.ends_experiment_first"), self._end_experiment().next(self._prepare))
            .otherwise(update)
        )
        refused = choice(self, "WhyWasUpdateRefused")
        refused.when(when("$contains($caught.cause, '_IN_PROGRESS')"), busy)
        refused.when(when("$contains($caught.cause, 'No updates are to be performed')"), self._updated)
        # Throttling and refusals have one error name; what was throttled has not begun.
        refused.when(when("$contains($caught.cause, 'Rate exceeded')"), busy)
        refused.when(when(_UNANSWERED), self._find_update(busy))
        refused.otherwise(self._failures.entry)
        update.add_catch(
            refused,
            errors=["States.ALL"],
            assign={
                "caught": expression(CAUGHT),
                "update_started": False,
                "update_token": expression(request_token("p")),
                "updated_since": expression("$states.context.State.EnteredTime"),
            },
        )
        return status

    def _find_update(self, busy: sfn.Wait) -> sfn.CustomState:
        """Whether an update whose answer was lost has begun: it is then followed, or else asked for again."""
        asked = describe_stack(self, "DescribeStackUnanswered")
        # Where nobody says, it may have begun.
        asked.add_catch(
            self._failures.entry,
            errors=["States.ALL"],
            assign={"caught": expression(CAUGHT), "update_started": True},
        )
        begun = sfn.Pass.jsonata(self, "UpdateHasBegun", assign={"update_started": True})
        before = "($plan.previous_endpoint_config ? $plan.previous_endpoint_config : '')"
        changes = f"$contains($states.input.status, 'IN_PROGRESS') or $states.input.endpoint_config != {before}"
        asked.next(choice(self, "HasUpdateBegun").when(when(changes), begun.next(self._updated)).otherwise(busy))
        return asked

    def _end_experiment(self) -> sfn.CustomState:
        """By an execution of its own, with a record of its own. Then the challenger is promoted as any other model."""
        end = end_experiment(self)
        self._failures.catch(end)
        return end

    def _put_live(self, check: sfn.CustomState) -> sfn.CustomState:
        """Updates the stack and waits for its end."""
        update = self._update_stack("UpdateStack", "$plan.parameters", initial="p")
        self._updated = describe_stack(self, "DescribeStack")
        self._failures.catch(self._updated)
        waiting = sfn.Wait.jsonata(self, "WaitForUpdate", time=sfn.WaitTime.duration(_POLL))
        # CloudFormation has taken it back already; DescribeFailure finds the resource that failed, and what its
        # container said.
        rolled_back = sfn.Pass.jsonata(
            self,
            "StackRolledBack",
            assign={
                "caught": expression(
                    """{'state': 'UpdateStack',
                    'error': $states.input.status = 'UPDATE_ROLLBACK_COMPLETE' ? 'PromotionRolledBack' : 'RollBackFailed',
                    'cause': 'the stack ' & $plan.stack_name & ' ended as ' & $states.input.status,
                    'stack_name': $plan.stack_name, 'client_request_token': $update_token,
                    'endpoint_name': $plan.endpoint_name, 'since': $updated_since}"""
                )
            },
        )
        rolled_back.next(self._failures.entry)
        update.next(waiting).next(self._updated)
        self._updated.next(
            choice(self, "IsUpdateDone")
            .when(when("$contains($states.input.status, 'IN_PROGRESS')"), waiting)
            .when(when("$update_started and $states.input.status != 'UPDATE_COMPLETE'"), rolled_back)
            .otherwise(check)
        )
        return update

    def _check(self) -> sfn.CustomState:
        """The endpoint's configuration, then its answers."""
        endpoint = describe_endpoint(self)
        verify = verify_endpoint(self, self._parts.functions["verify_endpoint"])
        for state in (endpoint, verify):
            state.add_catch(
                self._roll_back,
                errors=["States.ALL"],
                assign={
                    "refusal": expression(
                        "$states.context.State.Name & ' failed: ' & $states.errorOutput.Error & ': '"
                        " & $states.errorOutput.Cause"
                    )
                },
            )
        endpoint.next(
            choice(self, "IsEndpointAsInStack")
            .when(
                when("$states.input.status = 'InService' and $live_config = $states.input.stack_endpoint_config"),
                verify,
            )
            .otherwise(self._refused("ConfigurationDiffers", _OTHER_CONFIGURATION, self._ask_container()))
        )
        verify.next(
            choice(self, "AreAnswersGolden")
            .when(when("$states.input.matched"), self._finish())
            .otherwise(
                self._refused(
                    "AnswersDiffer",
                    "'the endpoint does not give the golden answers: ' & $states.input.reason",
                    self._roll_back,
                )
            )
        )
        return endpoint

    def _finish(self) -> sfn.IChainable:
        done = self._outcome(
            "WentLive",
            f"""{{'outcome': {_UNCHANGED} ? 'unchanged' : $plan.action = 'start_experiment' ? 'experiment_started'
            : $plan.action = 'end_experiment' ? 'experiment_ended' : 'promoted', 'live': $plan.live_after,
            'replaced': $states.input.replaced}}""",
        )
        remove = RemoveReplaced(self, "Replaced", suffix="", candidates="[$plan.previous_endpoint_config]")
        remove.end.next(
            choice(self, "DoesItRest").when(when("$plan.rests_again"), self._rest_again(done)).otherwise(done)
        )
        return remove.start

    def _rest_again(self, done: sfn.Pass) -> sfn.CustomState:
        """A promotion outside the serving hours had the endpoint put up, as only an endpoint that answers is believed."""
        serving = "off" if self._parts.settings.hours is None else "as-planned"
        rest = task(
            self,
            "RestAgain",
            "states:startExecution",
            {
                "StateMachineArn": self._parts.switch_serving.state_machine_arn,
                "Input": {"serving": serving, "kinds": expression("[$plan.kind]")},
            },
            timeout=cdk.Duration.minutes(1),
            output=expression("$states.input"),
            assign={"rest": expression("$states.result.ExecutionArn")},
        )
        rest.add_catch(
            done,
            errors=["States.ALL"],
            assign={"rest": expression("'it goes on serving: ' & $states.errorOutput.Error")},
        )
        rest.next(done)
        return rest

    def _outcome(self, name: str, outcome: str) -> sfn.Pass:
        """The last state of a path before the record."""
        ended = sfn.Pass.jsonata(self, name, outputs={}, assign={"outcome": expression(outcome)})
        ended.next(self._record.entry)
        return ended

    def _ended_otherwise(self) -> sfn.Pass:
        """Refused before anything changed, taken back by CloudFormation, or lost from sight."""
        return self._outcome(
            "EndedOtherwise",
            f"""($as_before := $states.input.error = 'PromotionRolledBack' or $not($update_started);
            {{'outcome': $states.input.error = 'PromotionRolledBack' ? 'rolled_back'
            : $states.input.error = 'RollBackFailed' ? 'roll_back_failed' : $update_started ? 'unknown' : 'refused',
            'live': $as_before ? {_BEFORE} : null, 'error': $states.input.error,
            'cause': $states.input.cause & ($as_before ? ($exists($plan.previous_package) ? '.' & {_LIVE_AS_BEFORE} : '')
            : '. What is live is not known: see the events of stack ' & $plan.stack_name & '.')}})""",
        )

    def _refused(self, name: str, reason: str, then: sfn.CustomState) -> sfn.Pass:
        refused = sfn.Pass.jsonata(self, name, outputs={}, assign={"refusal": expression(reason)})
        refused.next(then)
        return refused

    def _ask_container(self) -> sfn.CustomState:
        """What the new containers printed says more than SageMaker's own reason; the old fleet serves meanwhile."""
        ask = invoke(
            self,
            "AskContainer",
            self._parts.functions["describe_failure"],
            expression(
                """{'state': 'UpdateStack', 'error': 'PromotionRefused', 'cause': $refusal,
                'endpoint_name': $plan.endpoint_name, 'since': $updated_since}"""
            ),
            timeout=cdk.Duration.seconds(60),
            output={},
            assign={
                "refusal": expression(
                    """$refusal & ($states.result.Payload.container_said
                    ? '; the container said: ' & $states.result.Payload.container_said : '')"""
                )
            },
        )
        ask.add_catch(self._roll_back, errors=["States.ALL"])
        ask.next(self._roll_back)
        return ask

    def _take_back(self) -> None:
        """Puts the former parameters back, removes the refused model, and fails with the reason."""
        failed = self._outcome(
            "TakenBack",
            f"""{{'outcome': 'rolled_back', 'live': {_BEFORE}, 'error': 'PromotionRefused',
            'cause': $plan.failed_as & ': ' & $replace($refusal, /[.]$/, '') & '.'
            & {_LIVE_AS_BEFORE} & ($count({LEFT}) > 0 ? ' Left behind: ' & $join({LEFT}.left, ', ') & ', as '
            & $join($distinct({LEFT}.cause), '; ') & '.' : '')}}""",
        )
        stuck = self._outcome(
            "RollBackFailed",
            """{'outcome': 'roll_back_failed', 'live': null, 'error': 'RollBackFailed',
            'cause': $plan.failed_as & ': ' & $refusal & '. Taking it back failed: '
            & $caught.cause & '. See the events of stack ' & $plan.stack_name
            & ' and run PromoteModel with the version that shall be live.'}""",
        )
        waiting = sfn.Wait.jsonata(self, "WaitForRollBack", time=sfn.WaitTime.duration(_POLL))
        status = describe_stack(self, "DescribeStackRolledBack")
        status.add_catch(stuck, errors=["States.ALL"], assign={"caught": expression(CAUGHT)})
        remove = RemoveReplaced(
            self, "Refused", suffix="Refused", candidates="[$plan.previous_endpoint_config, $live_config]"
        )
        remove.end.next(failed)
        self._roll_back.next(waiting).next(status)
        status.next(
            choice(self, "IsRollBackDone")
            .when(when("$contains($states.input.status, 'IN_PROGRESS')"), waiting)
            .when(when("$states.input.status = 'UPDATE_COMPLETE'"), remove.start)
            .otherwise(
                sfn.Pass.jsonata(
                    self,
                    "RollBackEndedBadly",
                    assign={"caught": expression("{'cause': 'the stack ended as ' & $states.input.status}")},
                ).next(stuck)
            )
        )
        refused = choice(self, "WhyWasRollBackRefused")
        # As before: nothing was changed, or a request whose answer was lost has changed it back.
        refused.when(when("$contains($caught.cause, 'No updates are to be performed')"), remove.start)
        refused.when(
            when(
                f"$contains($caught.cause, '_IN_PROGRESS') or $contains($caught.cause, 'Rate exceeded') or {_UNANSWERED}"
            ),
            self._again(),
        )
        refused.otherwise(stuck)
        self._roll_back.add_catch(refused, errors=["States.ALL"], assign={"caught": expression(CAUGHT)})

    def _again(self) -> sfn.Chain:
        """Another update came between, or nobody answered: ours follows."""
        return sfn.Wait.jsonata(self, "WaitBeforeRollBack", time=sfn.WaitTime.duration(_POLL)).next(self._roll_back)

    def _update_stack(self, name: str, parameters: str, *, initial: str) -> sfn.CustomState:
        return update_stack(self, name, parameters, initial=initial, role_arn=self._parts.update_role.role_arn)


# What every expression on the way to the record may refer to, from the first state on.
_UNTIL_KNOWN: Json = {
    "asked": expression("$states.context.Execution.Input"),
    "plan": {},
    "refusal": "",
    "live_config": "",
    "update_started": False,
    "verification": {},
    "recorded": "",
    "unrecorded": "",
    "rest": None,
}
_UNCHANGED = "($not($update_started) and ($plan.action != 'promote' or $plan.previous_package = $plan.target_package))"
_UNANSWERED = "$caught.error = 'States.Timeout' or $contains($caught.cause, 'Status Code: 5')"
_BEFORE = "($exists($plan.previous_package) ? $plan.previous_package : null)"
_LIVE_AS_BEFORE = "' Live is ' & ($plan.previous_package ? $plan.previous_package : 'no model') & ', as before.'"
_OTHER_CONFIGURATION = """'the endpoint is ' & $states.input.status & ' with configuration ' & $live_config
    & ', its stack says ' & $states.input.stack_endpoint_config & ': ' & $states.input.why"""


def _permissions(stack: cdk.Stack, parts: PromotionParts) -> list[Permission]:
    endpoints = [endpoint_arn(stack, parts.settings.endpoint_name(kind)) for kind in KINDS]
    generated = "CloudFormation names models and configurations after their logical ids, which start with Iops."
    called = ("prepare_promotion", "verify_endpoint", "describe_failure")
    return [
        allow(["lambda:InvokeFunction"], [parts.functions[name].arn for name in called]),
        *update_permissions(stack, parts.update_role.role_arn),
        *nested_execution_permissions(stack),
        allow(["states:StartExecution"], [parts.switch_serving.state_machine_arn]),
        allow(["sagemaker:DescribeEndpoint"], endpoints),
        allow(
            ["sagemaker:DescribeEndpointConfig", "sagemaker:DeleteEndpointConfig"],
            generated_arns(stack, "endpoint-config"),
            because=generated,
        ),
        allow(["sagemaker:DeleteModel"], generated_arns(stack, "model"), because=generated),
        allow(
            ["s3:PutObject"],
            [parts.bucket.arn_for_objects(f"{PREFIX}/*")],
            because="Every promotion has a record of its own below this prefix.",
        ),
    ]
