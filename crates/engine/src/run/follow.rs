//! Following a job until its exit code stands.
//!
//! One process in the sandbox launches the job and waits for its end; it is only a messenger, and
//! launching again is harmless, so a cut connection costs nothing. Beside it the spool is read in
//! ranges for heartbeats and for the result. A job that has ended is read to the end of its spool.

use std::time::{Duration, Instant};

use airlock_contract::{Failure, FailureType, Heartbeat};
use airlock_e2b::{Error as SandboxError, ProcessEvent, ProcessStream, Sandbox, StartProcess};
use bytes::Bytes;

use super::capture::Channel;
use super::job::{Place, TAIL_BYTES};
use super::sandbox::is_gone;
use super::slices::Paid;
use super::{Halt, Job, Run, now_ms, rfc3339};
use crate::faultpoint::{Point, reach};

/// Most bytes of one read.
const CHUNK: u64 = 1024 * 1024;
/// The wrapper ends the command at its time; this much later the engine does.
const BACKSTOP: Duration = Duration::from_secs(20);
/// How long a sandbox may not answer before the run is handed to the next attempt, which may be
/// nearer to it.
const PATIENCE: Duration = Duration::from_secs(150);
/// The messenger writes no line longer than this.
const MAX_LINE: usize = 256;
/// Pace of the reads: quick at first.
const POLLS: [Duration; 4] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_millis(500),
    Duration::from_secs(1),
];

/// How a job ended, as the wrapper tells; hostile numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// As a shell gives it: above 128 for a signal. None if the engine had to end it.
    pub(crate) code: Option<i32>,
    pub(crate) timed_out: bool,
    pub(crate) killed: bool,
    /// The engine ended it because the budget paid for no more.
    pub(crate) out_of_budget: bool,
    pub(crate) from_ms: i64,
    pub(crate) until_ms: i64,
}

/// What the messenger said, or why it says no more.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    End(Ended),
    /// The runner is gone and left no exit code.
    Dead,
    /// No lock and no script.
    Vanished,
    /// The connection was cut, or the sandbox did not answer.
    Cut,
    /// It runs past its time and past the wrapper's own limit.
    Overdue,
    /// What is held is used up, and the budget has no more.
    OutOfBudget,
}

impl Run {
    /// Launches the job, unless it was, and follows it to its end.
    pub(crate) async fn follow(&mut self, job: &Job) -> Result<Ended, Halt> {
        let overdue = Instant::now() + job.timeout + BACKSTOP;
        loop {
            match self.listen(job, overdue).await? {
                Heard::End(ended) => {
                    reach(Point::FollowEnded).await;
                    self.read_rest().await?;
                    reach(Point::FollowAfter).await;
                    return Ok(ended);
                }
                Heard::Dead => {
                    self.read_rest().await?;
                    let why = "its runner ended without an exit code";
                    return Err(self.outcome_unknown(why).into());
                }
                Heard::Vanished => {
                    let why = "its lock is not in the sandbox any more";
                    return Err(self.outcome_unknown(why).into());
                }
                Heard::Overdue => return self.end_early(job, false).await,
                Heard::OutOfBudget => return self.end_early(job, true).await,
                Heard::Cut => {
                    let heard_at = self.following.as_ref().map(|following| following.heard_at);
                    if heard_at.is_none_or(|heard_at| heard_at.elapsed() > PATIENCE) {
                        return Err(unreachable_sandbox().into());
                    }
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            }
        }
    }

    /// Calls the messenger and listens to it until it has the last word.
    async fn listen(&mut self, job: &Job, overdue: Instant) -> Result<Heard, Halt> {
        let (sandbox, place) = self.followed()?;
        let spool = self.core.config.output.spool;
        let process = shell(&place, &job.user, place.launch(job, spool));
        reach(Point::StartLaunching).await;
        let mut stream = match sandbox.start(&process).await {
            Ok(stream) => stream,
            Err(error) => return cut_or_halt(error),
        };
        reach(Point::StartCalled).await;
        let mut line = Vec::new();
        let mut polls = 0;
        loop {
            let pause = POLLS[polls.min(POLLS.len() - 1)];
            tokio::select! {
                biased;
                heard = next_word(&mut stream, &mut line) => match heard {
                    Ok(Word::Running) => {
                        self.pulse.note(|beat| {
                            beat.started_at = beat.started_at.take().or_else(|| rfc3339(now_ms()));
                        });
                        reach(Point::StartHeard).await;
                    }
                    Ok(Word::Last(heard)) => return Ok(heard),
                    Err(error) => return cut_or_halt(error),
                },
                () = tokio::time::sleep(pause) => {
                    polls += 1;
                    match self.poll().await {
                        Ok(()) => self.heard(),
                        Err(error) => return cut_or_halt(error),
                    }
                    if self.pay_on().await? == Paid::Over {
                        return Ok(Heard::OutOfBudget);
                    }
                    self.renew().await?;
                    if Instant::now() > overdue {
                        return Ok(Heard::Overdue);
                    }
                }
            }
        }
    }

    fn heard(&mut self) {
        if let Some(following) = &mut self.following {
            following.heard_at = Instant::now();
        }
    }

    /// Reads what is new in the spool and tells it to the next heartbeat.
    async fn poll(&mut self) -> Result<(), SandboxError> {
        for channel in [Channel::Out, Channel::Err] {
            let new = self.read_once(channel).await?;
            // All there is has been read: people see it now, not when the next line settles it.
            let caught_up = (new as u64) < CHUNK;
            if let (true, Some(following)) = (caught_up, &mut self.following) {
                following.capture.idle(channel);
            }
        }
        let cost = self.cost_so_far();
        if let Some(following) = &self.following {
            let capture = &following.capture;
            let tell = |beat: &mut Heartbeat| {
                beat.stdout_offset = capture.offset(Channel::Out);
                beat.stderr_offset = capture.offset(Channel::Err);
            };
            self.pulse.note(tell);
            self.pulse.output(capture.tail());
            self.pulse.cost(cost);
        }
        Ok(())
    }

    /// Reads at most one chunk; how many bytes it had.
    async fn read_once(&mut self, channel: Channel) -> Result<usize, SandboxError> {
        let limit = self.core.config.output.spool;
        let (Some(following), Some(live)) = (&mut self.following, &self.live) else {
            return Ok(0);
        };
        let from = following.capture.offset(channel);
        let to = from.saturating_add(CHUNK).min(limit);
        if from >= to {
            return Ok(0);
        }
        let acting = following.place.acting(&following.user);
        let path = following.place.file(file_name(channel));
        let bytes = match live.sandbox.read_file(Some(acting), &path, Some(from..to), CHUNK).await {
            Ok(bytes) => bytes,
            // The spooler has not made it yet.
            Err(SandboxError::NotFound { .. }) => Bytes::new(),
            Err(error) => return Err(error),
        };
        following.capture.push(channel, &bytes);
        if !bytes.is_empty() {
            reach(Point::FollowRead).await;
        }
        Ok(bytes.len())
    }

    /// Reads both spools to their ends; the command is over.
    pub(crate) async fn read_rest(&mut self) -> Result<(), Halt> {
        for channel in [Channel::Out, Channel::Err] {
            while self.read_once(channel).await? > 0 {}
            let full = self.following.as_ref().is_some_and(|following| {
                following.capture.offset(channel) >= self.core.config.output.spool
            });
            if full {
                self.read_tail(channel).await?;
            }
        }
        Ok(())
    }

    /// What came after the spool was full: how much, and its end.
    async fn read_tail(&mut self, channel: Channel) -> Result<(), Halt> {
        let (sandbox, place) = self.followed()?;
        let Some(following) = &mut self.following else { return Ok(()) };
        let acting = Some(place.acting(&following.user).to_owned());
        let name = file_name(channel);
        let read = async |suffix: &str, most: u64| {
            let path = place.file(&format!("{name}.{suffix}"));
            match sandbox.read_file(acting.as_deref(), &path, Some(0..most), most).await {
                Err(SandboxError::NotFound { .. }) => Ok(Bytes::new()),
                other => other,
            }
        };
        let count = read("rest", 32).await?;
        let tail = read("tail", TAIL_BYTES).await?;
        let count = String::from_utf8_lossy(&count).trim().parse().unwrap_or(tail.len() as u64);
        let skipped = count.saturating_sub(tail.len() as u64);
        if skipped > 0 {
            following.capture.gap(channel, skipped, &tail);
        } else {
            following.capture.push(channel, &tail);
        }
        Ok(())
    }

    /// Ends a command that the wrapper should have ended, or that nobody pays for.
    async fn end_early(&mut self, job: &Job, out_of_budget: bool) -> Result<Ended, Halt> {
        let began = self.pulse.current().started_at;
        self.kill_tree().await;
        self.read_rest().await?;
        let until_ms = now_ms();
        let length = i64::try_from(job.timeout.as_millis()).unwrap_or(0);
        let from_ms = began
            .and_then(|began| began.parse::<jiff::Timestamp>().ok())
            .map_or_else(|| until_ms.saturating_sub(length), jiff::Timestamp::as_millisecond);
        let timed_out = !out_of_budget;
        Ok(Ended { code: None, timed_out, killed: true, out_of_budget, from_ms, until_ms })
    }

    /// Kills the process tree of the command that is being followed; whether that was done.
    pub(crate) async fn kill_tree(&self) -> bool {
        let (Ok((sandbox, place)), Some(following)) = (self.followed(), &self.following) else {
            return false;
        };
        let mut process = shell(&place, &following.user, place.kill());
        process.timeout = Some(Duration::from_secs(10));
        match sandbox.run(&process, 1024).await {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(error = %error, "the command's tree was not killed");
                false
            }
        }
    }

    fn followed(&self) -> Result<(Sandbox, Place), Halt> {
        match (&self.live, &self.following) {
            (Some(live), Some(following)) => Ok((live.sandbox.clone(), following.place.clone())),
            _ => Err(Halt::Lost),
        }
    }
}

/// A call of the wrapper.
fn shell(place: &Place, user: &str, args: Vec<String>) -> StartProcess {
    let acting = place.acting(user).to_owned();
    StartProcess {
        user: Some(acting),
        cwd: Some("/".to_owned()),
        ..StartProcess::new("/bin/sh", args)
    }
}

/// A lost sandbox halts, trouble on the way to it does not, anything else is a failure.
fn cut_or_halt(error: SandboxError) -> Result<Heard, Halt> {
    if is_gone(&error) {
        return Err(Halt::Lost);
    }
    if error.is_retryable() {
        tracing::debug!(error = %error, "lost the messenger; calling it again");
        return Ok(Heard::Cut);
    }
    Err(error.into())
}

fn unreachable_sandbox() -> Failure {
    Failure::new(
        FailureType::SandboxUnavailable,
        "the sandbox does not answer; its command may still run and is taken over by the next \
         attempt",
    )
}

const fn file_name(channel: Channel) -> &'static str {
    match channel {
        Channel::Out => "out",
        Channel::Err => "err",
    }
}

/// One word of the messenger.
enum Word {
    Running,
    Last(Heard),
}

/// The next line that means something. Cancel-safe: what was read stays in `line`.
async fn next_word(stream: &mut ProcessStream, line: &mut Vec<u8>) -> Result<Word, SandboxError> {
    loop {
        if let Some(end) = line.iter().position(|&b| b == b'\n') {
            let text: Vec<u8> = line.drain(..=end).collect();
            if let Some(word) = read_word(String::from_utf8_lossy(&text).trim()) {
                return Ok(word);
            }
            continue;
        }
        match stream.next().await? {
            Some(ProcessEvent::Stdout(bytes)) => {
                let room = MAX_LINE.saturating_sub(line.len());
                line.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
            Some(ProcessEvent::Stderr(bytes) | ProcessEvent::Pty(bytes)) => {
                let said = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_LINE)]);
                tracing::debug!(%said, "the wrapper complains");
            }
            // It was killed before it had the last word.
            Some(ProcessEvent::End { .. }) | None => return Ok(Word::Last(Heard::Cut)),
        }
    }
}

fn read_word(line: &str) -> Option<Word> {
    match line {
        "started" | "already" => return Some(Word::Running),
        "dead" => return Some(Word::Last(Heard::Dead)),
        "lost" => return Some(Word::Last(Heard::Vanished)),
        _ => {}
    }
    let mut words = line.strip_prefix("ended ")?.split_ascii_whitespace();
    let mut number = || words.next()?.parse::<i64>().ok();
    let code = number().and_then(|code| i32::try_from(code).ok()).filter(|c| (0..=255).contains(c));
    let (timed_out, killed) = (number() == Some(1), number() == Some(1));
    let from_ms = number().unwrap_or(0);
    let until_ms = number().unwrap_or(0);
    let out_of_budget = false;
    let ended = Ended { code, timed_out, killed, out_of_budget, from_ms, until_ms };
    Some(Word::Last(Heard::End(ended)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_messengers_words_are_read_and_nonsense_is_not() {
        let heard = |line: &str| match read_word(line) {
            Some(Word::Last(heard)) => Some(heard),
            Some(Word::Running) | None => None,
        };
        let ended = Ended {
            code: Some(3),
            timed_out: false,
            killed: true,
            out_of_budget: false,
            from_ms: 17,
            until_ms: 18,
        };
        assert_eq!(heard("ended 3 0 1 17 18"), Some(Heard::End(ended)));
        assert_eq!(heard("dead"), Some(Heard::Dead));
        assert_eq!(heard("lost"), Some(Heard::Vanished));
        assert_eq!(heard("hello"), None);
        let forged = heard("ended 99999999999 x");
        assert!(matches!(forged, Some(Heard::End(Ended { code: None, .. }))), "{forged:?}");
    }
}
