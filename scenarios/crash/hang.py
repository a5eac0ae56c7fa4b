"""Take the only CPU for ever, at a priority that nothing in user space has, and let nobody in."""
import os

FAIR_SERVER = "/sys/kernel/debug/sched/fair_server/cpu0/runtime"

with open("/proc/sys/kernel/sched_rt_runtime_us", "w") as f:
    f.write("-1")
if os.path.exists(FAIR_SERVER):  # from 6.12 on, a share of the CPU for those that starve
    with open(FAIR_SERVER, "w") as f:
        f.write("0")
print("going", flush=True)
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(99))
while True:
    pass
