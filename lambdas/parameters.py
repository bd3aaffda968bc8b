"""One SSM parameter, read without botocore's client for SSM.

That client's model of 400 operations would be read at a function's cold start (its cost is a row of `make bench
BENCH=cold_lambda`); one signed request costs nothing before it is made.
"""

from __future__ import annotations

import json
import os
from functools import cache

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError, HTTPClientError, NoCredentialsError
from botocore.httpsession import URLLib3Session

from lambdas.clients import session

# The reader waits for it at a cold start, beside its other reads.
CONNECT_SECONDS = 0.5
READ_SECONDS = 0.5


class ParameterUnread(RuntimeError):
    """SSM gave no value: it is slow, down, or the parameter is missing or forbidden."""


def parameter_value(name: str) -> str:
    request = AWSRequest(
        method="POST",
        url=_url(_region()),
        data=json.dumps({"Name": name}),
        headers={"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "AmazonSSM.GetParameter"},
    )
    try:
        credentials = session().get_credentials()
        if credentials is None:
            raise NoCredentialsError
        SigV4Auth(credentials.get_frozen_credentials(), "ssm", _region()).add_auth(request)
        response = _http().send(request.prepare())
        if response.status_code != 200:
            raise ParameterUnread(f"SSM answered {response.status_code} for {name}: {response.text}")
        return str(json.loads(response.content)["Parameter"]["Value"])
    except (BotoCoreError, HTTPClientError, ValueError, LookupError) as error:
        raise ParameterUnread(f"{name} was not read: {error}") from error


def _region() -> str:
    return str(session().get_config_variable("region"))


def _url(region: str) -> str:
    """As botocore resolves it: the service's own override, the general one, AWS."""
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    given = os.environ.get("AWS_ENDPOINT_URL_SSM") or os.environ.get("AWS_ENDPOINT_URL")
    return (given or f"https://ssm.{region}.{suffix}").rstrip("/") + "/"


@cache
def _http() -> URLLib3Session:
    return URLLib3Session(timeout=(CONNECT_SECONDS, READ_SECONDS))
