#!/usr/bin/env python3
"""A guest under plain QEMU and the channel to its agent, for tests of the agent without lab.

As a program: channel.py --arch amd64 --kernel IMAGE --initrd IMAGE [--trace] -- COMMAND ARG...
runs one job, prints what it says, and exits as it did.
"""

import argparse
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

TYPES = (
    "NONE HELLO STARTED STDOUT STDERR STRACE KMSG TICK EXIT ERROR "
    "FILE DATA FILE_END JOB SIGNAL POWEROFF STDIN WINSIZE ASK HERE"
).split()
MAX_BODY = 1 << 20
SILENCE_S = 120  # no guest is silent that long, on a busy host neither

MACHINES = {
    "amd64": ["qemu-system-x86_64", "-M", "pc", "-cpu", "qemu64"],
    "arm64": ["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a72"],
}
CONSOLES = {"amd64": "ttyS0", "arm64": "ttyAMA0"}


def frame(kind, body=b""):
    number = TYPES.index(kind) if isinstance(kind, str) else kind
    return struct.pack("<IB", len(body), number) + body


def words(pairs):
    return b"".join(k.encode() + b"\0" + str(v).encode() + b"\0" for k, v in pairs)


def parse_words(body):
    parts = body.split(b"\0")
    assert parts.pop() == b"" and len(parts) % 2 == 0, body
    text = [p.decode(errors="replace") for p in parts]
    return list(zip(text[::2], text[1::2]))


class Gone(Exception):
    """The guest closed the channel, or says nothing any more."""


class Result:
    """What came out of one job, up to EXIT or ERROR."""

    def __init__(self):
        self.streams = {"STDOUT": b"", "STDERR": b"", "STRACE": b"", "KMSG": b""}
        self.ticks, self.exit, self.error = 0, None, None
        self.files, self.order, self.notes = {}, [], []


class Guest:
    """A machine. With state, what save() wrote, it goes on where that one was."""

    def __init__(self, arch, kernel, initrd, append="", memory=256, state=None):
        self.arch = arch
        self.dir = tempfile.TemporaryDirectory(prefix="lab-agent-")
        path = os.path.join(self.dir.name, "channel")
        monitor = os.path.join(self.dir.name, "monitor")
        self.console_path = os.path.join(self.dir.name, "console")
        self.started = time.monotonic()
        self.qemu = subprocess.Popen(
            MACHINES[arch]
            + ["-accel", "tcg", "-m", str(memory), "-nodefaults", "-display", "none", "-no-reboot"]
            + ["-kernel", kernel, "-initrd", initrd]
            + ["-append", f"console={CONSOLES[arch]} quiet panic=-1 {append}"]
            + ["-serial", f"file:{self.console_path}", "-device", "virtio-serial-pci"]
            + ["-chardev", f"socket,path={path},server=on,wait=off,id=c"]
            + ["-device", "virtserialport,chardev=c,name=lab.0"]
            + ["-monitor", f"unix:{monitor},server=on,wait=off"]
            + (["-incoming", "defer"] if state else []),
            stdin=subprocess.DEVNULL,
        )
        self.data, self.sockets = b"", []
        try:
            # before the state is loaded: the port was open then, and stays so
            self.socket, self.monitor = self.connect(path), self.connect(monitor)
            self.command()
            if state:
                self.command(f'migrate_incoming "exec:cat {state}"')
        except BaseException:
            self.close()
            raise

    def connect(self, path):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(SILENCE_S)
        self.sockets.append(sock)
        for _ in range(SILENCE_S * 100):
            try:
                sock.connect(path)
                return sock
            except OSError:
                if self.qemu.poll() is not None:
                    break
                time.sleep(0.01)
        raise Gone(f"QEMU does not listen at {path}")

    def command(self, text=None):
        """One of the monitor's, to its end; without text, its greeting."""
        if text:
            self.monitor.sendall(text.encode() + b"\n")
        said = b""
        while not said.endswith(b"(qemu) "):
            got = self.monitor.recv(1 << 12)
            if not got:
                raise Gone("QEMU ended")
            said += got
        return said.decode(errors="replace")

    def save(self, path):
        """Write its state; it stands still afterwards."""
        self.command(f'migrate "exec:cat >{path}"')
        said = self.command("info migrate")
        assert "Migration status: completed" in said, said

    def send(self, kind, body=b""):
        self.socket.sendall(frame(kind, body))

    def receive(self):
        while len(self.data) < 5 or len(self.data) < 5 + struct.unpack_from("<I", self.data)[0]:
            try:
                got = self.socket.recv(1 << 18)
            except socket.timeout:
                raise Gone(f"the guest said nothing for {SILENCE_S} s") from None
            if not got:
                raise Gone("the guest closed the channel")
            self.data += got
        length, kind = struct.unpack_from("<IB", self.data)
        assert length <= MAX_BODY, length
        body, self.data = self.data[5 : 5 + length], self.data[5 + length :]
        return TYPES[kind], body

    def hello(self):
        kind, body = self.receive()
        assert kind == "HELLO", (kind, body)
        return dict(parse_words(body))

    def send_file(self, name, data, mode="644"):
        self.send("FILE", words([("path", name), ("mode", mode), ("size", len(data))]))
        for start in range(0, len(data), 1 << 16):
            self.send("DATA", data[start : start + (1 << 16)])
        self.send("FILE_END")

    def job(self, argv, pairs=()):
        self.send("JOB", words([("argv", a) for a in argv] + list(pairs)))

    def collect(self, until=("EXIT", "ERROR")):
        result, name = Result(), None
        while True:
            kind, body = self.receive()
            if not result.order or result.order[-1] != kind:
                result.order.append(kind)
            if kind in result.streams:
                result.streams[kind] += body
            elif kind == "TICK":
                result.ticks += 1
            elif kind == "FILE":
                name = dict(parse_words(body))["path"]
                result.files[name] = b""
            elif kind == "DATA":
                result.files[name] += body
            elif kind == "EXIT":
                pairs = parse_words(body)
                result.exit = dict(pairs)
                result.notes = [v for k, v in pairs if k == "note"]
            elif kind == "ERROR":
                result.error = body.decode()
            if kind in until:
                return result

    def settle(self):
        """The kernel's log so far; then nothing is on its way."""
        log, more = b"", True
        while more:
            self.send("ASK")
            more = self.collect(until=("HERE",)).streams["KMSG"]
            log += more
        return log

    def run(self, argv, pairs=()):
        self.job(argv, pairs)
        return self.collect()

    def console(self):
        with open(self.console_path, "rb") as file:
            return file.read().decode(errors="replace")

    def wait_off(self):
        """Until QEMU ends by itself; fails when it does not."""
        self.qemu.wait(SILENCE_S / 2)

    def close(self):
        for sock in self.sockets:
            sock.close()
        if self.qemu.poll() is None:
            self.qemu.kill()
            self.qemu.wait()
        self.dir.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arch", choices=MACHINES, default="amd64")
    parser.add_argument("--kernel", required=True)
    parser.add_argument("--initrd", required=True)
    parser.add_argument("--append", default="")
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--timeout", type=float, default=30)
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()
    with Guest(args.arch, args.kernel, args.initrd, args.append) as guest:
        try:
            hello = guest.hello()
            hello_s = time.monotonic() - guest.started
            pairs = [("trace", int(args.trace)), ("timeout_ms", int(args.timeout * 1000))]
            result = guest.run(args.command, pairs)
            exit_s = time.monotonic() - guest.started
        except Gone:
            sys.exit(f"the guest is gone; its console:\n{guest.console()}")
        guest.send("POWEROFF")
        guest.wait_off()
        off_s = time.monotonic() - guest.started
        sys.stdout.buffer.write(result.streams["STDOUT"])
        sys.stderr.buffer.write(result.streams["STDERR"])
        if args.verbose:
            sys.stderr.write(result.streams["STRACE"].decode(errors="replace"))
            sys.stderr.write(result.streams["KMSG"].decode(errors="replace"))
            sys.stderr.write(guest.console())
            print(hello, result.exit, result.error, file=sys.stderr)
            print(f"hello {hello_s:.2f} s, exit {exit_s:.2f} s, off {off_s:.2f} s", file=sys.stderr)
        if result.error:
            sys.exit(result.error)
        number = result.exit.get("signal")
        sys.exit(int(result.exit["exit"]) if number is None else 128 + int(number))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    main()
