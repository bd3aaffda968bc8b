"""First code of every container process: leave with the server, then be `python -m <module>`.

Imported by the zygote and started as `python -m local.containers.entrypoint` where there is none, so that both do the same.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys
import traceback
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1


def die_with_parent(parent_pid: int) -> None:
    """SIGKILL when the parent is gone, where Linux allows; elsewhere the next start of the cloud finds what is left."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it died before the request was made
        os.kill(os.getpid(), signal.SIGKILL)


def run_module(module: str, arguments: Sequence[str]) -> int:
    """Run a module (or a .py file) as __main__ and return the exit code that its process would have had."""
    sys.argv = [module, *arguments]
    try:
        if module.endswith(".py"):
            runpy.run_path(module, run_name="__main__")
        else:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ending:
        return exit_code(ending)
    except BaseException:  # the interpreter itself would print the trace and exit with 1
        traceback.print_exc()
        return 1
    return 0


def exit_code(ending: SystemExit) -> int:
    if ending.code is None:
        return 0
    if isinstance(ending.code, int):
        return ending.code & 0xFF
    print(ending.code, file=sys.stderr)
    return 1


def main() -> int:
    parent_pid, module, *arguments = sys.argv[1:]
    die_with_parent(int(parent_pid))
    return run_module(module, arguments)


if __name__ == "__main__":
    sys.exit(main())
