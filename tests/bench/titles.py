"""What naming costs: a long log of what kernels print, without and with reports in it. Used by run."""
import glob
import os
import statistics
import subprocess
import sys

LIMIT_MB_S = 200
MIB = 64


def bench(out, rounds, judge, top):
    folder = os.path.join(top, "tests", "data", "crash")
    boots = sorted(glob.glob(os.path.join(folder, "no-boot*.txt")))
    reports = sorted(glob.glob(os.path.join(folder, "*.txt")))
    print(f"\nreports named in a log of {MIB} MiB\n")
    for what, files in (("boots only", boots), ("boots, one report each", boots + reports[-1:] + boots),
                        ("nothing but reports and words like theirs", reports)):
        figures = []
        for _ in range(rounds):
            done = subprocess.run([os.path.join(out, "tests", "titles"), str(MIB), *files],
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"bench: titles: exit {done.returncode}\n{done.stderr}")
            figures.append(MIB * 2 ** 20 / 1e6 / float(done.stdout.split()[0]))
        speed = statistics.median(figures)
        print(f"  {what:<42} {speed:6.0f} MB/s  limit {LIMIT_MB_S}  "
              f"{judge(LIMIT_MB_S, speed, 'titles, ' + what)}  ({rounds} rounds)")
