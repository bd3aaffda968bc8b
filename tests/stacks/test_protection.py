"""What protects data at rest, on its way, from the public and in logs, over the templates of every stage for AWS."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from tests.conftest import Assembly
from tests.stacks.test_templates import definition, states

Resource = tuple[str, Mapping[str, Any]]
KEPT_DAYS = {"dev": 30, "prod": 365}


class Stage:
    """The resources of one stage's templates."""

    def __init__(self, name: str, templates: Mapping[str, Mapping[str, Any]]) -> None:
        self.name, self.templates = name, templates

    def of(self, kind: str) -> list[Resource]:
        """Name as "Stack.LogicalId", and properties."""
        return [
            (f"{stack}.{name}", resource.get("Properties", {}))
            for stack, template in self.templates.items()
            for name, resource in template["Resources"].items()
            if resource["Type"] == kind
        ]

    def refusing_plain_text(self, kind: str) -> set[str]:
        """What a policy of this type is about, where it denies everybody whose request comes without TLS."""
        found = set()
        for name, policy in self.of(kind):
            denied = [
                statement
                for statement in policy["PolicyDocument"]["Statement"]
                if statement["Effect"] == "Deny"
                and statement["Principal"] in ("*", {"AWS": "*"})
                and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
            ]
            assert len(denied) == 1, name
            stack = name.partition(".")[0]
            targets = policy.get("Topics") or policy.get("Queues") or [policy["Bucket"]]
            found |= {f"{stack}.{target['Ref']}" for target in targets}
        return found


@pytest.fixture(scope="module", params=["dev", "prod"])
def stage(request: pytest.FixtureRequest, synthesise: Callable[..., Assembly]) -> Stage:
    return Stage(request.param, synthesise(stage=request.param).templates)


# DynamoDB encrypts every table; a table of this list with a key of its own instead of AWS's (which is not the account's to
# see), so that the key's use is in CloudTrail.
COUNTERS_ONLY = re.compile(r"IopsApi\.FunctionsRequestsTable")


def test_tables_with_telemetry_are_encrypted_with_a_key_of_the_account(stage: Stage) -> None:
    tables = dict(stage.of("AWS::DynamoDB::Table"))
    without = [name for name, table in tables.items() if table.get("SSESpecification") != {"SSEEnabled": True}]
    assert len(tables) == 4
    assert [name for name in without if not COUNTERS_ONLY.match(name)] == []


def test_buckets_are_encrypted_and_closed_to_the_public(stage: Stage) -> None:
    buckets = stage.of("AWS::S3::Bucket")
    assert len(buckets) == 2
    for name, bucket in buckets:
        [rule] = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] in ("AES256", "aws:kms"), name
        blocked = bucket["PublicAccessBlockConfiguration"]
        assert set(blocked.values()) == {True}, name
        assert len(blocked) == 4, name
        assert "AccessControl" not in bucket, name
        assert "WebsiteConfiguration" not in bucket, name


def test_queues_are_encrypted(stage: Stage) -> None:
    queues = stage.of("AWS::SQS::Queue")
    assert len(queues) == 2
    assert [name for name, queue in queues if queue.get("SqsManagedSseEnabled") is not True] == []


def test_buckets_topics_and_queues_take_tls_only(stage: Stage) -> None:
    """A topic lies on encrypted disks (SNS guide, "Data encryption"). A key of one's own would have to let CloudWatch,
    EventBridge and Budgets use it, to protect alarms' names and the summaries of runs."""
    for kind, policies in (
        ("AWS::S3::Bucket", "AWS::S3::BucketPolicy"),
        ("AWS::SNS::Topic", "AWS::SNS::TopicPolicy"),
        ("AWS::SQS::Queue", "AWS::SQS::QueuePolicy"),
    ):
        assert {name for name, _ in stage.of(kind)} == stage.refusing_plain_text(policies) != set()


def statements(stage: Stage) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for kind in ("AWS::S3::BucketPolicy", "AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy"):
        for name, policy in stage.of(kind):
            yield from ((name, statement) for statement in policy["PolicyDocument"]["Statement"])


def test_no_policy_of_a_resource_lets_everybody_in_and_none_a_service_of_other_accounts(stage: Stage) -> None:
    """A service acts for whoever asks it: without a condition on source or account that is anybody (confused deputy)."""
    for name, statement in statements(stage):
        if statement["Effect"] == "Allow":
            assert statement["Principal"] not in ("*", {"AWS": "*"}), name
            if "Service" in statement["Principal"]:
                keys = {key.lower() for test in statement["Condition"].values() for key in test}
                assert keys & {"aws:sourcearn", "aws:sourceaccount"}, name


def test_every_log_group_is_made_here_and_kept_as_long_as_the_stage_says(stage: Stage) -> None:
    """A page's deployment says nothing of anybody: a month in every stage."""
    groups = {f"{name}": group.get("RetentionInDays") for name, group in stage.of("AWS::Logs::LogGroup")}
    page = {name: days for name, days in groups.items() if name.startswith("IopsDashboard.")}
    assert set(page.values()) <= {30}
    assert {days for name, days in groups.items() if name not in page} == {KEPT_DAYS[stage.name]}
    functions = stage.of("AWS::Lambda::Function")
    without = [name for name, function in functions if "LoggingConfig" not in function]
    assert all("CustomS3AutoDelete" in name for name in without), "CDK's emptying function is the stack's last act"


def test_the_apis_logs_hold_no_body_and_no_token(stage: Stage) -> None:
    [(_, api)] = stage.of("AWS::ApiGateway::Stage")
    logged = json.loads(api["AccessLogSetting"]["Format"])
    assert set(logged) == {
        "requestId", "ip", "user", "caller", "requestTime", "httpMethod", "resourcePath", "status", "protocol",
        "responseLength",
    }  # fmt: skip
    assert all(re.fullmatch(r"\$context\.[\w.]+", value) for value in logged.values())
    # Data tracing writes whole requests and answers; execution logs are errors only.
    assert [s for s in api["MethodSettings"] if s.get("DataTraceEnabled") or s.get("LoggingLevel") == "INFO"] == []


def test_no_function_is_told_to_log_its_events(stage: Stage) -> None:
    for name, function in stage.of("AWS::Lambda::Function"):
        variables = function.get("Environment", {}).get("Variables", {})
        assert not {"POWERTOOLS_LOGGER_LOG_EVENT", "POWERTOOLS_DEV", "POWERTOOLS_DEBUG"} & set(variables), name
        assert variables.get("POWERTOOLS_LOG_LEVEL", "INFO") == "INFO", name


def test_only_tls_1_2_and_newer_reaches_the_page_and_the_api(stage: Stage) -> None:
    """API Gateway's default security policy for its own name is TLS 1.2's since 2024 (API Gateway guide)."""
    [(_, distribution)] = stage.of("AWS::CloudFront::Distribution")
    config = distribution["DistributionConfig"]
    behaviours = [config["DefaultCacheBehavior"], *config["CacheBehaviors"]]
    assert {b["ViewerProtocolPolicy"] for b in behaviours} <= {"redirect-to-https", "https-only"}
    origins = [o["CustomOriginConfig"] for o in config["Origins"] if "CustomOriginConfig" in o]
    assert [(o["OriginProtocolPolicy"], o["OriginSSLProtocols"]) for o in origins] == [("https-only", ["TLSv1.2"])]


def test_no_container_has_a_network(stage: Stage) -> None:
    """Whatever a model package or a library in the image does: it can call nobody."""
    assert len(stage.of("AWS::SageMaker::Model")) == 4
    assert [name for name, model in stage.of("AWS::SageMaker::Model") if not model["EnableNetworkIsolation"]] == []
    jobs = [
        (name, state["Arguments"])
        for machine in ("TrainModels", "WatchModels")
        for name, state in states(definition(stage.templates["IopsTraining"], machine))
        if "RoleArn" in json.dumps(state.get("Arguments", {}))
    ]
    assert len(jobs) > 5
    for name, job in jobs:
        isolated = job.get("NetworkConfig", job.get("TrainingJobDefinition", {}))
        assert isolated.get("EnableNetworkIsolation") is True, name


def test_each_role_is_taken_by_one_service_and_by_nobody_else(stage: Stage) -> None:
    for name, role in stage.of("AWS::IAM::Role"):
        [statement] = role["AssumeRolePolicyDocument"]["Statement"]
        assert set(statement["Principal"]) == {"Service"}, name
        assert statement["Action"] == "sts:AssumeRole", name


# ---- secrets: what has the shape of one, and what is as random as one.

SHAPES = (
    re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    re.compile(r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\."),
    re.compile(r"\b(?:ghp|gho|xox[bap]|sk_live)[_-]\w{16,}"),
    re.compile(
        r"(?i)\b\w*(?:password|passwd|secret|api_?key|access_?key|token)\w*\b[\"']?\s*[:=]\s*[\"']?[^\s\"'{}$]{6,}"
    ),
)
WORD = re.compile(r"[A-Za-z0-9+/=_-]{20,}")
MOST_BITS = 4.3
"""Of a character: twenty random ones of base64 have 4.2 and forty 4.9, words and names fewer."""
HASHES = re.compile(r"[0-9a-f]{40,64}|[A-Za-z0-9]*[0-9A-F]{8}([0-9a-f]{32})?")
"""Asset hashes, and CDK's logical ids with theirs."""


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{place}]")
    elif isinstance(value, str):
        yield path, value


def bits_per_character(word: str) -> float:
    counts = Counter(word)
    return -sum(n / len(word) * math.log2(n / len(word)) for n in counts.values())


def looks_secret(path: str, value: str) -> bool:
    if any(shape.search(value) for shape in SHAPES):
        return True
    _, of_a_variable, name = path.rpartition(".Variables.")
    if of_a_variable and SHAPES[-1].search(f"{name}={value}"):
        return True
    words = [word for word in WORD.findall(value) if re.search(r"\d", word) and re.search(r"[A-Za-z]", word)]
    return any(bits_per_character(word) > MOST_BITS and not HASHES.fullmatch(word) for word in words)


def secrets_in(template: Any) -> list[str]:
    return [path for path, value in leaves(template) if looks_secret(path, value)]


def test_no_secret_stands_in_a_template(stage: Stage) -> None:
    found = {stack: secrets_in(template) for stack, template in stage.templates.items()}
    assert {stack: paths for stack, paths in found.items() if paths} == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("DB_PASSWORD", "correct-horse"),
        ("ANYTHING", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        ("PEM", "-----BEGIN RSA PRIVATE KEY-----\nMIIE"),
        ("URL", "https://user@host?api_key=8f14e45fceea167a"),
        ("HEADER", "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.sig"),
    ],
)
def test_a_planted_secret_is_found(stage: Stage, name: str, value: str) -> None:
    function = next(
        n for n, r in stage.templates["IopsApi"]["Resources"].items() if r["Type"] == "AWS::Lambda::Function"
    )
    template = json.loads(json.dumps(stage.templates["IopsApi"]))
    template["Resources"][function]["Properties"]["Environment"]["Variables"][name] = value
    assert secrets_in(template) == [f".Resources.{function}.Properties.Environment.Variables.{name}"]
