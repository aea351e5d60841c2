//! The memory of a process, in which its passwords are.

/// Keeps other processes of the same user from reading it (`/proc/PID/mem`, a debugger), and the kernel from writing it
/// down when the process crashes. Says whether the kernel does.
pub fn keep_private() -> bool {
    nix::sys::prctl::set_dumpable(false).is_ok()
}
