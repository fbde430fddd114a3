import io
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import encode, noise, scene

from retrain.errors import ImageError
from retrain.studio import pictures as room
from retrain.studio.pictures import TILE, WHOLE, Pictures


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "1.jpg"
    path.write_bytes(encode(scene(1, (900, 600)), "JPEG"))
    return path


def opened(data):
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


def test_a_photograph_is_shown_in_two_sizes_and_never_made_larger(photo, tmp_path):
    pictures = Pictures()
    assert opened(pictures.jpeg(photo, TILE)[0]).size == (200, 133)
    assert opened(pictures.jpeg(photo, WHOLE)[0]).size == (900, 600)
    small = tmp_path / "small.png"
    small.write_bytes(encode(noise(5, 7)))
    assert opened(pictures.jpeg(small, TILE)[0]).size == (7, 5)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP"])
def test_what_is_sent_is_a_jpeg_made_here_without_what_the_file_carries(tmp_path, kind):
    path = tmp_path / "photo"
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    options = {"exif": exif} if kind in ("JPEG", "PNG", "WEBP") else {}
    path.write_bytes(encode(scene(2), kind, **options) + b"<script>alert(1)</script>")
    data, _ = Pictures().jpeg(path, WHOLE)
    assert data.startswith(b"\xff\xd8\xff")
    assert b"where I live" not in data
    assert b"<script>" not in data
    assert opened(data).format == "JPEG"


def test_it_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "1.jpg").write_bytes(encode(scene(3, (300, 200)), "JPEG", exif=exif))
    assert opened(Pictures().jpeg(tmp_path / "1.jpg", TILE)[0]).size == (133, 200)


def test_a_huge_progressive_photograph_is_a_tile(tmp_path):
    path = tmp_path / "huge.jpg"
    path.write_bytes(encode(Image.new("RGB", (9000, 6000), (9, 90, 200)), "JPEG", progressive=True))
    tile = opened(Pictures().jpeg(path, TILE)[0])
    assert tile.size == (200, 133)
    assert np.abs(np.asarray(tile, int) - (9, 90, 200)).max() < 8


@pytest.mark.parametrize(
    "data", [b"", b"<svg onload=alert(1)>", encode(noise(40, 40))[:900], b"GIF89a", b"\xff\xd8\xff"]
)
def test_what_is_no_photograph_is_not_shown(tmp_path, data):
    (tmp_path / "x.jpg").write_bytes(data)
    with pytest.raises(ImageError):
        Pictures().jpeg(tmp_path / "x.jpg", TILE)
    with pytest.raises(ImageError):
        Pictures().jpeg(tmp_path / "none.jpg", TILE)


def test_the_second_time_nothing_is_decoded(photo, monkeypatch):
    pictures = Pictures()
    first = pictures.jpeg(photo, TILE)
    monkeypatch.setattr(room, "decode_upright", None)
    assert pictures.jpeg(photo, TILE) == first
    assert pictures.tag(photo, TILE) == first[1] != pictures.tag(photo, WHOLE)


def test_another_file_of_that_name_size_and_date_is_another_picture(photo):
    """As files that were unpacked together: one is moved away, and another gets its name."""
    other = photo.with_name("2.jpg")
    other.write_bytes(encode(scene(2, (900, 600)), "JPEG"))
    longer, shorter = sorted((photo, other), key=lambda path: -path.stat().st_size)
    shorter.write_bytes(shorter.read_bytes().ljust(longer.stat().st_size, b"\0"))
    for path in (photo, other):
        os.utime(path, ns=(10**18, 10**18))
    pictures = Pictures()
    before, tag = pictures.jpeg(photo, TILE)
    photo.rename(photo.with_name("away.jpg"))
    other.rename(photo)
    after, new_tag = pictures.jpeg(photo, TILE)
    assert new_tag != tag
    assert after != before


def test_no_more_is_kept_than_may_be_and_the_oldest_goes_first(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "_KEPT_BYTES", 40_000)
    pictures = Pictures()
    paths = [tmp_path / f"{number}.png" for number in range(12)]
    for number, path in enumerate(paths):
        path.write_bytes(encode(noise(100, 100, number)))
        pictures.jpeg(path, TILE)
        assert pictures._bytes == sum(map(len, pictures._kept.values())) <= 40_000
        pictures.jpeg(paths[0], TILE)
    kept = {Path(path).name for path, _ in pictures._kept}
    assert "0.png" in kept
    assert "11.png" in kept
    assert "1.png" not in kept


def test_many_threads_at_once_get_the_same(photo, monkeypatch):
    monkeypatch.setattr(room, "_KEPT_BYTES", 30_000)
    pictures, found, paths = Pictures(), [], []
    for number in range(6):
        paths.append(photo.with_name(f"{number}.png"))
        paths[-1].write_bytes(encode(noise(80, 80, number)))

    def ask():
        found.extend((path.name, pictures.jpeg(path, TILE)) for _ in range(5) for path in paths)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(found) == 6 * 5 * 6
    assert len(set(found)) == 6
    assert pictures._bytes == sum(map(len, pictures._kept.values())) <= 30_000
