"""Requests as bytes: signed by hand and sent as they are, below every serializer, validator and retry of an SDK."""

import http.client
import json
import urllib.parse
import uuid

import botocore.auth
import botocore.awsrequest
import botocore.credentials

JSON = "application/x-amz-json-1.1"


class Wire:
    """One connection, kept alive; sends requests as they are given, signed or not."""

    def __init__(self, gateway):
        self.address = urllib.parse.urlsplit(gateway).netloc
        self.connection = http.client.HTTPConnection(self.address, timeout=30)

    def close(self):
        self.connection.close()

    def send(self, headers, body=b"{}", method="POST", path="/"):
        """Status, headers and body of the answer."""
        try:
            self.connection.request(method, path, body=body, headers=headers)
            response = self.connection.getresponse()
            return response.status, response.headers, response.read()
        except BaseException:
            self.connection.close()  # the next request starts on a new one
            raise

    def signed(self, operation, body=b"{}", key="test", secret="test", service="kms", region="us-east-1", **headers):
        """Headers of a signed request."""
        request = botocore.awsrequest.AWSRequest(
            "POST",
            f"http://{self.address}/",
            data=body,
            headers={"Content-Type": JSON, "X-Amz-Target": f"TrentService.{operation}", **headers},
        )
        credentials = botocore.credentials.Credentials(key, secret)
        botocore.auth.SigV4Auth(credentials, service, region).add_auth(request)
        return dict(request.headers.items())

    def call(self, operation, body, **signing):
        """Sends one signed request; its status and what the answer's JSON holds."""
        body = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        status, headers, answer = self.send(self.signed(operation, body, **signing), body)
        assert headers.get("Content-Type") == JSON
        assert uuid.UUID(headers["x-amzn-RequestId"])
        return status, json.loads(answer) if answer else {}

    def refusal(self, headers, body=b"{}", **request):
        """Status, code and message of an error answer, after checking its shape."""
        status, answer_headers, answer = self.send(headers, body, **request)
        assert status >= 400
        assert answer_headers.get("Content-Type") == JSON
        assert uuid.UUID(answer_headers["x-amzn-RequestId"])
        error = json.loads(answer)
        return status, error["__type"].rpartition("#")[2], error.get("message", error.get("Message"))
