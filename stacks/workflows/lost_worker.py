"""A processing job whose worker was lost is started once more, by the same request under a name of its own.

One that said why it failed is not: it would say the same again, an instance's start and its own minutes later. A retrier
cannot tell them apart, as it knows errors by name and each failed job of `.sync` is States.TaskFailed; nor one that was
stopped by hand or at its time limit.
"""

from collections.abc import Sequence

from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.workflows.steps import CAUGHT, choice, expression, when

# InternalServerError: the instance was lost. 137: the container was killed, by what nobody says; if it was for its memory,
# it costs its minutes twice. ExitMessage is what the container said itself (training_container/sagemaker_contract.py).
_WAS_LOST = (
    r"""{caught}.error = 'States.TaskFailed' and $not($contains({caught}.cause, /"ExitMessage": ?"/))"""
    r""" and $contains({caught}.cause, /"FailureReason": ?"(InternalServerError|[^"]*exit code: 137)/)"""
)


def repeated(kind: str = "") -> str:
    """The variable with the names of the states whose job was started once more; a branch has its own."""
    return f"{kind}_repeated" if kind else "repeated"


def catch_lost(scope: Construct, jobs: Sequence[sfn.CustomState], *, otherwise: sfn.IChainable, kind: str = "") -> None:
    """Catch whatever these states fail by: a worker that was lost for the first time, or `otherwise`."""
    caught, names = (f"{kind}_caught" if kind else "caught"), repeated(kind)
    lost = choice(scope, f"Was{kind.capitalize()}WorkerLost")
    for job in jobs:
        job.add_catch(lost, errors=["States.ALL"], assign={caught: expression(CAUGHT)})
        first = f"${caught}.state = '{job.id}' and $not('{job.id}' in ${names})"
        lost.when(
            when(f"{first} and {_WAS_LOST.format(caught=f'${caught}')}"),
            job,
            assign={names: expression(f"$append(${names}, '{job.id}')")},
        )
    lost.otherwise(otherwise)


def again(kind: str = "") -> str:
    """The end of the job's name in an expression: it must not meet its predecessor's."""
    return f"($states.context.State.Name in ${repeated(kind)} ? '-again' : '')"
