//! Refused system calls: what Landlock and namespaces leave open, and what only attacks on the kernel need.
//!
//! A refused call fails with EPERM, as it does for any program without rights, so that a tool that asks for too much goes
//! on without it. Calls that are not listed are allowed: a list of allowed ones would break compilers and interpreters
//! with every release of a C library.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, sock_filter,
};

use crate::{Network, Syscalls};

/// Refused whatever their arguments are.
const REFUSED: &[libc::c_long] = &[
    // Other processes' memory, registers and descriptors.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Large parts of the kernel that have been ways into it, and that no tool needs.
    libc::SYS_bpf,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_fanotify_init,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
    // Namespaces and mounts. Making them again inside would give the rights to attack the rest.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    // Files by number instead of by path.
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    // The machine's own business.
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
];

/// Those that only this processor has.
#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[libc::c_long] =
    &[libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_modify_ldt, libc::SYS_uselib, libc::SYS__sysctl];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[libc::c_long] = &[];

/// Flags of `clone` that make a namespace. `clone3` has them in memory, where a filter cannot see them.
const NAMESPACES: &[libc::c_int] = &[
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// Requests to a terminal that put words into somebody's mouth: TIOCSTI and TIOCLINUX, whose type differs between C
/// libraries and whose value does not.
const TYPING: &[u64] = &[0x5412, 0x541c];

/// The part of a socket's type that is not flags.
const TYPE_MASK: u64 = 0xf;

/// The filters of a cell, in the form the kernel takes.
///
/// There are two, as one answers with one error: `clone3` says that it does not exist, so that C libraries use `clone`,
/// whose flags can be looked at.
pub(crate) fn filters(syscalls: Syscalls, network: &Network) -> Result<[BpfProgram; 2], seccompiler::Error> {
    let names = matches!(network, Network::Ports { names: true, .. });
    let mut refused: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    refused.extend(REFUSED.iter().chain(REFUSED_HERE).map(|call| (*call, Vec::new())));
    refused.insert(
        libc::SYS_clone,
        any(NAMESPACES.iter().map(|flag| vec![masked(0, flag.unsigned_abs().into())]))?,
    );
    refused.insert(libc::SYS_ioctl, any(TYPING.iter().map(|request| vec![is(1, *request)]))?);
    // 0 is Linux as everybody knows it, and all ones ask what it is.
    refused.insert(libc::SYS_personality, any([vec![is_not(0, 0), is_not(0, 0xffff_ffff)]])?);
    refused.insert(libc::SYS_socketpair, any([vec![is_not(0, word(libc::AF_UNIX))]])?);
    let socket = match syscalls {
        Syscalls::Hands => Vec::new(),
        Syscalls::Brain => any(refused_sockets(names))?,
    };
    refused.insert(libc::SYS_socket, socket);
    let missing = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    Ok([program(refused, libc::EPERM)?, program(missing, libc::ENOSYS)?])
}

/// Installs the filters in this process, for good. It must have given up new privileges.
pub(crate) fn install(filters: &[BpfProgram]) -> Result<(), seccompiler::Error> {
    filters.iter().try_for_each(|filter| seccompiler::apply_filter(filter))
}

/// A filter as bytes, as bubblewrap reads it.
pub(crate) fn bytes(filter: &BpfProgram) -> Vec<u8> {
    let bytes = |step: &sock_filter| {
        let (code, value) = (step.code.to_ne_bytes(), step.k.to_ne_bytes());
        code.into_iter().chain([step.jt, step.jf]).chain(value)
    };
    filter.iter().flat_map(bytes).collect()
}

/// All that are not TCP, nor UDP where there are `names`. Filters cannot say "unless", so this is everything else.
fn refused_sockets(names: bool) -> Vec<Vec<Cond>> {
    let internet = [word(libc::AF_INET), word(libc::AF_INET6)];
    let mut allowed = vec![(word(libc::SOCK_STREAM), word(libc::IPPROTO_TCP))];
    if names {
        allowed.push((word(libc::SOCK_DGRAM), word(libc::IPPROTO_UDP)));
    }
    let mut refused = vec![internet.iter().map(|family| is_not(0, *family)).collect()];
    for kind in (0..=TYPE_MASK).filter(|kind| !allowed.iter().any(|(allowed, _)| allowed == kind)) {
        refused.push(vec![masked_is(1, TYPE_MASK, kind)]);
    }
    // 0 is the type's usual protocol. Others are not: MPTCP escapes rules for TCP.
    for (kind, protocol) in allowed {
        refused.push(vec![masked_is(1, TYPE_MASK, kind), is_not(2, 0), is_not(2, protocol)]);
    }
    refused
}

type Cond = Result<SeccompCondition, seccompiler::BackendError>;

/// Rules of which one is enough; in each, all conditions must hold.
fn any(rules: impl IntoIterator<Item = Vec<Cond>>) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let rule = |conditions: Vec<Cond>| SeccompRule::new(conditions.into_iter().collect::<Result<_, _>>()?);
    rules.into_iter().map(rule).collect()
}

/// The kernel takes these arguments as 32 bits, so the filter must not look at more.
fn compare(argument: u8, how: SeccompCmpOp, value: u64) -> Cond {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, how, value)
}

fn is(argument: u8, value: u64) -> Cond {
    compare(argument, SeccompCmpOp::Eq, value)
}

fn is_not(argument: u8, value: u64) -> Cond {
    compare(argument, SeccompCmpOp::Ne, value)
}

fn masked_is(argument: u8, mask: u64, value: u64) -> Cond {
    compare(argument, SeccompCmpOp::MaskedEq(mask), value)
}

/// Whether this bit is set.
fn masked(argument: u8, bit: u64) -> Cond {
    masked_is(argument, bit, bit)
}

fn word(constant: libc::c_int) -> u64 {
    constant.unsigned_abs().into()
}

fn program(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    errno: libc::c_int,
) -> Result<BpfProgram, seccompiler::BackendError> {
    let refuse = SeccompAction::Errno(errno.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, ARCH)?;
    let mut steps = other_numbers();
    // It begins by killing programs of another architecture, such as 32 bit ones, whose calls have other numbers.
    steps.extend(BpfProgram::try_from(filter)?);
    Ok(steps)
}

#[cfg(target_arch = "x86_64")]
const ARCH: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCH: TargetArch = TargetArch::aarch64;
#[cfg(target_arch = "riscv64")]
const ARCH: TargetArch = TargetArch::riscv64;

/// Refuses x32: the same architecture to a filter, with a bit in the call's number that no rule above has.
#[cfg(target_arch = "x86_64")]
fn other_numbers() -> BpfProgram {
    const X32: u32 = 0x4000_0000;
    let step = |code: u32, jt, jf, k| sock_filter { code: u16::try_from(code).expect("a code"), jt, jf, k };
    let number_at = 0;
    vec![
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, number_at),
        step(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, X32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, SeccompAction::Errno(libc::EPERM.unsigned_abs()).into()),
    ]
}

#[cfg(not(target_arch = "x86_64"))]
fn other_numbers() -> BpfProgram {
    Vec::new()
}
