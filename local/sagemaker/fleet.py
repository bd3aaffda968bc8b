"""The instances of an endpoint's variants: started, pinged, restarted when they die, drained when they go."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import logging
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.containers.container import Container
from local.sagemaker.connections import Connections
from local.sagemaker.errors import JobFailed
from local.sagemaker.images import environment_of, start_of
from local.sagemaker.logs import LogTail
from local.sagemaker.models import Servable
from local.sagemaker.ports import free_port
from local.sagemaker.service import Service
from local.sagemaker.transfer import download_archive
from local.settings import HOST

logger = logging.getLogger("iops.sagemaker")
PING_EVERY_SECONDS = 0.05
RESTART_PAUSE_SECONDS = 0.5
LONGEST_RESTART_PAUSE_SECONDS = 10.0


@dataclass(eq=False)
class ServingInstance:
    """One container process behind its own port."""

    root: Path
    port: int
    container: Container
    tail: LogTail
    connections: Connections
    is_ready: bool = False
    is_leaving: bool = False
    in_flight: int = 0


@dataclass(eq=False)
class VariantFleet:
    """The instances of one variant; `desired` is what it should have, `ready()` those that answer now."""

    service: Service
    endpoint: str
    name: str
    servable: Servable
    weight: float
    desired: int
    health_check_seconds: float
    is_shadow: bool = False
    config_name: str = ""
    instances: list[ServingInstance] = field(default_factory=list)
    _turn: Any = field(default_factory=itertools.count)
    _lock: threading.Condition = field(default_factory=threading.Condition)
    _starting: threading.Lock = field(default_factory=threading.Lock)

    def ready(self) -> list[ServingInstance]:
        """Instances that take requests."""
        with self._lock:
            return [instance for instance in self.instances if instance.is_ready]

    @contextlib.contextmanager
    def lease(self, tried: Collection[ServingInstance] = ()) -> Iterator[ServingInstance | None]:
        """The instance whose turn it is, for one request; it does not leave before the request is answered.

        None when no instance but those tried already takes requests.
        """
        with self._lock:
            found = [instance for instance in self.ready() if instance not in tried]
            instance = found[next(self._turn) % len(found)] if found else None
            if instance is not None:
                instance.in_flight += 1
        try:
            yield instance
        finally:
            if instance is not None:
                with self._lock:
                    instance.in_flight -= 1
                    self._lock.notify_all()

    def grow(self) -> None:
        """Start what is missing, side by side; raises JobFailed with the reason when one does not become healthy."""
        for instance in self._start_missing():
            self._await_health(instance)

    def _start_missing(self) -> list[ServingInstance]:
        """One thread at a time: scaling out and the replacement of a dead instance must not fill the same place."""
        with self._starting:
            return [self._start() for _ in range(self.desired - len(self.instances))]

    def shrink(self, count: int) -> None:
        """Let the newest instances finish what they are answering and end."""
        with self._lock:
            leaving = self.instances[count:]
            del self.instances[count:]  # from here on no request gets to them
            for instance in leaving:
                instance.is_leaving = True
        self._end(leaving)

    def resize(self, count: int) -> None:
        """Have `count` instances; when new ones do not become healthy, the number stays what it was."""
        before, self.desired = self.desired, count
        try:
            self.grow()
        except Exception:
            self.desired = before
            raise
        finally:
            self.shrink(self.desired)

    def stop(self) -> None:
        self.desired = 0
        self.shrink(0)

    def _start(self) -> ServingInstance:
        settings = self.service.settings
        name = f"{self.name}-{secrets.token_hex(4)}"
        root = (settings.containers_dir / "endpoints" / self.endpoint / name).resolve()
        (root / "model").mkdir(parents=True)
        role = self.servable.role_arn
        if self.servable.model_data_url:
            download_archive(self.service.clients.for_role("s3", role), self.servable.model_data_url, root / "model")
        port = free_port()
        own = {"SAGEMAKER_BIND_TO_PORT": str(port), "BIND_HOST": HOST, **self.servable.environment}
        log = settings.state_dir / "logs" / "endpoints" / self.endpoint / f"{name}.log"
        start = start_of(
            settings,
            self.servable.image,
            entrypoint=None,
            arguments=("serve",),
            environment=environment_of(settings, self.service.role_session(role), root, own),
            log=log,
        )
        container = self.service.containers.start(start)
        tail = self.service.logs.attach(
            log, group=f"/aws/sagemaker/Endpoints/{self.endpoint}", stream=f"{self.name}/{name}", role_arn=role
        )
        instance = ServingInstance(root, port, container, tail, Connections(port))
        with self._lock:
            self.instances.append(instance)
        container.when_ended(lambda: self._ended(instance))
        return instance

    def _await_health(self, instance: ServingInstance) -> None:
        """Wait for a green /ping. A container that has ended will not answer any more; AWS waits all the same."""
        deadline = time.monotonic() + self.health_check_seconds
        while instance.container.is_running and time.monotonic() < deadline:
            if is_healthy(instance.port, self.service.settings.ping_timeout_seconds):
                instance.is_ready = True
                return
            time.sleep(PING_EVERY_SECONDS)
        raise JobFailed(
            f"The primary container for production variant {self.name} did not pass the ping health check. Please "
            "check CloudWatch logs for this endpoint."
        )

    def _ended(self, instance: ServingInstance) -> None:
        """Replace an instance that died after it had been healthy."""
        was_ready, instance.is_ready = instance.is_ready, False
        with self._lock:
            if instance.is_leaving or not was_ready or instance not in self.instances:
                return
            self.instances.remove(instance)
        logger.warning("an instance of %s/%s died and is replaced", self.endpoint, self.name)
        threading.Thread(target=self._replace, args=(instance,), daemon=True, name="restart").start()

    def _replace(self, dead: ServingInstance) -> None:
        """Start instances until the variant has its number again or is not wanted any more."""
        self._clean(dead)
        pause = RESTART_PAUSE_SECONDS
        while len(self.instances) < self.desired:
            time.sleep(pause)
            started: list[ServingInstance] = []
            try:
                started = self._start_missing()
                for instance in started:
                    self._await_health(instance)
            except Exception as error:
                logger.warning("an instance of %s/%s could not be replaced yet: %s", self.endpoint, self.name, error)
                self._drop([instance for instance in started if not instance.is_ready])
                pause = min(2 * pause, LONGEST_RESTART_PAUSE_SECONDS)
        self.shrink(self.desired)  # the fleet may have been told to stop meanwhile

    def _drop(self, failed: Collection[ServingInstance]) -> None:
        with self._lock:
            self.instances = [instance for instance in self.instances if instance not in failed]
            for instance in failed:
                instance.is_leaving = True
        self._end(failed)

    def _end(self, leaving: Iterable[ServingInstance]) -> None:
        """SIGTERM once they have answered what they were asked, so that no answer depends on how a server shuts down."""
        leaving = list(leaving)
        with self._lock:
            self._lock.wait_for(
                lambda: not any(instance.in_flight and instance.container.is_running for instance in leaving),
                self.service.settings.invocation_timeout_seconds,
            )
        for instance in leaving:
            instance.connections.close()
            instance.container.terminate()
        deadline = time.monotonic() + self.service.settings.endpoint_stop_grace_seconds
        for instance in leaving:
            if instance.container.wait(max(0.0, deadline - time.monotonic())) is None:
                instance.container.kill()
                instance.container.wait(5.0)
            self._clean(instance)

    def _clean(self, instance: ServingInstance) -> None:
        instance.connections.close()
        self.service.logs.detach(instance.tail)
        shutil.rmtree(instance.root, ignore_errors=True)


@dataclass(eq=False)
class Fleet:
    """All variants of one endpoint configuration, as long as it serves."""

    config_name: str
    variants: dict[str, VariantFleet]
    shadows: dict[str, VariantFleet]
    capture: Mapping[str, Any] | None

    def everything(self) -> list[VariantFleet]:
        return [*self.variants.values(), *self.shadows.values()]

    def named(self, name: str) -> VariantFleet | None:
        return self.variants.get(name) or self.shadows.get(name)

    def start(self) -> None:
        """Every variant at once; raises the first reason why one is not healthy."""
        self._side_by_side(VariantFleet.grow)

    def stop(self) -> None:
        self._side_by_side(VariantFleet.stop)

    def _side_by_side(self, work: Callable[[VariantFleet], None]) -> None:
        variants = self.everything()
        with ThreadPoolExecutor(max_workers=len(variants), thread_name_prefix="fleet") as pool:
            futures = [pool.submit(work, variant) for variant in variants]
        for future in futures:
            future.result()


def is_healthy(port: int, timeout_seconds: float) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout_seconds)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
