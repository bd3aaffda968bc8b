"""Every parser of outside input, as targets of one kind."""
