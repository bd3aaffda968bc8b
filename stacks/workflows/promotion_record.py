"""The end of every promotion: its record is written, then it succeeds or fails. docs/promotion.md has the format.

Each path leaves what came out in `$outcome` ({'outcome', 'live'} and, where it failed, {'error', 'cause'}) and goes to
`entry`, so that none can end without a record.
"""

import aws_cdk as cdk
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.workflows.steps import choice, expression, task, when

PREFIX = "promotions"

# Of an input that is no object, or names no kind of ours, there is a record too.
_KIND = "($exists($asked.kind) and $asked.kind in ['risk', 'performance'] ? $asked.kind : 'unknown')"
_TARGET = """($exists($plan.target_package) ? $plan.target_package
    : $exists($asked.model_package_arn) ? $asked.model_package_arn : $exists($asked.version) ? $asked.version : null)"""
_WHO = """($exists($asked.requested_by) ? $asked.requested_by
    : $exists($asked.AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID) ? $asked.AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID
    : 'not given; CloudTrail has who called StartExecution for ' & $states.context.Execution.Id)"""
_RECORD = f"""{{'format': 1, 'kind': {_KIND}, 'outcome': $outcome.outcome,
    'from': $exists($plan.previous_package) ? $plan.previous_package : null, 'to': {_TARGET}, 'live': $outcome.live,
    'experiment': $exists($plan.experiment) ? $plan.experiment : null,
    'is_roll_back': $exists($asked.version) and $asked.version = 'previous',
    'requested_by': {_WHO}, 'reason': $exists($asked.reason) ? $asked.reason : '',
    'started_at': $states.context.Execution.StartTime, 'ended_at': $now(),
    'execution': $states.context.Execution.Id,
    'error': $exists($outcome.error) ? $outcome.error : null,
    'cause': $exists($outcome.cause) ? $outcome.cause : null}}"""
# Keys sort by time; an execution's name is unique for 90 days.
_KEY = f"""'{PREFIX}/' & {_KIND} & '/' & $replace($now(), ':', '-') & '-' & $states.context.Execution.Name & '.json'"""


class PromotionRecord(Construct):
    """A record that cannot be written undoes nothing; the output, or the cause, says so."""

    def __init__(self, scope: Construct, construct_id: str, *, bucket: s3.IBucket) -> None:
        super().__init__(scope, construct_id)
        self.entry = sfn.Pass.jsonata(
            self, "ComposeRecord", outputs={}, assign={"record": expression(_RECORD), "record_key": expression(_KEY)}
        )
        put = task(
            self,
            "RecordPromotion",
            "aws-sdk:s3:putObject",
            {
                "Bucket": bucket.bucket_name,
                "Key": expression("$record_key"),
                "Body": expression("$record"),
                "ContentType": "application/json",
            },
            timeout=cdk.Duration.minutes(1),
            output={},
            assign={"recorded": expression(f"'s3://{bucket.bucket_name}/' & $record_key")},
        )
        ends = self._ends()
        unrecorded = sfn.Pass.jsonata(self, "Unrecorded", outputs={})
        put.add_catch(
            unrecorded,
            errors=["States.ALL"],
            assign={
                "unrecorded": expression(
                    "$states.errorOutput.Error & ': ' & ($exists($states.errorOutput.Cause)"
                    " ? $states.errorOutput.Cause : 'no cause')"
                )
            },
        )
        unrecorded.next(ends)
        self.entry.next(put).next(ends)

    def _ends(self) -> sfn.Choice:
        failed = sfn.Fail.jsonata(
            self,
            "NotPromoted",
            error=expression("$outcome.error"),
            cause=expression(
                """$outcome.cause & ($unrecorded = '' ? ' Recorded as ' & $recorded & '.'
                : ' The record was not written: ' & $unrecorded)"""
            ),
        )
        succeeded = sfn.Succeed.jsonata(
            self,
            "Promoted",
            outputs=expression(
                """{'kind': $plan.kind, 'endpoint_name': $plan.endpoint_name, 'stack_name': $plan.stack_name,
                'live_package': $plan.live_after, 'experiment': $plan.experiment, 'previous_package': $plan.previous_package,
                'status': $outcome.outcome, 'traffic_shift': $plan.traffic_shift, 'verification': $verification,
                'replaced': $outcome.replaced, 'recorded': $unrecorded = '' ? $recorded : null,
                'unrecorded': $unrecorded, 'rest': $rest}"""
            ),
        )
        return choice(self, "DidItGoLive").when(when("$exists($outcome.error)"), failed).otherwise(succeeded)
