"""One model's part of TrainModels. It ends in an outcome whatever happens, so that the other model is not disturbed.

Variables carry the model's kind in their names: they must not meet the other branch's.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.names import endpoint_stack_name
from stacks.workflows.jobs import (
    JobDefaults,
    job_name,
    model_key,
    model_package,
    planned_cluster,
    processing_input,
    processing_job,
    tuning_job,
    tuning_job_name,
)
from stacks.workflows.lost_worker import catch_lost, repeated
from stacks.workflows.steps import (
    ATTEMPT,
    CAUGHT,
    JOB_RETRIES,
    NESTED_RETRY,
    choice,
    describe,
    expression,
    invoke,
    task,
    when,
)

if TYPE_CHECKING:
    from stacks.workflows.train_models import TrainingParts

_TUNING_SECONDS = 24 * 3600
_EVALUATION_SECONDS = 3600


def model_branch(scope: Construct, kind: str, *, parts: "TrainingParts") -> sfn.IChainable:
    """Tune, evaluate beside the live model, judge, register, promote."""
    title = kind.capitalize()
    tune, best = _tune(scope, kind, parts.defaults), _best(scope, kind)
    evaluate, judge = _evaluate(scope, kind, parts.defaults), _judge(scope, kind, parts)
    approve = _register(scope, kind, parts.defaults, approved=True)
    reject = _register(scope, kind, parts.defaults, approved=False)
    promote = _promote(scope, kind, parts)
    failed = _failed(scope, kind, parts)
    find_live, locate_live = _find_live(scope, kind), _locate_live(scope, kind)
    for state in (tune, best, locate_live, judge, approve, reject, promote):
        state.add_catch(failed, errors=["States.ALL"], assign={f"{kind}_caught": expression(CAUGHT)})
    catch_lost(scope, [evaluate], otherwise=failed, kind=kind)

    done = sfn.Succeed.jsonata(scope, f"{title}Done", outputs=expression(f"${kind}_outcome"))
    skipped = sfn.Succeed.jsonata(scope, f"{title}Skipped", outputs={"kind": kind, "status": "skipped"})
    promotion = choice(scope, f"IsPromotionOf{title}Wanted")
    promotion.when(when("$run.promote"), promote.next(done)).otherwise(done)
    gate = choice(scope, f"{title}Gate")
    gate.when(when(f"${kind}_judgement.passed"), approve.next(promotion)).otherwise(reject.next(done))
    evaluate.next(judge).next(gate)
    missing = choice(scope, f"Is{title}EndpointStackMissing")
    missing.when(when(f"$contains(${kind}_caught.cause, 'does not exist')"), evaluate).otherwise(failed)
    find_live.add_catch(
        missing,
        errors=["States.ALL"],
        assign={f"{kind}_caught": expression(CAUGHT), f"{kind}_live_model": ""},
    )
    live = choice(scope, f"Is{title}Live")
    live.when(when(f"${kind}_live_package != ''"), locate_live.next(evaluate)).otherwise(evaluate)
    selected = choice(scope, f"Is{title}Selected")
    selected.when(
        when(f"$run.models.{kind}"),
        tune.next(best).next(find_live).next(live),
        assign={f"{kind}_outcome": {"kind": kind, "status": "failed"}, repeated(kind): []},
    )
    return selected.otherwise(skipped)


def _tune(scope: Construct, kind: str, defaults: JobDefaults) -> sfn.CustomState:
    return task(
        scope,
        f"Tune{kind.capitalize()}",
        "sagemaker:createHyperParameterTuningJob.sync",
        tuning_job(defaults, kind, max_runtime_seconds=_TUNING_SECONDS),
        timeout=cdk.Duration.seconds(_TUNING_SECONDS + 3600),
        retries=JOB_RETRIES,
        output={},
        assign={f"{kind}_tuning_job": expression(tuning_job_name(kind))},
    )


def _best(scope: Construct, kind: str) -> sfn.CustomState:
    """What `.sync` answers is not documented for tuning jobs, so the best trial is asked for."""
    return task(
        scope,
        f"Best{kind.capitalize()}",
        "aws-sdk:sagemaker:describeHyperParameterTuningJob",
        {"HyperParameterTuningJobName": expression(f"${kind}_tuning_job")},
        timeout=cdk.Duration.minutes(1),
        output={},
        assign={f"{kind}_training_job": expression("$states.result.BestTrainingJob.TrainingJobName")},
    )


def _find_live(scope: Construct, kind: str) -> sfn.CustomState:
    """What is live is a parameter of the endpoint's stack; empty: nothing yet."""
    return task(
        scope,
        f"FindLive{kind.capitalize()}",
        "aws-sdk:cloudformation:describeStacks",
        {"StackName": endpoint_stack_name(kind)},
        timeout=cdk.Duration.minutes(1),
        output={},
        assign={
            f"{kind}_live_package": expression(
                "($live := $states.result.Stacks[0].Parameters[ParameterKey = 'LivePackage'].ParameterValue; "
                "$exists($live) ? $live : '')"
            ),
            f"{kind}_live_model": "",
        },
    )


def _locate_live(scope: Construct, kind: str) -> sfn.CustomState:
    return task(
        scope,
        f"LocateLive{kind.capitalize()}",
        "aws-sdk:sagemaker:describeModelPackage",
        {"ModelPackageName": expression(f"${kind}_live_package")},
        timeout=cdk.Duration.minutes(1),
        output={},
        assign={f"{kind}_live_model": expression("$states.result.InferenceSpecification.Containers[0].ModelDataUrl")},
    )


def _evaluate(scope: Construct, kind: str, defaults: JobDefaults) -> sfn.CustomState:
    model = processing_input("model", f"'s3://' & $run.bucket & '/' & {model_key(kind)}")
    features = processing_input("features", "'s3://' & $run.bucket & '/' & $run.features_prefix")
    live = processing_input("live", f"${kind}_live_model")
    request = processing_job(
        defaults,
        job_name(f"evaluate-{kind}", kind=kind),
        arguments=["evaluate", "--kind", kind],
        inputs=expression(f"${kind}_live_model = '' ? [{model}, {features}] : [{model}, {features}, {live}]"),
        output_name="evaluation",
        output_uri=expression(f"'s3://' & $run.bucket & '/' & {_evaluation_prefix(kind)}"),
        max_runtime_seconds=_EVALUATION_SECONDS,
        cluster=planned_cluster(),
    )
    return task(
        scope,
        f"Evaluate{kind.capitalize()}",
        "sagemaker:createProcessingJob.sync",
        request,
        timeout=cdk.Duration.seconds(_EVALUATION_SECONDS + 1800),
        retries=JOB_RETRIES,
        output={},
    )


def _evaluation_prefix(kind: str) -> str:
    return f"'models/' & $run.run_id & '/{kind}/evaluation/'"


def _judge(scope: Construct, kind: str, parts: "TrainingParts") -> sfn.CustomState:
    known = """{'metrics': $states.result.Payload.metrics, 'report': $states.result.Payload.report,
    'gate': {'passed': $states.result.Payload.passed, 'reasons': $states.result.Payload.reasons}}"""
    return invoke(
        scope,
        f"Judge{kind.capitalize()}",
        parts.functions["judge_model"],
        {
            "kind": kind,
            "bucket": expression("$run.bucket"),
            "evaluation_prefix": expression(_evaluation_prefix(kind)),
            "gate": expression("$run.gate"),
            "run": _made_from(kind, parts),
        },
        timeout=cdk.Duration.seconds(60),
        output={},
        assign={
            f"{kind}_judgement": expression("$states.result.Payload"),
            f"{kind}_outcome": expression(f"$merge([${kind}_outcome, {known}])"),
        },
    )


def _made_from(kind: str, parts: "TrainingParts") -> Mapping[str, str]:
    """What only the workflow knows of the model's making; files in S3 have no manifest."""
    return {
        "run_id": expression("$run.run_id"),
        "execution": expression("$states.context.Execution.Id"),
        "trigger": expression("$run.trigger"),
        "reason": expression("$run.reason"),
        "image": parts.defaults.image_uri,
        "training_job": expression(f"${kind}_training_job"),
        "manifest": expression("$exists($manifest.manifest) ? $manifest.manifest : null"),
        "manifest_sha256": expression("$exists($manifest.sha256) ? $manifest.sha256 : null"),
        "source": expression("$run.source.kind = 's3' ? $run.source.uri : $run.source.kind"),
        "features": expression("'s3://' & $run.bucket & '/' & $run.features_prefix"),
        "model_data": expression(f"'s3://' & $run.bucket & '/' & {model_key(kind)}"),
    }


def _register(scope: Construct, kind: str, defaults: JobDefaults, *, approved: bool) -> sfn.CustomState:
    verb, status = ("Register", "registered") if approved else ("RegisterRejected", "rejected")
    known = f"{{'status': '{status}', 'model_package_arn': $states.result.ModelPackageArn}}"
    return task(
        scope,
        f"{verb}{kind.capitalize()}",
        "aws-sdk:sagemaker:createModelPackage",
        model_package(defaults, kind, approved=approved),
        timeout=cdk.Duration.minutes(2),
        output={},
        assign={f"{kind}_outcome": expression(f"$merge([${kind}_outcome, {known}])")},
    )


def _promote(scope: Construct, kind: str, parts: "TrainingParts") -> sfn.CustomState:
    known = "{'status': 'promoted', 'endpoint': $states.result.Output.endpoint_name}"
    return task(
        scope,
        f"Promote{kind.capitalize()}",
        "states:startExecution.sync:2",
        {
            "StateMachineArn": parts.promote_model.state_machine_arn,
            "Name": expression(f"'train-' & $run.run_id & '-{kind}-' & {ATTEMPT}"),
            "Input": {
                "kind": kind,
                "model_package_arn": expression(f"${kind}_outcome.model_package_arn"),
                "reason": expression(
                    """'trained by run ' & $run.run_id
                    & ' (' & $run.trigger & ($run.reason = '' ? '' : ': ' & $run.reason) & ')'"""
                ),
                # Links the two executions in the console.
                "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": expression("$states.context.Execution.Id"),
            },
        },
        # PromoteModel ends by itself before this.
        timeout=cdk.Duration.hours(5),
        retries=(NESTED_RETRY,),
        output={},
        assign={f"{kind}_outcome": expression(f"$merge([${kind}_outcome, {known}])")},
    )


def _failed(scope: Construct, kind: str, parts: "TrainingParts") -> sfn.CustomState:
    """The branch's own failure: it becomes the outcome, with what was known until then."""
    title = kind.capitalize()

    def ended(name: str, cause: str) -> sfn.Pass:
        outcome = f"$merge([${kind}_outcome, {{'status': 'failed', 'cause': {cause}}}])"
        return sfn.Pass.jsonata(scope, name, outputs=expression(outcome))

    described = describe(scope, f"Describe{title}Failure", parts.functions["describe_failure"], f"${kind}_caught")
    described.add_catch(ended(f"{title}FailedUndescribed", f"${kind}_caught.cause"), errors=["States.ALL"])
    described.next(ended(f"{title}Failed", "$states.input.cause"))
    return described
