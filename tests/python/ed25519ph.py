"""Verifying Ed25519ph (RFC 8032, section 5.1) with plain integers: neither `cryptography` nor openssl 3.0 has it."""

import hashlib

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
DOM2 = b"SigEd25519 no Ed25519 collisions" + bytes([1, 0])  # prehashed, no context


def add(p, q):
    """The sum of two points in affine coordinates on the twisted Edwards curve with a = -1."""
    (x1, y1), (x2, y2) = p, q
    product = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, P) % P
    y = (y1 * y2 + x1 * x2) * pow(1 - product, -1, P) % P
    return x, y


def multiply(scalar, point):
    """The scalar multiple of a point."""
    result = (0, 1)
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def decode(encoded):
    """The point of 32 bytes."""
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    assert x * x % P == square, "not a point of the curve"
    return (P - x if x & 1 != sign else x), y


BASE = decode((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def verifies(public, message, signature):
    """Whether the signature of the message verifies under the public key of 32 bytes."""
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    if s >= L:
        return False
    hashed = hashlib.sha512(DOM2 + r + public + hashlib.sha512(message).digest()).digest()
    challenge = int.from_bytes(hashed, "little") % L
    return multiply(s, BASE) == add(decode(r), multiply(challenge, decode(public)))
