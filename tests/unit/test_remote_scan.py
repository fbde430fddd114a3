import pytest
from support import write_tree

from retrain.dataset import Catalog, scan_folder, scan_photographs
from retrain.dataset.remote import RemoteCatalog, scan_url

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed: python -m pip install -e '.[remote]'")

TREE = {
    "open cluster": {"2.jpg": b"22", "1.JPG": b"1", "notes.txt": b"-", ".hidden.jpg": b"-", "no suffix": b"333"},
    "Globular": {"m 13.png": b"13", "#?[1]*.webp": b"4444"},
    ".git": {"1.jpg": b"-"},
}


@pytest.fixture
def tree(tmp_path):
    root = write_tree(tmp_path / "photos", TREE)
    (root / "open cluster" / "inner").mkdir()
    (root / "loose.jpg").write_bytes(b"-")
    (root / "readme.md").write_bytes(b"-")
    return root


@pytest.fixture
def in_memory(tree):
    """The same files under memory://."""
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]
    files.put(f"{tree}/", "/photos", recursive=True)
    files.makedirs("/photos/open cluster/inner", exist_ok=True)
    yield "memory://photos"
    files.store.clear()
    files.pseudo_dirs[:] = [""]


def plain(catalog: Catalog):
    records = [(record.path, record.label, record.size) for record in catalog.records]
    return catalog.labels, records, catalog.left_out, catalog.problems


@pytest.mark.parametrize("style", ["folder", "poets"])
def test_a_url_is_listed_as_the_folder_itself_is(tree, in_memory, style):
    here = plain(scan_folder(str(tree), style))
    assert len(here[1]) == 5
    assert sum(here[2].values()) == 5
    assert plain(scan_url(tree.as_uri(), style)) == here
    assert plain(scan_url(in_memory, style)) == here


def test_the_root_decides_who_lists(tree, in_memory):
    assert type(scan_photographs(str(tree), "folder")) is Catalog
    remote = scan_photographs(in_memory, "folder")
    assert type(remote) is RemoteCatalog
    assert remote.full_path(remote.records[0]) == "memory://photos/Globular/#?[1]*.webp"
    slash = scan_photographs(in_memory + "/", "folder")
    assert [slash.full_path(r) for r in slash.records] == [remote.full_path(r) for r in remote.records]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "No valid folders of images found at {root}: make one sub-folder a class"),
        ({"x.jpg": b"1"}, "No valid folders of images found at {root}; 1 images lie directly in it: make one"),
        ({"a/1.jpg": b"1"}, "Only one valid folder of images found at {root} - multiple classes are needed"),
        ({"a/b/1.jpg": b"1", "a/c/1.jpg": b"1"}, "so --image_dir {root}/a may be what is meant"),
        ({"a/1.jpg": b"1", "b/1.txt": b"1"}, "class folder '{root}/b' holds no images; put photographs into it"),
        ({"a/1.jpg": b"1", "b/c/1.jpg": b"1"}, "(its sub-folder 'c' is not read: photographs must lie directly"),
    ],
)
def test_a_bad_layout_is_a_problem(tmp_path, files, said):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    problems = scan_url(tmp_path.as_uri(), "folder").problems
    assert said.format(root=tmp_path.as_uri()) in "\n".join(problems)


def test_a_class_that_cannot_be_listed_is_a_problem(tree, monkeypatch):
    from retrain import storage

    real = storage.list_folder

    def refuse(url):
        if url.endswith("Globular"):
            raise OSError("PermissionError: Forbidden")
        return real(url)

    monkeypatch.setattr(storage, "list_folder", refuse)
    (problem,) = scan_url(tree.as_uri(), "folder").problems
    assert problem == f"cannot list {tree.as_uri()}/Globular: PermissionError: Forbidden; check that it may be read"
