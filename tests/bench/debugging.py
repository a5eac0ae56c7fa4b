"""What lab debug costs: from Enter to the first break point, and the first look at a type. Used by run.

The measure is what a person waits for without it: the guest's boot until its agent speaks, then plain
gdb loading the same vmlinux; both are taken in turn with the sessions. The payload of the trivial
scenario runs into execve(2) at once, so that the break point costs the guest nothing.
"""
import os
import statistics
import subprocess
import sys
import time

BREAK_LIMIT = 1.5   # of boot to payload and plain gdb's loading, together
TYPE_LIMIT_S = 2.0  # from gdb's prompt to the first type, in a second session
KERNEL = "6.1"


def timed(argv):
    start = time.monotonic()
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    wall = time.monotonic() - start
    if done.returncode:
        sys.exit(f"bench: {' '.join(argv)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return wall, done.stdout


def said_seconds(out, mark):
    return float(next(line for line in out.splitlines() if line.startswith(mark)).split()[1])


def session(lab, arch, scenario, tmp, name):
    """Seconds from Enter until gdb stands at the break point, and for the first type after that."""
    script = os.path.join(tmp, "bench.gdb")
    with open(script, "w") as f:
        f.write("python import time\ncontinue\n"
                "python print('stopped', time.time())\n"
                "python began = time.time()\n"
                "python gdb.execute('ptype struct task_struct', to_string=True)\n"
                "python print('type', time.time() - began)\n")
    out = os.path.join(tmp, name)
    began = time.time()
    _, text = timed([lab, "debug", "-q", "--batch", "--offline", "--accel", "tcg", "--kernel", KERNEL,
                     "--arch", arch, "--symbols", "package", "--break", "do_exit", "-x", script,
                     "--out", out, scenario])
    return said_seconds(text, "stopped ") - began, said_seconds(text, "type ")


def bench(lab, rounds, tmp, judge):
    print(f"\n`lab debug` on {KERNEL}: Enter to the first break point, against boot and plain gdb in turn\n")
    print("               lab debug    boot     gdb   ratio   limit               first type")
    for arch in ("amd64", "arm64"):
        scenario = os.path.join(tmp, "true.yml")
        with open(scenario, "w") as f:
            f.write("run: 'true'\n")
        timed([lab.lab, "kernel", "pull", "--debug", KERNEL, "--arch", arch])
        image = timed([lab.lab, "kernel", "path", KERNEL, "--arch", arch])[1].splitlines()[0]
        vmlinux = os.path.join(os.path.dirname(image) + ".debug", "vmlinux")
        gdb = "gdb" if arch == "amd64" else "gdb-multiarch"
        session(lab.lab, arch, scenario, tmp, f"{arch}-warm")
        breaks, types, boots, loads = [], [], [], []
        for n in range(rounds):
            loads.append(timed([gdb, "-nx", "-batch", "-ex", "info address ksys_unshare", vmlinux])[0])
            boots.append(lab.run(arch, scenario)[1]["times"]["boot_ms"] / 1000)
            taken, kind = session(lab.lab, arch, scenario, tmp, f"{arch}-{n}")
            breaks.append(taken)
            types.append(kind)
        taken, boot, load, kind = map(statistics.median, (breaks, boots, loads, types))
        ratio = taken / (boot + load)
        print(f"  {arch:<11} {taken:7.2f} s {boot:6.2f} s {load:5.2f} s {ratio:6.2f}  {BREAK_LIMIT:6.2f}  "
              f"{judge(ratio, BREAK_LIMIT, 'debug ' + arch):<10}  {kind:6.2f} s  {TYPE_LIMIT_S:.0f} s  "
              f"{judge(kind, TYPE_LIMIT_S, 'first type ' + arch)}   ({rounds} rounds)")
