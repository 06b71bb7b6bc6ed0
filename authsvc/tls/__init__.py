"""The certificate that clients are shown: read in a handshake, judged, and watched."""
