import os
import sys

print("hello from python", sys.version_info[0], "in", len(os.listdir("/")) > 0)
