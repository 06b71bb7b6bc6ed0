"""Private image distribution for software vendors: a Docker token server in front of the stock registry."""

__version__ = "0.1.0"
