import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from local.cloud import CloudError, LaptopCloud
from local.processes import ProcessIdentity, ProcessRecord, free_port
from local.settings import client_environment, server_environment

STARTER = """
import sys, time
from pathlib import Path
from local.cloud import LaptopCloud
cloud = LaptopCloud(Path(sys.argv[1]), port=int(sys.argv[2]))
cloud.start()
print("up", flush=True)
time.sleep(120)
"""


def wait_until(condition: object, seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if callable(condition) and condition():
            return True
        time.sleep(0.1)
    return False


def test_it_answers_as_the_laptops_administrator_and_nobody_else_is_let_in(laptop: LaptopCloud) -> None:
    import boto3
    from botocore.exceptions import ClientError

    assert laptop.client("sts").get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:root"
    stranger = boto3.client(
        "s3",
        endpoint_url=laptop.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
        aws_secret_access_key="wrong",
    )
    with pytest.raises(ClientError, match=r"InvalidAccessKeyId|Forbidden|does not exist"):
        stranger.list_buckets()


def test_it_listens_on_the_loopback_alone(laptop: LaptopCloud) -> None:
    server = ProcessRecord(laptop.settings.state_dir / "processes.json").read()[0]
    addresses = set()
    inodes = {
        os.readlink(f"/proc/{server.pid}/fd/{entry}")
        for entry in os.listdir(f"/proc/{server.pid}/fd")
        if os.path.exists(f"/proc/{server.pid}/fd/{entry}")
    }
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                addresses.add(fields[1].partition(":")[0])
    assert addresses == {"0100007F"}  # 127.0.0.1, little endian


def test_a_taken_port_is_refused_with_its_owner_and_a_remedy(tmp_path: Path) -> None:
    port = free_port()
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(CloudError, match=rf"port {port} on 127\.0\.0\.1 is taken.*CLOUD_PORT"),
    ):
        LaptopCloud(tmp_path, port=port).start()


def test_the_server_dies_with_a_killed_run_and_the_next_run_starts_on_the_same_port(tmp_path: Path) -> None:
    port = free_port()
    arguments = [sys.executable, "-c", STARTER, str(tmp_path), str(port)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "up\n"
        server = ProcessRecord(tmp_path / "processes.json").read()[0]
        starter.send_signal(signal.SIGKILL)
        starter.wait()
    assert wait_until(lambda: not server.is_alive())
    with LaptopCloud(tmp_path, port=port) as cloud:
        assert cloud.is_healthy()


def test_a_survivor_of_an_earlier_run_is_ended_before_the_next_starts(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"]) as survivor:
        identity = ProcessIdentity.of(survivor.pid)
        assert identity is not None
        ProcessRecord(tmp_path / "processes.json").add(identity)
        LaptopCloud(tmp_path, port=0).stop()
        assert survivor.wait(10) == -signal.SIGTERM


def test_an_invoke_url_of_aws_is_reachable_here() -> None:
    cloud = LaptopCloud(Path("/nonexistent"), port=4999)
    url = cloud.reachable_url("https://3a0ca836.execute-api.us-east-1.amazonaws.com/v1/")
    assert url == "http://127.0.0.1:4999/_aws/execute-api/3a0ca836/v1/"
    sign_in = "https://iops-insights-000000000000.auth.us-east-1.amazoncognito.com"
    assert cloud.reachable_url(f"{sign_in}/oauth2/token") == "http://127.0.0.1:4999/oauth2/token"
    assert cloud.reachable_url("http://example.com/") == "http://example.com/"


def test_a_developers_own_aws_settings_never_reach_the_cloud(tmp_path: Path) -> None:
    base = {
        "AWS_PROFILE": "production",
        "AWS_SESSION_TOKEN": "secret",
        "DOCKER_HOST": "tcp://elsewhere",
        "PYTHONPATH": "/somewhere",
        "HOME": "/home/somebody",
    }
    settings = LaptopCloud(tmp_path, port=4999).settings
    for environment in (
        client_environment(settings.endpoint_url, base=base),
        server_environment(settings, base=base),
    ):
        assert environment["HOME"] == "/home/somebody"
        assert not {"AWS_PROFILE", "AWS_SESSION_TOKEN", "PYTHONPATH"} & environment.keys()
        assert environment.get("DOCKER_HOST") != "tcp://elsewhere"


def test_everything_that_the_server_writes_is_below_its_state_folder(tmp_path: Path) -> None:
    environment = server_environment(LaptopCloud(tmp_path, port=4999).settings, base={})
    for name in ("STATE_DIR", "S3_DATA_DIR", "TMPDIR", "IOPS_CLOUD_STATE"):
        assert environment[name].startswith(str(tmp_path.resolve()))


def test_a_lambda_has_the_runtimes_libraries_and_errors(laptop: LaptopCloud, make_function: object) -> None:
    source = """
class Unacceptable(ValueError):
    pass

def handler(event, context):
    if event.get("fail"):
        raise Unacceptable("because")
    try:
        import numpy
    except ImportError:
        import boto3
        return boto3.client("sts").get_caller_identity()["Arn"]
    return "numpy must not be importable"
"""
    assert callable(make_function)
    name = make_function("runtime", source)
    functions = laptop.client("lambda")
    who = json.loads(functions.invoke(FunctionName=name, Payload="{}")["Payload"].read())
    assert who.startswith("arn:aws:sts::000000000000:assumed-role/runtime/")
    refused = functions.invoke(FunctionName=name, Payload='{"fail": true}')
    error = json.loads(refused["Payload"].read())
    assert refused["FunctionError"] == "Unhandled"
    assert (error["errorType"], error["errorMessage"]) == ("Unacceptable", "because")
    assert "Unacceptable" in error["stackTrace"][-1]


def test_an_answer_brings_its_own_log_and_nothing_else(laptop: LaptopCloud, make_function: object) -> None:
    """The log's end is marked by the worker: nothing waits for silence, no line moves to the next call or is lost."""
    source = """
import sys

def handler(event, context):
    for number in range(event["lines"]):
        print("line", event["call"], number)
    if event["unended"]:
        sys.stderr.write("no newline")
    if event["fails"]:
        raise ValueError("because")
"""
    assert callable(make_function)
    name = make_function("talkative", source)
    functions = laptop.client("lambda")

    def log(call: int, *, lines: int = 0, unended: bool = False, fails: bool = False) -> list[str]:
        payload = json.dumps({"call": call, "lines": lines, "unended": unended, "fails": fails})
        answer = functions.invoke(FunctionName=name, Payload=payload, LogType="Tail")
        text = base64.b64decode(answer.get("LogResult", "")).decode()
        return [line for line in text.splitlines() if not line.startswith(("START", "END", "REPORT"))]

    assert log(1, lines=3) == ["line 1 0", "line 1 1", "line 1 2"]
    assert log(2, lines=40)[-1] == "line 2 39"
    assert log(3) == []
    assert log(4, lines=1, unended=True) == ["line 4 0", "no newline"]
    assert log(5, lines=1, fails=True)[0] == "line 5 0"
