"""The certificate that clients see: read in a handshake, checked, and watched."""
