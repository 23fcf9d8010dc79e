#!/usr/bin/env python3
"""An object store for on_capture: takes what is PUT with a valid AWS signature (version 4).

usage: store.py DIR KEY SECRET REGION     listens on 127.0.0.1, its port is in DIR/port

What came is in DIR/objects, under the path of its URL with "/" as "%". A request without the signature
that KEY and SECRET give is refused with 403, as the real ones do; the signature is computed here from
its published rules, not by the client's library. No limit on sizes, no deletion, one bucket of all.
"""
import hashlib
import hmac
import http.server
import os
import re
import sys

DIR, KEY, SECRET, REGION = sys.argv[1:]


def digest(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signature(request, day, names):
    path, _, query = request.path.partition("?")
    canonical = "\n".join(
        [request.command, path, query]
        + [name + ":" + request.headers.get(name, "").strip() for name in names.split(";")]
        + ["", names, request.headers.get("x-amz-content-sha256", "")]
    )
    scope = "/".join([day, REGION, "s3", "aws4_request"])
    text = "\n".join(
        [
            "AWS4-HMAC-SHA256",
            request.headers.get("x-amz-date", ""),
            scope,
            hashlib.sha256(canonical.encode()).hexdigest(),
        ]
    )
    key = ("AWS4" + SECRET).encode()
    for part in scope.split("/"):
        key = digest(key, part)
    return digest(key, text).hex()


class Store(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, code):
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        said = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=%s/(\d+)/%s/s3/aws4_request, *"
            r"SignedHeaders=([^,]+), *Signature=([0-9a-f]+)" % (re.escape(KEY), re.escape(REGION)),
            self.headers.get("Authorization", ""),
        )
        if not said or signature(self, said[1], said[2]) != said[3]:
            self.answer(403)
            return
        with open(os.path.join(DIR, "objects", self.path.strip("/").replace("/", "%")), "wb") as file:
            file.write(body)
        self.answer(200)


os.makedirs(os.path.join(DIR, "objects"))
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Store)
with open(os.path.join(DIR, "port.new"), "w") as file:
    print(server.server_address[1], file=file)
os.rename(os.path.join(DIR, "port.new"), os.path.join(DIR, "port"))
server.serve_forever()
