"""The license holder's tools: the license file is the login, everywhere.

``docker-credential-authsvc`` serves docker, podman, skopeo and all other clients with the credential helper protocol;
``authsvc-license`` shows a file, verifies it offline, and writes files for other tools.

They run without the server, on a bare Python 3.9 and the standard library, from the package or from one zipapp file
(``make dist``), which includes the pure-Python part of PyYAML for ``preflight``. Of our modules, this package imports
only a few, such as :mod:`authsvc.license_file` and :mod:`authsvc.spec`. The credential helper starts for every pull, so
its imports must be fast: it does not use ``typing``, ``dataclasses``, ``pathlib`` or ``argparse``.
"""
