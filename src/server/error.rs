//! What can go wrong when a server is started.

use std::io;
use std::path::PathBuf;

/// Why a server could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address cannot be listened on.
    #[error("bind {address}: {}", plain(source))]
    Bind {
        /// The address as it was given.
        address: String,
        /// The system's reason.
        source: io::Error,
    },

    /// A file or directory that the configuration names cannot be used.
    #[error("read {}: {reason}", path.display())]
    File {
        /// The path as it was given.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// A setting has a value that makes no sense.
    #[error("{setting}: {reason}")]
    Setting {
        /// The name of the setting, as that of the builder's method.
        setting: &'static str,
        /// What is wrong with it.
        reason: String,
    },

    /// A worker thread or its event loop could not be created.
    #[error("start a worker thread: {}", plain(source))]
    Worker {
        /// The system's reason.
        source: io::Error,
    },
}

/// An I/O error without the error number that the standard library adds.
pub(super) fn plain(error: &io::Error) -> String {
    let kind = error.kind().to_string();
    match error.raw_os_error() {
        Some(_) if kind != "uncategorized error" => kind,
        _ => error.to_string(),
    }
}
