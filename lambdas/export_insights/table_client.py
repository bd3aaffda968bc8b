"""A DynamoDB client that leaves the attribute values of items as JSON has them.

botocore walks every value of every item against its model, which takes longer than all else that is done with a row
(bench export); an export reads only numbers, texts and booleans, which need no translation.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from botocore.parsers import JSONParser, ResponseParser, ResponseParserFactory
from botocore.session import Session

from lambdas.clients import PATIENT

ITEM_SHAPE = "AttributeMap"


class ItemsAsTheyCome(JSONParser):
    def _handle_map(self, shape: Any, value: Any) -> Any:
        if shape.name == ITEM_SHAPE:
            return value
        return super()._handle_map(shape, value)


class _Factory(ResponseParserFactory):
    def create_parser(self, protocol_name: str) -> ResponseParser:
        return ItemsAsTheyCome() if protocol_name == "json" else super().create_parser(protocol_name)


@cache
def table_client() -> Any:
    session = Session()
    session.register_component("response_parser_factory", _Factory())
    return session.create_client("dynamodb", config=PATIENT)
