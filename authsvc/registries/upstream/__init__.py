"""The HTTP client of external registries, which are not trusted: see docs/external-registries.md."""
