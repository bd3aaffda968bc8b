"""Measures data/measured.jsonl.gz: fio on this machine's disk, with incidents that are really induced.

A run is one incident (or none) over three devices. A device is a file of its own, loaded by a fio process of its own.
Every number of a row comes from fio's log of single I/Os, by collectors.fio_logs. Needs root, fio and cgroup v1 blkio
(README.md says why); `python -m data.measure` from the repository's root.
"""

import argparse
import contextlib
import gzip
import json
import math
import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from collectors.device_facts import significant
from collectors.fio_logs import Operation, interval_values, percentile, read_log

FILE_SIZE_MIB = 512
SLO_FACTOR = 3.0  # fixed before the first run: SLO = 3 x pooled p99 of the quiet baseline, per workload type
BASELINE_SECONDS = 60
MIN_REPEATS_FOR_ALERT = 3
DEFAULT_FOLDER = Path("/var/tmp/iops-measure")  # noqa: S108 on the disk, unlike /tmp where that is a tmpfs
CGROUP_ROOT = Path("/sys/fs/cgroup/blkio")
DEVICE_NAMES = ("alpha", "bravo", "charlie")
# A third of the runs is undisturbed; the order is a cycle, so that an interrupted measurement is balanced too.
INCIDENT_CYCLE = (
    "noisy_neighbour", "none", "queue_ramp", "rate_cap", "none", "noisy_neighbour",
    "queue_ramp", "benign_surge", "rate_cap", "noisy_neighbour", "none", "rate_cap",
)  # fmt: skip
# 256 KiB reads saturate this disk at about 4,000/s (1.03 GB/s, probed), whoever issues them.
LARGE_READS = ("--rw=randread", "--bs=256k")


@dataclass(frozen=True)
class Workload:
    fio_options: tuple[str, ...]
    read_share: float
    iops_range: tuple[int, int]


WORKLOADS = {
    "random": Workload(("--rw=randrw", "--rwmixread=70", "--bs=8k"), 0.7, (240, 420)),
    "sequential": Workload(("--rw=read", "--bs=128k"), 1.0, (130, 220)),
    "mixed": Workload(("--rw=randrw", "--rwmixread=50", "--percentage_random=50", "--bs=32k"), 0.5, (180, 320)),
    "burst": Workload(("--rw=randread", "--bs=16k", "--thinktime_blocks=80"), 1.0, (160, 280)),
}


@dataclass(frozen=True)
class Job:
    """One fio job: a load that starts and ends within its run. No rate: a closed loop at full I/O depth."""

    fio_options: tuple[str, ...]
    start_seconds: int
    end_seconds: int
    iops: float | None
    read_share: float = 1.0
    io_depth: int = 32


@dataclass(frozen=True)
class Device:
    name: str
    workload_type: str
    jobs: tuple[Job, ...]  # the first is the device's usual load, the others are the incident's
    provisioned_iops: int | None = None


@dataclass(frozen=True)
class Plan:
    run: str
    incident: str
    severity: str
    target: str | None
    seconds: int
    devices: tuple[Device, ...]
    neighbour_jobs: tuple[Job, ...] = ()

    @property
    def incident_jobs(self) -> tuple[Job, ...]:
        return self.neighbour_jobs + tuple(job for device in self.devices for job in device.jobs[1:])


class FioFailed(Exception):
    """fio stopped or met an I/O error: the run's numbers are worth nothing."""


def usual_job(workload_type: str, iops: float, seconds: int) -> Job:
    workload = WORKLOADS[workload_type]
    if workload_type != "burst":
        return Job(workload.fio_options, 0, seconds, iops, workload.read_share)
    pause_us = round(80 / iops * 1e6)
    return Job((*workload.fio_options, f"--thinktime={pause_us}"), 0, seconds, None, io_depth=8)


def staircase(rng: random.Random, seconds: int, build_up_count: int) -> list[tuple[int, int]]:
    """Start and end of nested jobs: they join one by one, the last one is the peak, and they leave one by one."""
    start = rng.randint(round(0.18 * seconds), round(0.28 * seconds))
    step = rng.choice((4, 5))
    peak_start = start + build_up_count * step
    peak_end = min(peak_start + rng.randint(16, 21), seconds - 11)
    leave_step = rng.choice((2, 3))
    ends = [peak_end + leave_step * (build_up_count - index) for index in range(build_up_count)]
    return [(start + index * step, ends[index]) for index in range(build_up_count)] + [(peak_start, peak_end)]


def large_read_jobs(rng: random.Random, seconds: int, severity: str, *, is_closed_loop: bool) -> tuple[Job, ...]:
    """256 KiB reads that climb to 2,700/s, then a peak: 3,300/s when mild, past the disk's 4,000/s when strong."""
    scale = rng.uniform(0.95, 1.05)
    *build_up, (peak_start, peak_end) = staircase(rng, seconds, 3)
    jobs = [
        Job(LARGE_READS, start, end, scale * iops)
        for (start, end), iops in zip(build_up, (1200, 800, 700), strict=True)
    ]
    if is_closed_loop:
        peak = Job(
            LARGE_READS,
            peak_start,
            peak_end,
            None,
            io_depth=6 if severity == "mild" else rng.choice((24, 48)),
        )
    else:
        peak_iops = 600 if severity == "mild" else rng.uniform(1400, 2200)
        peak = Job(LARGE_READS, peak_start, peak_end, peak_iops, io_depth=64)
    return (*jobs, peak)


def cap_jobs(
    rng: random.Random, seconds: int, workload_type: str, cap_iops: int, shares: tuple[float, ...]
) -> list[Job]:
    """More of the device's own kind of load, in shares of its cap that join one by one."""
    workload = WORKLOADS[workload_type]
    spans = staircase(rng, seconds, len(shares) - 1)
    return [
        Job(workload.fio_options, start, end, share * cap_iops, workload.read_share)
        for (start, end), share in zip(spans, shares, strict=True)
    ]


def plan_run(number: int, seconds: int, seed: int) -> Plan:
    """The whole schedule of a run follows from the seed and its number, so that a stopped measurement can go on."""
    rng = random.Random(f"{seed}/{number}")
    incident = INCIDENT_CYCLE[(number - 1) % len(INCIDENT_CYCLE)]
    is_incident = incident not in ("none", "benign_surge")
    severity = ("mild" if number % 3 == 0 else "strong") if is_incident else "none"
    types = rng.sample(sorted(WORKLOADS), len(DEVICE_NAMES))
    iops = [rng.uniform(*WORKLOADS[kind].iops_range) for kind in types]
    target = rng.choice([index for index, kind in enumerate(types) if kind != "burst"])
    # Capped devices exist in runs of every kind, so that a cap alone says nothing about an incident.
    has_cap = incident in ("rate_cap", "benign_surge") or rng.random() < 0.5
    cap_iops = round(iops[target] / rng.uniform(0.54, 0.62)) if has_cap and incident != "queue_ramp" else None
    extra: tuple[Job, ...] = ()
    neighbours: tuple[Job, ...] = ()
    if incident == "noisy_neighbour":
        neighbours = large_read_jobs(rng, seconds, severity, is_closed_loop=False)
    elif incident == "queue_ramp":
        extra = large_read_jobs(rng, seconds, severity, is_closed_loop=True)
    elif incident in ("rate_cap", "benign_surge") and cap_iops:
        peak_share = {"none": 0.0, "mild": 0.1, "strong": 0.22}[severity]
        shares = (0.1, 0.08) if incident == "benign_surge" else (0.14, 0.12, 0.1, peak_share)
        extra = tuple(cap_jobs(rng, seconds, types[target], cap_iops, shares))
    devices = tuple(
        Device(
            name,
            kind,
            (usual_job(kind, rate, seconds), *(extra if index == target else ())),
            cap_iops if index == target else None,
        )
        for index, (name, kind, rate) in enumerate(zip(DEVICE_NAMES, types, iops, strict=True))
    )
    is_targeted = incident not in ("none", "noisy_neighbour")
    return Plan(
        f"run-{number:02d}",
        incident,
        severity,
        DEVICE_NAMES[target] if is_targeted else None,
        seconds,
        devices,
        neighbours,
    )


def plan_baseline() -> Plan:
    """Every workload type at once at its middle rate, undisturbed."""
    devices = tuple(
        Device(kind, kind, (usual_job(kind, sum(workload.iops_range) / 2, BASELINE_SECONDS),))
        for kind, workload in WORKLOADS.items()
    )
    return Plan("baseline", "none", "none", None, BASELINE_SECONDS, devices)


def lay_out(path: Path) -> None:
    """Writes the file once in full: a read of a hole or of an unwritten extent would never reach the disk."""
    if path.exists() and path.stat().st_size == FILE_SIZE_MIB << 20:
        return
    options = [
        "--name=layout",
        f"--filename={path}",
        f"--size={FILE_SIZE_MIB}m",
        "--rw=write",
        "--bs=1m",
        "--direct=1",
    ]
    command = ["fio", *options, "--ioengine=libaio", "--iodepth=4", "--end_fsync=1", "--output=/dev/null"]
    subprocess.run(command, check=True)


def fio_command(file: Path, jobs: tuple[Job, ...], log_prefix: Path) -> list[str]:
    command = [
        "fio", f"--filename={file}", f"--size={FILE_SIZE_MIB}m", "--direct=1", "--ioengine=libaio", "--thread=1",
        "--time_based=1", "--norandommap=1", "--randrepeat=0", "--log_avg_msec=0", "--log_offset=1",
        "--log_unix_epoch=1", "--per_job_logs=1", f"--output={log_prefix}.json", "--output-format=json",
    ]  # fmt: skip
    for index, job in enumerate(jobs):
        command += [f"--name=job{index}", *job.fio_options, f"--iodepth={job.io_depth}"]
        command += [f"--startdelay={job.start_seconds}", f"--runtime={job.end_seconds - job.start_seconds}"]
        command += [f"--write_lat_log={log_prefix}"]
        if job.iops is not None:  # Poisson arrivals that do not wait for completions (up to the I/O depth)
            read_iops = max(1, round(job.iops * job.read_share))
            write_iops = max(1, round(job.iops * (1 - job.read_share)))
            command += ["--rate_process=poisson", f"--rate_iops={read_iops},{write_iops}"]
    return command


@contextlib.contextmanager
def rate_cap(device: Device, folder: Path) -> Iterator[Path | None]:
    """A cgroup that holds the device's provisioned IOPS, split over reads and writes like its load."""
    if device.provisioned_iops is None:
        yield None
        return
    disk = os.stat(folder).st_dev
    read_share = WORKLOADS[device.workload_type].read_share
    group = CGROUP_ROOT / f"iops-measure-{os.getpid()}-{device.name}"
    group.mkdir()
    try:
        for direction, share in (("read", read_share), ("write", 1 - read_share)):
            limit = max(1, round(device.provisioned_iops * share))
            setting = f"{os.major(disk)}:{os.minor(disk)} {limit}"
            (group / f"blkio.throttle.{direction}_iops_device").write_text(setting)
        yield group / "cgroup.procs"
    finally:
        group.rmdir()


def join_and_execute(command: list[str], group: Path | None) -> subprocess.Popen[bytes]:
    if group is not None:
        command = ["sh", "-c", f'echo $$ > {group} && exec "$@"', "sh", *command]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def execute(plan: Plan, folder: Path, logs: Path) -> None:
    """Runs all loads of a plan side by side; leaves one log per job in `logs`."""
    with contextlib.ExitStack() as stack:
        processes = []
        for device in plan.devices:
            group = stack.enter_context(rate_cap(device, folder))
            command = fio_command(folder / f"{device.name}.bin", device.jobs, logs / device.name)
            processes.append(join_and_execute(command, group))
        if plan.neighbour_jobs:
            command = fio_command(folder / "neighbour.bin", plan.neighbour_jobs, logs / "neighbour")
            processes.append(join_and_execute(command, None))
        outcomes = [(process.communicate()[1], process.returncode) for process in processes]
    for report in logs.glob("*.json"):
        text = report.read_text()
        jobs = json.loads(text[text.index("{") :])["jobs"]  # fio may print a note before the JSON
        if any(job["error"] for job in jobs):
            raise FioFailed(f"{plan.run}: I/O error, see {report}")
    for message, code in outcomes:
        if code != 0:
            raise FioFailed(f"{plan.run}: exit {code}: {message.decode(errors='replace')}")


def device_operations(logs: Path, name: str) -> list[Operation]:
    return [operation for path in logs.glob(f"{name}_lat.*.log") for operation in read_log(path)]


def incident_span_ms(plan: Plan, logs: Path) -> tuple[int, int] | None:
    """First and last completion of the loads that make the incident, as measured; the benign surge is none."""
    if plan.incident in ("none", "benign_surge"):
        return None
    paths = [path for path in logs.glob("*_lat.*.log") if path.name.startswith("neighbour_")]
    if plan.target is not None:
        paths = [path for path in logs.glob(f"{plan.target}_lat.*.log") if path.name != f"{plan.target}_lat.1.log"]
    times = [operation.completed_ms for path in paths for operation in read_log(path)]
    return min(times), max(times)


def alerts(breaches: list[bool]) -> list[bool]:
    """An alert fires on the third breach in a row and is armed again by three intervals in a row without one."""
    fired, is_armed, breach_count, calm_count = [], True, 0, 0
    for is_breach in breaches:
        breach_count, calm_count = (breach_count + 1, 0) if is_breach else (0, calm_count + 1)
        is_armed = is_armed or calm_count >= MIN_REPEATS_FOR_ALERT
        fired.append(is_armed and breach_count >= MIN_REPEATS_FOR_ALERT)
        is_armed = is_armed and not fired[-1]
    return fired


def device_rows(
    plan: Plan, device: Device, by_second: dict[int, list[Operation]], seconds: range, slo_ms: float,
    incident: tuple[int, int] | None,
) -> list[dict[str, object]]:  # fmt: skip
    rows: list[dict[str, object]] = []
    for second in seconds:
        is_incident = incident is not None and second < incident[1] / 1000 and second + 1 > incident[0] / 1000
        is_reached = plan.incident != "rate_cap" or device.name == plan.target  # a cap spares the other devices
        rows.append({
            "device_id": f"{plan.run}/{device.name}",
            "timestamp": datetime.fromtimestamp(second + 1, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            **interval_values(by_second.get(second, []), 1.0, digits=4),  # a run with any I/O error is thrown away
            "provisioned_iops": device.provisioned_iops,
            "latency_slo_ms": slo_ms,
            "device_class": "virtio-blk" if device.provisioned_iops is None else "provisioned",
            "workload_type": device.workload_type,
            "is_anomaly": True if is_incident and is_reached else None,
        })  # fmt: skip
    p99s = [row["p99_latency_ms"] for row in rows]
    fired = alerts([isinstance(p99, float) and p99 > slo_ms for p99 in p99s])
    return [row | {"alert": is_fired} for row, is_fired in zip(rows, fired, strict=True)]


def run_rows(plan: Plan, logs: Path, slos_ms: dict[str, float]) -> list[dict[str, object]]:
    """Rows for the whole seconds in which every device was under load."""
    operations = {device.name: device_operations(logs, device.name) for device in plan.devices}
    first_ms = max(min(operation.completed_ms for operation in items) for items in operations.values())
    last_ms = min(max(operation.completed_ms for operation in items) for items in operations.values())
    seconds = range(math.ceil(first_ms / 1000), min(last_ms // 1000, first_ms // 1000 + plan.seconds))
    incident = incident_span_ms(plan, logs)
    rows = []
    for device in plan.devices:
        by_second: dict[int, list[Operation]] = {}
        for operation in operations[device.name]:
            by_second.setdefault(operation.completed_ms // 1000, []).append(operation)
        rows += device_rows(plan, device, by_second, seconds, slos_ms[device.workload_type], incident)
    return rows


def measure_baseline(folder: Path) -> dict[str, float]:
    """The SLO per workload type, measured once and kept for all runs."""
    kept = folder / "baseline.json"
    if not kept.exists():
        plan = plan_baseline()
        with fresh_folder(folder / "logs") as logs:
            execute(plan, folder, logs)
            slos = {}
            for device in plan.devices:
                latencies = sorted(operation.latency_ms for operation in device_operations(logs, device.name))
                slos[device.name] = significant(SLO_FACTOR * percentile(latencies, 0.99), 3)
        kept.write_text(json.dumps(slos))
    slos_ms: dict[str, float] = json.loads(kept.read_text())
    return slos_ms


@contextlib.contextmanager
def fresh_folder(path: Path) -> Iterator[Path]:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    yield path
    shutil.rmtree(path)


def measure_run(plan: Plan, folder: Path, slos_ms: dict[str, float]) -> Path:
    part = folder / f"{plan.run}.jsonl"
    if not part.exists():
        with fresh_folder(folder / "logs") as logs:
            execute(plan, folder, logs)
            rows = run_rows(plan, logs, slos_ms)
        unfinished = part.with_suffix(".unfinished")
        unfinished.write_text("".join(json.dumps(row) + "\n" for row in rows))
        unfinished.rename(part)
        print(
            f"{datetime.now(UTC):%H:%M:%S} {plan.run} {plan.incident} {plan.severity}: {len(rows)} rows",
            flush=True,
        )
    return part


def describe(plan: Plan) -> str:
    """A line of README's table of runs."""
    loads = ", ".join(
        f"{device.name} {device.workload_type}"
        + (f" (cap {device.provisioned_iops})" if device.provisioned_iops else "")
        for device in plan.devices
    )
    jobs = plan.incident_jobs
    span = f"{min(job.start_seconds for job in jobs)}-{max(job.end_seconds for job in jobs)} s" if jobs else ""
    peak = f"{jobs[-1].start_seconds}-{jobs[-1].end_seconds} s" if jobs else ""
    return f"| {plan.run} | {plan.incident} | {plan.severity} | {plan.target or ''} | {span} | {peak} | {loads} |"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=45)
    parser.add_argument("--seconds", type=int, default=120, help="length of a run, at least 60")
    parser.add_argument("--output", type=Path, default=Path("data/measured.jsonl.gz"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER, help="on the disk to measure")
    parser.add_argument("--print-plan", action="store_true", help="print the table of runs, measure nothing")
    arguments = parser.parse_args()
    if arguments.seconds < 60:
        parser.error("--seconds: an incident with its build-up needs at least 60")
    return arguments


def main() -> None:
    arguments = parse_arguments()
    plans = [plan_run(number, arguments.seconds, arguments.seed) for number in range(1, arguments.runs + 1)]
    if arguments.print_plan:
        print("\n".join(describe(plan) for plan in plans))
        return
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*DEVICE_NAMES, *WORKLOADS, "neighbour"):
        lay_out(folder / f"{name}.bin")
    slos_ms = measure_baseline(folder)
    print(f"SLOs in ms: {slos_ms}", flush=True)
    parts = []
    for plan in plans:
        parts.append(measure_run(plan, folder, slos_ms))
        time.sleep(0.5)
    text = "".join(part.read_text() for part in parts)
    arguments.output.write_bytes(gzip.compress(text.encode(), mtime=0))
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
