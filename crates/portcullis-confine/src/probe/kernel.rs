//! Parts of the kernel that only attacks need from here.

use super::attempt::{Attempt, Told, call};

pub(super) fn attempts() -> Vec<Attempt<'static>> {
    let flag = |flag: libc::c_int| i64::from(flag);
    let calls = [
        ("set up io_uring", libc::SYS_io_uring_setup, [1, 0, 0, 0, 0]),
        ("load a BPF program", libc::SYS_bpf, [5, 0, 0, 0, 0]),
        ("use the kernel's keyring", libc::SYS_keyctl, [0, -3, 0, 0, 0]),
        ("handle page faults", libc::SYS_userfaultfd, [0; 5]),
        ("count events", libc::SYS_perf_event_open, [0, 0, -1, -1, 0]),
        ("make a user namespace", libc::SYS_unshare, [flag(libc::CLONE_NEWUSER), 0, 0, 0, 0]),
        ("make a network namespace", libc::SYS_unshare, [flag(libc::CLONE_NEWNET), 0, 0, 0, 0]),
        ("make a mount namespace", libc::SYS_unshare, [flag(libc::CLONE_NEWNS), 0, 0, 0, 0]),
        // Threads of one process share a user namespace, so that this cannot succeed; where it is allowed, it is invalid.
        (
            "clone into a user namespace",
            libc::SYS_clone,
            [flag(libc::CLONE_NEWUSER | libc::CLONE_THREAD | libc::CLONE_SIGHAND), 0, 0, 0, 0],
        ),
        ("clone with flags in memory", libc::SYS_clone3, [0; 5]),
        ("join a namespace", libc::SYS_setns, [-1, 0, 0, 0, 0]),
        ("mount", libc::SYS_mount, [0; 5]),
        ("open a file system", libc::SYS_fsopen, [0; 5]),
        ("change the root", libc::SYS_chroot, [0; 5]),
        ("open files by number", libc::SYS_open_by_handle_at, [-1, 0, 0, 0, 0]),
        ("set the host name", libc::SYS_sethostname, [0, -1, 0, 0, 0]),
        ("read the kernel's log", libc::SYS_syslog, [10, 0, 0, 0, 0]),
        ("turn off address randomisation", libc::SYS_personality, [0x0004_0000, 0, 0, 0, 0]),
        ("type into a terminal", libc::SYS_ioctl, [0, 0x5412, 0, 0, 0]),
    ];
    let mut all: Vec<_> = calls
        .into_iter()
        .map(|(name, number, arguments)| Attempt::new(name, move || call(number, arguments)))
        .collect();
    all.push(Attempt::new("call as a 32 bit program", call_as_32_bit));
    all.push(Attempt::new("call as an x32 program", call_as_x32));
    all
}

/// Its calls have other numbers, which a filter for 64 bit does not know.
#[cfg(target_arch = "x86_64")]
fn call_as_32_bit() -> Told {
    let get_process_id = 20_i64;
    let mut answer = get_process_id;
    // SAFETY: the call takes no arguments and touches no memory; the kernel keeps all registers but these.
    unsafe {
        core::arch::asm!("int 0x80", inlateout("rax") answer, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
    if answer > 0 { Told::allowed("it worked") } else { Told::refused(answer) }
}

#[cfg(target_arch = "x86_64")]
fn call_as_x32() -> Told {
    let x32 = 0x4000_0000;
    call(x32 | libc::SYS_getpid, [0; 5])
}

#[cfg(not(target_arch = "x86_64"))]
fn call_as_32_bit() -> Told {
    Told::not_applicable("not on this processor")
}

#[cfg(not(target_arch = "x86_64"))]
fn call_as_x32() -> Told {
    Told::not_applicable("not on this processor")
}
