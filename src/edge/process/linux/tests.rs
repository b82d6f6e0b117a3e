//! A machine of files.

use super::*;
use std::sync::atomic::{AtomicU32, Ordering};

/// Folders that stand for `/proc` and `/sys/fs/cgroup`.
struct Machine(PathBuf);

static NUMBER: AtomicU32 = AtomicU32::new(0);

const MEBIBYTE: u64 = 1 << 20;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix_nanos(1_000_000_000_000_000_000).after(Duration::from_secs(seconds))
}

impl Machine {
    fn new() -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("aimux-machine-{}-{number}", std::process::id());
        let machine = Self(std::env::temp_dir().join(name));
        fs::create_dir_all(&machine.0).unwrap();
        machine
    }

    fn write(&self, path: &str, bytes: impl AsRef<[u8]>) -> &Self {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    fn system(&self) -> System {
        System::at(&self.0.join("proc"), &self.0.join("cgroup"), None)
    }

    fn sample(&self) -> ProcessSample {
        self.system().sample(at(0))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

#[test]
fn on_a_machine_without_files_nothing_is_known() {
    let sample = Machine::new().sample();
    // What the standard library says of the CPUs does not come from these files.
    let nothing = ProcessSample {
        at: at(0),
        cpu_limit: sample.cpu_limit,
        ..ProcessSample::default()
    };
    assert_eq!(sample, nothing);
    assert_eq!(
        sample.memory(),
        crate::core::memory::MemoryMetrics::default()
    );
}

#[test]
fn a_name_that_is_no_text_hides_nothing() {
    let machine = Machine::new();
    machine.write("proc/self/status", b"Name:\t\xff\xfe\nVmRSS:\t 2048 kB\n");
    assert_eq!(machine.sample().resident, Some(2 * MEBIBYTE));
}

#[test]
fn a_text_without_end_is_not_read_to_its_end() {
    let machine = Machine::new();
    let text = "VmRSS:\t 2048 kB\n".to_owned() + &"x".repeat(300_000);
    machine.write("proc/self/status", text);
    assert_eq!(machine.sample().resident, None);
}

#[test]
fn the_smallest_limit_on_the_path_would_kill() {
    let machine = Machine::new();
    machine
        .write("proc/meminfo", "MemTotal: 4194304 kB\nMemFree: 1 kB\n")
        .write(
            "proc/self/status",
            "VmRSS: 524288 kB\nCpus_allowed_list: 0-7\n",
        )
        .write("proc/self/cgroup", "0::/pods/pod/app\n")
        .write("cgroup/pods/memory.max", "3221225472\n")
        .write("cgroup/pods/pod/memory.max", "1073741824\n")
        .write("cgroup/pods/pod/app/memory.max", "max\n")
        .write("cgroup/pods/cpu.max", "400000 100000\n")
        .write("cgroup/pods/pod/app/cpu.max", "150000 100000\n");
    let sample = machine.sample();
    let limit = (1_024 * MEBIBYTE, MemoryLimitSource::Cgroup);
    assert_eq!(sample.memory_limit, Some(limit));
    assert_eq!(sample.cpu_limit, Some(1.5));
    assert_eq!(sample.memory().memory_pressure_percent, Some(50.0));
}

#[test]
fn without_a_limit_it_is_the_machines_memory() {
    let machine = Machine::new();
    machine
        .write("proc/meminfo", "MemTotal: 4194304 kB\nMemFree: 1 kB\n")
        .write(
            "proc/self/status",
            "VmRSS: 1048576 kB\nCpus_allowed_list: 0\n",
        )
        .write("proc/self/cgroup", "0::/app\n");
    let all = Some((4_096 * MEBIBYTE, MemoryLimitSource::Machine));
    assert_eq!(machine.sample().memory_limit, all);
    assert_eq!(machine.sample().cpu_limit, Some(1.0));
    assert_eq!(
        machine.sample().memory().memory_pressure_percent,
        Some(25.0)
    );
    // A limit above what there is does not limit.
    machine.write("cgroup/app/memory.max", "9223372036854771712\n");
    assert_eq!(machine.sample().memory_limit, all);
}

#[test]
fn in_a_container_the_root_has_its_limit_whatever_the_path_says() {
    let machine = Machine::new();
    machine
        .write("proc/self/cgroup", "0::/system.slice/docker-0123.scope\n")
        .write("cgroup/memory.max", "268435456\n")
        .write("cgroup/cpu.max", "50000 100000\n");
    let sample = machine.sample();
    let limit = (256 * MEBIBYTE, MemoryLimitSource::Cgroup);
    assert_eq!(sample.memory_limit, Some(limit));
    assert_eq!(sample.cpu_limit, Some(0.5));
}

#[test]
fn a_path_does_not_lead_out_of_the_hierarchy() {
    let machine = Machine::new();
    machine
        .write("proc/self/cgroup", "0::/../outside\n")
        .write("outside/memory.max", "1\n")
        .write("cgroup/inside/memory.max", "2\n");
    assert_eq!(machine.sample().memory_limit, None);
    let deep = format!("0::/{}\n", "a/".repeat(10_000));
    machine.write("proc/self/cgroup", deep);
    assert_eq!(machine.sample().memory_limit, None);
    assert!(groups(Path::new("/x"), &"a/".repeat(10_000)).len() <= DEEPEST + 1);
}

#[test]
fn limits_are_read_again_after_a_while() {
    let machine = Machine::new();
    machine
        .write("proc/self/cgroup", "0::/app\n")
        .write("cgroup/app/memory.max", "1000\n");
    let mut system = machine.system();
    let limit = |sample: ProcessSample| sample.memory_limit.map(|(bytes, _)| bytes);
    assert_eq!(limit(system.sample(at(0))), Some(1_000));
    machine.write("cgroup/app/memory.max", "2000\n");
    assert_eq!(limit(system.sample(at(14))), Some(1_000));
    assert_eq!(limit(system.sample(at(15))), Some(2_000));
}

#[test]
fn what_takes_long_is_looked_at_once_a_minute() {
    let machine = Machine::new();
    let rollup =
        |kib: u32| format!("Private_Clean: 0 kB\nPrivate_Dirty: {kib} kB\nLazyFree: 1 kB\n");
    machine
        .write("proc/self/status", "VmRSS: 200 kB\n")
        .write("proc/self/smaps_rollup", rollup(50));
    let mut system = machine.system();
    let mut private = |seconds| {
        system.look_closer(at(seconds));
        system.sample(at(seconds)).private
    };
    assert_eq!(private(0), Some(50 * 1_024));
    machine.write("proc/self/smaps_rollup", rollup(70));
    assert_eq!(private(59), Some(50 * 1_024));
    assert_eq!(private(60), Some(70 * 1_024));
}

#[test]
fn in_a_large_process_nobody_is_made_to_wait() {
    let machine = Machine::new();
    machine.write(
        "proc/self/smaps_rollup",
        "Private_Clean: 0 kB\nPrivate_Dirty: 5 kB\n",
    );
    let private = |resident_kib: u32| {
        let status = format!("VmRSS: {resident_kib} kB\n");
        machine.write("proc/self/status", status);
        let mut system = machine.system();
        system.look_closer(at(0));
        system.sample(at(0)).private
    };
    assert_eq!(private(64 * 1_024), Some(5 * 1_024));
    assert_eq!(private(64 * 1_024 + 1), None);
}

#[test]
fn the_kernel_stands_in_for_the_allocator() {
    let machine = Machine::new();
    machine
        .write(
            "proc/self/status",
            "VmRSS: 200 kB\nRssAnon: 100 kB\nVmStk: 10 kB\n",
        )
        .write("proc/self/smaps_rollup", "LazyFree: 5 kB\n");
    let mut system = machine.system();
    system.look_closer(at(0));
    let heap = system.sample(at(0)).heap.unwrap();
    assert_eq!(heap.source, HeapSource::KernelAnonymous);
    assert_eq!((heap.used, heap.free), (90 * 1_024, Some(5 * 1_024)));
}

#[test]
fn the_process_is_as_old_as_it_is() {
    let machine = Machine::new();
    let stat = format!("1 (a) S {} 10000 0 0", vec!["0"; 18].join(" "));
    machine
        .write("proc/self/stat", stat)
        .write("proc/uptime", "160.00 300.00\n");
    let mut system = machine.system();
    let uptime = |sample: ProcessSample| sample.uptime.map(|age| age.as_secs());
    assert_eq!(uptime(system.sample(at(0))), Some(60));
    assert_eq!(uptime(system.sample(at(7))), Some(67));
    // It cannot have begun after the machine was last looked at.
    machine.write("proc/uptime", "10.00 300.00\n");
    assert_eq!(machine.sample().uptime, None);
}

#[test]
fn open_files_are_listed_where_the_kernel_does_not_tell() {
    let machine = Machine::new();
    for n in 0..5 {
        machine.write(&format!("proc/self/fd/{n}"), "");
    }
    let mut system = machine.system();
    // One of them would be the listing itself.
    assert_eq!(system.sample(at(0)).open_files, Some(4));
    assert_eq!(system.open_files, OpenFiles::Listed);
    assert_eq!(system.sample(at(5)).open_files, Some(4));
}

#[test]
fn an_interface_that_goes_takes_nothing_back() {
    let machine = Machine::new();
    let heads = "Inter-|\n face |\n";
    let line = |name: &str, bytes: u64| format!("{name}: {bytes} 0 0 0 0 0 0 0 {bytes} 0\n");
    let path = "proc/self/net/dev";
    machine.write(
        path,
        heads.to_owned() + &line("lo", 7) + &line("eth0", 100) + &line("veth1", 50),
    );
    let mut system = machine.system();
    let mut external = |seconds| {
        system
            .sample(at(seconds))
            .network
            .unwrap()
            .external
            .received
    };
    assert_eq!(external(0), 150);
    machine.write(path, heads.to_owned() + &line("lo", 7) + &line("eth0", 120));
    assert_eq!(external(5), 150);
    machine.write(path, heads.to_owned() + &line("lo", 7) + &line("eth0", 125));
    assert_eq!(external(10), 155);
}
