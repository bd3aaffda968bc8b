"""The two state machines, each with its definition and the permissions that its states need."""
