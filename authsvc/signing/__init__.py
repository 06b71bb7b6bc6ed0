"""How tokens are signed: one root, short-lived leaves, ES256 JWTs with the leaf in ``x5c``.

The root's certificate is the registry's ``rootcertbundle``; its key can sign any token, so only the supervising parent
reads it (:mod:`authsvc.server.parent`). Each worker makes its own leaf key and gets a certificate for it over a pipe.
This package reads no clock and no files.
"""
