"""The OpenAPI document of what scripts use; the tests hold the server to it."""

from __future__ import annotations

from typing import Any

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}, "problems": {"type": "array", "items": {"type": "string"}}},
}
_SCORE = {
    "type": "object",
    "required": ["label", "score"],
    "properties": {"label": {"type": "string"}, "score": {"type": "number", "minimum": 0, "maximum": 1}},
}
_JUDGED = {
    "type": "object",
    "required": ["label", "score", "unknown", "scores", "nearest"],
    "properties": {
        "label": {"type": "string", "description": "the best label, or unknown"},
        "score": {"type": "number", "minimum": 0, "maximum": 1},
        "unknown": {"type": "boolean", "description": "it is like nothing that the model was trained on"},
        "scores": {"type": "array", "items": _SCORE},
        "nearest": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["path", "label", "cosine"],
                "properties": {
                    "path": {"type": "string"},
                    "label": {"type": "string"},
                    "cosine": {"type": "number"},
                },
            },
        },
    },
}
_REFUSALS = {
    "400": "the request is not one that can be answered",
    "401": "the token is missing, where one is asked for",
    "403": "it comes from the page of another site",
    "409": "there is no model",
    "413": "too many bytes, or too many files",
    "415": "it is no image that is read",
    "421": "the Host is none that the studio is known by",
    "429": "too many wrong tokens",
    "503": "as many requests wait as may; ask again in a moment",
}


def document(version: str, api_version: str, most_files: int, most_bytes: int) -> dict[str, Any]:
    """Write the document.

    Args:
        version: of this program.
        api_version: of the interface.
        most_files: a form may hold.
        most_bytes: an image may have.

    Returns:
        OpenAPI 3.1, JSON's types only.
    """
    form = {
        "type": "object",
        "required": ["image"],
        "properties": {
            "image": {"type": "array", "maxItems": most_files, "items": {"type": "string", "format": "binary"}}
        },
    }
    body = {
        "required": True,
        "description": f"one image of at most {most_bytes} bytes, or a form of at most {most_files}",
        "content": {
            **{kind: {"schema": {"type": "string", "format": "binary"}} for kind in _KINDS},
            "multipart/form-data": {"schema": form},
        },
    }
    classify = {
        "operationId": "classify",
        "summary": "Name one photograph, or several",
        "parameters": [
            {"name": "top_k", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 999_999}}
        ],
        "requestBody": body,
        "responses": _responses(_classified()),
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "retrain studio", "version": api_version, "description": f"retrain {version}"},
        "paths": {
            f"{start}/{name}": operation
            for start in ("/api", "/api/v1")
            for name, operation in {
                "classify": {"post": _named(classify, start)},
                "model": {"get": _named(_plain("model", "Say which model it is", _MODEL), start)},
                "health": {"get": _named(_plain("health", "Say that the studio is there", _HEALTH), start)},
            }.items()
        }
        | {"/api/openapi.json": {"get": _plain("document", "Give this document", {"type": "object"})}},
        # Where the studio is bound to this machine only, no token is asked for.
        "security": [{}, {"token": []}],
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


_KINDS = ("image/jpeg", "image/png", "image/gif", "image/bmp", "image/webp", "application/octet-stream")
_VERSION = {"type": "string"}
_NAME = {"name": {"type": "string", "description": "of the file, as the form calls it"}}
_MODEL = {
    "type": "object",
    "required": ["version", "labels", "architecture", "date", "tflite_sha256", "unknown", "input"],
    "properties": {
        "version": _VERSION,
        "labels": {"type": "array", "items": {"type": "string"}},
        "architecture": {"type": "string"},
        "date": {"type": "string"},
        "tflite_sha256": {"type": "string"},
        "unknown": {"type": "boolean"},
        "input": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2},
    },
}
_HEALTH = {
    "type": "object",
    "required": ["version", "status", "model"],
    "properties": {"version": _VERSION, "status": {"const": "ok"}, "model": {"type": "boolean"}},
}


def _with(properties: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Put further properties into a schema, all of them required."""
    required = [*properties, *schema["required"]]
    return {**schema, "required": required, "properties": {**properties, **schema["properties"]}}


def _classified() -> dict[str, Any]:
    """What classify answers: of one image what is said of it, of a form a list."""
    one = _with({"version": _VERSION}, _JUDGED)
    refused = {"type": "object", "required": ["name", "error"], "properties": {**_NAME, "error": {"type": "string"}}}
    several = {
        "type": "object",
        "required": ["version", "results"],
        "properties": {
            "version": _VERSION,
            "results": {
                "type": "array",
                "items": {"anyOf": [_with(_NAME, _JUDGED), refused]},
            },
        },
    }
    return {"anyOf": [one, several]}


def _plain(name: str, summary: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"operationId": name, "summary": summary, "responses": _responses(schema)}


def _named(operation: dict[str, Any], start: str) -> dict[str, Any]:
    """Operation names are unique in a document."""
    return operation if start == "/api" else {**operation, "operationId": f"{operation['operationId']}_v1"}


def _responses(schema: dict[str, Any]) -> dict[str, Any]:
    refusals = {
        status: {"description": text, "content": {"application/json": {"schema": _ERROR}}}
        for status, text in _REFUSALS.items()
    }
    return {"200": {"description": "done", "content": {"application/json": {"schema": schema}}}, **refusals}
