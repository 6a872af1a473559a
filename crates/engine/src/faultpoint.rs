//! Named places in the way of one run where a test can stop it.
//!
//! The promise of the engine is about processes that die at any instant. So the instants have
//! names, and `make chaos` makes a process die, wait or crawl at each of them, and looks from
//! outside at what became of the run (docs/reliability.md).
//!
//! Nothing of this can happen in production: a release build (`debug_assertions` off) has no
//! `arm` and an empty [`reach`], so neither a variable nor a mistake can stop a run there. A debug
//! build does nothing either until it is armed, which `airlock worker` does from `AIRLOCK_FAULTS`:
//!
//! ```text
//! AIRLOCK_FAULTS=POINT:ACTION[:NTH][,POINT:ACTION[:NTH]]...
//!
//! abort        the process ends at once: no clean-up, no last word
//! stall=MS     the run goes on after so many milliseconds; everything else goes on meanwhile
//! wait=DIR     makes the file DIR/POINT.reached and waits until there is DIR/POINT.go: whoever
//!              waits for the first can stop another process at exactly this instant
//! ```
//!
//! It acts on the NTH time that the process passes there (1 unless given), and only on that one.

macro_rules! points {
    ($($name:ident = $word:literal, $step:literal, $what:literal;)*) => {
        /// A place in the way of one run; the steps are numbered as in ARCHITECTURE.md.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Point {
            $(#[doc = $what] $name,)*
        }

        impl Point {
            /// All of them, in the order of the way.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name, as `AIRLOCK_FAULTS` takes it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// The step of the way that it lies in or behind.
            pub const fn step(self) -> u8 {
                match self { $(Self::$name => $step,)* }
            }

            /// What has been done there, and what has not.
            pub const fn what(self) -> &'static str {
                match self { $(Self::$name => $what,)* }
            }
        }
    };
}

points! {
    ValidateBefore = "validate.before", 1, "the task is taken, nothing is looked at";
    ValidateAfter = "validate.after", 1, "the input is sound";
    IdentifyAfter = "identify.after", 2, "the execution has its id; nothing is written";
    ClaimAfter = "claim.after", 3, "the run record is claimed";
    DecideRecorded = "decide.recorded", 4, "a decision is in the audit log, not acted upon";
    DecideAfter = "decide.after", 4, "all is decided";
    ApproveAfter = "approve.after", 5, "approved, or no approval was needed";
    ReserveHeld = "reserve.held", 6, "the ledger holds the money, the run record does not say so";
    ReserveAfter = "reserve.after", 6, "the hold is noted";
    SandboxCreating = "sandbox.creating", 7, "about to ask for a sandbox";
    SandboxCreated = "sandbox.created", 7, "the sandbox is there and not bound";
    SandboxBound = "sandbox.bound", 7, "it is bound in the record";
    SandboxAfter = "sandbox.after", 7, "the attempt knows its sandbox";
    StartUploading = "start.uploading", 8, "about to put the script into the sandbox";
    StartUploaded = "start.uploaded", 8, "the script is there, nothing says that it may be started";
    StartNoted = "start.noted", 8, "`starting` is recorded, nothing is started";
    StartLaunching = "start.launching", 8, "about to call the wrapper";
    StartCalled = "start.called", 8, "the wrapper is called; it takes the lock about now";
    StartHeard = "start.heard", 8, "the wrapper has said that the command runs";
    FollowRead = "follow.read", 9, "new output is read";
    RenewNoted = "renew.noted", 9, "the longer lease is recorded, the sandbox does not have it";
    FollowEnded = "follow.ended", 9, "the exit code is read, the rest of the output is not";
    FollowAfter = "follow.after", 9, "all output is read";
    EndKept = "end.kept", 9, "the command's result is in the run record";
    KillBefore = "kill.before", 10, "about to kill the sandbox";
    KillBilled = "kill.billed", 10, "what it came to is noted, it lives";
    KillAfter = "kill.after", 10, "the sandbox is killed, it is still bound";
    KillUnbound = "kill.unbound", 10, "it is bound no more";
    SettleBooked = "settle.booked", 10, "the ledger has booked the cost";
    ReceiptWritten = "receipt.written", 10, "the end is in the audit log";
    RecordBefore = "record.before", 10, "about to record the outcome";
    RecordAfter = "record.after", 10, "the outcome is recorded";
    ReportBefore = "report.before", 10, "Temporal is not told yet";
    ReportAfter = "report.after", 10, "Temporal is about to be told";
}

#[cfg(debug_assertions)]
pub use armed::{Error, arm, reach};

/// Does nothing: this is a release build.
#[cfg(not(debug_assertions))]
#[inline]
pub fn reach(_point: Point) -> std::future::Ready<()> {
    std::future::ready(())
}

#[cfg(debug_assertions)]
mod armed {
    use std::path::{Path, PathBuf};
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::Point;

    /// Between two looks for the file that lets a run go on.
    const LOOK: Duration = Duration::from_millis(10);

    static RULES: OnceLock<Vec<Rule>> = OnceLock::new();

    /// A text that [`arm`] does not take.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Error(String);

    impl std::fmt::Display for Error {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "{:?} is not POINT:ACTION[:NTH] with ", self.0)?;
            f.write_str("abort, stall=MS or wait=DIR as ACTION and one of these as POINT:")?;
            Point::ALL.iter().try_for_each(|point| write!(f, " {}", point.name()))
        }
    }

    impl std::error::Error for Error {}

    #[derive(Debug)]
    struct Rule {
        point: Point,
        action: Action,
        /// Passages until it acts.
        left: AtomicU64,
    }

    #[derive(Debug, PartialEq, Eq)]
    enum Action {
        Abort,
        Stall(Duration),
        Wait(PathBuf),
    }

    /// Arms this process, once: the first text stands.
    ///
    /// # Errors
    /// A text that means nothing: a test that names no point must not pass for that.
    pub fn arm(text: &str) -> Result<(), Error> {
        let rules = text.split(',').map(read).collect::<Result<Vec<_>, _>>()?;
        tracing::warn!(faults = text, "this process stops at fault points");
        RULES.get_or_init(|| rules);
        Ok(())
    }

    fn read(text: &str) -> Result<Rule, Error> {
        let wrong = || Error(text.to_owned());
        let mut words = text.split(':');
        let name = words.next().unwrap_or_default();
        let point = Point::ALL.iter().find(|point| point.name() == name).ok_or_else(wrong)?;
        let action = match words.next().unwrap_or_default().split_once('=') {
            None if text.split(':').nth(1) == Some("abort") => Action::Abort,
            Some(("stall", ms)) => {
                Action::Stall(Duration::from_millis(ms.parse().map_err(|_| wrong())?))
            }
            Some(("wait", dir)) if !dir.is_empty() => Action::Wait(dir.into()),
            None | Some(_) => return Err(wrong()),
        };
        let nth = words.next().map_or(Ok(1), str::parse).map_err(|_| wrong())?;
        match (nth, words.next()) {
            (1.., None) => Ok(Rule { point: *point, action, left: AtomicU64::new(nth) }),
            _ => Err(wrong()),
        }
    }

    /// Passes `point`; resolves at once unless the process is armed for it.
    pub async fn reach(point: Point) {
        let Some(rules) = RULES.get() else { return };
        for rule in rules.iter().filter(|rule| rule.point == point) {
            // Beyond zero it goes around: nobody passes so often.
            if rule.left.fetch_sub(1, Ordering::Relaxed) == 1 {
                act(point, &rule.action).await;
            }
        }
    }

    async fn act(point: Point, action: &Action) {
        match action {
            Action::Abort => std::process::abort(),
            Action::Stall(time) => tokio::time::sleep(*time).await,
            Action::Wait(dir) => wait(point, dir).await,
        }
    }

    async fn wait(point: Point, dir: &Path) {
        let file = |what: &str| dir.join(format!("{}.{what}", point.name()));
        if let Err(error) = std::fs::write(file("reached"), "") {
            tracing::error!(%error, point = point.name(), "nobody can know that it is reached");
            return;
        }
        while !file("go").exists() {
            tokio::time::sleep(LOOK).await;
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn rules_are_read_and_nonsense_names_the_points() {
            let rule = read("sandbox.created:stall=250:3").expect("a rule");
            assert_eq!(rule.point, Point::SandboxCreated);
            assert_eq!(rule.action, Action::Stall(Duration::from_millis(250)));
            assert_eq!(rule.left.into_inner(), 3);
            assert_eq!(read("claim.after:abort").expect("a rule").action, Action::Abort);
            for text in [
                "",
                "claim.after",
                "claim:abort",
                "claim.after:abort:0",
                "claim.after:abort=1",
                "claim.after:abort:1:1",
                "claim.after:wait=",
            ] {
                let error = read(text).expect_err(text).to_string();
                assert!(error.contains("sandbox.created"), "{error}");
            }
        }

        #[test]
        fn names_are_unique_and_steps_never_go_back() {
            let mut names: Vec<_> = Point::ALL.iter().map(|point| point.name()).collect();
            assert!(Point::ALL.is_sorted_by_key(|point| point.step()));
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), Point::ALL.len());
        }
    }
}
