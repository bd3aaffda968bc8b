"""Which Python module stands behind an image URI, and the environment that its containers start with."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from local.containers.container import Start
from local.sagemaker.errors import not_on_the_laptop, validation
from local.sagemaker.settings import Credentials, Settings

INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "NUMBA_CACHE_DIR", "LD_LIBRARY_PATH", "SYSTEMROOT")
CONTRACT_ROOT = "/opt/ml"


def module_of(image: str, settings: Settings) -> str:
    """Raises ValidationException for an image that the registry does not hold, as SageMaker does."""
    for suffix, module in settings.images.items():
        if image == suffix or image.endswith(f"/{suffix}"):
            return module
    raise validation(f"Requested image {image} not found.")


def local_path(contract_path: str, root: Path) -> Path:
    """Where a path of the container contract lies on this machine."""
    if contract_path != CONTRACT_ROOT and not contract_path.startswith(f"{CONTRACT_ROOT}/"):
        raise validation(f"LocalPath {contract_path} must start with {CONTRACT_ROOT}/.")
    return root / contract_path.removeprefix(CONTRACT_ROOT).lstrip("/")


def environment_of(settings: Settings, credentials: Credentials, root: Path, *own: Mapping[str, str]) -> dict[str, str]:
    """A container's environment: little of the machine's, the role's credentials, then what the request gives."""
    base = {name: os.environ[name] for name in INHERITED if name in os.environ}
    base.update(
        {
            "SAGEMAKER_ROOT": str(root),
            "AWS_REGION": settings.region,
            "AWS_DEFAULT_REGION": settings.region,
            "AWS_ENDPOINT_URL": settings.endpoint_url,
            "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            # Five trials share the cores of a laptop; a training job in AWS has its instance for itself.
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
    )
    if token := credentials.get("SessionToken"):
        base["AWS_SESSION_TOKEN"] = token
    base.update(settings.container_environment)
    for mapping in own:
        base.update(mapping)
    return base


def start_of(
    settings: Settings,
    image: str,
    *,
    entrypoint: Sequence[str] | None,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
) -> Start:
    """The image's own ENTRYPOINT, or another command given in its place."""
    module, command = module_of(image, settings), tuple[str, ...]()
    given = list(entrypoint or [])
    if given[:2] in (["python", "-m"], ["python3", "-m"]) and len(given) > 2:
        module, arguments = given[2], (*given[3:], *arguments)
    elif given:
        command = (*given, *arguments)
    if command and command[0].startswith(CONTRACT_ROOT):
        raise not_on_the_laptop(f"an entry point below {CONTRACT_ROOT}")
    return Start(
        module=module,
        arguments=tuple(arguments),
        environment=environment,
        log=log,
        directory=settings.code_root,
        command=command,
    )
