"""What becomes of the configuration of another token server: which teams, apps, members and grants are the same.

Everything here is pure. The command line reads the file, and has the use cases make what was found.
"""
