"""HTTP to registries: so far only the question whether ours is up."""
