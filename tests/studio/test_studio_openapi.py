"""The OpenAPI document: valid, and kept to by the server, whatever is sent."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from studio_fuzz import bomb, picture
from studio_rooms import TOKEN, app_of, client_of, routes_of, trained, untrained

EXAMPLES = 150
# What the OpenAPI specification 3.1 asks of the parts that are used here (section 4.8).
OPENAPI = {
    "type": "object",
    "required": ["openapi", "info", "paths"],
    "properties": {
        "openapi": {"pattern": r"^3\.1\.\d+$"},
        "info": {"type": "object", "required": ["title", "version"], "additionalProperties": {"type": "string"}},
        "security": {"type": "array", "items": {"type": "object", "additionalProperties": {"type": "array"}}},
        "components": {"type": "object"},
        "paths": {
            "type": "object",
            "propertyNames": {"pattern": "^/"},
            "additionalProperties": {
                "type": "object",
                "propertyNames": {"enum": ["get", "post"]},
                "additionalProperties": {"$ref": "#/$defs/operation"},
            },
        },
    },
    "additionalProperties": False,
    "$defs": {
        "operation": {
            "type": "object",
            "required": ["responses", "operationId"],
            "properties": {
                "operationId": {"type": "string", "pattern": "^[a-z_0-9]+$"},
                "summary": {"type": "string"},
                "parameters": {
                    "items": {
                        "type": "object",
                        "required": ["name", "in", "schema"],
                        "properties": {"in": {"enum": ["query"]}},
                    }
                },
                "requestBody": {"type": "object", "required": ["content"]},
                "responses": {
                    "type": "object",
                    "minProperties": 1,
                    "propertyNames": {"pattern": "^[1-5][0-9]{2}$"},
                    "additionalProperties": {"type": "object", "required": ["description", "content"]},
                },
            },
            "additionalProperties": False,
        }
    },
}


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    return app_of(trained(tmp_path_factory.mktemp("openapi")))


@pytest.fixture(scope="module")
def client(app):
    with client_of(app) as found:
        yield found


@pytest.fixture(scope="module")
def document(client):
    found = client.get("/api/openapi.json")
    assert found.status_code == 200
    return found.json()


def held_to(document, method, path, answer):
    """An answer is one that the document knows: its status, its type, its shape."""
    responses = document["paths"][path.partition("?")[0]][method.lower()]["responses"]
    assert str(answer.status_code) in responses, (method, path, answer.status_code, answer.text)
    content = responses[str(answer.status_code)]["content"]
    kind = answer.headers["content-type"]
    assert kind in content, kind
    Draft202012Validator(content[kind]["schema"]).validate(answer.json())


def test_the_document_is_valid(document):
    Draft202012Validator(OPENAPI).validate(document)
    names = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(set(names)) == len(names)
    schemas = [found for found in _walk(document) if isinstance(found, dict)]
    assert len(schemas) > 50
    for schema in schemas:
        Draft202012Validator.check_schema(schema)


def _walk(node):
    if isinstance(node, dict):
        for name, value in node.items():
            if name in ("schema", "items"):
                yield value
            yield from _walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from _walk(value)


def test_every_address_of_the_api_is_in_the_document(app, document):
    known = {(method.upper(), path) for path, operations in document["paths"].items() for method in operations}
    assert known == {(method, path) for method, path in routes_of(app) if path.startswith("/api")}


@pytest.mark.parametrize("start", ["/api", "/api/v1"])
def test_what_is_asked_as_the_document_says_is_answered_as_it_says(client, document, start):
    for path in (f"{start}/model", f"{start}/health", "/api/openapi.json"):
        answer = client.get(path)
        assert answer.status_code == 200
        held_to(document, "GET", path, answer)
    body = document["paths"][f"{start}/classify"]["post"]["requestBody"]["content"]
    kinds = [kind for kind in body if kind != "multipart/form-data"]
    assert len(kinds) == 6
    for kind in kinds:
        answer = client.post(f"{start}/classify?top_k=2", content=picture(), headers={"content-type": kind})
        assert answer.status_code == 200
        assert len(answer.json()["scores"]) == 2
        held_to(document, "POST", f"{start}/classify", answer)


def form(parts):
    body = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="image"; filename="' + name + b'"\r\n\r\n' + data + b"\r\n"
        for name, data in parts
    )
    return {"content": body + b"--b--\r\n", "headers": {"content-type": "multipart/form-data; boundary=b"}}


def test_a_form_is_answered_as_the_document_says_also_where_a_file_is_no_image(client, document):
    answer = client.post("/api/classify", **form([(b"a.png", picture()), (b"b.txt", b"text"), (b"c.png", bomb())]))
    held_to(document, "POST", "/api/classify", answer)
    first, second, third = answer.json()["results"]
    assert first["label"].startswith("class_")
    assert first["name"] == "a.png"
    assert set(second) == set(third) == {"name", "error"}
    assert "pixels" in third["error"]


bytes_ = st.one_of(st.binary(max_size=300), st.sampled_from([picture(), bomb(), picture()[:60], b"\xff\xd8\xff"]))
kinds = st.one_of(
    st.sampled_from(
        [
            "image/png",
            "IMAGE/JPEG; q=1",
            "application/octet-stream",
            "multipart/form-data; boundary=b",
            "text/plain",
            "",
        ]
    ),
    st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=60),
)
queries = st.one_of(
    st.integers(-5, 2_000_000).map(lambda number: f"top_k={number}"),
    st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#?"), max_size=40),
)
headers = st.dictionaries(
    st.sampled_from(
        ["origin", "host", "sec-fetch-site", "content-encoding", "authorization", "content-length", "cookie", "accept"]
    ),
    st.sampled_from(
        [
            "",
            "127.0.0.1",
            "evil.example",
            "http://evil.example",
            "same-origin",
            "cross-site",
            "gzip",
            "identity",
            "7",
            "²",
            "Bearer x",
        ]
    ),
    max_size=2,
)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    path=st.sampled_from(["/api/classify", "/api/v1/classify"]), query=queries, kind=kinds, body=bytes_, more=headers
)
def test_classify_keeps_to_the_document_whatever_is_sent(client, document, path, query, kind, body, more):
    answer = client.post(f"{path}?{query}", content=body, headers={"content-type": kind, **more})
    held_to(document, "POST", path, answer)
    assert answer.status_code < 500


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    parts=st.lists(
        st.tuples(st.binary(max_size=30).map(lambda name: re.sub(rb'["\r\n\\]', b"_", name)), bytes_), max_size=22
    ),
    query=queries,
)
def test_forms_keep_to_the_document_whatever_is_in_them(client, document, parts, query):
    answer = client.post(f"/api/classify?{query}", **form(parts))
    held_to(document, "POST", "/api/classify", answer)
    assert answer.status_code < 500


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    path=st.sampled_from(["/api/model", "/api/health", "/api/v1/model", "/api/v1/health", "/api/openapi.json"]),
    query=queries,
    more=headers,
)
def test_the_others_keep_to_the_document_whatever_is_sent(client, document, path, query, more):
    held_to(document, "GET", path, client.get(f"{path}?{query}", headers=more))


def test_without_a_model_or_a_token_the_document_is_kept_to(document, tmp_path):
    with client_of(app_of(untrained(tmp_path / "a"))) as client:
        for method, path in (("GET", "/api/model"), ("GET", "/api/health"), ("POST", "/api/classify")):
            answer = client.request(method, path, content=picture(), headers={"content-type": "image/png"})
            held_to(document, method, path, answer)
            assert answer.status_code == (200 if "health" in path else 409)
    with client_of(app_of(untrained(tmp_path / "b"), TOKEN)) as client:
        for _ in range(12):
            answer = client.get("/api/health", headers={"authorization": "Bearer wrong"})
            held_to(document, "GET", "/api/health", answer)
        assert answer.status_code == 429


def test_the_document_names_its_limits(document):
    text = json.dumps(document)
    assert "20000000" in text
    assert '"maxItems": 20' in text
