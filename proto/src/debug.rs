//! `Debug` for the messages that may hold secrets.

use std::fmt;

use crate::process::{ProcessConfig, ProcessInput, process_input::Input};

impl fmt::Debug for ProcessConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessConfig")
            .field("cmd", &self.cmd)
            .field("args", &format_args!("<{} arguments>", self.args.len()))
            .field("envs", &self.envs.keys())
            .field("cwd", &self.cwd)
            .finish()
    }
}

impl fmt::Debug for ProcessInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessInput").field("input", &self.input).finish()
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin(data) => write!(f, "Stdin(<{} bytes>)", data.len()),
            Self::Pty(data) => write!(f, "Pty(<{} bytes>)", data.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_argument_no_value_and_no_input() {
        let config = ProcessConfig {
            cmd: "curl".into(),
            args: vec!["hunter2".into()],
            envs: [("TOKEN".to_owned(), "hunter2".to_owned())].into(),
            cwd: None,
        };
        let input = ProcessInput { input: Some(Input::Stdin("hunter2".into())) };
        let shown = format!("{config:?} {input:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("TOKEN") && shown.contains("<7 bytes>"), "{shown}");
    }
}
