//! Pseudo-terminals.

#![expect(unsafe_code, reason = "the window size is set by an ioctl that nix does not wrap")]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use nix::libc;
use nix::pty::{OpenptyResult, Winsize, openpty};

nix::ioctl_write_ptr_bad!(set_window_size, libc::TIOCSWINSZ, Winsize);

/// Opens a pair; the master does not block and neither end is inherited by accident.
pub(crate) fn open(columns: u16, rows: u16) -> io::Result<(OwnedFd, OwnedFd)> {
    let OpenptyResult { master, slave } = openpty(Some(&size(columns, rows)), None)?;
    for end in [&master, &slave] {
        let close = nix::fcntl::FdFlag::FD_CLOEXEC;
        nix::fcntl::fcntl(end, nix::fcntl::FcntlArg::F_SETFD(close))?;
    }
    let flags = nix::fcntl::OFlag::O_RDWR | nix::fcntl::OFlag::O_NONBLOCK;
    nix::fcntl::fcntl(&master, nix::fcntl::FcntlArg::F_SETFL(flags))?;
    Ok((master, slave))
}

/// Tells the terminal's programs its new size.
pub(crate) fn resize(master: BorrowedFd<'_>, columns: u16, rows: u16) -> io::Result<()> {
    let size = size(columns, rows);
    // SAFETY: the descriptor is open for the call, and the size is initialized.
    unsafe { set_window_size(master.as_raw_fd(), &raw const size) }?;
    Ok(())
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}
