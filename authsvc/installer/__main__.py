"""Both tools in one file: the name under which it is called selects the tool.

``python3 -m authsvc.installer`` and the zipapp start here. A link named ``docker-credential-authsvc`` makes the
zipapp the credential helper.
"""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run the tool that was called."""
    if os.path.basename(sys.argv[0]).startswith("docker-credential-"):
        from authsvc.installer import credential_helper

        return credential_helper.main()
    from authsvc.installer import license_tool

    return license_tool.main()


if __name__ == "__main__":
    sys.exit(main())
