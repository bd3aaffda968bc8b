"""Deletes what a promotion replaced: CloudFormation retains it, as an endpoint might still have been using it."""

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.workflows.steps import choice, expression, task, when


def _is_caught(text: str) -> str:
    """Of a state after a Catch; a time-out has no cause."""
    return f"($exists($states.input.Cause) and $contains($states.input.Cause, '{text}'))"


_CAUSE = "($exists($states.input.Cause) ? $states.input.Cause : $states.input.Error)"
_NO_ENDPOINT = _is_caught("Could not find endpoint")
_NO_CONFIG = _is_caught("Could not find endpoint configuration")

LEFT = "[$states.input.replaced[$exists(left)]]"
"""After `end`: what is still there, each {'left': configuration, 'cause': why}."""


class RemoveReplaced(Construct):
    """`candidates` is a JSONata array of configuration names (nulls allowed); what the endpoint uses now is spared, and
    everything where nobody says what that is.

    What is not deleted is named in the output and costs nothing: it never fails a promotion that is live.
    """

    def __init__(self, scope: Construct, construct_id: str, *, suffix: str, candidates: str) -> None:
        super().__init__(scope, construct_id)
        self._suffix = suffix
        self.start = self._describe_live()
        self.end = self._each(candidates)
        # A name that nothing has: to JSONata, no comparison with what is missing is true.
        no_config = {"endpoint_config": "", "models": []}
        nothing = sfn.Pass.jsonata(self, f"NothingLive{suffix}", outputs={}, assign={"in_use": no_config})
        unknown = sfn.Pass.jsonata(
            self,
            f"LiveUnknown{suffix}",
            outputs={},
            assign={"in_use": {**no_config, "unknown": expression(_CAUSE)}},
        )
        live_config = self._describe_live_config()
        self.start.next(live_config).next(self.end)
        # After the roll back of a first promotion there is no endpoint.
        why = choice(self, f"IsNothingLive{suffix}")
        why.when(when(_NO_ENDPOINT), nothing).otherwise(unknown)
        self.start.add_catch(why, errors=["States.ALL"])
        live_config.add_catch(unknown, errors=["States.ALL"])
        nothing.next(self.end)
        unknown.next(self.end)

    def _describe_live(self) -> sfn.CustomState:
        return task(
            self,
            f"DescribeLive{self._suffix}",
            "aws-sdk:sagemaker:describeEndpoint",
            {"EndpointName": expression("$plan.endpoint_name")},
            timeout=cdk.Duration.minutes(1),
            output=expression("{'endpoint_config': $states.result.EndpointConfigName}"),
        )

    def _describe_live_config(self) -> sfn.CustomState:
        return task(
            self,
            f"DescribeLiveConfig{self._suffix}",
            "aws-sdk:sagemaker:describeEndpointConfig",
            {"EndpointConfigName": expression("$states.input.endpoint_config")},
            timeout=cdk.Duration.minutes(1),
            output={},
            assign={
                "in_use": expression(
                    """{'endpoint_config': $states.result.EndpointConfigName,
                    'models': [$states.result.ProductionVariants.ModelName,
                    $states.result.ShadowProductionVariants.ModelName]}"""
                )
            },
        )

    def _each(self, candidates: str) -> sfn.Map:
        each = sfn.Map.jsonata(
            self,
            f"RemoveReplaced{self._suffix}",
            items=sfn.ProvideItems.jsonata(
                expression(f"[$distinct({candidates}[$ != null and $ != '' and $ != $in_use.endpoint_config])]")
            ),
            max_concurrency=1,
            outputs=expression("{'replaced': [$states.result]}"),
        )
        return each.item_processor(self._remove_one())

    def _remove_one(self) -> sfn.Choice:
        suffix = self._suffix
        spared = sfn.Pass.jsonata(
            self,
            f"Spared{suffix}",
            outputs=expression(
                """{'left': $states.context.Map.Item.Value,
                'cause': 'nobody could say whether it is live: ' & $in_use.unknown}"""
            ),
        )
        describe = task(
            self,
            f"DescribeReplaced{suffix}",
            "aws-sdk:sagemaker:describeEndpointConfig",
            {"EndpointConfigName": expression("$states.input")},
            timeout=cdk.Duration.minutes(1),
            output={},
            assign={
                "replaced": expression(
                    """{'endpoint_config': $states.result.EndpointConfigName,
                    'models': [$states.result.ProductionVariants.ModelName,
                    $states.result.ShadowProductionVariants.ModelName][$not($ in $in_use.models)]}"""
                )
            },
        )
        delete = task(
            self,
            f"DeleteReplacedConfig{suffix}",
            "aws-sdk:sagemaker:deleteEndpointConfig",
            {"EndpointConfigName": expression("$replaced.endpoint_config")},
            timeout=cdk.Duration.minutes(1),
            output={},
        )
        models = self._delete_models()
        left = sfn.Pass.jsonata(
            self,
            f"LeftBehind{suffix}",
            outputs=expression(f"{{'left': $states.context.Map.Item.Value, 'cause': {_CAUSE}}}"),
        )
        # Deleted by a request whose answer was lost: its models are still there.
        gone = choice(self, f"IsConfigGone{suffix}")
        gone.when(when(_NO_CONFIG), models).otherwise(left)
        delete.add_catch(gone, errors=["States.ALL"])
        # Another promotion, which came between, has removed it.
        removed = sfn.Pass.jsonata(
            self,
            f"ConfigWasGone{suffix}",
            outputs=expression("{'endpoint_config': $states.context.Map.Item.Value, 'models': []}"),
        )
        unknown = choice(self, f"WasConfigGone{suffix}")
        unknown.when(when(_NO_CONFIG), removed).otherwise(left)
        describe.add_catch(unknown, errors=["States.ALL"])
        models.add_catch(left, errors=["States.ALL"])
        describe.next(delete).next(models)
        return choice(self, f"IsLiveUnknown{suffix}").when(when("$exists($in_use.unknown)"), spared).otherwise(describe)

    def _delete_models(self) -> sfn.Map:
        """A dropped challenger's model is gone already: its resource left the stack, and CloudFormation removed it."""
        delete = task(
            self,
            f"DeleteReplacedModel{self._suffix}",
            "aws-sdk:sagemaker:deleteModel",
            {"ModelName": expression("$states.input")},
            timeout=cdk.Duration.minutes(1),
            output={},
        )
        kept = sfn.Fail.jsonata(
            self,
            f"ModelStays{self._suffix}",
            error=expression("$states.input.Error"),
            cause=expression(_CAUSE),
        )
        gone = choice(self, f"IsModelGone{self._suffix}")
        gone.when(
            when(_is_caught("Could not find model")),
            sfn.Pass.jsonata(self, f"ModelIsGone{self._suffix}", outputs={}),
        ).otherwise(kept)
        delete.add_catch(gone, errors=["States.ALL"])
        models = sfn.Map.jsonata(
            self,
            f"DeleteReplacedModels{self._suffix}",
            items=sfn.ProvideItems.jsonata(expression("[$replaced.models]")),
            max_concurrency=1,
            outputs=expression("{'endpoint_config': $replaced.endpoint_config, 'models': [$replaced.models]}"),
        )
        return models.item_processor(delete)
