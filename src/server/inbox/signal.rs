//! A file descriptor that is readable as long as it is told to be.

use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
#[cfg(unix)]
use std::os::fd::{AsRawFd as _, RawFd};

/// A pipe with one byte in it, or none.
pub(super) struct Signal {
    reader: PipeReader,
    writer: PipeWriter,
    is_raised: bool,
}

impl Signal {
    pub(super) fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        Ok(Signal { reader, writer, is_raised: false })
    }

    #[cfg(unix)]
    pub(super) fn fd(&self) -> RawFd {
        self.reader.as_raw_fd()
    }

    /// Never blocks: there is room for the byte, and it is only taken out when it is there.
    pub(super) fn set(&mut self, raised: bool) {
        if raised == self.is_raised {
            return;
        }
        let done = match raised {
            true => self.writer.write(&[1]),
            false => self.reader.read(&mut [0]),
        };
        if done.is_ok() {
            self.is_raised = raised;
        }
    }
}
