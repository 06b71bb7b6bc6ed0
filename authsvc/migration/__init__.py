"""Converts the configuration of another token server into equivalent teams, apps, members and grants.

Everything here is pure. The command line reads the file, and has the use cases make what was found.
"""
