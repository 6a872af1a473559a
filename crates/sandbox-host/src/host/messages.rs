//! The host's end of a control socket: lines, and the descriptors that come with them.

#![expect(unsafe_code, reason = "received descriptors are plain integers until they are owned")]

use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixAddr, recvmsg};
use tokio::io::Interest;
use tokio::net::UnixStream;

use crate::boot::MAX_LINE;

/// Most descriptors that are kept; an init sends one.
const MAX_FDS: usize = 4;

/// What was received and not yet asked for.
#[derive(Debug, Default)]
pub(super) struct Messages {
    buffer: Vec<u8>,
    /// In the order in which they came.
    pub(super) fds: Vec<OwnedFd>,
}

impl Messages {
    /// The next line. Cancel-safe: what was received is kept.
    pub(super) async fn line(&mut self, socket: &UnixStream) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                return Ok(self.buffer.drain(..=end).collect());
            }
            if self.buffer.len() > MAX_LINE {
                return Err(io::Error::other("a line is too long"));
            }
            if socket.async_io(Interest::READABLE, || self.receive(socket)).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn receive(&mut self, socket: &UnixStream) -> io::Result<usize> {
        let mut bytes = [0; 4096];
        let mut space = nix::cmsg_space!([RawFd; MAX_FDS]);
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
        let message = recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
        for control in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(fds) = control {
                // SAFETY: the kernel has just made these descriptors for this process, and nothing
                // else knows of them.
                self.fds.extend(fds.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
            }
        }
        self.fds.truncate(MAX_FDS);
        let count = message.bytes;
        self.buffer.extend_from_slice(&bytes[..count]);
        Ok(count)
    }
}
