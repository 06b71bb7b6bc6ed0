"""``python -m authsvc``: the same program as the ``authsvc`` command."""

from authsvc.cli.main import main

if __name__ == "__main__":
    main()
