"""The secrets directory: reading, creating and rotating its keys."""
