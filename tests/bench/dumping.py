"""What a dump costs: the end of a cell that panicked, vmcore.txt written, against libvirt's dump alone."""

import glob
import json
import os
import re
import shutil
import statistics
import subprocess
import time

KERNEL = "6.1"
MEMORY = 256 << 20
LIMIT = 1.3
SIZE_LIMIT = 0.20
PANIC = ("trace: false\nrun: echo c >/proc/sysrq-trigger; sleep 20\n"
         "expect: [{crash: sysrq triggered crash}]\n")


def _panic(lab, arch, scenario, tmp):
    """Seconds from a panic's first line to the cell's end, seconds of the dump, its bytes."""
    out = os.path.join(tmp, "dumping")
    shutil.rmtree(out, ignore_errors=True)
    subprocess.run([lab.lab, "run", "-q", "--accel", "tcg", "--offline", "--kernel", KERNEL, "--arch",
                    arch, "-o", out, scenario], check=True, stdout=subprocess.DEVNULL)
    with open(glob.glob(f"{out}/*/panic/result.json")[0], encoding="utf-8") as f:
        result = json.load(f)
    assert os.path.getsize(glob.glob(f"{out}/*/panic/vmcore.txt")[0])
    return (result["times"]["end_ms"] / 1000, result["dump"]["ms"] / 1000, result["dump"]["bytes"])


def _alone(lab, arch, tmp):
    """Seconds of virDomainCoreDumpWithFormat() (memory only, kdump-zlib) of a fresh guest."""
    path = os.path.join(tmp, "alone")
    with subprocess.Popen([lab.lab, "shell", "--kernel", KERNEL, "--arch", arch, "--offline",
                           "--accel", "tcg", "--", "sh", "-c", "echo up; cat"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as guest:
        assert guest.stdout.readline() == b"up\n"
        machines = json.loads(subprocess.run([lab.lab, "vm", "list", "--json"], check=True,
                                             capture_output=True).stdout)
        # the worker, which has the machine, is the child of the lab that was started
        name = next(m["name"] for m in machines if _parent(m["lab"]) == guest.pid)
        time.sleep(0.2)
        said = subprocess.run([lab.lab, "vm", "dump", "-o", path, name], check=True,
                              capture_output=True, text=True).stdout
        guest.stdin.close()
    os.unlink(path)
    return float(re.search(r"([0-9.]+) s$", said, re.M).group(1))


def _parent(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            return int(f.read().rsplit(")", 1)[1].split()[1])
    except FileNotFoundError:  # another's, that has ended meanwhile
        return None


def bench(lab, rounds, tmp, judge):
    """Print a table, medians of rounds in which both take their turn."""
    scenario = os.path.join(tmp, "panic.yml")
    with open(scenario, "w", encoding="utf-8") as f:
        f.write(PANIC)
    print(f"\nA panic on {KERNEL}, 256 MiB: its first line to the cell's end, vmcore.txt and all, against"
          " libvirt's dump alone\n(kdump-zlib, memory only)\n")
    print("                 end   of it dump    alone   ratio   limit            of memory   limit")
    for arch in ("amd64", "arm64"):
        ends, dumps, alones, sizes = [], [], [], []
        for _ in range(rounds):
            alones.append(_alone(lab, arch, tmp))
            end, dump, size = _panic(lab, arch, scenario, tmp)
            ends.append(end)
            dumps.append(dump)
            sizes.append(size / MEMORY)
        end, dump, alone, size = map(statistics.median, (ends, dumps, alones, sizes))
        print(f"  {arch:<9} {end:6.2f} s {dump:8.2f} s {alone:6.2f} s {end / alone:6.2f}  {LIMIT:6.2f}  "
              f"{judge(end / alone, LIMIT, 'dump ' + arch):<9} {size * 100:9.1f} %  {SIZE_LIMIT * 100:4.0f} %  "
              f"{judge(size, SIZE_LIMIT, 'size of a dump ' + arch)}   ({rounds} rounds)")
