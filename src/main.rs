//! The binary: parse, run, exit code.

use std::process::ExitCode;

use restaurant_system::cli;
use tikv_jemallocator::Jemalloc;
use tokio::runtime::Builder;

/// An order costs the service an eighth less than with glibc's. Two arenas for two worker threads; huge pages would make an
/// idle role several megabytes larger where the kernel gives them to everybody.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// jemalloc's settings, under the name by which it looks for them. What is larger than 64 KiB goes back to the kernel at once,
/// as with glibc: the page of the documentation, 1.6 MB, would leave several times its size behind.
#[allow(unsafe_code, reason = "a name is chosen that nothing else in this program has")]
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static ALLOCATOR_SETTINGS: &[u8; 45] = b"narenas:2,thp:never,oversize_threshold:65536\0";

#[allow(clippy::print_stderr, reason = "there is no log yet")]
fn main() -> ExitCode {
    let built = Builder::new_multi_thread()
        .worker_threads(2)
        .thread_stack_size(cli::THREAD_STACK_BYTES)
        .enable_all()
        .build();
    let runtime = match built {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime cannot be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(cli::run(std::env::args_os())).into()
}
