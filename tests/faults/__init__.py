"""The fault matrix: which place of a workflow meets which fault, and what must hold afterwards."""
