//! What the commands themselves say about their starts and ends, past everything that is tested.
//!
//! A FIFO lies in the template that all sandboxes share. The command writes one line there when it
//! begins and one when it ends: a single write each, which the kernel never mixes. So what arrives
//! here is what ran, whatever a wrapper, a record or a result says.

use std::collections::HashMap;
use std::fs::{File, Permissions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use nix::sys::stat::Mode;
use parking_lot::Mutex;
use serde::Serialize;

use crate::Result;

/// How often one run's command said what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// It began.
    pub starts: u32,
    /// It came to its end.
    pub ends: u32,
}

/// Counts what arrives.
#[derive(Clone, Debug, Default)]
pub struct Starts {
    seen: Arc<Mutex<HashMap<String, Seen>>>,
}

impl Starts {
    /// Makes the FIFO and reads it until this process ends.
    pub fn listen(fifo: &Path) -> Result<Self> {
        nix::unistd::mkfifo(fifo, Mode::from_bits_truncate(0o666))?;
        std::fs::set_permissions(fifo, Permissions::from_mode(0o666))?;
        // Open for writing too: it never ends, and nobody waits for a reader.
        let file = File::options().read(true).write(true).open(fifo)?;
        let starts = Self::default();
        let seen = starts.seen.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(file).lines().map_while(std::io::Result::ok) {
                let Some((what, run)) = line.split_once(' ') else { continue };
                let mut seen = seen.lock();
                let seen = seen.entry(run.to_owned()).or_default();
                match what {
                    "start" => seen.starts += 1,
                    "end" => seen.ends += 1,
                    _ => {}
                }
            }
        });
        Ok(starts)
    }

    /// What `run` said so far.
    pub fn of(&self, run: &str) -> Seen {
        self.seen.lock().get(run).copied().unwrap_or_default()
    }
}
