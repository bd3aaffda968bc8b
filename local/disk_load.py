"""A small, bounded load on one file, for a machine without fio: `python -m local.disk_load FILE SECONDS`.

Reads and writes of 8 KiB at random places, past the page cache where the file system allows it (O_DIRECT), else each write
is forced to the disk (fsync). The file is removed at the end.
"""

from __future__ import annotations

import mmap
import os
import random
import sys
import time
from pathlib import Path
from typing import Final

BLOCK_BYTES: Final = 8192
FILE_BYTES: Final = 64 << 20
READS_PER_SECOND: Final = 140
WRITES_PER_SECOND: Final = 60
_LAYOUT_BYTES: Final = 1 << 20


def lay_out(path: Path) -> None:
    """Writes the file once in full: a read of a hole would never reach the disk."""
    with path.open("wb") as file:
        for _ in range(FILE_BYTES // _LAYOUT_BYTES):
            file.write(os.urandom(_LAYOUT_BYTES))
        file.flush()
        os.fsync(file.fileno())


def allows_direct_io(folder: Path) -> bool:
    """Whether files there can be read and written past the page cache."""
    probe = folder / ".direct-io"
    try:
        os.close(os.open(probe, os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o600))
    except (OSError, AttributeError):
        return False
    finally:
        probe.unlink(missing_ok=True)
    return True


def exercise(path: Path, seconds: float, *, seed: int = 7) -> int:
    """The operations done in so many seconds, at the usual rates or as fast as the disk allows."""
    is_direct = allows_direct_io(path.parent)
    descriptor = os.open(path, os.O_RDWR | (os.O_DIRECT if is_direct else 0))
    buffer = mmap.mmap(-1, BLOCK_BYTES)  # O_DIRECT needs memory that begins at a page
    places, rate = random.Random(seed), READS_PER_SECOND + WRITES_PER_SECOND
    started, done = time.monotonic(), 0
    try:
        while (now := time.monotonic() - started) < seconds:
            if done >= now * rate:
                time.sleep(max(0.0, done / rate - now))
                continue
            offset = places.randrange(FILE_BYTES // BLOCK_BYTES) * BLOCK_BYTES
            if places.random() < READS_PER_SECOND / rate:
                os.preadv(descriptor, [buffer], offset)
            else:
                os.pwritev(descriptor, [buffer], offset)
                if not is_direct:
                    os.fsync(descriptor)
            done += 1
    finally:
        os.close(descriptor)
    return done


def main() -> None:
    path, seconds = Path(sys.argv[1]), float(sys.argv[2])
    try:
        lay_out(path)
        exercise(path, seconds)
    finally:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
