"""What ordinary Python programs do: files, threads, processes, sockets. Says what it could not."""
import os
import socket
import subprocess
import sys
import threading


def attempt(name, what):
    try:
        return f"{name} {what()}"
    except PermissionError:
        return f"{name} refused"


def files():
    with open("/tmp/work", "w") as f:
        f.write("text")
    with open("/tmp/work") as f:
        return f.read()


def threads():
    out = []
    running = [threading.Thread(target=out.append, args=(n,)) for n in range(4)]
    for t in running:
        t.start()
    for t in running:
        t.join()
    return sum(out)


def processes():
    return subprocess.run(["/bin/sh", "-c", "echo $((6 * 7)) | cat"], stdout=subprocess.PIPE,
                          text=True).stdout.strip()


def loopback():
    with socket.socket() as server, socket.socket() as client:
        server.bind(("127.0.0.1", 0))
        server.listen()
        client.connect(server.getsockname())
        return "connected"


print(f"{sys.argv[1]}:", ", ".join([
    attempt("compute", lambda: sum(i * i for i in range(1000))),
    attempt("read", lambda: len(open("/proc/self/status").read()) > 100),
    attempt("files", files),
    attempt("threads", threads),
    attempt("processes", processes),
    attempt("loopback", loopback),
    attempt("random", lambda: len(os.urandom(8))),
]))
