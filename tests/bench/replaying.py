"""What recording costs, and a replay: factors of a run of the same cell under plain TCG."""

import json
import os
import shutil
import statistics
import subprocess
import time

KERNEL = "6.1"
SCENARIO = "run: 'i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done; ls -R /usr >/dev/null'\n"


def _machine_seconds(out):
    """Start to end of the one machine of a run."""
    for folder, _, files in os.walk(out):
        if "result.json" in files:
            with open(os.path.join(folder, "result.json"), encoding="utf-8") as f:
                return folder, json.load(f)["times"]["total_ms"] / 1000
    raise SystemExit("bench: no result in " + out)


def bench(lab, rounds, tmp):
    """Print a table; there is no limit: what QEMU does in these modes is its own."""
    scenario = os.path.join(tmp, "work.yml")
    with open(scenario, "w", encoding="utf-8") as f:
        f.write(SCENARIO)
    print(f"\nRecord and replay of one machine on {KERNEL}, as factors of a plain run (TCG)\n")
    print("                plain   recorded  factor   replayed  factor")
    for arch in ("arm64", "amd64"):
        plain, recorded, replayed = [], [], []
        for _ in range(rounds):
            for how, times in ((["run", "--accel", "tcg"], plain), (["record"], recorded)):
                out = os.path.join(tmp, "replaying")
                shutil.rmtree(out, ignore_errors=True)
                subprocess.run([lab.lab, *how, "-q", "--kernel", KERNEL, "--arch", arch, "-o", out,
                                scenario], check=True, stdout=subprocess.DEVNULL)
                cell, seconds = _machine_seconds(out)
                times.append(seconds)
            start = time.monotonic()
            subprocess.run([lab.lab, "replay", "-q", "--check", cell], check=True,
                           stdout=subprocess.DEVNULL)
            replayed.append(time.monotonic() - start)
        base, record, again = map(statistics.median, (plain, recorded, replayed))
        print(f"  {arch:<11} {base:6.2f} s {record:7.2f} s {record / base:7.2f} {again:8.2f} s "
              f"{again / base:7.2f}   ({rounds} rounds)")
