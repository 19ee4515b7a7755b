//! Threads that have a runtime of their own.

use std::io;
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

use super::block_on;

/// Starts a thread with a runtime, which it runs by that function. The thread makes the runtime by
/// itself: a thread of the host's that is ending cannot, as Tokio asks for the thread's identity.
pub(crate) fn start(
    name: String,
    run: impl FnOnce(Runtime) + Send + 'static,
) -> io::Result<(Handle, JoinHandle<()>)> {
    let (sender, made) = oneshot::channel();
    let thread =
        thread::Builder::new().name(name).spawn(move || {
            match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => {
                    let _ = sender.send(Ok(runtime.handle().clone()));
                    run(runtime);
                }
                Err(error) => _ = sender.send(Err(error)),
            }
        })?;
    let made = block_on(made, None).and_then(Result::ok);
    let handle = made.unwrap_or_else(|| Err(io::Error::other("the thread has ended")))?;
    Ok((handle, thread))
}
