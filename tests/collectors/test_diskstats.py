from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.agent import Machine
from collectors.device_facts import DeviceFacts
from collectors.diskstats import (
    PROC_DISKSTATS,
    Counters,
    Reading,
    counter_bits,
    insight_between,
    parse_diskstats,
    whole_disks,
)
from insights.consistency import inconsistency
from insights.schema import Insight

SAMPLES = Path(__file__).parent / "samples"
FACTS = DeviceFacts(host="host-1")
AT = datetime(2026, 11, 25, 21, 38, 40, tzinfo=UTC)
LONG = ("reads", "read_sectors", "writes", "write_sectors")
MILLISECONDS = ("read_ms", "write_ms", "weighted_ms", "discard_ms", "flush_ms")


def between(then: Counters, now: Counters, *, seconds: float = 1.0, bits: int = 64) -> Insight | None:
    before, after = Reading(AT, 50.0, {"sda": then}), Reading(AT, 50.0 + seconds, {"sda": now})
    return insight_between(before, after, "sda", facts=FACTS, bits=bits)


def counters(**values: int) -> Counters:
    nothing = {field.name: 0 for field in fields(Counters) if field.name != "number"}
    return Counters(number="8:0", **(nothing | values))


def test_two_real_readings_give_what_the_disk_did():
    """19 reads of 1,288 sectors in 2 ms and 91 writes of 262,416 in 1,402 ms; 1,414 ms in flight, 10 of them discards."""
    devices = [parse_diskstats((SAMPLES / f"diskstats_{number}.txt").read_text()) for number in (0, 1)]

    row = insight_between(
        Reading(AT, 100.0, devices[0]), Reading(AT, 101.0164, devices[1]), "vda", facts=FACTS, bits=64
    )

    assert row is not None
    assert (row.device_id, row.timestamp, row.interval_seconds) == ("host-1/vda", AT, 1.016)
    assert row.read_iops == pytest.approx(19 / 1.016, rel=1e-5)
    assert row.write_iops == pytest.approx(91 / 1.016, rel=1e-5)
    assert row.bandwidth_mbps == pytest.approx(263_704 * 512 / 1e6 / 1.016, rel=1e-5)
    assert row.avg_latency_ms == pytest.approx(1404 / 110, rel=1e-5)
    assert row.queue_depth == pytest.approx(1.404 / 1.016, rel=1e-5)
    assert row.io_size_kib == pytest.approx(263_704 / 2 / 110, rel=1e-5)
    assert (row.p95_latency_ms, row.p99_latency_ms, row.error_rate, row.sequential_ratio) == (None,) * 4
    assert inconsistency(row) is None


GAINS = st.fixed_dictionaries(
    {
        **{name: st.integers(0, 200_000) for name in ("reads", "writes")},
        **{name: st.integers(0, 10**7) for name in ("read_sectors", "write_sectors")},
        **{name: st.integers(0, 10**6) for name in MILLISECONDS},
    }
)
STARTS = st.integers(0, 2**32 - 1) | st.integers(2**32 - 10_000, 2**32 - 1)


@given(GAINS, st.fixed_dictionaries(dict.fromkeys((*LONG, *MILLISECONDS), STARTS)), st.sampled_from([32, 64]))
def test_rates_follow_from_the_gains_wherever_a_counter_overflows(
    gains: dict[str, int], starts: dict[str, int], bits: int
):
    """Counts have the bits of the machine, milliseconds 32 everywhere."""
    offset = 2**bits - 2**32  # near the end of their range too
    then = {name: start + offset if name in LONG else start for name, start in starts.items()}
    sizes = {name: bits if name in LONG else 32 for name in then}
    now = {name: (value + gains[name]) % 2 ** sizes[name] for name, value in then.items()}

    row = between(counters(**then), counters(**now), seconds=10.0, bits=bits)

    operations = gains["reads"] + gains["writes"]
    size_bytes = 512 * (gains["read_sectors"] + gains["write_sectors"])
    queued_ms = max(0, gains["weighted_ms"] - gains["discard_ms"] - gains["flush_ms"])
    assert row is not None
    assert row.read_iops == pytest.approx(gains["reads"] / 10, rel=1e-5)
    assert row.write_iops == pytest.approx(gains["writes"] / 10, rel=1e-5)
    assert row.bandwidth_mbps == pytest.approx(size_bytes / 1e7, rel=1e-5)
    assert row.queue_depth == pytest.approx(queued_ms / 1e4, rel=1e-5)
    if operations:
        assert row.avg_latency_ms == pytest.approx((gains["read_ms"] + gains["write_ms"]) / operations, rel=1e-5)
        assert row.io_size_kib == pytest.approx(size_bytes / 1024 / operations, rel=1e-5)
    else:
        assert (row.avg_latency_ms, row.io_size_kib) == (None, None)


@given(
    st.fixed_dictionaries({name: st.integers(10_000, 2**30) for name in (*LONG, *MILLISECONDS)}),
    st.sampled_from([1.0, 60.0, 300.0, 3600.0]),
    st.sampled_from([32, 64]),
)
def test_counters_that_started_anew_give_no_row_instead_of_a_wrong_rate(
    before: dict[str, int], seconds: float, bits: int
):
    after = {name: value % 10_000 for name, value in before.items()}

    assert between(counters(**before), counters(**after), seconds=seconds, bits=bits) is None


def test_an_idle_interval_has_no_latency_and_no_size():
    row = between(counters(reads=7, read_ms=3), counters(reads=7, read_ms=3, weighted_ms=900))

    assert row is not None
    assert (row.read_iops, row.bandwidth_mbps, row.avg_latency_ms, row.io_size_kib) == (0, 0, None, None)
    assert row.queue_depth == 0.9  # something hangs


def test_another_disk_under_the_same_name_begins_anew():
    now = counters(reads=9, read_sectors=72)

    assert between(counters(), now) is not None
    assert between(counters(), replace(now, number="8:0#2")) is None


def test_a_device_that_came_or_went_has_no_interval():
    there = Reading(AT, 0.0, {"sda": counters()})
    gone = Reading(AT, 1.0, {})

    assert insight_between(there, gone, "sda", facts=FACTS) is None
    assert insight_between(gone, there, "sda", facts=FACTS) is None


@pytest.mark.parametrize(
    ("machine", "bits"), [("x86_64", 64), ("aarch64", 64), ("s390x", 64), ("armv7l", 32), ("i686", 32)]
)
def test_counts_have_the_bits_of_the_machine(machine: str, bits: int):
    assert counter_bits(machine) == bits


def test_lines_of_every_kernel_are_read():
    """11 fields until Linux 4.17, 15 with discards, 17 with flushes from 5.5 on; an old partition's four are left out."""
    old = "   8       0 sda 1 2 3 4 5 6 7 8 9 10 11\n   8       1 sda1 1 2 3 4\n"
    discards = "   8      16 sdb 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15\n"
    flushes = " 259       0 nvme0n1 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n"

    devices = parse_diskstats(old + discards + flushes)

    assert list(devices) == ["sda", "sdb", "nvme0n1"]
    assert devices["sda"] == Counters("8:0", 1, 3, 4, 5, 7, 8, 11)
    assert (devices["sdb"].discard_ms, devices["sdb"].flush_ms) == (15, 0)
    assert (devices["nvme0n1"].discard_ms, devices["nvme0n1"].flush_ms) == (15, 17)


NAMES = ("sda", "sda1", "nvme0n1", "nvme0n1p2", "mmcblk0", "mmcblk0p1", "vda", "vda1", "cciss/c0d0")
OTHERS = ("loop0", "ram1", "zram0", "sr0", "dm-0", "md127")


@pytest.fixture
def sys_block(tmp_path: Path) -> Path:
    """As the kernel lays it out: a folder for each disk, with `device` where it is one of its own."""
    for name in ("sda", "nvme0n1", "mmcblk0", "vda", "cciss!c0d0", "sr0"):
        (tmp_path / name / "device").mkdir(parents=True)
    for name in ("loop0", "ram1", "zram0", "dm-0", "md127"):
        (tmp_path / name).mkdir()
    return tmp_path


def test_whole_disks_are_watched_and_nothing_stacked_or_in_memory(sys_block: Path):
    assert whole_disks((*NAMES, *OTHERS), sys_block) == ["cciss/c0d0", "mmcblk0", "nvme0n1", "sda", "vda"]


def test_names_decide_where_there_is_no_sys(tmp_path: Path):
    names = [name for name in (*NAMES, *OTHERS) if not name.startswith("cciss")]
    assert whole_disks(names, tmp_path / "none") == ["mmcblk0", "nvme0n1", "sda", "vda"]


@pytest.mark.skipif(not PROC_DISKSTATS.exists(), reason="only Linux has /proc/diskstats")
def test_this_machines_own_counters_are_read():
    machine = Machine()
    before, after = machine.read(), machine.read()

    assert after.elapsed_seconds >= before.elapsed_seconds
    for name, counted in after.devices.items():
        later: Callable[[str], int] = lambda field, counted=counted: getattr(counted, field)  # noqa: E731
        assert all(later(field) >= 0 for field in (*LONG, *MILLISECONDS))
        if name in before.devices and before.devices[name].number == counted.number:
            assert counted.reads >= before.devices[name].reads
