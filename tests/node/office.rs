//! Network namespaces: an office of several machines on one switch, made by the test and taken down by it.
//!
//! Knows: `ip netns`, veth, a bridge, an origin one routed hop away, programs started in a namespace. Does not know:
//! what is tested. Nothing leaves the namespaces, so that addresses may be the same in every office. Needs the right
//! to make namespaces; [`Office::open`] says why when it has none.

use std::ffi::OsStr;
use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nearbits::control::client::Client;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::process::{Child, Command};

use crate::lab::PATIENCE;
use crate::wiretap::Wiretap;

/// Offices made by this process so far: their names must differ.
static OFFICES: AtomicU32 = AtomicU32::new(0);

/// Several machines on a switch, and an origin behind it. Everything goes when it is dropped.
pub(crate) struct Office {
    tag: String,
    machines: u8,
    addresses: Addresses,
    folder: tempfile::TempDir,
}

/// Addresses of the machines on the switch. Each has a link-local IPv6 address in any case.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Addresses {
    /// IPv4 too, and a way to the origin.
    Both,
    /// No others.
    LinkLocalOnly,
    /// As `Both`, but the second half of the machines is on a switch and in a subnet of its own: the two are one hop apart.
    TwoSubnets,
}

impl Office {
    /// Makes the office. `None`, said aloud, where this machine does not allow that; a failure if the environment
    /// insists on namespaces.
    pub(crate) fn open(machines: u8, addresses: Addresses) -> Option<Self> {
        let tag = format!("nb{}x{}", std::process::id(), OFFICES.fetch_add(1, Ordering::Relaxed));
        let office = Self { tag, machines, addresses, folder: tempfile::tempdir().expect("a folder") };
        match office.build() {
            Ok(()) => Some(office),
            Err(reason) => {
                drop(office);
                skip(&reason);
                None
            }
        }
    }

    fn build(&self) -> Result<(), String> {
        for name in self.names() {
            ip(&format!("netns add {name}"))?;
            ip(&format!("-n {name} link set lo up"))?;
        }
        let (switch, origin) = (self.switch(), self.origin());
        let links = if self.addresses == Addresses::TwoSubnets { 0..2 } else { 0..1 };
        for link in links {
            ip(&format!("-n {switch} link add br{link} type bridge mcast_snooping 0"))?;
            ip(&format!("-n {switch} addr add {}/24 dev br{link}", Self::on_link(link, 254)))?;
            ip(&format!("-n {switch} link set br{link} up"))?;
        }
        ip(&format!("-n {switch} link add wan type veth peer name eth0 netns {origin}"))?;
        ip(&format!("-n {switch} addr add 10.98.0.1/24 dev wan"))?;
        ip(&format!("-n {switch} link set wan up"))?;
        ip(&format!("-n {origin} addr add 10.98.0.2/24 dev eth0"))?;
        ip(&format!("-n {origin} link set eth0 up"))?;
        ip(&format!("-n {origin} route add default via 10.98.0.1"))?;
        ip(&format!("netns exec {switch} sysctl -qw net.ipv4.ip_forward=1"))?;
        for machine in 0..self.machines {
            let name = self.machine(machine);
            ip(&format!("-n {switch} link add p{machine} type veth peer name eth0 netns {name}"))?;
            ip(&format!("-n {switch} link set p{machine} master br{} up", self.link(machine)))?;
            // An address that we choose needs no second of looking for others who have it.
            ip(&format!("-n {name} link set eth0 addrgenmode none up"))?;
            ip(&format!("-n {name} addr add {}/64 dev eth0 nodad", Self::link_local(machine)))?;
            if self.addresses != Addresses::LinkLocalOnly {
                ip(&format!("-n {name} addr add {}/24 dev eth0", self.address(machine)))?;
                ip(&format!("-n {name} route add default via {}", Self::on_link(self.link(machine), 254)))?;
            }
        }
        Ok(())
    }

    /// Which of the switches a machine is on.
    fn link(&self, machine: u8) -> u8 {
        u8::from(self.addresses == Addresses::TwoSubnets && machine >= self.machines / 2)
    }

    /// An IPv4 address of a switch's subnet.
    fn on_link(link: u8, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 99, link, last)
    }

    /// The IPv4 address of a machine's `eth0`, if the office has any.
    pub(crate) fn address(&self, machine: u8) -> Ipv4Addr {
        Self::on_link(self.link(machine), machine + 1)
    }

    fn names(&self) -> impl Iterator<Item = String> {
        (0..self.machines).map(|machine| self.machine(machine)).chain([self.switch(), self.origin()])
    }

    fn machine(&self, machine: u8) -> String {
        format!("{}m{machine}", self.tag)
    }

    fn switch(&self) -> String {
        format!("{}s", self.tag)
    }

    fn origin(&self) -> String {
        format!("{}o", self.tag)
    }

    /// The link-local address of a machine's `eth0`.
    pub(crate) fn link_local(machine: u8) -> Ipv6Addr {
        Ipv6Addr::from([0xfe80, 0, 0, 0, 0, 0, 0, u16::from(machine) + 1])
    }

    /// The number by which a machine knows its `eth0`.
    pub(crate) fn interface(&self, machine: u8) -> u64 {
        let shown =
            ip(&format!("-n {} -j link show eth0", self.machine(machine))).expect("the interface is there");
        let shown: serde_json::Value = serde_json::from_slice(&shown).expect("JSON");
        shown[0]["ifindex"].as_u64().expect("an index")
    }

    /// Takes a machine's cable out, or puts it back in.
    pub(crate) fn plug(&self, machine: u8, is_in: bool) {
        let name = self.machine(machine);
        let state = if is_in { "up" } else { "down" };
        ip(&format!("-n {name} link set eth0 {state}")).expect("our own interface");
        if is_in {
            ip(&format!("-n {name} route replace default via 10.99.0.254")).expect("the system forgot it");
        }
    }

    /// Loses what one machine sends to another, or lets it pass again: the sender believes the other to have a network card
    /// that nobody has. What is sent to all arrives.
    pub(crate) fn lose(&self, from: u8, to: u8, is_lost: bool) {
        let name = self.machine(from);
        for address in [self.address(to).to_string(), Self::link_local(to).to_string()] {
            let step = if is_lost {
                format!("neigh replace {address} lladdr 02:00:00:00:00:99 nud permanent dev eth0")
            } else {
                format!("neigh del {address} dev eth0")
            };
            // A cable that was out meanwhile made the system forget it.
            let done = ip(&format!("-n {name} {step}"));
            assert!(done.is_ok() || !is_lost, "{done:?}");
        }
    }

    /// Takes the origin's cable out, or puts it back in.
    pub(crate) fn plug_origin(&self, is_in: bool) {
        let state = if is_in { "up" } else { "down" };
        ip(&format!("-n {} link set wan {state}", self.switch())).expect("our own interface");
    }

    /// Unplugs a machine, and plugs it in again under another IPv4 address and no other.
    pub(crate) fn replug(&self, machine: u8, address: Ipv4Addr) {
        let name = self.machine(machine);
        for step in [
            "link set eth0 down".to_owned(),
            "addr flush dev eth0".to_owned(),
            format!("addr add {address}/24 dev eth0"),
            "link set eth0 up".to_owned(),
        ] {
            ip(&format!("-n {name} {step}")).expect("a cable");
        }
    }

    /// A listener at the origin's place.
    pub(crate) fn origin_listener(&self) -> TcpListener {
        listener(&self.origin(), SocketAddrV4::new([10, 98, 0, 2].into(), 0).into())
    }

    /// A listener on a machine: the socket lives in its namespace, whoever accepts on it.
    pub(crate) fn listener(&self, machine: u8, address: SocketAddr) -> TcpListener {
        listener(&self.machine(machine), address)
    }

    /// A socket for datagrams on a machine, in the same way.
    pub(crate) fn datagrams(&self, machine: u8, address: SocketAddr) -> UdpSocket {
        inside(&self.machine(machine), move || UdpSocket::bind(address).expect("the address is free"))
    }

    /// Somebody at the switch who sees every datagram.
    pub(crate) fn wiretap(&self) -> Wiretap {
        inside(&self.switch(), Wiretap::open)
    }

    /// Lets a socket on a machine hear what is sent to a group.
    pub(crate) fn join(&self, machine: u8, socket: &UdpSocket, group: Ipv4Addr) {
        let socket = socket.try_clone().expect("our own socket");
        let interface = Ipv4Addr::new(10, 99, 0, machine + 1);
        inside(&self.machine(machine), move || {
            socket.join_multicast_v4(&group, &interface).expect("an interface")
        });
    }

    /// Makes the origin's line to the office as narrow as this, such as `20mbit`.
    pub(crate) fn narrow_wan(&self, rate: &str) {
        let tc = format!("tc qdisc add dev eth0 root tbf rate {rate} burst 64kb latency 200ms");
        ip(&format!("netns exec {} {tc}", self.origin())).expect("a token bucket");
    }

    /// Bytes that crossed the line to the origin so far, both ways, with everything around them.
    pub(crate) fn wan_bytes(&self) -> u64 {
        let shown = ip(&format!("-n {} -j -s link show wan", self.switch())).expect("the line is there");
        let shown: serde_json::Value = serde_json::from_slice(&shown).expect("JSON");
        let count = |way: &str| shown[0]["stats64"][way]["bytes"].as_u64().expect("a counter");
        count("rx") + count("tx")
    }

    /// A folder of this office's.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Our program on one machine. It has no terminal, and ends with the test.
    pub(crate) fn nearbits<A: AsRef<OsStr>>(
        &self,
        machine: u8,
        args: impl IntoIterator<Item = A>,
    ) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.machine(machine), env!("CARGO_BIN_EXE_nearbits")])
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// A daemon on one machine, with its state in a folder of its own; returns when it answers.
    pub(crate) async fn daemon(&self, machine: u8, more: &[&str]) -> Daemon {
        self.daemon_called(&format!("daemon{machine}"), machine, more).await
    }

    /// The same with its state in a folder of this name: several may run on a machine.
    pub(crate) async fn daemon_called(&self, called: &str, machine: u8, more: &[&str]) -> Daemon {
        let state = self.path(called);
        let mut command =
            self.nearbits(machine, ["daemon", "--flags", "client,server", "--until-stdin-closes"]);
        command.arg("--state-dir").arg(&state).args(more).stdin(Stdio::piped());
        let log = |name: &str| std::fs::File::create(self.path(&format!("{called}.{name}"))).expect("a file");
        command.stdout(log("out")).stderr(log("err"));
        let child = command.spawn().expect("the program starts");
        let client = reach(&state).await;
        Daemon { client, state, child }
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        for name in self.names() {
            // After a failure some were never made.
            drop(ip(&format!("netns del {name}")));
        }
    }
}

/// A running daemon; it ends when dropped.
pub(crate) struct Daemon {
    pub(crate) client: Client,
    pub(crate) state: PathBuf,
    child: Child,
}

impl Daemon {
    /// Kills it; its state stays.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("our own child");
    }

    /// Lets it end in good order; its state stays.
    pub(crate) async fn end(mut self) {
        drop(self.child.stdin.take());
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        assert!(ended.expect("it ends in time").expect("our own child").success());
    }

    /// What it holds in memory.
    pub(crate) fn memory(&self) -> Memory {
        let pid = self.child.id().expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        let bytes = |key: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("Linux says");
            line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
        };
        Memory { now: bytes("VmRSS:"), peak: bytes("VmHWM:"), code: bytes("RssFile:") }
    }

    /// Lets the peak of its memory begin anew.
    pub(crate) fn forget_peak(&self) {
        let pid = self.child.id().expect("it runs");
        std::fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("our own child");
    }

    /// Waits until this many peers are connected.
    pub(crate) async fn connected(&self, count: usize) {
        eventually(&format!("{count} peers of {}", self.state.display()), async || {
            let peers = self.client.peers().await.expect("the daemon answers");
            (peers.iter().filter(|peer| peer.connected).count() >= count).then_some(())
        })
        .await;
    }
}

/// Resident memory of a process in bytes.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) now: u64,
    /// The most since [`Daemon::forget_peak`].
    pub(crate) peak: u64,
    /// Now, of the program itself and its libraries: pages of it that were run so far.
    pub(crate) code: u64,
}

/// The program as a daemon on loopback that holds this state folder.
pub(crate) fn daemon_at(state: &Path, args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_nearbits"))
        .args(["daemon", "--no-mdns", "--listen", "127.0.0.1:0"])
        .args(args)
        .arg("--state-dir")
        .arg(state)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the program starts")
}

/// A way to whoever holds this state folder, as soon as he answers.
pub(crate) async fn reach(state: &Path) -> Client {
    let socket = state.join("control.sock");
    eventually("a control socket", async || Client::reach(&socket).await.ok()).await
}

/// Looks again and again until something is there.
pub(crate) async fn eventually<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let looked = async {
        let mut tick = tokio::time::interval(Duration::from_millis(2));
        loop {
            tick.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, looked).await.unwrap_or_else(|_| panic!("in vain waited for {what}"))
}

fn listener(namespace: &str, address: SocketAddr) -> TcpListener {
    inside(namespace, move || TcpListener::bind(address).expect("the address is free"))
}

/// Does something inside a namespace: a thread of its own goes there, and ends.
fn inside<T: Send + 'static>(namespace: &str, act: impl FnOnce() -> T + Send + 'static) -> T {
    let path = PathBuf::from(format!("/run/netns/{namespace}"));
    let acted = std::thread::spawn(move || {
        let namespace = std::fs::File::open(path).expect("the namespace exists");
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("may go there");
        act()
    });
    acted.join().expect("the thread ends well")
}

/// Says why a case was skipped: to people, and to the file that `.ci/run` looks into.
fn skip(reason: &str) {
    let case = std::thread::current().name().unwrap_or("a case").to_owned();
    let required = std::env::var_os("NEARBITS_NETNS").is_some_and(|value| value == "required");
    assert!(!required, "{case}: no network namespaces: {reason}");
    let line = format!("skipped {case}: no network namespaces: {reason}\n");
    // Not the macro, whose output the test harness hides.
    drop(std::io::stderr().write_all(line.as_bytes()));
    if let Some(path) = std::env::var_os("NEARBITS_SKIPPED") {
        let mut file =
            std::fs::OpenOptions::new().create(true).append(true).open(path).expect("the skip list");
        file.write_all(line.as_bytes()).expect("the skip list");
    }
}

/// Runs `ip`; what it printed, or why it failed.
fn ip(arguments: &str) -> Result<Vec<u8>, String> {
    let ran = std::process::Command::new("ip").args(arguments.split(' ')).output();
    let output = ran.map_err(|error| format!("ip: {error}"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(format!("ip {arguments}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
