"""nearbits beside its rivals: adapters for `bench.py --adapter benches/compare/nearbits.py` (see docs/benchmarks.md).

  nearbits-origin         plain download from the origin, digest BLAKE3
  nearbits-origin-sha256  the same with SHA-256
  nearbits-peer           one peer holds the file (fetched before the clock starts, started anew); digest BLAKE3
  nearbits-peer-sha256    the same with SHA-256: sealed list, audits, whole-file hash
  nearbits                for `swarm`: every node finds the others by itself; digest BLAKE3
  nearbits-sha256         the same with SHA-256

`--bin nearbits=PATH` says where the program lies. Caching and syncs are as shipped."""
import hashlib
import json
import subprocess
from pathlib import Path

from benchlib.net import sh
from benchlib.tools import Tool


def digest_of(file, algorithm):
    """The file's digest by a program that is not ours, kept beside the file."""
    side = Path(f"{file}.{algorithm}")
    if not side.exists():
        if algorithm == "blake3":
            side.write_text(sh(f"b3sum --no-names {file}").strip())
        else:
            with open(file, "rb") as f:
                side.write_text(hashlib.file_digest(f, algorithm).hexdigest())
    return side.read_text()


class Nearbits(Tool):
    name, algorithm, peers = "nearbits", "blake3", True

    def prepare(self, lab, file):
        super().prepare(lab, file)
        self.program = self.cfg.get("nearbits", "nearbits")
        self.digest = digest_of(file, self.algorithm)

    def get(self, node, *more):
        return (self.program, "get", self.url, "-o", self.path(node), f"--{self.algorithm}", self.digest, "--state-dir", node.dir / "state",
                "--json", *more)

    def fetch(self, node):
        lingers = ("--stay", "3600") if self.stays else ("--linger", "0")
        return self.start(node, *self.get(node, *lingers))

    # A swarm's node goes on serving after it has the file: it says so with its JSON line, and is stopped by the bench.
    stays = True

    def finished(self, node, proc):
        if not self.stays:
            return proc.poll() == 0
        return self.path(node).exists()


class NearbitsSha256(Nearbits):
    name, algorithm = "nearbits-sha256", "sha256"


class NearbitsOrigin(Nearbits):
    name, stays = "nearbits-origin", False

    def fetch(self, node):
        return self.start(node, *self.get(node, "--no-peers", "--no-mdns", "--linger", "0"))


class NearbitsOriginSha256(NearbitsOrigin):
    name, algorithm = "nearbits-origin-sha256", "sha256"


class NearbitsPeer(Nearbits):
    """A daemon at the origin's place holds the file as a peer; the fetcher is a cold `get` that knows its address."""
    name, stays = "nearbits-peer", False

    def daemon(self):
        o = self.lab.origin
        (o.dir / "state").mkdir(exist_ok=True)
        daemon = self.start(o, self.program, "daemon", "--state-dir", o.dir / "state", "--listen", f"{o.ip}:{o.port}", "--no-mdns",
                            "--flags", "client,server", log="daemon.log")
        daemon.wait_log("control socket", 10)
        return daemon

    def hold(self):
        o, daemon = self.lab.origin, self.daemon()
        done = subprocess.run(["ip", "netns", "exec", o.ns, *map(str, self.get(o))], capture_output=True, text=True, cwd=o.dir)
        daemon.stop()
        if done.returncode:
            raise RuntimeError(done.stderr)
        json.loads(done.stdout)
        # Started anew: what is measured is serving, not what a download leaves behind.
        return [self.daemon()]

    def fetch(self, node):
        return self.start(node, *self.get(node, "--no-mdns", "--linger", "0", "--peer", f"{self.lab.origin.ip}:{self.lab.origin.port}"))

    def path(self, node):
        return node.dir / f"{node.name}-{self.file.name}"


class NearbitsPeerSha256(NearbitsPeer):
    name, algorithm = "nearbits-peer-sha256", "sha256"
