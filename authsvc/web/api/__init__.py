"""The management API, ``/api/v1``: declared endpoints around the use cases of ``manage/``, and their document."""
