"""An authority that attests like the hypervisor of Nitro Enclaves, made for one run of the tests."""

import datetime
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils

MODULE = "i-0123456789abcdef0-enc0123456789abcdef"


def cbor(value):
    """RFC 8949, as much of it as documents need."""

    def head(major, length):
        if length < 24:
            return bytes([major << 5 | length])
        size = next(size for size in (1, 2, 4, 8) if length < 1 << 8 * size)
        return bytes([major << 5 | {1: 24, 2: 25, 4: 26, 8: 27}[size]]) + length.to_bytes(size)

    match value:
        case None:
            return b"\xf6"
        case int():
            return head(0, value) if value >= 0 else head(1, -1 - value)
        case bytes():
            return head(2, len(value)) + value
        case str():
            return head(3, len(value.encode())) + value.encode()
        case list():
            return head(4, len(value)) + b"".join(map(cbor, value))
        case dict():
            return head(5, len(value)) + b"".join(cbor(key) + cbor(item) for key, item in value.items())


class Authority:
    """A root, an authority below it, and a signer of documents."""

    def __init__(self, signer_hours=1):
        self.root_key, self.root = self._certified("root", None, 24)
        middle = self._certified("zone", (self.root_key, self.root), 24)
        self.middle = middle[1]
        self.signer_key, self.signer = self._certified("signer", middle, signer_hours, is_authority=False)

    @staticmethod
    def _certified(name, issuer, hours, is_authority=True):
        key = ec.generate_private_key(ec.SECP384R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.UTC)
        issuer_key, issuer_name = (issuer[0], issuer[1].subject) if issuer else (key, subject)
        builder = x509.CertificateBuilder(issuer_name, subject, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(days=1))
        builder = builder.not_valid_after(now + datetime.timedelta(hours=hours))
        builder = builder.add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        return key, builder.sign(issuer_key, hashes.SHA384())

    @staticmethod
    def _der(certificate):
        return certificate.public_bytes(serialization.Encoding.DER)

    @property
    def root_pem(self):
        return self.root.public_bytes(serialization.Encoding.PEM)

    def document(self, public_der, **changes):
        """A document for the holder of this public key; `changes` replace members."""
        members = {
            "module_id": MODULE,
            "digest": "SHA384",
            "timestamp": int(time.time() * 1000),
            "pcrs": {index: bytes([index]) * 48 for index in range(16)},
            "certificate": self._der(self.signer),
            "cabundle": [self._der(self.root), self._der(self.middle)],
            "public_key": public_der,
            "user_data": None,
            "nonce": None,
            **changes,
        }
        protected, payload = cbor({1: -35}), cbor(members)
        signed = self.signer_key.sign(cbor(["Signature1", protected, b"", payload]), ec.ECDSA(hashes.SHA384()))
        numbers = utils.decode_dss_signature(signed)
        return cbor([protected, {}, payload, b"".join(number.to_bytes(48) for number in numbers)])


class Enclave:
    """The holder of an RSA key, which an authority attests."""

    def __init__(self, authority, bits=2048):
        self.authority = authority
        self.key = rsa.generate_private_key(65537, bits)

    @property
    def public_der(self):
        encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        return self.key.public_key().public_bytes(encoding, form)

    @property
    def private_pem(self):
        form = serialization.PrivateFormat.PKCS8
        return self.key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())

    def recipient(self, **changes):
        """`Recipient` of a request."""
        document = self.authority.document(**{"public_der": self.public_der, **changes})
        return {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": document}
