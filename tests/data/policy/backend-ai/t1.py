"""What a small job does: files, threads, a child, the time, some arithmetic."""
import json
import os
import subprocess
import sys
import tempfile
import threading

numbers = []
threads = [threading.Thread(target=numbers.append, args=(i,)) for i in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()

with tempfile.TemporaryFile("w+") as file:
    json.dump(sorted(numbers), file)
    file.seek(0)
    print("abc", json.load(file))

# extra_envs are kept whole, what is not preserved is gone
print(os.environ.get("JOB_OPTIONS"), os.environ.get("SECRET"))

try:
    subprocess.run(["echo", "a child"], check=True)
except OSError as error:
    sys.exit(f"subprocess: {error}")
