"""How numeric kernels are compiled: numba without Python objects, machine code kept beside the source or in the home.

NUMBA_CACHE_DIR names another place. Where nothing can be written, each process compiles for itself (about 6 s). The
cache notices a changed file, not a changed constant imported from another: delete __pycache__ after editing those.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from numba.extending import register_jitable


def compiled(function: Callable[..., Any]) -> Any:
    """The function as machine code; it releases the interpreter lock, so that shards may run in threads."""
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError as error:  # numba: "no locator available", as in a read-only image without a home
        if "cannot cache function" not in str(error):
            raise
        return numba.njit(nogil=True)(function)


def compilable(function: Callable[..., Any]) -> None:
    """Compiled kernels may call the function, which stays plain Python for every other caller."""
    register_jitable(function)
