"""Imported by the zygote: what numba looks up before a process's first kernel, as every container would again for longer than
it loads its model. No kernel is compiled or run by it."""

from numba.core.registry import cpu_target

cpu_target.typing_context.refresh()
cpu_target.target_context.refresh()
