#!/usr/bin/env python3
"""The agent in real guests under plain QEMU, well and badly treated; TAP.

agent.py ARCH KERNEL INITRD [ARCH KERNEL INITRD]: the architectures beside each other. One guest of
each boots; the others go on from its state.
"""

import hashlib
import os
import sys
import tempfile
import threading
import time
import traceback

from channel import Guest, frame, words

MIB = 1 << 20


def check(condition, *what):
    if not condition:
        raise AssertionError(" ".join(str(w) for w in what))


def equal(got, wanted):
    check(got == wanted, f"got {got!r}, wanted {wanted!r}")


def shell(guest, text, **options):
    """Run shell text; options are words, of which a list stands for several."""
    pairs = []
    for key, value in options.items():
        pairs += [(key, v) for v in value] if isinstance(value, list) else [(key, value)]
    return guest.run(["/bin/sh", "-c", text], pairs)


def hello(guest, state):
    """The one that boots. Its state is where the others begin."""
    words_said = guest.hello()
    equal(words_said["version"], "1")
    equal(words_said["machine"], {"amd64": "x86_64", "arm64": "aarch64"}[guest.arch])
    check(int(words_said["uptime_ms"]) > 0)
    check(guest.settle().startswith(b"[    0.000000] "), "the log begins at the boot")
    guest.save(state)


# --- one guest, many jobs -----------------------------------------------------------------------


def exit_code_and_streams(guest):
    r = shell(guest, "echo out; echo err >&2; exit 3")
    equal((r.exit["exit"], r.streams["STDOUT"], r.streams["STDERR"]), ("3", b"out\n", b"err\n"))
    equal((r.exit["stdout_seen"], r.exit["stderr_seen"], r.exit["strace_seen"]), ("4", "4", "0"))
    check("timeout" not in r.exit)


def files_and_modes(guest):
    data = bytes(range(256)) * 4000
    guest.send_file("in/side/data", data)
    guest.send_file("tool", b"#!/bin/sh\necho tool ran in $PWD\n", mode="755")
    r = shell(guest, "./tool; stat -c %a tool; sha256sum <in/side/data")
    digest = hashlib.sha256(data).hexdigest()
    equal(r.streams["STDOUT"].decode(), f"tool ran in /workspace/job\n755\n{digest}  -\n")


def next_job_is_clean(guest):
    r = shell(guest, "ls -A; touch rest; mount -t tmpfs x /workspace/job; touch more")
    equal((r.exit["exit"], r.streams["STDOUT"]), ("0", b""))
    r = shell(guest, "ls -A")
    equal((r.exit["exit"], r.streams["STDOUT"]), ("0", b""))


def environment(guest):
    r = shell(guest, 'echo "$HOME $LANG $X"; id -u; hostname; pwd', env=["X=a b", "LANG=C"], cwd="/tmp")
    equal(r.streams["STDOUT"], b"/root C a b\n0\nlab\n/tmp\n")


def not_found_and_not_executable(guest):
    for trace in (0, 1):
        equal(guest.run(["no-such"], [("trace", trace)]).exit["exit"], "127")
        equal(guest.run(["/etc/passwd"], [("trace", trace)]).exit["exit"], "126")
        equal(guest.run(["./x/y"], [("trace", trace)]).exit["exit"], "127")


def killed_by_signal(guest):
    equal(shell(guest, "kill -SEGV $$").exit["signal"], "11")
    equal(shell(guest, "kill -SEGV $$", trace=1).exit["signal"], "11")


def signal_frame(guest):
    guest.job(["/bin/sh", "-c", "trap 'echo got it; exit 5' TERM; echo ready; while :; do sleep 0.1; done"])
    guest.collect(until=("STDOUT",))
    guest.send("SIGNAL", words([("signal", 15)]))
    r = guest.collect()
    equal((r.exit["exit"], r.streams["STDOUT"]), ("5", b"got it\n"))


def timeout_ends_everything(guest):
    text = "trap '' TERM; (setsid sleep 1000 &) ; echo a; sleep 1000"
    for trace in (0, 1):
        for limit_ms in (1500, 20000):
            r = shell(guest, text, timeout_ms=limit_ms, trace=trace)
            if r.streams["STDOUT"]:
                break  # else the payload did not get to it: the host is busy
        equal((r.exit["timeout"], r.exit["signal"], r.streams["STDOUT"]), ("1", "9", b"a\n"))
        check(r.ticks >= 1, "ticks")
        check(limit_ms - 100 < int(r.exit["wall_ms"]) < limit_ms + 20000, r.exit)
        equal(shell(guest, "pidof sleep").streams["STDOUT"], b"")


def what_is_left_does_not_delay(guest):
    for trace in (0, 1):
        start = time.monotonic()
        r = shell(guest, "sleep 1000 & echo a", trace=trace, timeout_ms=900000)
        equal((r.exit["exit"], r.streams["STDOUT"]), ("0", b"a\n"))
        check(time.monotonic() - start < 60, "took", time.monotonic() - start)
        equal(r.notes, [])


def traced(guest):
    r = shell(guest, "cat /nowhere; exit 7", trace=1)
    log = r.streams["STRACE"].decode()
    equal(r.exit["exit"], "7")
    equal(int(r.exit["strace_seen"]), len(log))
    check('execve("/bin/sh", ["/bin/sh", "-c"' in log, log)
    check('"/nowhere", O_RDONLY' in log and "= -1 ENOENT (No such file or directory) <" in log, log)
    check(log.rstrip().endswith("+++ exited with 7 +++"), log[-200:])
    check(b"strace:" not in r.streams["STDERR"], r.streams["STDERR"])


def output_is_bounded(guest):
    text = "dd if=/dev/zero bs=1M count=100 2>/dev/null; echo done >&2"
    r = shell(guest, text, limit_bytes=MIB + 7)
    equal((r.exit["exit"], r.streams["STDERR"]), ("0", b"done\n"))
    equal((len(r.streams["STDOUT"]), int(r.exit["stdout_seen"])), (MIB + 7, 100 * MIB))


def slow_host(guest):
    """A host that does not read stops the payload, not the agent; nothing is lost."""
    # several times what fits into the agent's buffer (512 KiB), the pipe's and the socket's
    guest.job(["/bin/sh", "-c", "yes 0123456789abcde | head -c 6291456"],
              [("limit_bytes", 64 * MIB), ("timeout_ms", 600000)])
    time.sleep(3)
    r = guest.collect()
    equal(r.exit["exit"], "0")
    check(r.streams["STDOUT"] == b"0123456789abcde\n" * (6 * MIB // 16), len(r.streams["STDOUT"]))


def artefacts(guest):
    text = """mkdir d; echo kept >d/kept; head -c 3000000 /dev/zero >big; ln -s /etc/passwd link
              ln -s / root; mkfifo fifo; dd if=/dev/zero of=huge bs=1M count=65 2>/dev/null"""
    asked = ["d/kept", "big", "link", "root/etc/passwd", "fifo", "missing", "huge", "../../etc/passwd"]
    r = shell(guest, text, artefact=asked)
    equal(sorted(r.files), ["big", "d/kept"])
    equal((r.files["d/kept"], r.files["big"]), (b"kept\n", b"\0" * 3000000))
    equal(len(r.notes), len(asked) - 2)
    for note, path in zip(r.notes, asked[2:]):
        check(note.startswith(f"artefact {path}: "), note)


def artefact_folders(guest):
    text = """mkdir -p d/e/f none; echo 1 >d/one; echo 2 >d/e/f/two; ln -s / d/e/root; ln -s . d/e/loop"""
    r = shell(guest, text, artefact=["d", "d/one", "none"])
    equal((r.files, len(r.notes)), ({"d/one": b"1\n", "d/e/f/two": b"2\n"}, 2))
    r = shell(guest, "mkdir d; cd d; seq 1 1200 | xargs touch", artefact=["d"])
    equal(len(r.files), 1000)
    check("first 1000 were left out" in r.notes[-1], r.notes)
    deep = "deep=$(printf 'd/%.0s' $(seq 1500)); mkdir -p $deep && touch ${deep}f"
    r = shell(guest, deep, artefact=["d"])
    equal((r.exit["exit"], len(r.files)), ("0", 1))
    r = shell(guest, "mkdir d; cd d; seq 10100 | xargs mkdir", artefact=["d"])
    check("after 10000 files and folders" in r.notes[-1], r.notes)


def kernel_log(guest):
    r = shell(guest, "echo '<4>hello from the payload' >/dev/kmsg")
    check(b"] (user) hello from the payload\n" in r.streams["KMSG"], r.streams["KMSG"])
    equal(r.order[-1], "EXIT")


def root_can_be_pivoted(guest):
    text = """mkdir n; mount -t tmpfs n n; mkdir -p n/bin n/old; cp /bin/busybox n/bin; cd n
              pivot_root . old && /bin/busybox ls -d /old/etc"""
    r = guest.run(["unshare", "-m", "/bin/sh", "-c", text])
    equal((r.exit["exit"], r.streams["STDOUT"]), ("0", b"/old/etc\n"))


def modules_on_demand(guest):
    text = """mkdir l u w m && mount -t overlay o -o lowerdir=l,upperdir=u,workdir=w m &&
              echo x >m/f && cat u/f && : <>/dev/fuse && echo fuse && grep -c fuse /proc/filesystems"""
    r = shell(guest, text)
    check(r.streams["STDOUT"].startswith(b"x\nfuse\n"), r.streams["STDOUT"], r.streams["STDERR"])


def seed_and_clock(guest):
    r = shell(guest, "date -u +%Y; cat /proc/sys/kernel/random/entropy_avail", seed="5a" * 32,
              realtime_ms=86400000)
    year, entropy = r.streams["STDOUT"].split()
    equal(year, b"1970")
    check(int(entropy) >= 128, entropy)


def fork_bomb_ends(guest):
    r = shell(guest, "bomb() { bomb | bomb & }; bomb; sleep 1000", timeout_ms=3000)
    # by the agent at its time, or by the kernel before, for the memory of what it started
    check(r.exit.get("timeout") == "1" or r.exit.get("signal") == "9", r.exit)
    equal(shell(guest, "echo alive").streams["STDOUT"], b"alive\n")


def standard_input(guest):
    """What the payload does not read yet waits on the way, not in the agent; nothing is lost."""
    data = bytes(range(256)) * (64 << 10)
    guest.job(["/bin/sh", "-c", "sleep 2; grep VmHWM /proc/1/status; sha256sum"], [("stdin", 1)])
    for start in range(0, len(data), 16 << 10):
        guest.send("STDIN", data[start : start + (16 << 10)])
    guest.send("STDIN")
    size, digest = guest.collect().streams["STDOUT"].decode().splitlines()
    equal(digest.split()[0], hashlib.sha256(data).hexdigest())
    check(int(size.split()[1]) < len(data) >> 11, size)


def input_for_nobody(guest):
    guest.job(["/bin/sh", "-c", "exec <&-; echo closed; sleep 1; exit 4"], [("stdin", 1)])
    guest.collect(until=("STDOUT",))
    for _ in range(40):
        guest.send("STDIN", bytes(16 << 10))
    equal(guest.collect().exit["exit"], "4")
    guest.send("STDIN", b"too late")
    guest.send("WINSIZE", words([("rows", 1), ("columns", 1)]))
    equal(shell(guest, "cat", stdin=0).streams["STDOUT"], b"")


def heard(guest, text):
    said = b""
    while text not in said:
        kind, body = guest.receive()
        check(kind in ("STARTED", "STDOUT", "TICK", "KMSG"), kind, body)
        said += body if kind == "STDOUT" else b""
    return said


def terminal(guest):
    guest.job(["/bin/sh"], [("tty", 1), ("rows", 11), ("columns", 22), ("env", "PS1=:")])
    guest.send("WINSIZE", words([("rows", 33), ("columns", 44)]))
    guest.send("STDIN", b"stty size; tty; sleep 1000\n")
    said = heard(guest, b"/dev/pts/0\r\n")
    check(b"33 44\r\n" in said, said)
    time.sleep(1)
    guest.send("STDIN", b"\x03")
    heard(guest, b":")
    guest.send("STDIN", b"exit $?\n")
    equal(guest.collect().exit["exit"], "130")
    # all that is said before the end arrives, however slow the host is
    guest.job(["/bin/sh", "-c", "head -c 600000 /dev/zero | tr '\\0' x; echo end"],
              [("tty", 1), ("rows", 1), ("columns", 1)])
    time.sleep(1)
    said = guest.collect().streams["STDOUT"]
    equal((len(said), said[-5:]), (600005, b"end\r\n"))


def powers_off(guest):
    guest.send("POWEROFF")
    guest.wait_off()
    equal(guest.qemu.returncode, 0)


IN_ONE_GUEST = [
    exit_code_and_streams, files_and_modes, next_job_is_clean, environment,
    not_found_and_not_executable, killed_by_signal, signal_frame, timeout_ends_everything,
    what_is_left_does_not_delay, traced, output_is_bounded, slow_host, artefacts,
    artefact_folders, kernel_log, root_can_be_pivoted, modules_on_demand, seed_and_clock,
    fork_bomb_ends, standard_input, input_for_nobody, terminal, powers_off,
]

# --- one guest each: what ends the machine --------------------------------------------------------

BROKEN = {
    "a frame of 4 GiB": (b"\xff\xff\xff\xff\x0dx", "4294967295 bytes"),
    "an unknown type": (frame(99), "unknown type 99"),
    "a guest's frame": (frame("HELLO"), "not for a guest"),
    "malformed words": (frame("JOB", b"argv\0sh"), "malformed words"),
    "a job of nothing": (frame("JOB", words([("cwd", "/")])), "nothing to run"),
    "a file that leaves the folder": (frame("FILE", words([("path", "../../init")])), "without a path inside"),
    "data without a file": (frame("DATA", b"x"), "without a file"),
    "a terminal's size that is none": (frame("WINSIZE", words([("rows", "x")])), "a terminal's size"),
    "two jobs at once": (frame("JOB", words([("argv", "sleep"), ("argv", "9")])) * 2, "a job runs"),
}


def refused(guest, data, text):
    guest.socket.sendall(data)
    r = guest.collect()
    check(r.error and text in r.error, r.error, r.exit)
    guest.wait_off()


def host_hangs_up(guest):
    guest.job(["sleep", "1000"])
    guest.collect(until=("STARTED",))
    guest.socket.close()
    guest.wait_off()


class Tap:
    """Tests that run beside each other, each told in one piece."""

    def __init__(self):
        self.n = self.failed = 0
        self.lock = threading.Lock()

    def run(self, name, test, guest, *args):
        said = ""
        try:
            test(guest, *args)
        except Exception:  # whatever went wrong, it is the test that failed
            said = traceback.format_exc() + guest.console()[-2000:]
        with self.lock:
            self.n += 1
            print(f"{'not ok' if said else 'ok'} {self.n} - {guest.arch}: {name}")
            for line in said.splitlines():
                print(f"# {line}")
            sys.stdout.flush()
            self.failed += bool(said)
        return not said


def in_one_guest(tap, start):
    tests = list(IN_ONE_GUEST)
    while tests:
        with start() as guest:
            # who fails may have lost the guest, or left a job in it: the next one has a fresh one
            while tests and tap.run(tests[0].__name__.replace("_", " "), tests.pop(0), guest):
                pass


def all_tests(tap, arch, kernel, initrd, state):
    with Guest(arch, kernel, initrd) as guest:
        if not tap.run("hello", hello, guest, state):
            return

    def start():
        return Guest(arch, kernel, initrd, state=state)

    in_one_guest(tap, start)
    for name, (data, text) in BROKEN.items():
        with start() as guest:
            tap.run(f"{name} ends the machine", refused, guest, data, text)
    with start() as guest:
        tap.run("a host that hangs up ends the machine", host_hangs_up, guest)


def main():
    given = sys.argv[1:]
    tap, planned = Tap(), len(given) // 3 * (len(IN_ONE_GUEST) + len(BROKEN) + 2)
    print(f"1..{planned}", flush=True)
    with tempfile.TemporaryDirectory(prefix="lab-agent-") as folder:
        threads = []
        for arch, kernel, initrd in zip(given[::3], given[1::3], given[2::3]):
            state = os.path.join(folder, arch)
            args = (tap, arch, kernel, initrd, state)
            threads.append(threading.Thread(target=all_tests, args=args))
            threads[-1].start()
        for thread in threads:
            thread.join()
    sys.exit(tap.failed > 0 or tap.n != planned)


if __name__ == "__main__":
    main()
