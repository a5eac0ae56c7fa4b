# built-kernel.py - a made-up kernel as lab keeps those that were built: as a folder of the cache, or
# as a file of `lab kernel export` with one thing wrong. Written without lab, from built.h.
#
#   built-kernel.py folder IMAGE KERNELS NAME ARCH [local]   the folder below KERNELS; prints its path
#   built-kernel.py file IMAGE OUT DAMAGE                    an archive of 6.1+guest for amd64
import hashlib, io, json, os, struct, sys, tarfile

INPUTS = hashlib.sha256(b"inputs").hexdigest()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def vmlinux():
    """The smallest ELF file with a build id."""
    names, note = b"\0.notes\0", struct.pack("<III", 4, 3, 3) + b"GNU\0\xab\xcd\xef\0"
    at = 64 + 3 * 64
    head = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 0, 64, 0, 64, 0, 0, 64, 3, 2)
    section = lambda name, kind, offset, size: struct.pack("<IIQQQQIIQQ", name, kind, 0, 0, offset, size, 0, 0, 4, 0)
    sections = bytes(64) + section(1, 7, at, len(note)) + section(0, 3, at + len(note), len(names))
    return head + sections + note + names


def kernel(image, name="6.1+guest", arch="amd64"):
    files = {
        "image": open(image, "rb").read(),
        "config": b"CONFIG_OVERLAY_FS=y\n",
        "vmlinux": vmlinux(),
        "Module.symvers": b"0x0\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n",
        "lib/modules/6.1.9/kernel/fs/a.ko": b"module",
        "lib/modules/6.1.9/modules.builtin": b"kernel/fs/b.ko\n",
        "gdb/vmlinux-gdb.py": b"# gdb\n",
    }
    meta = {
        "schema": 1, "arch": arch, "name": name, "version": "6.1.9", "release": "6.1.9",
        "inputs": INPUTS, "source": "sha256:" + "0" * 64, "source_what": "linux-6.1.9.tar.xz",
        "compiler": "gcc 12", "build_id": "abcdef", "source_prefix": "/usr/src/linux-6.1.9",
        "image_sha256": sha256(files["image"]), "fragments": ["minimal", "guest"], "local": False,
        "objects": 2000, "seconds": 265, "jobs": 2, "built_at": 1700000000, "image_size": len(files["image"]),
    }
    return files, meta


def sums(files):
    return "".join(f"{sha256(files[path])}  {path}\n" for path in sorted(files)).encode()


def folder(image, kernels, name, arch, local=""):
    files, meta = kernel(image, name, arch)
    meta["source_dir"] = "/my/secret/folder"
    if local:
        del meta["inputs"]
        meta["local"] = True
    files["SHA256SUMS"] = sums(files)
    meta["sums_sha256"] = sha256(files["SHA256SUMS"])
    files["meta.json"] = json.dumps(meta).encode()
    top = f"{kernels}/{name}-{arch}-{local or INPUTS[:16]}"
    for path, data in files.items():
        os.makedirs(os.path.dirname(f"{top}/{path}"), exist_ok=True)
        open(f"{top}/{path}", "wb").write(data)
    print(top)


def zstd(data):
    """RFC 8878: one frame of blocks that are not compressed."""
    out, step = io.BytesIO(), 1 << 17
    out.write(b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", len(data)))
    for at in range(0, len(data), step):
        block = data[at:at + step]
        out.write(struct.pack("<I", len(block) << 3 | (at + step >= len(data)))[:3] + block)
    return out.getvalue()


def file(image, out, damage):
    files, meta = kernel(image)
    extra, first = [], ["meta.json", "SHA256SUMS"]  # extra: (path, type, link, data)
    lie = {}
    if damage.startswith("member:"):  # member:PATH[:TYPE[:LINK]]
        path, kind, link = (damage.split(":") + ["0", ""])[1:4]
        extra.append((path, kind.encode(), link, b"evil"))
    elif damage.startswith("meta:"):  # meta:KEY=JSON
        key, value = damage[5:].split("=", 1)
        lie[key] = json.loads(value)
    elif damage == "sums":
        lie["sums_sha256"] = "1" * 64
    elif damage == "text":
        files["image"] = b"not a kernel"
        meta.update(image_sha256=sha256(files["image"]), image_size=len(files["image"]))
    elif damage == "order":
        first.reverse()
    files["SHA256SUMS"] = sums(files)
    meta["sums_sha256"] = sha256(files["SHA256SUMS"])
    if damage == "changed":
        files["config"] = b"CONFIG_OVERLAY_FS=n\n"
    elif damage == "missing":
        del files["config"]
    elif damage == "added":
        extra.append(("gdb/more.py", b"0", "", b"evil"))
    elif damage == "bad-sums":
        files["SHA256SUMS"] = b"x\n"
        meta["sums_sha256"] = sha256(b"x\n")
    elif damage == "other":  # a good one, but not the same
        files["gdb/vmlinux-gdb.py"] = b"# other\n"
        files["SHA256SUMS"] = b""
        del files["SHA256SUMS"]
        files["SHA256SUMS"] = sums(files)
        meta["sums_sha256"] = sha256(files["SHA256SUMS"])
    meta.update(lie)
    files["meta.json"] = json.dumps(meta).encode()
    if damage == "huge-meta":
        files["meta.json"] += b" " * (1 << 20)
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        members = [(p, b"0", "", files[p]) for p in first + sorted(set(files) - set(first))]
        for path, kind, link, content in members[:3] + extra + members[3:]:
            member = tarfile.TarInfo(path)
            member.type, member.linkname = kind, link
            member.size = len(content) if kind == b"0" else 0
            tar.addfile(member, io.BytesIO(content))
    open(out, "wb").write(zstd(data.getvalue()))


{"folder": folder, "file": file}[sys.argv[1]](*sys.argv[2:])
