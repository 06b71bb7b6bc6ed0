"""What licenses have in common is stored once, and differs where they differ."""

import json

from tests.support.builders import make_license


def test_equal_fields_are_stored_once() -> None:
    """Nobody else has the object: what its maker does with the fields afterwards does not change the license."""
    fields: dict[str, object] = {"seats": 25, "plan": "gold"}
    one, other = make_license(fields=fields), make_license("other", fields=dict(fields))
    fields["seats"] = 26

    assert one.fields is other.fields
    assert one.fields == {"seats": 25, "plan": "gold"}
    assert make_license().fields is make_license("other").fields


def test_fields_of_another_form_are_others() -> None:
    """Values that are equal in Python only, and another order, are written into the file as they were given."""
    texts = ['{"a": 1, "b": 2}', '{"b": 2, "a": 1}', '{"a": 1.0, "b": 2}', '{"a": true, "b": 2}']
    made = [make_license(fields=json.loads(text)) for text in texts]

    assert texts == [json.dumps(one.fields) for one in made]
