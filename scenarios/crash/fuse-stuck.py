"""Serve the FUSE connection that descriptor 3 is: answer its greeting, and then never again."""
import os
import struct
import time

OUT_HEADER = struct.Struct("<IiQ")  # length, error, whose answer this is
INIT_OUT = struct.Struct("<IIIIHHIIHHI28x")  # version 7.31 …, 4096 bytes a write

request = os.read(3, 1 << 17)
unique = struct.unpack_from("<Q", request, 8)[0]
answer = INIT_OUT.pack(7, 31, 0, 0, 12, 9, 4096, 1, 1, 0, 0)
os.write(3, OUT_HEADER.pack(OUT_HEADER.size + len(answer), 0, unique) + answer)
os.read(3, 1 << 17)
print("asked", flush=True)
time.sleep(60)
