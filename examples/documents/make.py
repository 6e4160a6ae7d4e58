#!/usr/bin/env python3
"""Writes the pictures of this folder: a passport and a selfie of nobody, for the journey of the README.

Run it after a change; it needs no package. The same program writes the same bytes.
"""

import pathlib
import struct
import zlib

PAPER, INK, PHOTO, SKIN, HAIR, WALL = (
    (236, 232, 214),
    (40, 40, 60),
    (196, 204, 214),
    (214, 170, 140),
    (60, 44, 36),
    (160, 184, 200),
)


def face(x, y, left, top, size):
    """Returns the colour of a face in a square, or None beside it."""
    across, down = (x - left) / size - 0.5, (y - top) / size - 0.5
    if across**2 / 0.09 + (down + 0.05) ** 2 / 0.14 < 1:
        return HAIR if down < -0.22 else SKIN
    return HAIR if across**2 / 0.13 + (down + 0.12) ** 2 / 0.13 < 1 and down < 0.1 else None


def passport(x, y):
    """Returns the colour of a point of a page with a photo, lines of print and a machine-readable zone."""
    if 16 <= x < 96 and 24 <= y < 128:
        return face(x, y, 16, 30, 80) or PHOTO
    is_print = 112 <= x < 296 and 24 <= y < 136 and y % 16 < 5 and x * 7 % 23 < 15
    is_zone = 16 <= x < 304 and (152 <= y < 162 or 172 <= y < 182) and x % 9 < 6
    return INK if is_print or is_zone else PAPER


def selfie(x, y):
    """Returns the colour of a point of a portrait."""
    return face(x, y, 20, 20, 120) or ((INK if y > 140 and abs(x - 80) < y - 96 else WALL))


def png(width, height, colour):
    """Returns a PNG."""
    rows = b"".join(
        b"\0" + bytes(part for x in range(width) for part in colour(x, y)) for y in range(height)
    )

    def chunk(kind, content):
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


if __name__ == "__main__":
    folder = pathlib.Path(__file__).parent
    (folder / "passport.png").write_bytes(png(320, 200, passport))
    (folder / "selfie.png").write_bytes(png(160, 200, selfie))
