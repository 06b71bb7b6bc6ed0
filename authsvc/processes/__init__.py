"""Child processes: start, supervise, stop."""
