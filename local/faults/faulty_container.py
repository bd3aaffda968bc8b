"""First code of a container with a fault: `faulty_container.py <module> <arguments>`, and FAULT says which.

disk_full: what it writes below its contract root meets the kernel's ENOSPC (/dev/full), as on a volume without room.
crashes: SIGKILL, as by the kernel that needs its memory, when it opens the second file that it writes.
lost: the same, and whoever started it says that its instance has gone.
"""

import builtins
import io
import os
import runpy
import signal
import sys

ROOT = os.environ["SAGEMAKER_ROOT"]
KEPT = ("failure", "message")
_open = io.open
_written: list[str] = []


def opened(file, mode="r", *rest, **named):  # type: ignore[no-untyped-def]
    is_output = isinstance(file, str | os.PathLike) and str(file).startswith(ROOT) and set(mode) & set("wxa")
    if is_output and os.path.basename(file) not in KEPT:
        if os.environ["FAULT"] == "disk_full":
            return _open("/dev/full", mode.replace("x", "w"), *rest, **named)
        if _written:
            os.kill(os.getpid(), signal.SIGKILL)
        _written.append(str(file))
    return _open(file, mode, *rest, **named)


if __name__ == "__main__":
    io.open = builtins.open = opened
    module = sys.argv[1]
    sys.argv = sys.argv[1:]
    if module.endswith(".py"):
        runpy.run_path(module, run_name="__main__")
    else:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
