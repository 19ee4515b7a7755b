//! The threads of a server, each with a runtime of its own.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Handle, Id, Runtime};
use tokio::sync::Notify;

use super::Error;
use crate::transport::runtime_thread;

/// How long a worker that stops waits for blocking calls that its handlers have started.
const PATIENCE: Duration = Duration::from_secs(1);

thread_local! {
    /// The runtime of the worker whose thread this is. Can be asked for as long as there is code
    /// that runs on the thread, as it has no destructor.
    static OWN: Cell<Option<Id>> = const { Cell::new(None) };
}

pub(super) struct Worker {
    pub(super) handle: Handle,
    stop: Arc<Stop>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Stop {
    asked: AtomicBool,
    notify: Notify,
}

impl Stop {
    fn ask(&self) {
        self.asked.store(true, Ordering::Release);
        self.notify.notify_one();
    }

    async fn asked(&self) {
        while !self.asked.load(Ordering::Acquire) {
            self.notify.notified().await;
        }
    }
}

/// Starts so many workers, or none.
pub(super) fn start(count: usize) -> Result<Vec<Worker>, Error> {
    let mut workers = Vec::with_capacity(count);
    for index in 0..count {
        match Worker::start(index) {
            Ok(worker) => workers.push(worker),
            Err(source) => {
                stop(&workers);
                return Err(Error::Worker { source });
            }
        }
    }
    Ok(workers)
}

/// Stops the workers: whatever runs on them is dropped. Waits for their threads to end, except for
/// the one that this is called on, whoever has stopped them.
pub(super) fn stop(workers: &[Worker]) {
    for worker in workers {
        worker.stop.ask();
    }
    for worker in workers {
        let mut thread = worker.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let is_own = OWN.get() == Some(worker.handle.id());
        if let Some(thread) = thread.take().filter(|_| !is_own) {
            // A worker does not panic: tasks catch what is thrown in them.
            let _ = thread.join();
        }
    }
}

impl Worker {
    fn start(index: usize) -> std::io::Result<Worker> {
        let stop = Arc::new(Stop::default());
        let asked = stop.clone();
        let started =
            runtime_thread::start(format!("lithe-{index}"), move |runtime| run(runtime, &asked));
        let (handle, thread) = started?;
        Ok(Worker { handle, stop, thread: Mutex::new(Some(thread)) })
    }
}

fn run(runtime: Runtime, stop: &Stop) {
    OWN.set(Some(runtime.handle().id()));
    runtime.block_on(stop.asked());
    runtime.shutdown_timeout(PATIENCE);
}
