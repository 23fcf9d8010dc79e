# SPDX-License-Identifier: Apache-2.0
"""The leaking service in Python: http.server, and a thread that leaks when it is told to: one
LeakedChunk after the other into a list, or malloc() beside the heap (kind=native). See README.md."""

import ctypes
import gc
import http.server
import threading
import time
import urllib.parse

CHUNK_BYTES = 65536


class LeakedChunk:
    def __init__(self, number):
        self.number = number
        self.data = bytes([number & 0xFF | 1]) * CHUNK_BYTES


class Leak:
    chunks = []
    blocks = []
    count = 0
    stop = False
    thread = None


libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]


def leak_one(kind):
    if kind == "native":
        block = libc.malloc(CHUNK_BYTES)
        ctypes.memset(block, 0xA5, CHUNK_BYTES)
        Leak.blocks.append(block)
    else:
        Leak.chunks.append(LeakedChunk(Leak.count))
    Leak.count += 1
    print("leaked", Leak.count, "at", time.monotonic_ns(), flush=True)


def run(kind, rate):
    # A pause per chunk, not a schedule: what stood still does not hurry afterwards.
    while not Leak.stop:
        time.sleep(CHUNK_BYTES / (rate * 1e6))
        leak_one(kind)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        text = {
            "/triggerMemoryLeak": self.trigger,
            "/stop": self.stop,
            "/count": lambda _: f"{Leak.count}\n",
            "/healthz": lambda _: f"ok collected={gc.collect()}\n",
        }[url.path](query)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())

    def trigger(self, query):
        Leak.stop = False
        arguments = (query.get("kind", "managed"), int(query.get("rate", "50")))
        Leak.thread = threading.Thread(target=run, args=arguments, name="leaker", daemon=True)
        Leak.thread.start()
        return "leaking\n"

    def stop(self, query):
        Leak.stop = True
        Leak.thread.join()
        if query.get("free") == "1":
            Leak.chunks.clear()
            for block in Leak.blocks:
                libc.free(block)
            Leak.blocks.clear()
            Leak.count = 0
        return "stopped\n"

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"listening on 127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()
