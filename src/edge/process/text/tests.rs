//! Texts as a kernel wrote them, and as nobody should.

use super::*;
use proptest::prelude::*;

const STATUS: &str = "Name:\tgateway\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t4711\n\
    VmPeak:\t 2101588 kB\nVmSize:\t 2101584 kB\nVmLck:\t       0 kB\nVmHWM:\t  524288 kB\n\
    VmRSS:\t  512000 kB\nRssAnon:\t  480000 kB\nRssFile:\t   31000 kB\nRssShmem:\t    1000 kB\n\
    VmData:\t  700000 kB\nVmStk:\t     132 kB\nVmExe:\t   12000 kB\nVmSwap:\t      64 kB\n\
    Threads:\t17\nSigQ:\t0/96365\nCpus_allowed:\tf1\nCpus_allowed_list:\t0,4-7\n";

#[test]
fn a_status_is_read() {
    let kib = |n: u64| Some(n * 1_024);
    let expected = Status {
        resident: kib(512_000),
        anonymous: kib(480_000),
        file: kib(31_000),
        shared: kib(1_000),
        peak: kib(524_288),
        swapped: kib(64),
        virtual_size: kib(2_101_584),
        stack: kib(132),
        threads: Some(17),
        cpus: Some(5),
    };
    assert_eq!(status(STATUS), expected);
}

#[test]
fn a_missing_or_odd_field_is_none_and_the_rest_stands() {
    let odd = "VmRSS:\t  512000 MB\nRssAnon:\t -5 kB\nRssFile:\t 18446744073709551615 kB\n\
        VmStk:\nVmSwap:\t 64 kB\nThreads:\tmany\nCpus_allowed_list:\t0-\nVmHWM\n";
    let expected = Status {
        swapped: Some(64 * 1_024),
        ..Status::default()
    };
    assert_eq!(status(odd), expected);
    assert_eq!(status(""), Status::default());
}

#[test]
fn cpus_are_counted() {
    assert_eq!(cpus("0"), Some(1));
    assert_eq!(cpus("0-1,4,8-11"), Some(7));
    for hostile in [
        "",
        "-",
        "3-1",
        "0-18446744073709551615",
        "a",
        "0,,1",
        "0-99999999",
    ] {
        assert_eq!(cpus(hostile), None, "{hostile}");
    }
}

#[test]
fn a_rollup_is_read() {
    let text = "563c61563000-7ffc215f8000 ---p 00000000 00:00 0                          [rollup]\n\
        Rss:                1640 kB\nPss:                 337 kB\nPrivate_Clean:        72 kB\n\
        Private_Dirty:       112 kB\nLazyFree:              4 kB\nSwap:                  0 kB\n";
    let expected = Rollup {
        private: Some(184 * 1_024),
        lazily_free: Some(4 * 1_024),
    };
    assert_eq!(rollup(text), expected);
    assert_eq!(rollup("Private_Clean: 72 kB\n"), Rollup::default());
    let most = format!(
        "Private_Clean: {0} kB\nPrivate_Dirty: {0} kB\n",
        u64::MAX / 1_024
    );
    assert_eq!(rollup(&most).private, None);
}

#[test]
fn input_and_output_are_read_whole_or_not_at_all() {
    let text = "rchar: 6976\nwchar: 12\nsyscr: 10\nsyscw: 3\nread_bytes: 4096\nwrite_bytes: 8192\n\
        cancelled_write_bytes: 0\n";
    let expected = Io {
        read: 6_976,
        written: 12,
        read_calls: 10,
        write_calls: 3,
        disk_read: 4_096,
        disk_written: 8_192,
    };
    assert_eq!(io(text), Some(expected));
    assert_eq!(io(&text.replace("syscw: 3", "syscw: -3")), None);
    assert_eq!(io("rchar: 1\n"), None);
}

const NETWORK: &str = "Inter-|   Receive                                                |  Transmit\n \
    face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
    lo:  190961     476    0    0    0     0          0         0   190961     476    0    0    0     0       0          0\n  \
    ifb0:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0\n  \
    eth0: 109081251    3399    0    0    0     0          0         0   263383    2280    0    0    0     0       0          0\n";

#[test]
fn interfaces_are_added_up_and_loopback_is_apart() {
    let transfer = |received, sent| Transfer { received, sent };
    let expected = Network {
        loopback: transfer(190_961, 190_961),
        external: transfer(109_081_251, 263_383),
    };
    assert_eq!(network(NETWORK), Some(expected));
    // An alias, and no blank behind the colon.
    let alias = NETWORK.to_owned() + "eth0:1:5 0 0 0 0 0 0 0 7 0 0 0 0 0 0 0\n";
    let with_alias = network(&alias).unwrap().external;
    assert_eq!(with_alias, transfer(109_081_256, 263_390));
    // A namespace without a single interface still has the heads.
    let heads: String = NETWORK.split_inclusive('\n').take(2).collect();
    assert_eq!(network(&heads), Some(Network::default()));
}

#[test]
fn an_interface_that_cannot_be_understood_leaves_no_wrong_sum() {
    assert_eq!(network(""), None);
    assert_eq!(network(&NETWORK.replace("263383", "x")), None);
    assert_eq!(network(&(NETWORK.to_owned() + "eth1: 1 2 3\n")), None);
}

#[test]
fn the_machines_memory_adds_up() {
    let text = "MemTotal:       24684084 kB\nMemFree:        24236208 kB\nMemAvailable:   24189748 kB\n\
        Buffers:             576 kB\nCached:            78036 kB\nSReclaimable:       1000 kB\n";
    let found = memory(text).unwrap();
    assert_eq!(found.total, 24_684_084 * 1_024);
    assert_eq!(found.cached, 79_036 * 1_024);
    let sum = found.used() + found.free + found.cached + found.buffers;
    assert_eq!(sum, found.total);
    assert_eq!(memory("MemFree: 5 kB\n"), None);
    // More free than there is, as a container's view may be: nothing is below zero.
    let odd = memory("MemTotal: 4 kB\nMemFree: 5 kB\n").unwrap();
    assert_eq!(odd.used(), 0);
}

#[test]
fn a_program_may_be_called_anything() {
    let of = |name: &str| {
        format!(
            "15931 ({name}) R 15929 15929 10480 0 -1 4194304 105 0 0 0 0 0 0 0 20 0 1 0 247010 \
             3133440 362 18446744073709551615 1 1 1 0 0"
        )
    };
    for name in ["cat", "a) R 1 2 3 (b", "", ")))", "two words"] {
        assert_eq!(started(&of(name)), Some(247_010), "{name}");
    }
    assert_eq!(started("15931 (cat) R 1"), None);
    assert_eq!(started(""), None);
}

#[test]
fn the_machines_age_is_read() {
    assert_eq!(
        uptime("350735.47 234388.90\n"),
        Some(Duration::from_millis(350_735_470))
    );
    for hostile in ["", "-1 0", "NaN 0", "inf 0", "1e300 0"] {
        assert_eq!(uptime(hostile), None, "{hostile}");
    }
}

#[test]
fn limits_are_read() {
    assert_eq!(memory_max("536870912\n"), Some(536_870_912));
    assert_eq!(memory_max("max\n"), None);
    assert_eq!(memory_max("-1\n"), None);
    assert_eq!(cpu_max("150000 100000\n"), Some(1.5));
    for none in ["max 100000\n", "100000 0\n", "0 100000\n", "100000\n", ""] {
        assert_eq!(cpu_max(none), None, "{none}");
    }
}

#[test]
fn the_second_versions_path_is_found_among_the_first_ones() {
    let hybrid = "9:name=systemd:/\n4:memory:/docker/0::/trap\n0::/kubepods/pod1\n";
    assert_eq!(cgroup(hybrid), Some("/kubepods/pod1"));
    assert_eq!(cgroup("4:memory:/docker\n"), None);
}

proptest! {
    #[test]
    fn no_text_is_too_odd(text in "(?s)[a-zA-Z_:()0-9 \\-,.\n\t]{0,200}|\\PC{0,100}") {
        status(&text);
        rollup(&text);
        io(&text);
        network(&text);
        memory(&text);
        started(&text);
        uptime(&text);
        cgroup(&text);
        memory_max(&text);
        cpu_max(&text);
    }

    #[test]
    fn no_number_is_too_large(a in any::<u64>(), b in any::<u64>()) {
        status(&format!("VmRSS: {a} kB\nThreads: {b}\nCpus_allowed_list: {a}-{b}\n"));
        rollup(&format!("Private_Clean: {a} kB\nPrivate_Dirty: {b} kB\n"));
        network(&format!("\n\nlo: {a} 0 0 0 0 0 0 0 {b}\nlo: {a} 0 0 0 0 0 0 0 {b}\n"));
        if let Some(memory) = memory(&format!("MemTotal: {a} kB\nMemFree: {b} kB\nCached: {b} kB\n")) {
            memory.used();
        }
        cpu_max(&format!("{a} {b}"));
    }
}
