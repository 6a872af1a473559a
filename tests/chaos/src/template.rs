//! The sandboxes' template: a few programs of this machine, the command, and the way out for its
//! word that it began.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::{Result, Trouble};

/// Its name.
pub const NAME: &str = "chaos";
/// Where the command says that it began and ended, in the sandbox.
pub const FIFO: &str = "opt/chaos/starts";

/// While it is there, no command comes to its end.
pub const HOLD: &str = "opt/chaos/hold";

/// What the wrapper and the command need; the optional ones make the wrapper better where they are.
const PROGRAMS: [&str; 21] = [
    "sh", "bash", "cat", "chmod", "chown", "date", "dd", "env", "head", "id", "mkdir", "mkfifo",
    "mv", "rm", "setsid", "sleep", "tail", "tee", "true", "wc", "ls",
];
const OPTIONAL: [&str; 3] = ["setpriv", "runuser", "stdbuf"];

/// `chaos-work RUN BURST LINES PAUSE`: says that it began; prints BURST numbered lines on each of its outputs at
/// once and LINES more with a PAUSE after each; says that it ended; exits with 7. The last
/// line waits for as long as [`HOLD`] is there.
const WORK: &str = r#"#!/bin/bash
echo "start $1" >/opt/chaos/starts
say() {
    printf 'out %06d the quick brown fox jumps over the lazy dog\n' "$1"
    printf 'err %06d pack my box with five dozen jugs\n' "$1" >&2
}
for ((i = 0; i < $2; i++)); do say "$i"; done
for ((; i < $2 + $3; i++)); do
    while [ -e /opt/chaos/hold ] && ((i == $2 + $3 - 1)); do sleep 0.5; done
    say "$i"
    sleep "$4"
done
echo "end $1" >/opt/chaos/starts
exit 7
"#;

/// How much `chaos-work` prints, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Lines at once.
    pub burst: u32,
    /// Lines afterwards, with a pause behind each.
    pub lines: u32,
    /// That pause, in milliseconds.
    pub pause_ms: u32,
}

impl Work {
    /// The command, for the run of this name.
    pub fn command(&self, run: &str) -> String {
        let Self { burst, lines, pause_ms } = self;
        format!("chaos-work {run} {burst} {lines} {}.{:03}", pause_ms / 1000, pause_ms % 1000)
    }

    /// How long it runs at least.
    pub fn time(&self) -> Duration {
        Duration::from_millis(u64::from(self.lines) * u64::from(self.pause_ms))
    }

    /// What it prints, on its two outputs.
    pub fn expected(&self) -> (String, String) {
        let out = |i| format!("out {i:06} the quick brown fox jumps over the lazy dog\n");
        let err = |i| format!("err {i:06} pack my box with five dozen jugs\n");
        let lines = 0..self.burst + self.lines;
        (lines.clone().map(out).collect(), lines.map(err).collect())
    }
}

/// Builds the template in `folder`, which everybody may enter.
pub fn build(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder.join("usr/bin"))?;
    fs::create_dir_all(folder.join("etc"))?;
    fs::create_dir_all(folder.join("opt/chaos"))?;
    for name in ["bin", "sbin", "lib", "lib64"] {
        // As on this machine: where it is a link to /usr, so here.
        if let Ok(target) = fs::read_link(Path::new("/").join(name)) {
            symlink(target.strip_prefix("/").unwrap_or(&target), folder.join(name))?;
        }
    }
    let mut files = BTreeSet::new();
    for name in PROGRAMS {
        let found = find(name).ok_or_else(|| Trouble::new(name, "is not on this machine"))?;
        add(&found, &mut files)?;
    }
    for found in OPTIONAL.into_iter().filter_map(find) {
        add(&found, &mut files)?;
    }
    for place in ["/usr/libexec/coreutils/libstdbuf.so", "/usr/lib/coreutils/libstdbuf.so"] {
        files.extend(Path::new(place).is_file().then(|| PathBuf::from(place)));
    }
    for file in &files {
        copy(file, folder)?;
    }
    let cache = Path::new("/etc/ld.so.cache");
    if cache.is_file() {
        fs::copy(cache, folder.join("etc/ld.so.cache"))?;
    }
    let work = folder.join("usr/bin/chaos-work");
    fs::write(&work, WORK)?;
    fs::set_permissions(&work, Permissions::from_mode(0o755))?;
    Ok(())
}

fn find(name: &str) -> Option<PathBuf> {
    ["/usr/bin", "/bin", "/usr/sbin", "/sbin"]
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.is_file())
}

/// The program, by every name that it may be called, and its libraries.
fn add(program: &Path, files: &mut BTreeSet<PathBuf>) -> Result<()> {
    files.insert(program.to_owned());
    let output = Command::new("ldd").arg(program).output();
    let output = output.map_err(|error| Trouble::new("ldd", error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let paths = text.split_whitespace().filter(|word| word.starts_with('/'));
    files.extend(paths.map(|path| PathBuf::from(path.trim_end_matches(':'))));
    Ok(())
}

/// Copies what `file` leads to, to the same place below `folder`.
fn copy(file: &Path, folder: &Path) -> Result<()> {
    let (Some(parent), Some(name)) = (file.parent(), file.file_name()) else { return Ok(()) };
    let parent = parent.canonicalize()?;
    let to = folder.join(parent.strip_prefix("/").unwrap_or(&parent));
    fs::create_dir_all(&to)?;
    fs::copy(file, to.join(name)).map_err(|error| Trouble::new(file.display(), error))?;
    Ok(())
}
