//! Where the daemon is meant to differ from upstream's.

const JSON: &str = "the library takes a list for a message without fields";
const LIMIT: &str = "the length is refused before the bytes are waited for";
const FLAGS: &str = "the library ignores flags that it does not know";
const EMPTY: &str = "an empty message starts nothing here";
const RANGE: &str = "upstream answers with a part of no bytes and an impossible Content-Range";
const PARTS: &str = "several parts are the whole file here, which is a right answer";
const NUL: &str = "it is the caller's mistake, and said so";
const CUT: &str = "a body that is cut in its beginning costs nothing of the file that is there";
const CAUSE: &str = "the cause is told apart: a caller's mistake, not the daemon's";
const OWNER: &str = "files are made by their owner here, so there is no change of owner to see";
const WORDS: &str = "the shell's words, not those of nice; the codes are the same";
const NOTHING: &str = "no program is refused before anything runs";
const PLATFORM: &str = "upstream's platform sets them, and there is none in the test";
const CRASH: &str = "upstream's handler crashes and cuts the connection";

/// The name of a comparison, and the reason.
pub(crate) const DIFFERENCES: &[(&str, &str)] = &[
    ("a unary body: JSON that is no object", JSON),
    ("a stream's body: without an envelope", LIMIT),
    ("a stream's body: with unknown flags", FLAGS),
    ("a stream's body: that is an end", EMPTY),
    ("a stream's body: that is empty", EMPTY),
    ("a stream's body: of a huge length", LIMIT),
    ("range \"bytes=-0\"", RANGE),
    ("range \"bytes=0-1,3-4\"", PARTS),
    ("range \"bytes=0-1, 290-\"", PARTS),
    ("range \"bytes=-1\" of an empty file", RANGE),
    ("download with a NUL", NUL),
    ("upload of gzip that is cut", CUT),
    ("what came of gzip that is cut", CUT),
    ("what came of no bytes of gzip", CUT),
    ("compose to a directory", CAUSE),
    ("stat \"/a\\0b\"", NUL),
    ("make tree/dangling", CAUSE),
    ("a watcher's events and its end", OWNER),
    ("start a program that is missing", WORDS),
    ("start a name that is missing", WORDS),
    ("start a directory as a program", WORDS),
    ("start a file that is no program", WORDS),
    ("start no program", NOTHING),
    ("start without a process", NOTHING),
    ("the environment variables", PLATFORM),
    ("a stream of input without a start", CRASH),
];
