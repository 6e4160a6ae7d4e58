//! Takes away from this process what it does not need: first limits of memory and time, then files
//! and network by Landlock, then nearly all system calls by seccomp. None of it can be taken back.

use std::collections::BTreeMap;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, Ruleset, RulesetAttr as _, RulesetStatus, Scope,
};
use rustix::process::{Resource, Rlimit, setrlimit};
use seccompiler::{SeccompAction, SeccompFilter, TargetArch};

/// Limit of the memory of the process, in bytes. An image of 64 megapixels takes 192 MiB, and as
/// much again while it is turned.
const MAX_MEMORY_BYTES: u64 = 768 * 1024 * 1024;

/// System calls that decoding needs: memory, the two pipes, and the end of the process. Any other
/// fails as not permitted.
const PERMITTED: &[i64] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_tgkill,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Confines the process and returns whether the kernel enforces Landlock.
pub(super) fn confine(cpu_seconds: u64) -> Result<bool, String> {
    limit(Resource::Core, 0)?;
    limit(Resource::Cpu, cpu_seconds)?;
    limit(Resource::As, MAX_MEMORY_BYTES)?;
    limit(Resource::Fsize, 0)?;
    let has_landlock = without_files().map_err(|why| format!("landlock: {why}"))?;
    limit(Resource::Nproc, 0)?;
    limit(Resource::Nofile, 0)?;
    without_system_calls()?;
    Ok(has_landlock)
}

fn limit(resource: Resource, most: u64) -> Result<(), String> {
    let limit = Rlimit { current: Some(most), maximum: Some(most) };
    setrlimit(resource, limit).map_err(|why| format!("rlimit {resource:?}: {why}"))
}

/// Forbids all files, and with newer kernels TCP, signals and abstract sockets. Older kernels do
/// without; seccomp forbids the same.
fn without_files() -> Result<bool, landlock::RulesetError> {
    let abi = ABI::V6;
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::from_all(abi))?
        .scope(Scope::from_all(abi))?
        .create()?
        .restrict_self()?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}

fn without_system_calls() -> Result<(), String> {
    let failed = |why: &dyn std::fmt::Display| format!("seccomp: {why}");
    let rules: BTreeMap<i64, _> = PERMITTED.iter().map(|call| (*call, Vec::new())).collect();
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|why| failed(&why))?;
    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(rules, refuse, SeccompAction::Allow, arch)
        .map_err(|why| failed(&why))?;
    let program: seccompiler::BpfProgram =
        filter.try_into().map_err(|why: seccompiler::BackendError| failed(&why))?;
    seccompiler::apply_filter(&program).map_err(|why| failed(&why))
}
