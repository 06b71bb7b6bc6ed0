"""HTTP clients of registries."""
