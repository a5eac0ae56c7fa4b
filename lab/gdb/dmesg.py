"""lab-dmesg: the kernel's log, from its ring buffer (kernel/printk/printk_ringbuffer.c)."""

import struct

from lab import bare
from lab.memory import (Command, Trouble, at, ctype, integer, need, offset, pointer, printable,
                        read, word)

MAX_BITS = 25  # of bytes: CONFIG_LOG_BUF_SHIFT ends there
AVERAGE_BITS = 5  # of bytes that the kernel reckons with for each descriptor (PRB_AVGBITS)
COMMITTED, FINALIZED = 1, 2


def _rows(start, size, count, first, number):
    """number rows of a ring of count, from index first on, as bytes each."""
    data = b""
    for begin, many in ((first, min(number, count - first)), (0, number - (count - first))):
        if many > 0:
            data += read(start + begin * size, many * size)
    return [data[i:i + size] for i in range(0, len(data), size)]


def _text(ring, size, begin, after):
    """The bytes of a data block; None when they are gone."""
    if begin & 1:  # no data
        return b"" if begin == 3 and after == 3 else None
    wrapped = begin // size != (after - 1) // size
    start = 0 if wrapped else begin % size
    end = (after - 1) % size + 1
    if end < start + 8:
        return None
    return ring[start + 8:end]


def records():
    """(seq, nanoseconds, level, text) of each record, oldest first."""
    ring = at(word(need("prb", bare.find)), "struct printk_ringbuffer")
    descs, data = ring["desc_ring"], ring["text_data_ring"]
    bits, text_bits = int(descs["count_bits"]), int(data["size_bits"])
    if not 0 < text_bits <= MAX_BITS or not 0 < bits <= text_bits - AVERAGE_BITS:
        raise Trouble("the log's size makes no sense: corrupt?")
    count = 1 << bits
    mask = (1 << 62) - 1
    tail, head = integer(descs["tail_id"]) & mask, integer(descs["head_id"]) & mask
    number = ((head - tail) & mask) + 1
    if number > count:
        raise Trouble("the log's ends make no sense: corrupt?")
    text = read(pointer(data["data"]), 1 << text_bits)
    desc, info = ctype("struct prb_desc"), ctype("struct printk_info")
    begin_at = offset("struct prb_desc", "text_blk_lpos.begin")
    next_at = offset("struct prb_desc", "text_blk_lpos.next")
    state_at = offset("struct prb_desc", "state_var")
    seq_at, time_at = offset("struct printk_info", "seq"), offset("struct printk_info", "ts_nsec")
    len_at = offset("struct printk_info", "text_len")
    level_at = offset("struct printk_info", "facility") + 1  # flags:5, level:3
    both = zip(_rows(pointer(descs["descs"]), desc.sizeof, count, tail % count, number),
               _rows(pointer(descs["infos"]), info.sizeof, count, tail % count, number))
    for i, (one, meta) in enumerate(both):
        state, = struct.unpack_from("<Q", one, state_at)
        if state >> 62 not in (COMMITTED, FINALIZED) or state & mask != (tail + i) & mask:
            continue
        begin, = struct.unpack_from("<Q", one, begin_at)
        after, = struct.unpack_from("<Q", one, next_at)
        body = _text(text, 1 << text_bits, begin, after)
        if body is None:
            continue
        length, = struct.unpack_from("<H", meta, len_at)
        seq, = struct.unpack_from("<Q", meta, seq_at)
        when, = struct.unpack_from("<Q", meta, time_at)
        yield seq, when, meta[level_at] >> 5, body[:length]


class Dmesg(Command):
    """The kernel's log as far as its ring buffer holds it, what no console has shown included.
With LINES only the last so many records; with -l each one's level (0 to 7) comes first.
Usage: lab-dmesg [-l] [LINES]"""

    name = "lab-dmesg"

    def run(self, argv):
        """Print it."""
        level = argv[:1] == ["-l"]
        rest = argv[1:] if level else argv
        if len(rest) > 1 or rest and not rest[0].isdigit():
            raise self.usage()
        found = list(records())
        if rest:
            found = found[-int(rest[0]):] if int(rest[0]) else []
        for _, when, how, text in found:
            mark = "%s[%5d.%06d] " % ("<%d>" % how if level else "", when // 10**9,
                                      when // 1000 % 10**6)
            for part in text.split(b"\n"):
                print(mark + printable(part.replace(b"\t", b"        ")))


Dmesg()
