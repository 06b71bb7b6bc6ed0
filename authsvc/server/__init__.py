"""The process that faces the network: its parent, the workers, and what passes between them."""
