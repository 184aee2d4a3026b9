"""The openssl command line as a second implementation."""

import subprocess


class OpenSsl:
    """Runs `openssl` with files of its own in one folder."""

    def __init__(self, folder):
        self.folder = folder

    def file(self, name, content):
        """A file with this content; gives its path."""
        path = self.folder / name
        path.write_bytes(content)
        return str(path)

    def run(self, *arguments, stdin=b""):
        """What the command writes; fails with what it complains of."""
        done = subprocess.run(["openssl", *arguments], input=stdin, capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, f"openssl {' '.join(arguments)}: {done.stderr.decode()}"
        return done.stdout

    def public_pem(self, der):
        """A public key from a SubjectPublicKeyInfo, as a PEM file."""
        pem = self.run("pkey", "-pubin", "-inform", "DER", "-in", self.file("public.der", der))
        return self.file("public.pem", pem)

    def private_pem(self, der):
        """A private key from PKCS#8, as a PEM file; openssl checks that the key is sound."""
        pem = self.run("pkey", "-inform", "DER", "-in", self.file("private.der", der))
        path = self.file("private.pem", pem)
        self.run("pkey", "-in", path, "-noout", "-check")
        return path

    def verifies(self, public_pem, message, signature, *options):
        """Whether the signature of the message verifies; `options` say how."""
        command = ["pkeyutl", "-verify", "-pubin", "-inkey", public_pem, "-rawin", "-in", self.file("message", message)]
        command += ["-sigfile", self.file("signature", signature), *options]
        done = subprocess.run(["openssl", *command], capture_output=True, timeout=60, check=False)
        return done.returncode == 0
