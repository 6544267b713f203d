//! Other processes: what they hold in memory, in their environment, open; and signals to them.

use std::fs;

use rustix::process::Uid;
use rustix::thread::set_thread_uid;

use super::Targets;
use super::attempt::{Attempt, Told, call};

pub(super) fn attempts(targets: &Targets) -> Vec<Attempt<'_>> {
    let pid = targets.process;
    let mut all: Vec<_> = ["cmdline", "environ", "mem", "maps"]
        .map(|name| {
            let path = format!("/proc/{pid}/{name}");
            let run = move || Told::of(fs::File::open(path));
            Attempt::new(format!("open the gateway's /proc/…/{name}"), run)
        })
        .into();
    all.push(Attempt::new("list the gateway's descriptors", move || {
        Told::of(fs::read_dir(format!("/proc/{pid}/fd")))
    }));
    let pid = i64::from(pid);
    let mut add = |name: &str, number, arguments| {
        all.push(Attempt::new(name, move || call(number, arguments)));
    };
    add("trace the gateway", libc::SYS_ptrace, [libc::PTRACE_SEIZE.into(), pid, 0, 0, 0]);
    add("read the gateway's memory", libc::SYS_process_vm_readv, [pid, 0, 0, 0, 0]);
    add("signal the gateway", libc::SYS_kill, [pid, 0, 0, 0, 0]);
    all.push(Attempt::new("become root", || Told::of(set_thread_uid(Uid::ROOT))));
    all
}
