"""What was typed into a form, under the rules of the JSON door."""

from collections.abc import Mapping
from typing import Annotated, TypeVar

from fastapi import Form
from pydantic import BaseModel, ValidationError

from app.errors import Invalid, sentence

# Longer than what is accepted, so that a text too long comes back in its form.
Typed = Annotated[str, Form(max_length=1_500_000)]
# What a form was filled from, as `Basis` writes it.
Seen = Annotated[str, Form(max_length=100_000)]
Model = TypeVar("Model", bound=BaseModel)


def checked(model: type[Model], typed: Mapping[str, object]) -> Model:
    """What was typed, as the model has it. Raises Invalid, a sentence per field."""
    try:
        return model.model_validate(typed)
    except ValidationError as exc:
        fields = {str(error["loc"][0]): sentence(error) for error in exc.errors()}
        raise Invalid("Some fields cannot be used.", fields=fields) from exc
