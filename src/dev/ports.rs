//! Which ports the stack uses.

use std::net::{Ipv4Addr, TcpListener};

use crate::exit::Error;

/// One port a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ports {
    /// Temporal's frontend.
    pub(crate) temporal: u16,
    /// Temporal's web UI.
    pub(crate) ui: u16,
    /// Redis.
    pub(crate) redis: u16,
    /// The sandbox host.
    pub(crate) sandbox: u16,
    /// The HTTP API.
    pub(crate) http: u16,
}

impl Ports {
    const DEFAULT: Self = Self { temporal: 7233, ui: 8233, redis: 6379, sandbox: 3000, http: 8000 };

    /// Reads `--ports`; says which port is taken and what to do.
    pub(crate) fn choose(text: &str) -> Result<Self, Error> {
        let ports = match text {
            "auto" => return Self::free(),
            "default" => Self::DEFAULT,
            list => Self::parse(list)?,
        };
        ports.check_free()?;
        Ok(ports)
    }

    fn parse(list: &str) -> Result<Self, Error> {
        let mut ports = Self::free()?;
        for item in list.split(',') {
            let wrong = || {
                Error::new(
                    crate::exit::Exit::Usage,
                    format_args!(
                        "--ports: {item:?} is not NAME=PORT with one of the names temporal, ui, redis, sandbox, http"
                    ),
                )
            };
            let (name, port) = item.split_once('=').ok_or_else(wrong)?;
            let port: u16 = port.trim().parse().map_err(|_| wrong())?;
            match name.trim() {
                "temporal" => ports.temporal = port,
                "ui" => ports.ui = port,
                "redis" => ports.redis = port,
                "sandbox" => ports.sandbox = port,
                "http" => ports.http = port,
                _ => return Err(wrong()),
            }
        }
        Ok(ports)
    }

    /// Five free ports, all held until all are found so that none comes twice.
    fn free() -> Result<Self, Error> {
        let mut held = Vec::new();
        let mut next = || -> Result<u16, Error> {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let port = listener.local_addr()?.port();
            held.push(listener);
            Ok(port)
        };
        Ok(Self { temporal: next()?, ui: next()?, redis: next()?, sandbox: next()?, http: next()? })
    }

    fn check_free(self) -> Result<(), Error> {
        let all = [
            ("temporal", self.temporal),
            ("ui", self.ui),
            ("redis", self.redis),
            ("sandbox", self.sandbox),
            ("http", self.http),
        ];
        for (name, port) in all {
            if let Err(error) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
                return Err(Error::failed(format_args!(
                    "port {port} for {name} cannot be used ({error}); stop what holds it, or use --ports auto"
                )));
            }
        }
        Ok(())
    }
}
