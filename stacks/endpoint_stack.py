"""One model's endpoint. What is live is a set of parameters of this stack; PromoteModel changes them.

No role is made here: a promotion, which updates this stack as a narrow role, has nothing to do with IAM.
"""

from typing import Any, TypeVar

import aws_cdk as cdk
from aws_cdk import aws_applicationautoscaling as scaling
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sagemaker as sagemaker
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from stacks.app_stack import AppStack
from stacks.data_stack import bucket_name
from stacks.experiment import CHALLENGER, declare_experiment
from stacks.nag import acknowledge
from stacks.names import live_package_parameter
from stacks.rollback_alarms import BAKE_SECONDS, rollback_alarms
from stacks.settings import Settings

VARIANT = "live"
FEWEST_INSTANCES, MOST_INSTANCES = 1, 3
# What the note of the live package says while serving is switched off.
RESTING = "resting"
# SageMaker's own limit for an endpoint's update; it must exceed the waits by the time that instances take.
_DEPLOYMENT_SECONDS = 3600
# The canary's share must be able to raise an alarm before everybody else follows.
_CANARY_SECONDS = BAKE_SECONDS
# A container answers /ping within seconds (imports, the model, its rehearsal), so SageMaker's least is enough; with its
# default of 240 a model that refuses to start would hold up a promotion for as long.
_HEALTH_CHECK_SECONDS = 60
# Deployment guardrails demand the old variants' names of the new configuration (SageMaker guide, "Exclusions"). An
# experiment that begins or ends changes them and no live model: it goes without; a new fleet is healthy first all the same.
UNGUARDED = "unguarded"


class EndpointStack(AppStack):
    """Parameters, alarms, and, once there is a live package, model, configuration, endpoint and its scaling."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        kind: str,
        settings: Settings,
        serving_role: iam.IRole,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            settings=settings,
            summary=f"the {kind} endpoint; what is live is changed by PromoteModel",
        )
        self._kind, self._settings, self._prefix = kind, settings, f"Iops{kind.capitalize()}"
        self.endpoint_name = settings.endpoint_name(kind)
        self._declare_parameters()
        self._live_package_note()
        live, challenger = self._models(serving_role)
        config = self._configuration(live, challenger)
        self.alarms = rollback_alarms(
            self,
            kind=kind,
            endpoint_name=self.endpoint_name,
            variant=VARIANT,
            config_name=self._or_none(config.attr_endpoint_config_name),
        )
        endpoint = self._endpoint(config)
        self._experiment.note(self, f"{self._prefix}Experiment", kind=kind, endpoint=endpoint)
        self._scale(endpoint)
        self._outputs(config)

    def _declare_parameters(self) -> None:
        def choice(name: str, default: str, allowed: list[str], description: str) -> cdk.CfnParameter:
            return cdk.CfnParameter(
                self, name, type="String", default=default, allowed_values=allowed, description=description
            )

        self._live_package = cdk.CfnParameter(
            self,
            "LivePackage",
            type="String",
            default="",
            description="ARN of the live model package; empty: no endpoint",
        )
        self._golden_digest = cdk.CfnParameter(
            self,
            "GoldenDigest",
            type="String",
            default="",
            description="SHA-256 of the golden predictions stored with the live package; empty: not checked at start",
        )
        shift = choice(
            "TrafficShift",
            "all-at-once",
            ["all-at-once", "canary", UNGUARDED],
            "set by PromoteModel: a canary is at most half of the instances, so it needs two; unguarded where the "
            "variants change",
        )
        scale = choice(
            "Scaling", "on", ["on", "off"], f"target tracking between {FEWEST_INSTANCES} and {MOST_INSTANCES} instances"
        )
        serving = choice("Serving", "on", ["on", "off"], "off: no endpoint, what is live is kept; set by SwitchServing")
        equal, both = cdk.Fn.condition_equals, cdk.Fn.condition_and
        has_package = cdk.Fn.condition_not(equal(self._live_package, ""))
        is_live = both(has_package, equal(serving, "on"))

        def condition(name: str, expression: cdk.ICfnConditionExpression) -> cdk.CfnCondition:
            return cdk.CfnCondition(self, name, expression=expression)

        self._is_live = condition("IsLive", is_live)
        self._is_resting = condition("IsResting", both(has_package, equal(serving, "off")))
        self._is_guarded = condition("IsGuarded", cdk.Fn.condition_not(equal(shift, UNGUARDED)))
        self._is_canary = condition("IsCanary", equal(shift, "canary"))
        self._is_scaled = condition("IsScaled", both(is_live, equal(scale, "on")))
        self._experiment = declare_experiment(self, live_package=self._live_package, is_live=is_live)

    def _live_package_note(self) -> None:
        """Also the one resource that this stack has while nothing is live beside its alarms."""
        ssm.CfnParameter(
            self,
            f"{self._prefix}LivePackage",
            name=live_package_parameter(self._kind),
            type="String",
            value=self._what_is_live(),
            description=f"The live {self._kind} model package, none, or {RESTING} while it does not serve",
        )

    def _models(self, role: iam.IRole) -> tuple[sagemaker.CfnModel, sagemaker.CfnModel]:
        def model(
            construct_id: str, package: str, golden_digest: cdk.CfnParameter, condition: cdk.CfnCondition
        ) -> sagemaker.CfnModel:
            made = sagemaker.CfnModel(
                self,
                construct_id,
                execution_role_arn=role.role_arn,
                containers=[
                    sagemaker.CfnModel.ContainerDefinitionProperty(
                        model_package_name=package,
                        environment={"MODEL_PACKAGE_ARN": package, "GOLDEN_SHA256": golden_digest.value_as_string},
                    )
                ],
                # The container needs nothing but its model, which SageMaker fetches.
                enable_network_isolation=True,
            )
            return _retained_when_replaced(made, condition)

        experiment, live = self._experiment, self._live_package.value_as_string
        challenger = experiment.package.value_as_string
        return (
            model(f"{self._prefix}Model", live, self._golden_digest, self._is_live),
            model(f"{self._prefix}ChallengerModel", challenger, experiment.golden_digest, experiment.is_on),
        )

    def _configuration(self, live: sagemaker.CfnModel, challenger: sagemaker.CfnModel) -> sagemaker.CfnEndpointConfig:
        def variant(name: str, model: sagemaker.CfnModel, weight: int) -> dict[str, Any]:
            return {
                "VariantName": name,
                "ModelName": model.attr_model_name,
                "InstanceType": self._settings.endpoint_instance_type,
                "InitialInstanceCount": 1,
                "InitialVariantWeight": weight,
                "ContainerStartupHealthCheckTimeoutInSeconds": _HEALTH_CHECK_SECONDS,
            }

        def only_if(condition: cdk.CfnCondition, value: Any) -> dict[str, Any]:
            return {"Fn::If": [condition.logical_id, value, {"Ref": "AWS::NoValue"}]}

        config = sagemaker.CfnEndpointConfig(self, f"{self._prefix}Config", production_variants=[])
        # Beside L1's typed lists, which cannot hold Fn::If. A shadow's weight is its part of the production variant's.
        answering, shadowing = variant(CHALLENGER, challenger, 0), variant(CHALLENGER, challenger, 1)
        config.add_property_override(
            "ProductionVariants", [variant(VARIANT, live, 1), only_if(self._experiment.is_ab, answering)]
        )
        config.add_property_override("ShadowProductionVariants", only_if(self._experiment.is_shadow, [shadowing]))
        config.data_capture_config = self._data_capture()
        acknowledge(
            config,
            "CloudFormation-Validate::W2503",
            "The challenger's condition holds only where the configuration's does too; the rule takes the two, which "
            "share their parameters, for exclusive.",
        )
        return _retained_when_replaced(config, self._is_live)

    def _data_capture(self) -> sagemaker.CfnEndpointConfig.DataCaptureConfigProperty:
        percent = self._settings.data_capture_percent
        return sagemaker.CfnEndpointConfig.DataCaptureConfigProperty(
            enable_capture=percent > 0,
            initial_sampling_percentage=percent,
            # SageMaker adds <endpoint>/<variant>/<year>/<month>/<day>/<hour>/.
            destination_s3_uri=f"s3://{bucket_name(self, self._settings)}/monitoring/data-capture",
            capture_options=[
                sagemaker.CfnEndpointConfig.CaptureOptionProperty(capture_mode=mode) for mode in ("Input", "Output")
            ],
            capture_content_type_header=sagemaker.CfnEndpointConfig.CaptureContentTypeHeaderProperty(
                json_content_types=["application/json"], csv_content_types=["text/csv"]
            ),
        )

    def _endpoint(self, config: sagemaker.CfnEndpointConfig) -> sagemaker.CfnEndpoint:
        canary = {
            "Type": "CANARY",
            "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 50},
            "WaitIntervalInSeconds": _CANARY_SECONDS,
        }
        at_once = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
        guarded = {
            "BlueGreenUpdatePolicy": {
                "TrafficRoutingConfiguration": cdk.Fn.condition_if(self._is_canary.logical_id, canary, at_once),
                "TerminationWaitInSeconds": BAKE_SECONDS,
                "MaximumExecutionTimeoutInSeconds": _DEPLOYMENT_SECONDS,
            },
            "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": alarm.alarm_name} for alarm in self.alarms]},
        }
        properties = ("DataCaptureConfig", "DesiredWeight")
        endpoint = sagemaker.CfnEndpoint(
            self,
            f"{self._prefix}Endpoint",
            endpoint_name=self.endpoint_name,
            endpoint_config_name=config.attr_endpoint_config_name,
            deployment_config=cdk.Token.as_any(
                cdk.Fn.condition_if(self._is_guarded.logical_id, guarded, cdk.Aws.NO_VALUE)
            ),
            # Else every promotion would set a scaled-out endpoint back to one instance.
            retain_all_variant_properties=True,
            # ... but a changed share of captured requests shall take effect, and a variant's part of the traffic.
            exclude_retained_variant_properties=[
                sagemaker.CfnEndpoint.VariantPropertyProperty(variant_property_type=name) for name in properties
            ],
        )
        endpoint.cfn_options.condition = self._is_live
        return endpoint

    def _scale(self, endpoint: sagemaker.CfnEndpoint) -> None:
        """The variant's name never changes, so the target stays through every blue/green update."""
        target = scaling.CfnScalableTarget(
            self,
            f"{self._prefix}ScalableTarget",
            service_namespace="sagemaker",
            scalable_dimension="sagemaker:variant:DesiredInstanceCount",
            resource_id=f"endpoint/{endpoint.attr_endpoint_name}/variant/{VARIANT}",
            min_capacity=FEWEST_INSTANCES,
            max_capacity=MOST_INSTANCES,
        )
        tracking = scaling.CfnScalingPolicy
        policy = tracking(
            self,
            f"{self._prefix}ScalingPolicy",
            policy_name="SagemakerEndpointInvocationScalingPolicy",  # the one name that SageMaker's console shows
            policy_type="TargetTrackingScaling",
            scaling_target_id=target.ref,
            target_tracking_scaling_policy_configuration=tracking.TargetTrackingScalingPolicyConfigurationProperty(
                target_value=self._settings.target_invocations_per_minute,
                predefined_metric_specification=tracking.PredefinedMetricSpecificationProperty(
                    predefined_metric_type="SageMakerVariantInvocationsPerInstance"
                ),
                scale_out_cooldown=60,
                scale_in_cooldown=300,
            ),
        )
        for resource in (target, policy):
            resource.cfn_options.condition = self._is_scaled

    def _outputs(self, config: sagemaker.CfnEndpointConfig) -> None:
        cdk.CfnOutput(self, "EndpointName", value=self.endpoint_name)
        # An output's value must not be empty.
        cdk.CfnOutput(self, "LivePackageOutput", value=self._what_is_live()).override_logical_id("LivePackage")
        # PromoteModel compares it with what the endpoint really runs.
        cdk.CfnOutput(self, "EndpointConfigName", value=config.attr_endpoint_config_name, condition=self._is_live)

    def _or_none(self, value: str) -> str:
        return cdk.Token.as_string(cdk.Fn.condition_if(self._is_live.logical_id, value, "none"))

    def _what_is_live(self) -> str:
        package = self._live_package.value_as_string
        otherwise = cdk.Fn.condition_if(self._is_resting.logical_id, RESTING, "none")
        return cdk.Token.as_string(cdk.Fn.condition_if(self._is_live.logical_id, package, otherwise))


_Resource = TypeVar("_Resource", bound=cdk.CfnResource)


def _retained_when_replaced(resource: _Resource, condition: cdk.CfnCondition) -> _Resource:
    """CloudFormation would delete the replaced one on UPDATE_COMPLETE, while an endpoint that was silently rolled
    back still used it; PromoteModel deletes it once the endpoint is verified."""
    resource.cfn_options.condition = condition
    resource.cfn_options.update_replace_policy = cdk.CfnDeletionPolicy.RETAIN
    resource.cfn_options.deletion_policy = cdk.CfnDeletionPolicy.DELETE
    return resource
