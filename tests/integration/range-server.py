#!/usr/bin/env python3
"""range-server.py FOLDER LOG PORTFILE: FOLDER over HTTP on 127.0.0.1, with Range.

Each request adds "METHOD PATH RANGE" to LOG. The files FOLDER/.slow (seconds of pause after each
64 KiB), FOLDER/.norange (Range is ignored), FOLDER/.cut (hang up after so many bytes) and
FOLDER/.status (answer with that code) change how it behaves, from the next request on.
"""
import http.server
import os
import re
import sys
import time
import urllib.parse

folder, log, portfile = sys.argv[1:4]


def setting(name):
    try:
        with open(os.path.join(folder, name)) as f:
            return f.read().strip()
    except FileNotFoundError:
        return ""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        wanted = self.headers.get("Range", "-")
        with open(log, "a") as f:
            f.write(f"GET {self.path} {wanted}\n")
        path = os.path.join(folder, urllib.parse.unquote(self.path).lstrip("/"))
        if setting(".status"):
            return self.send_error(int(setting(".status")))
        if not os.path.isfile(path):
            return self.send_error(404)
        with open(path, "rb") as f:
            data = f.read()
        start = 0
        match = re.fullmatch(r"bytes=(\d+)-", wanted)
        if match and not setting(".norange"):
            start = int(match[1])
            if start >= len(data):
                return self.send_error(416)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if setting(".cut"):
            self.wfile.write(data[start:start + int(setting(".cut"))])
            self.close_connection = True
            return
        try:
            for at in range(start, len(data), 65536):
                self.wfile.write(data[at:at + 65536])
                time.sleep(float(setting(".slow") or 0))
        except (BrokenPipeError, ConnectionResetError):
            pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *args):
        pass  # clients are killed on purpose


server = Server(("127.0.0.1", 0), Handler)
with open(portfile + ".new", "w") as f:
    f.write(str(server.server_port))
os.rename(portfile + ".new", portfile)
server.serve_forever()
