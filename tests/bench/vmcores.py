"""What vmcore.txt costs: from a dump of a guest that panicked (256 MiB, kdump form) to the text. Used by run."""
import os
import shutil
import statistics
import subprocess
import sys

LIMIT_S = 2.0
KERNEL = "6.1"


def said(argv):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"bench: {' '.join(argv)}: exit {done.returncode}\n{done.stdout[-2000:]}{done.stderr}")
    return done


def bench(lab, out, rounds, tmp, judge, top):
    print(f"\nvmcore.txt of a {KERNEL} guest of 256 MiB that panicked, from its kdump file\n")
    for arch in ("amd64", "arm64"):
        run = os.path.join(tmp, f"vmcore-{arch}")
        said([lab.lab, "run", "--accel", "tcg", "--offline", "--quiet", "--kernel", KERNEL, "--arch", arch,
              "--dump", "kdump", "--out", run, os.path.join(top, "scenarios", "crash", "panic.yml")])
        vmcore = next(os.path.join(folder, "vmcore") for folder, _, files in os.walk(run) if "vmcore" in files)
        texts = [said([os.path.join(out, "tests", "vmcore-text"), KERNEL, arch, vmcore]) for _ in range(rounds)]
        seconds = statistics.median(float(t.stderr.split()[0]) for t in texts)
        print(f"  {arch:<7} {seconds:5.2f} s  limit {LIMIT_S:.1f}  {judge(seconds, LIMIT_S, 'vmcore.txt ' + arch):<9} "
              f"dump {os.path.getsize(vmcore) / 2 ** 20:.0f} MiB, text {len(texts[0].stdout) // 1024} KiB, "
              f"{texts[0].stderr.split(None, 1)[1].strip()} ({rounds} rounds)")
        shutil.rmtree(run)
