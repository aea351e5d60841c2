//! The binary: parse, run, exit code.

use std::process::ExitCode;

#[allow(clippy::print_stderr, reason = "there is no log yet")]
fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime cannot be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(restaurant_system::cli::run(std::env::args_os())).into()
}
