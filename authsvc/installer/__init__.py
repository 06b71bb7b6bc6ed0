"""The license holder's tools: the license file is the login, everywhere.

``docker-credential-authsvc`` answers docker, podman, skopeo and everything else that speaks the credential helper
protocol; ``authsvc-license`` looks at a file, checks it offline, and writes what other tools read.

They run without the server, on a bare Python 3.9 and the standard library, from the package or from one zipapp file
(``make dist``), which brings the pure-Python part of PyYAML for ``preflight``. This room imports
:mod:`authsvc.license_file` and :mod:`authsvc.spec` and nothing else of ours. The credential helper starts for every
pull, so what it imports is chosen by the millisecond: no ``typing``, ``dataclasses``, ``pathlib`` or ``argparse`` on
its way.
"""
