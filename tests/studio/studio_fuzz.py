"""Hostile requests without end, drawn from a seed: every address of the studio, with what it expects and what it does not."""

from __future__ import annotations

import io
import json
import random
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from PIL import Image

NAMES = [
    "../secret.txt", "../../etc/passwd", "/etc/passwd", "..", ".", "", " ", "class_0/../../secret.txt", "class_0/..", "..\\secret.txt",
    "%2e%2e/secret.txt", "..%2fsecret.txt", "class_0\\..\\..\\secret.txt", "C:\\secret.txt", "\\\\host\\share", "~/secret.txt",
    ".removed", ".removed/class_0/0000.png", ".hidden", "class_0/.hidden", "leaves", "leaves/secret.txt", "class_0\0.png", "\0",
    "a" * 256, "a" * 5000, "a/" * 3000, "é" * 120, "Cafe\u0301", "Café", "\ud800", "class_\udcff", "\u202egpj.exe", "a\nb", "a\r\nx: y",
    "\x1b[31mred\x1b[0m", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>.png", "' OR 1=1", '"quoted"', "CON", "nul.txt", "a.",
    "class_0", "class_1", "CLASS_0", "class_0/0000.png", "class_1/0001.png", "class_0/", "/class_0", "class_0//0000.png", "\ufeff", "𝒳",
]  # fmt: skip
VALUES = [None, True, False, 0, -1, 1, 2**63, 10**400, 1e308, 0.5, [], {}, [None], [[]], "", "text", ["text"], {"a": 1}]
NUMBERS = [
    "",
    "0",
    "1",
    "-1",
    "200",
    "1000",
    "1001",
    "99999999999",
    "1e3",
    "²",
    "٣",
    "NaN",
    " 1",
    "0x10",
    "1.5",
    "+1",
    "\0",
]
MEMBERS = [
    "paths",
    "to",
    "name",
    "old",
    "new",
    "into",
    "path",
    "right",
    "url",
    "format",
    "folder",
    "seed",
    "__class__",
    "head",
    "architecture",
]
QUERIES = ["path", "size", "folder", "find", "start", "count", "truth", "guess", "label", "file", "top_k", "token", "x"]
KINDS = [
    "image/png", "image/jpeg", "application/octet-stream", "application/json", "multipart/form-data; boundary=b", "text/plain", "", "image/",
    "multipart/form-data", "multipart/form-data; boundary=", 'multipart/form-data; boundary="' + "b" * 300 + '"', "application/json; charset=utf-16",
    "multipart/form-data; boundary=b; charset=idna", "multipart/form-data; boundary=b; charset=undefined", "a" * 1000, "application/x-www-form-urlencoded",
]  # fmt: skip


@dataclass(frozen=True)
class Case:
    method: str
    path: str
    headers: dict[str, bytes]
    body: bytes


class Hostile:
    """Draws requests.

    Args:
        routes: method and address of what there is.
        seed: of everything.
    """

    def __init__(self, routes: Sequence[tuple[str, str]], seed: int) -> None:
        self._random = random.Random(seed)
        # Events never end, and the doctor looks at everything.
        self._routes = [one for one in routes if one[1] not in ("/studio/events", "/studio/doctor")]
        self._bodies = [
            picture(),
            bomb(),
            picture()[:50],
            b"",
            b"\xff\xd8\xff" + bytes(100),
            b"GIF89a" + bytes(20),
            b"\0" * 5000,
        ]

    def draw(self) -> Case:
        """Draw one."""
        pick = self._random
        method, path = pick.choice(self._routes)
        if pick.random() < 0.1:
            method = pick.choice(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "BREW"])
        if pick.random() < 0.05:
            path = pick.choice(["/static/", "/studio/", "/api/", "/"]) + _quoted(pick.choice(NAMES))
        kind, body = self._body(path)
        headers = {"content-type": kind.encode("latin-1")} if kind else {}
        return Case(method, path + self._query(), headers | self._odd_headers(), body)

    def _query(self) -> str:
        pick = self._random
        if pick.random() < 0.4:
            return ""
        names = pick.choices(QUERIES, k=pick.randint(1, 4))
        return "?" + "&".join(f"{name}={_quoted(pick.choice(pick.choice([NAMES, NUMBERS])))}" for name in names)

    def _odd_headers(self) -> dict[str, bytes]:
        pick = self._random
        if pick.random() < 0.7:
            return {}
        return dict([pick.choice([
            ("host", b"evil.example"), ("origin", b"http://evil.example"), ("sec-fetch-site", b"cross-site"), ("cookie", b"a=\xff; ;=;" * 20),
            ("content-encoding", b"gzip"), ("accept", b"\xff\xfe" * 50), ("range", b"bytes=0-,5-1,-99999999999999999999"),
            ("if-none-match", b"*"), ("authorization", b"Bearer \xff"), ("expect", b"100-continue"), ("x-forwarded-host", b"evil.example"),
            ("x-http-method-override", b"DELETE"), ("if-modified-since", b"not a date"), ("accept-encoding", b"gzip;q=zz"),
        ])])  # fmt: skip

    def _body(self, path: str) -> tuple[str, bytes]:
        pick = self._random
        roll = pick.random()
        if roll < 0.2:
            return pick.choice(KINDS), pick.choice(self._bodies)
        if roll < 0.3:
            return pick.choice(KINDS), pick.randbytes(pick.randint(0, 3000))
        if roll < 0.45 or path.endswith(("classify", "upload")):
            return "multipart/form-data; boundary=b", self._form()
        if roll < 0.55 and path.endswith(("try", "heat", "classify")):
            return "image/png", pick.choice(self._bodies)
        return "application/json", self._json(path)

    def _json(self, path: str) -> bytes:
        pick = self._random
        if pick.random() < 0.1:
            return pick.choice(
                [
                    b"",
                    b"[" * 100_000,
                    b"{",
                    b"null",
                    b"1" * 5000,
                    b'{"a":NaN}',
                    b"\xff",
                    b'"\\ud800"',
                    b"{}x",
                    b'{"a":1,"a":2}',
                ]
            )
        facts = {
            name: pick.choice(pick.choice([NAMES, VALUES])) for name in pick.choices(MEMBERS, k=pick.randint(1, 5))
        }
        if "paths" in facts and pick.random() < 0.8:
            facts["paths"] = pick.choices(NAMES, k=pick.randint(1, 4))
        if path.endswith("/train"):
            facts["no such setting"] = 1  # no run is started here
        if path.endswith("/export"):
            facts["format"] = pick.choice(NAMES)
        return json.dumps(facts).encode()

    def _form(self) -> bytes:
        pick = self._random
        parts = [self._part() for _ in range(pick.choice([0, 1, 1, 2, 3, 12, 21]))]
        end = pick.choice([b"--b--\r\n", b"--b--\r\n", b"--b--\r\n", b"", b"--b", b"--c--\r\n"])
        return b"".join(parts) + end

    def _part(self) -> bytes:
        pick = self._random
        field = pick.choice(["folder", "image", "files", "x", *NAMES[:6]])
        name = pick.choice(NAMES).encode("utf-8", "replace").replace(b'"', b"%22").replace(b"\r\n", b" ")
        head = b'--b\r\nContent-Disposition: form-data; name="' + field.encode() + b'"'
        if pick.random() < 0.7:
            head += b'; filename="' + name + b'"'
        if pick.random() < 0.1:
            head = pick.choice(
                [b"--b\r\n", b"--b\r\n:\r\n", b"--b\r\nContent-Disposition: form-data", head + b"\r\nx: " + b"y" * 9000]
            )
        body = pick.choice([*self._bodies, b"class_0", b"class_1", name])
        return head + b"\r\n\r\n" + body + b"\r\n"


def picture(size: tuple[int, int] = (32, 24)) -> bytes:
    """A small photograph."""
    file = io.BytesIO()
    Image.effect_noise(size, 60).convert("RGB").save(file, "PNG")
    return file.getvalue()


def bomb(edge: int = 30_000) -> bytes:
    """A PNG of a few bytes that says it has 900 megapixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", edge, edge, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(10_000)))
        + chunk(b"IEND", b"")
    )


def _quoted(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")
