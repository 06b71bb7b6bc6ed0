"""Prepares an installation: the data directory, secrets, rendered configuration, compose."""
