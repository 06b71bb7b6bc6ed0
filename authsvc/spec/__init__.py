"""Grammars and documents of the Docker token-auth protocol, as the standards define them, as frozen values.

Pure: no clock, no randomness, no I/O. It makes no decisions; :mod:`authsvc.policy` does.

Sources: the distribution project's specification pages "Token Authentication", "Token Scope", "OAuth2 Token
Authentication" and "JWT", and the ``reference`` package's grammar; RFC 6749, 6750, 7519 and 7617.
"""
