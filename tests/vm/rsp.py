"""A client of gdb's remote protocol, for tests of lab's relay: well-behaved, or not."""

import contextlib
import socket


class Client:
    """Connected to a unix socket (a path) or a TCP port ("HOST:PORT")."""

    def __init__(self, address, timeout=60):
        if address.startswith("/"):
            self.socket = socket.socket(socket.AF_UNIX)
            where = address
        else:
            self.socket = socket.socket()
            host, _, port = address.rpartition(":")
            where = (host.strip("[]"), int(port))
        self.socket.settimeout(timeout)
        self.socket.connect(where)
        self.data = b""

    def send(self, body):
        body = body.encode() if isinstance(body, str) else body
        self.socket.sendall(b"$%s#%02x" % (body, sum(body) & 0xFF))

    def receive(self):
        """The next packet's body; b"" and None differ: an empty one, and the end."""
        while True:
            start = self.data.find(b"$")
            end = self.data.find(b"#", start)
            if start >= 0 and end >= 0 and len(self.data) >= end + 3:
                body, self.data = self.data[start + 1 : end], self.data[end + 3 :]
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    self.socket.sendall(b"+")  # the last one may find nobody: a kill is answered, then done
                return body
            try:
                more = self.socket.recv(65536)
            except ConnectionResetError:
                more = b""
            if not more:
                return None
            self.data += more

    def ask(self, body):
        self.send(body)
        return self.receive()

    def close(self):
        self.socket.close()
