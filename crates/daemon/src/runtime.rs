//! A thread of its own for work that others wait for.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// A runtime of one thread. In the shared one, work that is ready waits behind everything that became ready before it:
/// dozens of requests, in a rush, while a server that could be given its next piece of work has nothing to do. What runs
/// here waits for the operating system alone, which prefers a thread that has slept.
pub struct DedicatedRuntime {
    handle: Handle,
    /// Until it is dropped.
    runtime: Option<Runtime>,
}

impl DedicatedRuntime {
    /// Starts it. `name` is the thread's (15 bytes of it are shown).
    ///
    /// # Errors
    /// When the process is at a limit of the system.
    pub fn start(name: &str) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name(name)
            .thread_stack_size(super::THREAD_STACK_BYTES)
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| {
            let text = format!(
                "the thread {name} cannot be started: {error}; see the limits of this process (ulimit -n, ulimit -u)"
            );
            io::Error::new(error.kind(), text)
        })?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// What is spawned while this is entered runs on its thread.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for DedicatedRuntime {
    /// What still runs there is given up.
    fn drop(&mut self) {
        // Not waited for: a runtime must not block a thread that runs tasks, which is where this is dropped.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    /// Until a test that hangs fails.
    const DEADLINE: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn it_works_while_the_shared_runtime_is_busy() {
        let dedicated = DedicatedRuntime::start("test").unwrap();
        let (done, is_done) = mpsc::channel();
        {
            let _entered = dedicated.handle().enter();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                done.send(()).unwrap();
            });
        }
        // This runtime has one thread, which is waiting here.
        is_done.recv_timeout(DEADLINE).unwrap();
    }

    #[tokio::test]
    async fn one_that_is_dropped_gives_up_its_tasks() {
        let dedicated = DedicatedRuntime::start("test").unwrap();
        let (held, dropped) = tokio::sync::oneshot::channel::<()>();
        {
            let _entered = dedicated.handle().enter();
            tokio::spawn(async move {
                let _held = held;
                std::future::pending::<()>().await;
            });
        }
        drop(dedicated);
        assert!(tokio::time::timeout(DEADLINE, dropped).await.unwrap().is_err(), "nothing was sent");
    }
}
