"""The JSON schema of a config, for editors: `python -m actadd.config.schema` writes it."""

from pathlib import Path
from typing import Any

import yaml
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from actadd.config.declaration import Config
from actadd.config.models import models

SCHEMA = Path(__file__).resolve().parents[2] / "schemas" / "config.schema.yaml"


class _Schema(GenerateJsonSchema):
    """Without titles that only repeat a key, and without nulls: a key is left out instead."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def nullable_schema(self, schema: core_schema.NullableSchema) -> dict[str, Any]:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> dict[str, Any]:
        if schema.get("default") is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

    def model_schema(self, schema: core_schema.ModelSchema) -> dict[str, Any]:
        written = super().model_schema(schema)
        return {name: value for name, value in written.items() if name != "title"}


def json_schema() -> dict[str, Any]:
    """The schema of what a config may say, with the kinds that are known."""
    schema = models().of(Config).model_json_schema(schema_generator=_Schema)
    top = {"$schema": GenerateJsonSchema.schema_dialect, "title": "actadd-pipeline config"}
    return {**top, **schema}


def text() -> str:
    """The schema as YAML."""
    written = yaml.safe_dump(json_schema(), sort_keys=False, width=100, allow_unicode=True)
    return f"# Written by `python -m actadd.config.schema` from actadd.config.sections.\n{written}"


if __name__ == "__main__":
    SCHEMA.write_text(text(), encoding="utf-8")
