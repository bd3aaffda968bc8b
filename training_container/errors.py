"""What went wrong and whose it is: the container exits 2 when the caller's data or input is wrong, 1 for a bug of its own,
3 when another host of the same training was lost."""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib

EXIT_UNUSABLE = 2
EXIT_BUG = 1
EXIT_LOST = 3
EXIT_STOPPED = 143  # 128 + SIGTERM, as a shell reports it


# What numpy and its zip reader raise of a file that is no archive of arrays, is cut off, or holds others than asked for;
# AttributeError: numpy gives the bytes of a member that is no array; TokenError: it reads a header as Python.
BROKEN_ARRAYS = (
    OSError, EOFError, LookupError, AttributeError, ValueError, TypeError, OverflowError, MemoryError, RuntimeError,
    SyntaxError, tokenize.TokenError, struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


class UnusableInput(ValueError):
    """The data, a hyperparameter or an argument cannot be used; the message names it, its value and the remedy."""


class LostHost(RuntimeError):
    """Another host did not come, died, hangs or gave up, so that a training over several cannot go on."""


class Stopped(BaseException):
    """SIGTERM arrived; not an Exception, so that no handler of errors takes it for one."""
