"""Hostile names, forms and requests: none is answered with a 500, none reads or writes outside the image folder."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from pathlib import Path
from urllib.parse import quote

import pytest
from PIL import Image
from studio_fuzz import NAMES, Hostile, bomb, picture
from studio_rooms import app_of, client_of, routes_of, trained

from retrain.studio.editing import LIMITS

REQUESTS = 1500
SECRET = b"a secret of this machine"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    trained(folder)
    return folder


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A studio for requests that change nothing."""
    with client_of(app_of(trained(tmp_path_factory.mktemp("shared")))) as client:
        yield client


@pytest.fixture
def place(model, tmp_path):
    """A run folder with a secret beside the photographs, and a link that leads to it."""
    from dataclasses import replace

    from retrain.studio.workshop import config_of

    folder = tmp_path / "place"
    shutil.copytree(model, folder)
    (folder / "secret.txt").write_bytes(SECRET)
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "secret.png").write_bytes(picture())
    (folder / "photos" / "leaves").symlink_to(folder / "elsewhere")
    (folder / "photos" / "class_0" / "link.png").symlink_to(folder / "secret.txt")
    config = config_of(str(folder / "out" / "model.pb"), str(folder / "photos"))
    return folder, replace(config, bottleneck_dir=str(folder / "bottlenecks"), model_dir=str(folder / "models"))


def outside(folder: Path) -> dict[str, str]:
    """What lies beside the photographs and the run's own files."""
    found = {}
    for name in ("secret.txt", "elsewhere", "tiny.json", "network.npz"):
        for path in sorted([folder / name, *(folder / name).rglob("*")]):
            found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
    return found | {"names": names_in(folder), "above": names_in(folder.parent)}


def names_in(folder: Path) -> str:
    return ",".join(sorted(path.name for path in folder.iterdir()))


def test_fuzzed_requests_are_all_answered_in_words(place, capfd):
    folder, config = place
    before = outside(folder)
    app = app_of(config)
    hostile = Hostile(routes_of(app), seed=int(os.environ.get("STUDIO_FUZZ_SEED", "1")))
    statuses: dict[int, int] = {}
    with client_of(app) as client:
        for _ in range(REQUESTS):
            case = hostile.draw()
            found = client.request(case.method, case.path, headers=case.headers, content=case.body)
            statuses[found.status_code] = statuses.get(found.status_code, 0) + 1
            assert 200 <= found.status_code < 500, (case, found.text)
            assert SECRET not in found.content, case
            assert b"Traceback" not in found.content, case
            assert "content-security-policy" in found.headers
    assert outside(folder) == before
    assert "Traceback" not in capfd.readouterr().err
    assert statuses.keys() >= {200, 400, 403, 404, 405, 415, 421}, statuses


def test_no_name_leads_out_of_the_folder(place):
    folder, config = place
    before = outside(folder)
    with client_of(app_of(config)) as client:
        for name in NAMES:
            path = quote(name.encode("utf-8", "surrogatepass"), safe="")
            known = name.startswith(("class_0/0", "class_1/0"))
            for address in ("picture?path=", "review/near?path=", "review/heat?path=", "use/download?file="):
                found = client.get(f"/studio/{address}{path}")
                assert found.status_code < 500 if known else 400 <= found.status_code < 500, (address, name, found.text)
                assert SECRET not in found.content
            for address, facts in (
                ("move", {"paths": [name], "to": "no/class"}),
                ("take_out", {"paths": [f"./{name}"]}),
                ("review/confirm", {"path": f"../{name}"}),
                ("classes/drop", {"name": f"{name}/."}),
                ("classes/merge", {"old": f"{name}/", "into": "class_1"}),
            ):
                found = client.post(f"/studio/{address}", json=facts)
                assert 400 <= found.status_code < 500, (address, name, found.text)
            for address, facts in (
                ("move", {"paths": ["class_0/0000.png"], "to": name}),
                ("classes/make", {"name": name}),
                ("classes/rename", {"old": "class_2", "new": name}),
            ):
                assert client.post(f"/studio/{address}", json=facts).status_code < 500, (address, name)
    assert outside(folder) == before


def test_an_uploaded_name_stays_a_name(place):
    folder, config = place
    before, there = outside(folder), files(folder)
    with client_of(app_of(config)) as client:
        for name in NAMES:
            given = _form([(b"folder", None, b"class_1"), (b"files", as_header(name), picture())])
            found = client.post("/studio/upload", **given)
            assert found.status_code in (200, 400), (name, found.text)
            fresh = files(folder) - there
            there |= fresh
            assert [path.parent.name for path in fresh] == ["class_1"] * (found.status_code == 200), (name, fresh)
    assert outside(folder) == before


def test_an_upload_goes_to_a_class_of_the_folder_or_nowhere(place):
    folder, config = place
    before = outside(folder)
    with client_of(app_of(config)) as client:
        for name in NAMES:
            to = name.encode("utf-8", "replace")
            found = client.post("/studio/upload", **_form([(b"folder", None, to), (b"files", b"a.png", picture())]))
            assert found.status_code in (200, 400), (name, found.text)
    assert outside(folder) == before


def files(folder: Path) -> set[Path]:
    """All photographs, those that were taken out as well."""
    return {path for path in (folder / "photos").rglob("*.[pj][np]g") if path.is_file()}


def as_header(name: str) -> bytes:
    kept = name.encode("utf-8", "replace").replace(b'"', b"%22")
    return kept.replace(b"\r\n", b" ").replace(b"\n", b" ").replace(b"\0", b"")


def test_labels_that_hold_html_stay_text_in_json_and_leave_pages_alone(place):
    folder, config = place
    label = "b>&amp;'x" if os.name == "nt" else "b&amp;'\u202ex"
    (folder / "photos" / "class_2").rename(folder / "photos" / label)
    (folder / "photos" / label / "<img src=x onerror=alert(1)>.png").write_bytes(picture())
    with client_of(app_of(config)) as client:
        for path in ("/studio/state", "/studio/photographs"):
            found = client.get(path)
            assert found.headers["content-type"] == "application/json"
            assert label in json.dumps(found.json(), ensure_ascii=False)
        for path in ("/", "/train", "/review", "/try", "/use"):
            assert "onerror" not in client.get(path).text


def test_a_bomb_is_refused_before_it_is_decoded(place):
    _, config = place
    with client_of(app_of(config)) as client:
        for address in ("/api/classify", "/studio/try"):
            found = client.post(address, content=bomb(), headers={"content-type": "image/png"})
            assert found.status_code == 415
            assert "pixel" in found.text
        large = io.BytesIO()
        Image.new("RGB", (5001, 5000)).save(large, "PNG")
        found = client.post("/api/classify", content=large.getvalue(), headers={"content-type": "image/png"})
        assert found.status_code == 415


def test_a_photograph_of_more_than_20_mb_is_refused_with_and_without_a_length(place):
    _, config = place
    headers = {"content-type": "image/png"}
    with client_of(app_of(config)) as client:
        announced = client.post("/api/classify", headers={**headers, "content-length": str(LIMITS.max_bytes + 1)})
        assert announced.status_code == 413
        pieces = (bytes(1_000_000) for _ in range(21))
        assert client.post("/api/classify", content=pieces, headers=headers).status_code == 413
        kept = _form([(b"image", b"large.png", bytes(LIMITS.max_bytes + 2)), (b"image", b"small.png", picture())])
        several = client.post("/api/classify", **kept)
        assert several.status_code == 200
        first, second = several.json()["results"]
        assert "too large" in first["error"]
        assert second["label"].startswith("class_")


def test_of_a_file_that_is_too_large_one_byte_more_is_kept(monkeypatch, place):
    from retrain.studio import forms

    sizes = []
    read = forms.bytes_of

    async def noticed(file, most):
        sizes.append(file.size)
        return await read(file, most)

    monkeypatch.setattr("retrain.studio.api.bytes_of", noticed)
    _, config = place
    with client_of(app_of(config)) as client:
        client.post("/api/classify", **_form([(b"image", b"large.png", bytes(LIMITS.max_bytes + 500_000))]))
    assert sizes == [LIMITS.max_bytes + 1]


@pytest.mark.parametrize("address", ["/api/classify", "/studio/upload"])
@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ([(b"image", b"a.png", b"x")] * 21, 413),
        ([(b"field", None, b"x")] * 11, 413),
        ([(b"field", None, b"x" * 2_000_000)], 413),
        ([(b"n" * 5000, None, b"x")], 400),
        ([(b"image", b"n" * 9000, b"x")], 400),
        ([], 400),
    ],
)
def test_forms_with_too_much_in_them(shared, address, parts, status):
    assert shared.post(address, **_form(parts)).status_code == status


@pytest.mark.parametrize("charset", ["idna", "undefined", "utf-7", "punycode", "base64", "no-such", "utf-16"])
def test_forms_in_other_codes_are_refused(shared, charset):
    given = _form([(b"folder", None, b"\xffclass_0"), (b"files", b"a.png", picture())])
    given["headers"] = {"content-type": f"multipart/form-data; boundary=b; charset={charset}"}
    assert shared.post("/studio/upload", **given).status_code == 400


def _form(parts):
    body = b""
    for field, name, data in parts:
        named = b"" if name is None else b'; filename="' + name + b'"'
        body += b'--b\r\nContent-Disposition: form-data; name="' + field + b'"' + named + b"\r\n\r\n" + data + b"\r\n"
    return {"content": body + b"--b--\r\n", "headers": {"content-type": "multipart/form-data; boundary=b"}}
