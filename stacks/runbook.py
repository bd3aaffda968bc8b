"""Every alarm says where in the runbook it is explained; tests/stacks/test_runbook.py holds both against each other."""

RUNBOOK = "docs/runbook.md"


def described(says: str, entry: str) -> str:
    """An alarm's description: what is the matter, and the heading of the runbook that says what to do."""
    return f"{says}. Runbook: {RUNBOOK}#{entry}"
