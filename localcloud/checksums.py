"""The checksums S3 knows: moto answers with CRC32 for the two that no library here computes."""

from __future__ import annotations

import base64
import hashlib
import zlib
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

CASTAGNOLI = 0x82F63B78
NVME = 0x9A6C9329AC4BC9B5
SMALL_BYTES = 256
"""Up to here a table is as fast as folding."""


def digest(data: bytes, algorithm: str) -> bytes:
    """The raw checksum of `data`; `algorithm` is one of ALGORITHMS."""
    return ALGORITHMS[algorithm](data)


def encoded(raw: bytes) -> str:
    """A checksum as S3's headers carry it: base64."""
    return base64.b64encode(raw).decode("ascii")


def _crc(data: bytes, polynomial: int, width: int) -> int:
    """The CRC of `data`: bits reflected, all ones at the start and at the end.

    Python is slow byte by byte, but not with huge integers: `data` as a polynomial (the first bit
    has the highest degree) is folded onto itself until little is left for the table.
    """
    ones = (1 << width) - 1
    register = ones
    if len(data) > SMALL_BYTES:
        folded = int.from_bytes(data, "little") ^ ones
        data = _fold(folded, len(data), polynomial, width)
        register = 0
    table = _table(polynomial)
    for byte in data:
        register = table[(register ^ byte) & 0xFF] ^ (register >> 8)
    return register ^ ones


def _fold(message: int, size: int, polynomial: int, width: int) -> bytes:
    while size > SMALL_BYTES:
        doublings = size.bit_length() - 2
        distance = 8 << doublings
        head_bits = distance - width
        head = message & ((1 << head_bits) - 1)
        message >>= head_bits
        size -= head_bits // 8
        # The head, moved on by `distance` bits, is worth head * (x^distance mod polynomial).
        remainder = _power_of_x(doublings, polynomial, width)
        for degree in range(width):
            if remainder >> (width - 1 - degree) & 1:
                message ^= head << (width - degree)
    return message.to_bytes(size, "little")


@cache
def _power_of_x(doublings: int, polynomial: int, width: int) -> int:
    """x^(8 * 2^doublings) modulo the polynomial, reflected."""
    if doublings == 0:
        return 1 << (width - 1 - 8)
    root = _power_of_x(doublings - 1, polynomial, width)
    product, factor = 0, root
    for degree in range(width):
        if root >> (width - 1 - degree) & 1:
            product ^= factor
        factor = (factor >> 1) ^ (polynomial if factor & 1 else 0)
    return product


@cache
def _table(polynomial: int) -> list[int]:
    table = []
    for byte in range(256):
        register = byte
        for _ in range(8):
            register = (register >> 1) ^ (polynomial if register & 1 else 0)
        table.append(register)
    return table


ALGORITHMS: dict[str, Callable[[bytes], bytes]] = {
    "CRC32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "CRC32C": lambda data: _crc(data, CASTAGNOLI, 32).to_bytes(4, "big"),
    "CRC64NVME": lambda data: _crc(data, NVME, 64).to_bytes(8, "big"),
    "SHA1": lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
    "SHA256": lambda data: hashlib.sha256(data).digest(),
}
"""S3's name of an algorithm, and what computes it."""
