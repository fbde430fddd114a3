"""``python -m retrain fetch`` and ``separate`` as they are typed, against a server on this machine."""

import json
import os
import signal
import subprocess
import sys

import pytest
from conftest import ROOT, python
from photo_server import page, serving, stalled
from support import encode, noise


@pytest.fixture
def server():
    with serving() as running:
        for number in range(4):
            running.pages[f"/cat/{number}.jpg"] = page(encode(noise(20, 20, seed=number), "JPEG"))
        yield running


OWN_NETWORK = ("--allow_http", "--allow_private", "--pause_s", "0", "--tries", "1")


def fetch(folder, *words):
    return python("-m", "retrain", "fetch", "--image_dir", folder / "photos", *OWN_NETWORK, *words, cwd=folder)


def test_a_list_becomes_class_folders_and_the_rest_is_said(tmp_path, server):
    rows = [f"{server.url}/cat/{number}.jpg,{'cat' if number < 2 else 'open cluster'}" for number in range(4)]
    table = tmp_path / "list.csv"
    table.write_text("\n".join(["url,label", *rows, f"{server.url}/none.jpg,cat"]))
    first = fetch(tmp_path, "--csv", table)
    assert first.returncode == 9, first.stderr
    assert "4 kept, 1 refused" in first.stdout
    assert f"refused: {server.url}/none.jpg: status 404" in first.stdout
    assert "1 of 5 photographs could not be had" in first.stderr
    assert len(list((tmp_path / "photos" / "open cluster").iterdir())) == 2
    asked = sum(server.asked.values())
    second = fetch(tmp_path, "--csv", table)
    assert second.returncode == 9
    assert "5 of these settled in an earlier run" in second.stdout
    assert sum(server.asked.values()) == asked


def test_addresses_under_one_label(tmp_path, server):
    (tmp_path / "urls.txt").write_text(f"# mine\n{server.url}/cat/1.jpg\n")
    done = fetch(tmp_path, "--urls", "urls.txt", "--label", "cat")
    assert done.returncode == 0, done.stderr
    assert "1 kept; 0 of these" in done.stdout


def test_by_default_this_machine_is_not_asked(tmp_path, server):
    (tmp_path / "urls.txt").write_text(f"{server.url}/cat/1.jpg\n{server.url.replace('http', 'https')}/cat/1.jpg\n")
    words = ("fetch", "--urls", "urls.txt", "--label", "cat", "--image_dir", "photos")
    done = python("-m", "retrain", *words, cwd=tmp_path)
    assert done.returncode == 9
    assert "--allow_http" in done.stdout
    assert "not a public address" in done.stdout
    assert server.asked == {}


def test_all_problems_at_once_and_nothing_is_touched(tmp_path):
    words = ("--urls", "none.txt", "--parallel", "0", "--per_second", "nan", "--tries", "x", "--paralel", "3")
    done = python("-m", "retrain", "fetch", *words[:-2], cwd=tmp_path)
    assert done.returncode == 2
    assert "6 problems" in done.stderr
    assert list(tmp_path.iterdir()) == []
    assert "did you mean --parallel" in python("-m", "retrain", "fetch", *words, cwd=tmp_path).stderr


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT for a child there")
def test_interrupted_it_ends_at_once_and_goes_on(tmp_path, server):
    server.pages["/cat/9.jpg"] = stalled()
    manifest = tmp_path / "photos" / "fetched.jsonl"
    (tmp_path / "urls.txt").write_text(f"{server.url}/cat/1.jpg\n{server.url}/cat/9.jpg\n")
    words = ("-m", "retrain", "fetch", "--urls", "urls.txt", "--label", "cat", "--image_dir", "photos", *OWN_NETWORK)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    child = subprocess.Popen(
        [sys.executable, *words, "--timeout_s", "600"], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    )
    while not (server.asked["/cat/9.jpg"] and manifest.read_bytes()):
        assert child.poll() is None
        server.closing.wait(0.02)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "interrupted" in said
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    assert [row["status"] for row in rows] == ["kept"]
    server.pages["/cat/9.jpg"] = page(encode(noise(20, 20, seed=9)))
    again = python(*words, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert server.asked["/cat/1.jpg"] == 1


def test_files_of_one_folder_are_separated_and_put_back(tmp_path):
    for name in ("cat.1.jpg", "cat.2.jpg", "dog.1.jpg"):
        (tmp_path / name).write_bytes(encode(noise(8, 8)))
    assert "--apply" in python("-m", "retrain", "separate", ".", cwd=tmp_path).stdout
    done = python("-m", "retrain", "separate", ".", "--apply", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "cat").iterdir()) == ["cat.1.jpg", "cat.2.jpg"]
    undone = python("-m", "retrain", "separate", ".", "--undo", cwd=tmp_path)
    assert "3 files put back" in undone.stdout
    assert not (tmp_path / "cat").exists()
