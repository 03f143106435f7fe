"""To describe a hundred thousand mistakes would hold everybody up for most of a second."""

from typing import Annotated, Any

import pydantic
import pytest

from broker.api.jobs import Ask
from broker.shapes import FirstOnly, validator
from protocol import messages as m

MANY = [{}] * 1000
BODIES = [(m.Edit, {"id": "e", "changes": MANY}), (Ask, {"request": {"phrases": MANY}})]


@pytest.mark.parametrize(("kind", "body"), BODIES)
def test_the_first_wrong_item_of_a_list_is_enough(kind: type, body: dict[str, Any]) -> None:
    for check in (validator(kind), pydantic.TypeAdapter(Annotated[kind, FirstOnly()])):
        with pytest.raises(pydantic.ValidationError) as caught:
            check.validate_python(body)
        assert caught.value.error_count() < 10


@pytest.mark.parametrize("kind", [m.Edit, Ask])
def test_the_api_is_described_as_before(kind: type) -> None:
    assert pydantic.TypeAdapter(Annotated[kind, FirstOnly()]).json_schema() == pydantic.TypeAdapter(kind).json_schema()


def test_what_is_right_is_built() -> None:
    body = {"id": "e", "changes": [{"verb": "delete", "kind": "node", "id": "n"}]}
    assert validator(m.Edit).validate_python(body) == pydantic.TypeAdapter(m.Edit).validate_python(body)
