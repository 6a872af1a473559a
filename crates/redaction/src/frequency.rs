//! How often trigrams stand in ordinary output, from a small sample of its vocabulary.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Words and phrases that builds, tests, package managers, servers and logs print.
const SAMPLE: &str = "\
compiling finished running warning error note help unused variable function module package crate \
collecting downloading installing installed requirement already satisfied dependencies packages added \
removed audited updated deprecated version release build target debug profile optimized test tests \
passed failed ignored passing pending skipped result assertion expected actual received panicked \
info debug trace warn request response finished started listening connected connection closed timeout \
method path status code message messages level address port host server client worker queue jobs \
waiting loading loaded reading writing created deleted changed modified copied moved missing found not \
user users group root home directory files file total size date time name names value values type types \
object array string number null true false undefined return import export from default class public \
private static const let var function async await for while else match case switch break continue \
select insert update delete create table index where order limit count rows columns database \
application configuration environment production development container image images volume network \
digest layer pulling pushed cached step using building complete success successfully process exited \
traceback most recent call last line in main module could not convert to float index out of range \
January February Monday Tuesday day days today 2026-01-02T03:04:05 03:04:05 100% 10.0 1.0.0 0.1.0 \
the and that this with from have will your what when which there their about would these other into \
than then some could them only its over also after first like such through where much before because \
usage options commands arguments flags description example examples print show list get set run start \
stop remove check verify generate generated license readme documentation source sources include header \
http https www com org net index.js main.py lib.rs src/ node_modules/ usr/local/lib python3 site- \
remote: counting objects compressing resolving deltas done branch master merge commit author date \
drwxr-xr-x -rw-r--r-- ---> ===> ... :: -> => == != && || // # $ ( ) { } [ ] < > ; , \" ' `";

static COUNTS: LazyLock<HashMap<[u8; 3], u32>> = LazyLock::new(|| {
    let mut counts = HashMap::new();
    for gram in SAMPLE.as_bytes().windows(3) {
        if let Ok(gram) = <[u8; 3]>::try_from(gram) {
            *counts.entry(gram.map(|b| b.to_ascii_lowercase())).or_insert(0) += 1;
        }
    }
    counts
});

/// How often the two trigrams of four bytes stand in the sample.
pub(crate) fn count(gram: &[u8]) -> u32 {
    gram.windows(3)
        .filter_map(|gram| <[u8; 3]>::try_from(gram).ok())
        .map(|gram| COUNTS.get(&gram.map(|b| b.to_ascii_lowercase())).copied().unwrap_or(0))
        .sum()
}
