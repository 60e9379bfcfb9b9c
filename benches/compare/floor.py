#!/usr/bin/env python3
"""What 1 GiB of each thing that no encrypted download can leave out costs on this machine, in CPU seconds.

  floor.py [DIR]          the smallest of five, while the other cores rest
  floor.py [DIR] both     two at a time, the medians of three of each: what the ends of a download over a loopback meet

Needs b3sum and openssl, and 4 GiB in DIR."""
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading

GIB, SMALL, LARGE, RECORD = 1 << 30, 64 << 10, 256 << 10, 16 << 10
BLOCK = os.urandom(SMALL)


def used(who=resource.RUSAGE_SELF):
    spent = resource.getrusage(who)
    return spent.ru_utime + spent.ru_stime


def write(work):
    start, path = used(), f"{work}/written"
    with open(path, "wb", buffering=0) as file:
        for _ in range(GIB // SMALL):
            file.write(BLOCK)
    start = used() - start
    os.unlink(path)
    return start


def read(work):
    start, room = used(), bytearray(LARGE)
    with open(f"{work}/file", "rb", buffering=0) as file:
        while file.readinto(room):
            pass
    return used() - start


def copy(_):
    one, other = bytearray(os.urandom(LARGE)), bytearray(LARGE)
    start = used()
    for _ in range(GIB // LARGE):
        other[:] = one
    return used() - start


def tcp(_):
    listener = socket.create_server(("127.0.0.1", 0))
    sender, (taker, _) = socket.create_connection(listener.getsockname()), listener.accept()

    def take():
        room = bytearray(RECORD)
        while taker.recv_into(room):
            pass

    start, thread = used(), threading.Thread(target=take)
    thread.start()
    for _ in range(GIB // SMALL):
        sender.sendall(BLOCK)
    sender.shutdown(socket.SHUT_WR)
    thread.join()
    return used() - start


def blake3(work):
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run(["b3sum", "--num-threads", "1", "--no-mmap", f"{work}/file"], stdout=subprocess.DEVNULL, check=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def speed(cipher):
    cmd = ["openssl", "speed", "-seconds", "1", "-bytes", str(RECORD), "-evp", cipher]
    said = subprocess.run(cmd, capture_output=True, text=True, check=True).stdout
    return GIB / (float(said.split()[-1].rstrip("k")) * 1000)


def sha256(_):
    return speed("sha256")


def aes(_):
    return speed("aes-256-gcm")


def measured(work, runs, pick):
    with open(f"{work}/file", "wb", buffering=0) as file:
        for _ in range(GIB // (1 << 20)):
            file.write(os.urandom(1 << 20))
    for part in (write, read, tcp, copy, blake3, sha256, aes):
        print(f"{part.__name__:8} {pick(sorted(part(work) for _ in range(runs))):.3f}", flush=True)


def main():
    where = sys.argv[1] if len(sys.argv) > 1 else None
    if sys.argv[2:] != ["both"]:
        with tempfile.TemporaryDirectory(dir=where) as work:
            return measured(work, 5, lambda all: all[0])
    pids = []
    for _ in range(2):
        pids.append(os.fork())
        if not pids[-1]:
            with tempfile.TemporaryDirectory(dir=where) as work:
                measured(work, 3, lambda all: all[1])
            return
    for pid in pids:
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
