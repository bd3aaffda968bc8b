"""PreparePromotion: adapter between Step Functions and `prepare_promotion`."""

from __future__ import annotations

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.environment import read_environment
from lambdas.prepare_promotion.prepare_promotion import PromotionEnvironment, prepare_promotion

logger = Logger()


@cache
def environment() -> PromotionEnvironment:
    return read_environment(PromotionEnvironment)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    promotion = prepare_promotion(event, environment=environment())
    logger.info("promotion prepared", extra={"promotion": promotion})
    return promotion
