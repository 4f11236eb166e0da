"""The guest book's entries over HTTP, kept in Redis.

GET /entries -> {"entries": [...], "by": {...}}; POST /entries {"name", "text"} -> the entry; GET /healthz.
Speaks Redis' protocol itself (RESP, redis.io/docs/reference/protocol-spec): few imports start quickly.
"""
import json
import os
import signal
import socket
import sys
import threading
import time
from socketserver import StreamRequestHandler, ThreadingTCPServer

REDIS = (os.environ.get("REDIS_HOST", "db"), int(os.environ.get("REDIS_PORT", "6379")))
LOCK = threading.Lock()
LINE = None


def read_reply(file):
    line = file.readline()
    if not line:
        raise ConnectionError("redis hung up")
    kind, rest = line[:1], line[1:-2]
    if kind == b"-":
        raise RuntimeError(rest.decode())
    if kind == b"$":
        size = int(rest)
        return None if size < 0 else file.read(size + 2)[:-2]
    if kind == b"*":
        return [read_reply(file) for _ in range(int(rest))]
    return int(rest) if kind == b":" else rest


def redis(*words):
    """One command; a lost connection is opened again once."""
    global LINE
    data = b"*%d\r\n" % len(words)
    for word in words:
        word = word if isinstance(word, bytes) else str(word).encode()
        data += b"$%d\r\n%s\r\n" % (len(word), word)
    with LOCK:
        for attempt in (1, 2):
            try:
                if LINE is None:
                    sock = socket.create_connection(REDIS, timeout=5)
                    LINE = (sock, sock.makefile("rb"))
                LINE[0].sendall(data)
                return read_reply(LINE[1])
            except OSError:
                LINE = None
                if attempt == 2:
                    raise


def served_by():
    system = os.uname()
    return {"replica": system.nodename, "kernel": system.release, "architecture": system.machine}


def sign(body):
    entry = {"name": str(body.get("name", ""))[:40].strip(), "text": str(body.get("text", ""))[:280].strip(), "at": int(time.time())}
    if not entry["name"] or not entry["text"]:
        return 400, {"error": "a name and a text, please"}
    redis("LPUSH", "entries", json.dumps(entry))
    redis("LTRIM", "entries", 0, 199)
    return 201, entry


class Handler(StreamRequestHandler):
    """Just enough of HTTP/1.1 (RFC 9112): one request after the other on a connection."""

    timeout = 75

    def handle(self):
        while True:
            request = self.rfile.readline(8192).decode("latin-1").split()
            if len(request) < 2:
                return
            size = 0
            for line in iter(lambda: self.rfile.readline(8192), b"\r\n"):
                if not line:
                    return
                name, _, value = line.decode("latin-1").partition(":")
                if name.lower() == "content-length":
                    size = min(int(value), 65536)
            self.answer(request[0], request[1].split("?")[0], self.rfile.read(size))

    def answer(self, method, path, body):
        try:
            if path == "/healthz":
                redis("PING")
                status, value = 200, {"ok": True}
            elif path == "/entries" and method == "POST":
                status, value = sign(json.loads(body or b"{}"))
            elif path == "/entries":
                status, value = 200, {"entries": [json.loads(one) for one in redis("LRANGE", "entries", 0, 49)], "by": served_by()}
            else:
                status, value = 404, {"error": "there is nothing here"}
        except ValueError:
            status, value = 400, {"error": "the body is not JSON"}
        except (OSError, RuntimeError) as problem:
            status, value = 503, {"error": "the database does not answer: %s" % problem}
        data = json.dumps(value).encode()
        self.wfile.write(b"HTTP/1.1 %d -\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (status, len(data), data))


class Server(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    if "--healthy" in sys.argv:
        socket.create_connection(("127.0.0.1", 8000), timeout=3).close()
        sys.exit(0)
    # The first process of a container gets no default action for signals: say what SIGTERM means.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    print("guest book api on port 8000", flush=True)
    Server(("", 8000), Handler).serve_forever()
