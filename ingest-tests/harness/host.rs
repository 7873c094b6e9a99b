//! Hosts of a test's own: network namespaces, each joined to ours by a pair of virtual interfaces, with a control group of
//! its own that bounds its share of the processor. Where the system does not allow them, a host is an address of loopback,
//! and [`Host::is_apart`] says so.
//!
//! Nothing here is named after anything but this process, and all of it goes with the value.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::wait_for;

/// Hosts that this process has made.
static MADE: AtomicU32 = AtomicU32::new(0);
/// How long the kernel may take to let go of a control group whose processes have ended.
const REMOVAL_BOUND: Duration = Duration::from_secs(5);
/// The period over which a quota is counted, in microseconds: the kernel's own default.
const PERIOD_US: u64 = 100_000;

/// A hardware address that no interface has: what is sent to it is dropped by whoever gets it.
const NOBODY: &str = "02:00:00:00:00:01";

/// Our side of the hosts' network: 198.18.0.0/15 is for tests of networks (RFC 2544 §C.2.2), so nobody is reached there.
pub struct Site {
    /// What hosts reach us by.
    pub address: Ipv4Addr,
    separate: bool,
}

/// A host.
pub struct Host {
    name: String,
    /// Its address.
    pub address: Ipv4Addr,
    namespace: bool,
    group: Option<Group>,
}

impl Site {
    /// An address for us, unlike that of any other test that runs now.
    pub fn new() -> Self {
        let separate = Self::namespaces_work();
        if !separate {
            eprintln!("*** no network namespaces here: hosts are addresses of loopback ***");
            return Self { address: Ipv4Addr::LOCALHOST, separate };
        }
        let address = subnet(MADE.fetch_add(1, Ordering::Relaxed));
        // Before there is a host there is no cable that could have it.
        assert!(ip(&format!("address add {address}/32 dev lo")), "loopback takes any address");
        Self { address, separate }
    }

    fn namespaces_work() -> bool {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("hg{}t{number}", std::process::id());
        let works = ip(&format!("netns add {name}"))
            && ip(&format!("-n {name} link add hgt0 type veth peer name hgt1"));
        ip(&format!("netns del {name}"));
        works
    }

    /// A host whose processes may use as much as `cores`, where control groups are allowed.
    pub fn host(&self, cores: f64) -> Host {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("hg{}n{number}", std::process::id());
        let group = Group::make(&name, cores);
        if !self.separate {
            let last = u8::try_from(number % 250 + 1).unwrap_or(1);
            return Host { name, address: Ipv4Addr::new(127, 0, 1, last), namespace: false, group };
        }
        let host = Host { address: subnet(number), namespace: true, group, name };
        host.join(self.address);
        host
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if self.separate {
            ip(&format!("address del {}/32 dev lo", self.address));
        }
    }
}

/// The address of host or site `number`: 128 for each process.
fn subnet(number: u32) -> Ipv4Addr {
    assert!(number < 128, "the tests of a process have at most 128 hosts");
    let of_process = (std::process::id() % 1_024) * 128 + number;
    Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)) + of_process)
}

impl Host {
    /// Whether it has a network of its own.
    pub fn is_apart(&self) -> bool {
        self.namespace
    }

    /// Whether its processes have a share of the processor of their own.
    pub fn has_share(&self) -> bool {
        self.group.is_some()
    }

    /// The two ends of a cable. Ours needs no address: a route leads to the host, from the site's.
    fn join(&self, site: Ipv4Addr) {
        let (name, address) = (&self.name, self.address);
        let (ours, theirs) = (name.clone(), "uplink");
        // One that a process of our number left behind.
        ip(&format!("netns del {name}"));
        let commands = [
            format!("netns add {name}"),
            format!("link add {ours} type veth peer name {theirs} netns {name}"),
            format!("link set {ours} up"),
            format!("route add {address}/32 dev {ours} src {site}"),
            format!("-n {name} address add {address}/32 dev {theirs}"),
            format!("-n {name} link set lo up"),
            format!("-n {name} link set {theirs} up"),
            format!("-n {name} route add {site}/32 dev {theirs} src {address}"),
        ];
        for command in commands {
            assert!(ip(&command), "ip {command}");
        }
    }

    /// `program`, to be run on this host.
    pub fn command(&self, program: &Path) -> Command {
        let mut words: Vec<PathBuf> = Vec::new();
        if let Some(group) = &self.group {
            // The shell joins the group and then becomes the program, under the same process number.
            let joins: String =
                group.files.iter().map(|file| format!("echo $$ > {}; ", file.display())).collect();
            words.extend(["sh", "-c", &format!("{joins}exec \"$@\""), "sh"].map(PathBuf::from));
        }
        if self.namespace {
            // Not `ip netns exec`, which takes control groups away: it mounts a /sys of its own.
            words.extend(["nsenter", &format!("--net=/run/netns/{}", self.name), "--"].map(PathBuf::from));
        }
        words.push(program.to_owned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command
    }

    /// Takes our end of the cable out: nothing arrives any more, and nobody is told.
    pub fn cut(&self) -> bool {
        ip(&format!("link set {} down", self.name))
    }

    /// Puts it in again, with the route that went with it.
    pub fn mend(&self, site: Ipv4Addr) -> bool {
        let (name, address) = (&self.name, self.address);
        ip(&format!("link set {name} up")) && ip(&format!("route replace {address}/32 dev {name} src {site}"))
    }

    /// What its processes send is lost on the way, and nobody is told; what is sent to them arrives.
    pub fn mute(&self, site: Ipv4Addr) -> bool {
        let name = &self.name;
        self.namespace
            && ip(&format!("-n {name} neigh replace {site} lladdr {NOBODY} nud permanent dev uplink"))
    }

    /// What is sent to its processes is lost on the way; what they send arrives.
    pub fn deafen(&self) -> bool {
        let (name, address) = (&self.name, self.address);
        self.namespace && ip(&format!("neigh replace {address} lladdr {NOBODY} nud permanent dev {name}"))
    }

    /// Both directions carry again.
    pub fn restore(&self, site: Ipv4Addr) {
        let (name, address) = (&self.name, self.address);
        // Whichever of them was bent.
        ip(&format!("-n {name} neigh del {site} dev uplink"));
        ip(&format!("neigh del {address} dev {name}"));
    }

    /// Its processes may use as much as `cores` from now on; `false` where control groups are not allowed.
    pub fn limit(&self, cores: f64) -> bool {
        self.group.as_ref().is_some_and(|group| group.limit(cores))
    }

    /// A process that does nothing but use a core of this host, for some minutes at most.
    pub fn burn(&self) -> Burner {
        // It shall have what the quota allows, however busy the machine is with other tests.
        if let Some(group) = &self.group {
            let weights = [("cpu.weight", "10000"), ("cpu.shares", "262144")];
            // One of them is there, by the version of control groups.
            assert!(weights.iter().any(|(file, most)| fs::write(group.folders[0].join(file), most).is_ok()));
        }
        let mut command = self.command(Path::new("sh"));
        command.args(["-c", "i=0; while [ $i -lt 100000000 ]; do i=$((i+1)); done"]).stdin(Stdio::null());
        Burner { child: command.spawn().expect("there is a shell") }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if self.namespace {
            // Its end of the cable goes with it, and ours with that.
            ip(&format!("netns del {}", self.name));
        }
    }
}

/// Uses a core until it is dropped.
pub struct Burner {
    child: std::process::Child,
}

impl Drop for Burner {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A control group with a quota of the processor.
struct Group {
    folders: Vec<PathBuf>,
    /// Where a process writes its number to join.
    files: Vec<PathBuf>,
}

impl Group {
    /// One in each hierarchy that counts or bounds processor time; `None` where that is not allowed.
    fn make(name: &str, cores: f64) -> Option<Self> {
        let quota = quota(cores);
        let root = Path::new("/sys/fs/cgroup");
        let group = if root.join("cgroup.controllers").exists() {
            // Version 2: the controller must be on for the children of the root. It may be already.
            let _ = fs::write(root.join("cgroup.subtree_control"), "+cpu");
            let group = Self { folders: vec![root.join(name)], files: Vec::new() };
            group.create([("cpu.max", format!("{quota} {PERIOD_US}"))])
        } else {
            let folders = ["cpu", "cpuacct"].map(|hierarchy| root.join(hierarchy).join(name)).to_vec();
            Self { folders, files: Vec::new() }.create([("cpu.cfs_quota_us", quota.to_string())])
        };
        if group.is_none() {
            eprintln!("*** no control groups here: hosts share the whole processor ***");
        }
        group
    }

    fn limit(&self, cores: f64) -> bool {
        let quota = quota(cores);
        let settings = [("cpu.max", format!("{quota} {PERIOD_US}")), ("cpu.cfs_quota_us", quota.to_string())];
        let file = |name| self.folders[0].join(name);
        settings.into_iter().any(|(name, value)| file(name).exists() && fs::write(file(name), value).is_ok())
    }

    fn create(mut self, settings: [(&str, String); 1]) -> Option<Self> {
        for folder in &self.folders {
            fs::create_dir(folder).ok()?;
        }
        for (file, value) in settings {
            fs::write(self.folders[0].join(file), value).ok()?;
        }
        self.files = self.folders.iter().map(|folder| folder.join("cgroup.procs")).collect();
        Some(self)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for folder in &self.folders {
            // It is busy until the last of its processes has been reaped.
            let _ = wait_for(REMOVAL_BOUND, || {
                (fs::remove_dir(folder).is_ok() || !folder.exists()).then_some(())
            });
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few cores")]
fn quota(cores: f64) -> u64 {
    (cores * PERIOD_US as f64) as u64
}

/// `ip WORDS`; whether it worked.
fn ip(words: &str) -> bool {
    let mut command = Command::new("ip");
    command.args(words.split_whitespace()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
