//! A file descriptor that is readable as long as it is told to be.

#[cfg(unix)]
mod unix {
    use std::io::{self, ErrorKind, Read as _, Write as _};
    use std::os::fd::{AsRawFd as _, RawFd};
    use std::os::unix::net::UnixStream;

    /// A pair of sockets with one byte in it, or none.
    pub(in crate::server::inbox) struct Signal {
        reader: UnixStream,
        writer: UnixStream,
        is_raised: bool,
    }

    impl Signal {
        pub(in crate::server::inbox) fn new() -> io::Result<Self> {
            let (reader, writer) = UnixStream::pair()?;
            reader.set_nonblocking(true)?;
            writer.set_nonblocking(true)?;
            Ok(Signal { reader, writer, is_raised: false })
        }

        pub(in crate::server::inbox) fn fd(&self) -> RawFd {
            self.reader.as_raw_fd()
        }

        /// Never blocks, not even when the host has taken the byte out, which it should not.
        pub(in crate::server::inbox) fn set(&mut self, raised: bool) {
            if raised == self.is_raised {
                return;
            }
            let done = match raised {
                true => self.writer.write(&[1]),
                false => self.reader.read(&mut [0]),
            };
            if done.map_or_else(|error| error.kind() == ErrorKind::WouldBlock, |_| true) {
                self.is_raised = raised;
            }
        }
    }
}

/// There are none.
#[cfg(not(unix))]
mod none {
    pub(in crate::server::inbox) enum Signal {}

    impl Signal {
        pub(in crate::server::inbox) fn set(&mut self, _: bool) {
            match *self {}
        }
    }
}

#[cfg(not(unix))]
pub(super) use none::Signal;
#[cfg(unix)]
pub(super) use unix::Signal;
