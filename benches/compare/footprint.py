#!/usr/bin/env python3
"""What `bench.py` does not measure: small files from a peer, and memory. Loopback only; needs nginx, curl and b3sum.

  footprint.py --nearbits PATH [--work DIR] small             1 KiB, 64 KiB, 1 MiB: peer beside plain HTTP, by turns
  footprint.py --nearbits PATH [--work DIR] idle              memory of a daemon that does nothing
  footprint.py --nearbits PATH [--work DIR] serving [MIB]...  memory of a daemon while it serves one peer
  footprint.py --nearbits PATH [--work DIR] moving [GB]       memory of a `get` while it moves one large file

Each line of the answer is one JSON object. Large files are sparse at the origin (zeros), and take their full length in
DIR at the other end until the measurement ends. Memory is what the kernel books: `rss` all resident pages, `anon` the
program's own without pages of files (its executable among them); both the highest that was seen."""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path

HTTP, HOLDER, TAKER = 18180, 18190, 18191


def kib(pid, *keys):
    found = dict.fromkeys(keys, 0)
    try:
        for line in open(f"/proc/{pid}/status"):
            key, _, value = line.partition(":")
            if key in found:
                found[key] = int(value.split()[0])
    except OSError:
        pass
    return [found[key] for key in keys]


class Watch(threading.Thread):
    """The highest memory of a process while it is entered."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.rss, self.anon, self.done = pid, 0, 0, threading.Event()

    def run(self):
        while not self.done.wait(0.02):
            rss, anon = kib(self.pid, "VmRSS", "RssAnon")
            self.rss, self.anon = max(self.rss, rss), max(self.anon, anon)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.join()

    def told(self):
        return {"rss_mib": round(self.rss / 1024, 1), "anon_mib": round(self.anon / 1024, 1)}


class Place:
    """A folder, an origin in it, and the nodes that were started."""

    def __init__(self, program, work):
        self.program, self.home, self.procs = program, Path(tempfile.mkdtemp(prefix="fp-", dir=work)), []
        self.www = self.home / "www"
        self.www.mkdir()
        conf, temp = self.home / "nginx.conf", " ".join(
            f"{kind}_temp_path {self.home}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        conf.write_text(f"daemon off; master_process off; user root; pid {self.home}/pid; error_log {self.home}/error.log;\n"
                        "events { worker_connections 256; }\n"
                        f"http {{ access_log off; sendfile on; {temp} server {{ listen 127.0.0.1:{HTTP}; root {self.www};\n"
                        f" location /slow/ {{ alias {self.www}/; limit_rate 256; }} }} }}\n")
        self.start("nginx", "-c", conf)

    def start(self, *cmd, log=None):
        out = open(log, "wb") if log else subprocess.DEVNULL
        proc = subprocess.Popen([str(c) for c in cmd], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=self.home)
        self.procs.append(proc)
        return proc

    def daemon(self, name, port, *more):
        log = self.home / f"{name}.log"
        proc = self.start(self.program, "daemon", "--state-dir", self.home / name, "--listen", f"127.0.0.1:{port}", "--no-mdns",
                          "--flags", "client,server", *more, log=log)
        end = time.monotonic() + 10
        while "control socket" not in log.read_text():
            if proc.poll() is not None or time.monotonic() > end:
                raise RuntimeError(log.read_text())
            time.sleep(0.02)
        return proc

    def status(self, name):
        said = subprocess.run([self.program, "status", "--json", "--control", self.home / name / "control.sock"], capture_output=True, text=True)
        return json.loads(said.stdout)

    def get(self, name, file, to, *more):
        """Through the daemon of that name, or embedded if there is none. Seconds, and what it said."""
        cmd = [self.program, "get", f"http://127.0.0.1:{HTTP}/{file}", "-o", to, "--state-dir", self.home / name, "--json", *more]
        start = time.monotonic()
        said = subprocess.run([str(c) for c in cmd], capture_output=True, text=True, cwd=self.home)
        took = time.monotonic() - start
        if said.returncode:
            raise RuntimeError(said.stderr)
        return took, json.loads(said.stdout)

    def sparse(self, name, length):
        with open(self.www / name, "wb") as file:
            file.truncate(length)
        return self.www / name

    def close(self):
        for proc in self.procs:
            proc.terminate()
        for proc in self.procs:
            try:
                proc.wait(10)
            except subprocess.TimeoutExpired:
                proc.kill()
        shutil.rmtree(self.home, ignore_errors=True)


def blake3(path):
    return subprocess.run(["b3sum", "--no-names", path], capture_output=True, text=True, check=True).stdout.strip()


def small(place, runs):
    """Both daemons run and are connected; each file is new to the taker. Start-up of the command is in both figures.
    Once with an origin as fast as the peer (a small file is asked of both), once with one that gives 256 bytes a second,
    so that nearly all must come from the peer; plain HTTP has the fast one in both."""
    sizes = {"1 KiB": 1 << 10, "64 KiB": 1 << 16, "1 MiB": 1 << 20}
    place.daemon("holder", HOLDER)
    files = {(size, place_in, turn): f"{place_in}{length}-{turn}"
             for size, length in sizes.items() for place_in in ("", "slow/") for turn in range(runs)}
    digests = {}
    (place.home / "files").mkdir()
    for (size, _, _), file in files.items():
        name = file.removeprefix("slow/")
        if not (place.www / name).exists():
            (place.www / name).write_bytes(os.urandom(sizes[size]))
        if file != name:
            # Another content under the slow door: the taker must not have it from the fast one.
            name = name + "-slow"
            (place.www / name).write_bytes(os.urandom(sizes[size]))
        digests[file] = blake3(place.www / name)
        place.get("holder", name, place.home / "files" / name, "--blake3", digests[file])
    place.daemon("taker", TAKER, "--peer", f"127.0.0.1:{HOLDER}")
    time.sleep(2)
    for (size, length), door in ((one, door) for one in sizes.items() for door in ("", "slow/")):
        http, peer, by_peer = [], [], 0
        for turn in range(runs):
            file = files[size, door, turn]
            name, to = file if not door else file.removeprefix(door) + "-slow", place.home / "files" / f"taken-{file.replace('/', '-')}"
            # Peers answer so many lookups a second and no more: files fetched one right after the other wait for that.
            time.sleep(0.3)
            start = time.monotonic()
            subprocess.run(["curl", "-sSf", "-o", place.home / "plain", f"http://127.0.0.1:{HTTP}/{name}"], check=True)
            http.append(time.monotonic() - start)
            took, said = place.get("taker", door + name, to, "--blake3", digests[file])
            peer.append(took)
            by_peer += said["bytes"]["peers"]
            if to.read_bytes() != (place.www / name).read_bytes():
                raise RuntimeError(f"{file} is not what the origin has")
        ms = lambda all: round(statistics.median(all) * 1000, 1)
        yield {"size": size, "origin": "slow" if door else "fast", "runs": runs, "http_ms": ms(http), "nearbits_ms": ms(peer),
               "over_ms": round(ms(peer) - ms(http), 1), "worst_ms": round(max(peer) * 1000, 1), "from_peer": round(by_peer / (length * runs), 3)}


def idle(place, _):
    node = place.daemon("idle", HOLDER)
    time.sleep(5)
    rss, anon = kib(node.pid, "VmRSS", "RssAnon")
    told = place.status("idle")["rss_bytes"]
    yield {"what": "idle", "rss_mib": round(rss / 1024, 1), "anon_mib": round(anon / 1024, 1), "says_mib": round(told / (1 << 20), 1)}


def serving(place, sizes):
    for mib in sizes or [256, 4096]:
        file = place.sparse(f"{mib}.bin", mib << 20)
        digest, held, taken = blake3(file), place.home / "held", place.home / "taken"
        place.get("holder", file.name, held, "--blake3", digest, "--linger", "0")
        holder = place.daemon("holder", HOLDER)
        time.sleep(1)
        before = kib(holder.pid, "VmRSS")[0]
        with Watch(holder.pid) as watch:
            took, said = place.get("taker", file.name, taken, "--blake3", digest, "--linger", "0", "--no-mdns", "--peer", f"127.0.0.1:{HOLDER}")
        holder.kill()
        holder.wait()
        for path in (held, taken):
            path.unlink()
        for state in ("holder", "taker"):
            shutil.rmtree(place.home / state)
        yield {"what": "serving", "mib": mib, "seconds": round(took, 2), "from_peer": round(said["bytes"]["peers"] / (mib << 20), 3),
               "before_mib": round(before / 1024, 1), **watch.told()}


def moving(place, sizes):
    for gb in sizes or [30]:
        file = place.sparse("large.bin", gb * 10**9)
        cmd = [place.program, "get", f"http://127.0.0.1:{HTTP}/{file.name}", "-o", place.home / "moved", "--state-dir", place.home / "state",
               "--json", "--no-mdns", "--linger", "0"]
        start, proc = time.monotonic(), subprocess.Popen([str(c) for c in cmd], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        with Watch(proc.pid) as watch:
            said = json.loads(proc.communicate()[0])
        yield {"what": "moving", "gb": gb, "seconds": round(time.monotonic() - start, 1), "len": said["len"], "bytes": said["bytes"], **watch.told()}
        (place.home / "moved").unlink()


def main():
    wanted = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wanted.add_argument("--nearbits", required=True)
    wanted.add_argument("--work", default=tempfile.gettempdir())
    wanted.add_argument("--runs", type=int, default=20, help="of each small size")
    wanted.add_argument("what", choices=["small", "idle", "serving", "moving"])
    wanted.add_argument("size", nargs="*", type=int)
    said = wanted.parse_args()
    place = Place(os.path.abspath(said.nearbits), said.work)
    try:
        for line in globals()[said.what](place, said.runs if said.what == "small" else said.size):
            print(json.dumps(line), flush=True)
    finally:
        place.close()


if __name__ == "__main__":
    main()
