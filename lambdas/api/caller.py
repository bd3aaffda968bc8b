"""Who asks: the claims of the access token that API Gateway has verified."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from lambdas.api.problems import MissingScope

RESOURCE_SERVER = "iops"


@dataclass(frozen=True, kw_only=True)
class Caller:
    """`client_id` is what limits count; `name` is the person, or the client itself where a service asks."""

    client_id: str
    name: str
    scopes: frozenset[str]

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> Self:
        authorizer = (event.get("requestContext") or {}).get("authorizer") or {}
        claims = authorizer.get("claims") or {}
        client_id = str(claims.get("client_id", ""))
        return cls(
            client_id=client_id,
            name=str(claims.get("username") or client_id),
            scopes=frozenset(str(claims.get("scope", "")).split()),
        )

    def require(self, scope: str) -> None:
        """The gateway's method demands the scope too; this holds where a deployment lost that setting."""
        if not self.client_id or f"{RESOURCE_SERVER}/{scope}" not in self.scopes:
            raise MissingScope(f"the access token lacks the scope {RESOURCE_SERVER}/{scope}; sign in asking for it")
