"""The HTTP client of external registries, which are not trusted."""
