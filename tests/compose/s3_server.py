"""A bucket in memory: as much of S3 as a registry uses, for one test.

    python s3_server.py PORT

It believes every signature, prints who signed, and keeps nothing. Standard library only: it runs in a container.
"""

import hashlib
import itertools
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

OBJECTS: dict[str, bytes] = {}
UPLOADS: dict[str, tuple[str, dict[int, bytes]]] = {}
NUMBERS = itertools.count(1)

_XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
_TIME = "2026-01-01T00:00:00.000Z"


def etag(content: bytes) -> str:
    """Return the entity tag of an object or a part."""
    return '"' + hashlib.md5(content, usedforsecurity=False).hexdigest() + '"'


def listing(prefix: str, delimiter: str, most: int) -> str:
    """Return the answer to ListObjects, versions 1 and 2."""
    keys, folders = [], set()
    for key in sorted(OBJECTS):
        if key.startswith(prefix):
            inner, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            folders.add(prefix + inner + delimiter) if found else keys.append(key)
    contents = "".join(
        f"<Contents><Key>{escape(key)}</Key><LastModified>{_TIME}</LastModified>"
        f"<ETag>{escape(etag(OBJECTS[key]))}</ETag><Size>{len(OBJECTS[key])}</Size></Contents>"
        for key in keys[:most]
    )
    common = "".join(
        f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>" for folder in sorted(folders)
    )
    counted = f"<KeyCount>{len(keys[:most]) + len(folders)}</KeyCount><IsTruncated>false</IsTruncated>"
    return f"{_XML}<ListBucketResult>{counted}{contents}{common}</ListBucketResult>"


def uploads(prefix: str) -> str:
    """Return the answer to ListMultipartUploads."""
    found = "".join(
        f"<Upload><Key>{escape(key)}</Key><UploadId>{name}</UploadId><Initiated>{_TIME}</Initiated></Upload>"
        for name, (key, _) in UPLOADS.items()
        if key.startswith(prefix)
    )
    return f"{_XML}<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>{found}</ListMultipartUploadsResult>"


def parts(name: str) -> str:
    """Return the answer to ListParts."""
    found = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(etag(part))}</ETag><Size>{len(part)}</Size></Part>"
        for number, part in sorted(UPLOADS[name][1].items())
    )
    return f"{_XML}<ListPartsResult><IsTruncated>false</IsTruncated>{found}</ListPartsResult>"


class Handler(BaseHTTPRequestHandler):
    """Path-style addresses: /BUCKET/KEY."""

    protocol_version = "HTTP/1.1"

    def _asked(self) -> tuple[str, dict[str, str]]:
        parts_ = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts_.query, keep_blank_values=True).items()}
        return unquote(parts_.path).split("/", 2)[2] if parts_.path.count("/") > 1 else "", query

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def _source(self) -> bytes:
        """Return what a copy copies, or its range."""
        content = OBJECTS[unquote(self.headers["x-amz-copy-source"]).lstrip("/").split("/", 1)[1]]
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("x-amz-copy-source-range", ""))
        return content[int(found[1]) : int(found[2]) + 1] if found else content

    def _send(self, status: int, content: bytes | str = b"", **headers: str) -> None:
        raw = content.encode() if isinstance(content, str) else content
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(raw)

    def do_HEAD(self) -> None:
        """HeadObject."""
        self.do_GET()

    def do_GET(self) -> None:
        """GetObject and the three lists."""
        key, query = self._asked()
        if "uploads" in query:
            self._send(200, uploads(query.get("prefix", "")))
        elif "uploadId" in query:
            self._send(200, parts(query["uploadId"]))
        elif not key:
            most = int(query.get("max-keys", "1000"))
            self._send(200, listing(query.get("prefix", ""), query.get("delimiter", ""), most))
        elif key not in OBJECTS:
            self._send(404, f"{_XML}<Error><Code>NoSuchKey</Code></Error>")
        else:
            content, size = OBJECTS[key], len(OBJECTS[key])
            found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            first = int(found[1]) if found else 0
            if found and first >= size:
                self._send(416, f"{_XML}<Error><Code>InvalidRange</Code></Error>")
                return
            chosen = content[first : int(found[2]) + 1 if found and found[2] else size]
            facts = {"ETag": etag(content), "Last_Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
            if found:
                facts["Content_Range"] = f"bytes {first}-{first + len(chosen) - 1}/{size}"
            self._send(206 if found else 200, chosen, Content_Length=str(len(chosen)), **facts)

    def do_PUT(self) -> None:
        """PutObject, CopyObject, UploadPart and UploadPartCopy."""
        key, query = self._asked()
        body = self._body()
        copy = "x-amz-copy-source" in self.headers
        content = self._source() if copy else body
        print("signed by", self.headers.get("Authorization", "nobody")[:60], flush=True)  # noqa: T201  read by the test
        if "uploadId" in query:
            UPLOADS[query["uploadId"]][1][int(query["partNumber"])] = content
            kind = "CopyPartResult"
        else:
            OBJECTS[key] = content
            kind = "CopyObjectResult"
        tag = etag(content)
        answer = (
            f"{_XML}<{kind}><LastModified>{_TIME}</LastModified><ETag>{escape(tag)}</ETag></{kind}>" if copy else ""
        )
        self._send(200, answer, ETag=tag)

    def do_POST(self) -> None:
        """CreateMultipartUpload, CompleteMultipartUpload and DeleteObjects."""
        key, query = self._asked()
        body = self._body().decode()
        if "uploads" in query:
            name = f"upload{next(NUMBERS)}"
            UPLOADS[name] = (key, {})
            inner = f"<Key>{escape(key)}</Key><UploadId>{name}</UploadId>"
            self._send(200, f"{_XML}<InitiateMultipartUploadResult>{inner}</InitiateMultipartUploadResult>")
        elif "uploadId" in query:
            _, found = UPLOADS.pop(query["uploadId"])
            OBJECTS[key] = b"".join(found[int(n)] for n in re.findall(r"<PartNumber>(\d+)</PartNumber>", body))
            inner = f"<Key>{escape(key)}</Key><ETag>{escape(etag(OBJECTS[key]))}</ETag>"
            self._send(200, f"{_XML}<CompleteMultipartUploadResult>{inner}</CompleteMultipartUploadResult>")
        else:
            for gone in re.findall(r"<Key>(.*?)</Key>", body):
                OBJECTS.pop(gone, None)
            self._send(200, f"{_XML}<DeleteResult></DeleteResult>")

    def do_DELETE(self) -> None:
        """DeleteObject and AbortMultipartUpload."""
        key, query = self._asked()
        if "uploadId" in query:
            UPLOADS.pop(query["uploadId"], None)
        else:
            OBJECTS.pop(key, None)
        self._send(204)


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Handler).serve_forever()
