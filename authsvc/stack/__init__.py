"""Making and running an installation: secrets, rendered configuration, processes.

``init`` prepares a data directory, ``up`` runs the whole stack on it, ``serve`` runs authsvc alone. Nothing
here answers a request or opens Redis; the children do.
"""
