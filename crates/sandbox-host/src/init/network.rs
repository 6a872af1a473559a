//! Brings the loopback interface of a new network namespace up, and opens the host's door on it.

#![expect(unsafe_code, reason = "interface flags are set by an ioctl that nix does not wrap")]

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::fd::AsRawFd as _;

use nix::libc;

use super::{Error, Step as _};
use crate::wire::PROXY_PORT;

nix::ioctl_write_ptr_bad!(set_flags, libc::SIOCSIFFLAGS, libc::ifreq);

/// Sets `lo` up; every other interface stayed outside.
pub(super) fn loopback_up() -> Result<(), Error> {
    // Binding needs no address: a wildcard socket exists in an empty namespace, too.
    let socket = UdpSocket::bind("0.0.0.0:0").step("open a socket")?;
    let mut request = libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags: 0 },
    };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    let up = libc::IFF_UP | libc::IFF_RUNNING;
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(up).unwrap_or(libc::c_short::MAX);
    // SAFETY: the descriptor is open for the call, and the request is a whole, initialized ifreq.
    unsafe { set_flags(socket.as_raw_fd(), &raw const request) }.step("bring loopback up")?;
    Ok(())
}

/// The socket that the host's proxy will accept connections of. It stays in this namespace,
/// whoever holds it.
pub(super) fn proxy_listener() -> Result<TcpListener, Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, PROXY_PORT)).step("open the proxy's port")
}
