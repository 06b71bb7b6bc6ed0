"""How an installation is prepared: the data directory, secrets, rendered configuration, compose."""
