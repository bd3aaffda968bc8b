"""SageMaker's errors, named as its API names them."""

from __future__ import annotations


class SageMakerError(Exception):
    """An error answer of the API: its code, message and HTTP status."""

    def __init__(self, code: str, message: str, http_status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.http_status = http_status


def validation(message: str) -> SageMakerError:
    return SageMakerError("ValidationException", message)


def resource_in_use(message: str) -> SageMakerError:
    return SageMakerError("ResourceInUse", message)


def resource_not_found(message: str) -> SageMakerError:
    return SageMakerError("ResourceNotFound", message)


def conflict(message: str) -> SageMakerError:
    return SageMakerError("ConflictException", message)


def limit_exceeded(message: str) -> SageMakerError:
    return SageMakerError("ResourceLimitExceeded", message)


def not_on_the_laptop(feature: str) -> SageMakerError:
    """AWS would accept this; refused by name, so that nothing is silently left out."""
    return validation(f"{feature} is not provided by the laptop cloud's SageMaker.")


class JobFailed(Exception):
    """Why a job ends as Failed, in the words of its FailureReason."""


class InstanceLost(JobFailed):
    """The machine below a container is gone: the platform's fault, the one that a job's RetryStrategy is for."""

    def __init__(self) -> None:
        super().__init__("InternalServerError: We encountered an internal error. Please try again.")


class InvocationError(Exception):
    """An error answer of the runtime: its code, HTTP status and modelled members."""

    def __init__(self, code: str, http_status: int, message: str, **members: object) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.http_status = http_status
        self.body: dict[str, object] = {"Message": message, **members}
