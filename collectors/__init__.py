"""Collectors of insights: hosts' disks, sysstat's and fio's output, files of any columns (docs/collectors.md)."""
