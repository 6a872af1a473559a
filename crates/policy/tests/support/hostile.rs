//! Hostile inputs by construction: what the test survives and the bench measures.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

pub(crate) fn nested(open: &str, close: &str, inner: &str, bytes: usize) -> String {
    let times = bytes / (open.len() + close.len()).max(1);
    format!("{}{inner}{}", open.repeat(times), close.repeat(times))
}

/// What is decided about.
pub(crate) enum Input {
    Command(String),
    /// Language and source.
    Code(&'static str, String),
}

/// Every hostile input with its name. The same shapes at several depths: far over the caps, and
/// just below them, where a small stack is used most.
pub(crate) fn inputs() -> Vec<(String, Input)> {
    let mut out = Vec::new();
    for times in [37, 76, 20_000] {
        let named =
            |(name, text): (&str, String)| (format!("{name} x {times}"), Input::Command(text));
        out.extend(shapes(times).into_iter().map(named));
    }
    let commands = others().into_iter().chain(work());
    out.extend(commands.map(|(name, text)| (name.to_owned(), Input::Command(cut(&text)))));
    for language in ["python", "javascript", "ruby"] {
        let programs = programs().into_iter();
        out.extend(programs.map(|(name, text)| {
            (format!("{language}: {name}"), Input::Code(language, cut(&text)))
        }));
    }
    out
}

fn cut(text: &str) -> String {
    text.chars().take(MOST).collect()
}

/// Commands that ask for as much work as a cap allows.
fn work() -> Vec<(&'static str, String)> {
    let mut all = flow();
    all.extend(tools());
    all
}

/// A piece again and again.
fn fill(piece: &str) -> String {
    piece.repeat(MOST / piece.len())
}

/// Lines that know their number.
fn lines(make: &dyn Fn(usize) -> String) -> String {
    let mut out = String::new();
    for number in 0.. {
        let line = make(number);
        if out.len() + line.len() > MOST {
            return out;
        }
        out.push_str(&line);
    }
    out
}

/// Much for the shell itself.
fn flow() -> Vec<(&'static str, String)> {
    let base64 = |rounds: usize| {
        let mut text = "rm -rf /".to_owned();
        for _ in 0..rounds {
            text = format!("echo {} | base64 -d | sh", BASE64.encode(&text));
        }
        text
    };
    vec![
        ("one word", fill("x")),
        ("words", fill("a ")),
        ("many paths", "rm -rf ".to_owned() + &lines(&|n| format!("./a{n} "))),
        ("many far paths", "rm -rf ".to_owned() + &lines(&|n| format!("../../a{n} "))),
        ("many commands", lines(&|n| format!("rm -f ./a{n}\n"))),
        ("many hosts", lines(&|n| format!("curl https://h{n}.example/\n"))),
        ("many tools", lines(&|n| format!("aws s3 rm s3://b{n}/x\n"))),
        ("many variables", lines(&|n| format!("a{n}=/x$a{}\n", n.saturating_sub(1)))),
        ("growing variable", "a=x\n".to_owned() + &fill("a=$a$a\n")),
        ("growing array", fill("a+=(x y z)\n") + "rm -rf \"${a[@]}\""),
        ("brace sequences", fill("echo {1..99999}{a..z}\n")),
        ("nested braces", "echo ".to_owned() + &nested("{a,", ",b}", "c", 50_000)),
        ("brace lists", "rm -rf /{".to_owned() + &fill("a,") + "b}"),
        (
            "case arms",
            "case $x in ".to_owned() + &lines(&|n| format!("a{n}) rm -rf /x{n};; ")) + "esac",
        ),
        (
            "elif arms",
            "if a; then b; ".to_owned() + &lines(&|n| format!("elif a{n}; then b; ")) + "fi",
        ),
        ("function fan", lines(&|n| format!("f{n}(){{ f{0}; f{0}; }}\n", n + 1)) + "\nf0"),
        ("aliases", lines(&|n| format!("alias a{n}='a{} x'\n", n + 1)) + "\na0"),
        ("many functions", lines(&|n| format!("f{n}(){{ rm -rf /x; }}; f{n}\n"))),
        ("loop over words", "for i in ".to_owned() + &fill("a ") + "; do rm -rf /$i; done"),
        ("heredoc to shell", "bash <<E\n".to_owned() + &fill("rm -rf ./x\n") + "E\n"),
        ("here string", "bash <<< '".to_owned() + &fill("rm -rf ./x;") + "'"),
        ("base64 layers", base64(22)),
        (
            "base64 text",
            format!(
                "echo {} | base64 -d | bash",
                BASE64.encode(fill("rm -rf ./x\n")).chars().take(60_000).collect::<String>()
            ),
        ),
    ]
}

/// Much for the readers of tools' arguments, and of text.
fn tools() -> Vec<(&'static str, String)> {
    vec![
        ("eval layers", lines(&|n| format!("eval 'x{n}=$(echo rm -rf /{n})'\n"))),
        ("xargs", fill("echo /a | xargs rm -rf | ") + "cat"),
        ("find exec", fill("find . -exec rm -rf {} \\; \n")),
        ("printf", fill("printf '%s' a | bash\n")),
        ("sql statements", format!("psql -c \"{}\"", fill("DELETE FROM a;"))),
        ("sql words", format!("psql -c \"{}\"", fill("DROP "))),
        ("sql list", format!("psql -c \"SELECT * FROM a WHERE x IN ({}1)\"", fill("1,"))),
        ("sql nesting", format!("psql -c \"{}\"", fill("SELECT * FROM (SELECT "))),
        ("awk", format!("awk '{}'", fill("BEGIN{system(\"rm -rf /x\")}"))),
        ("sed", format!("sed '{}'", fill("s/a/b/e;"))),
        ("quotes", fill("\"a\"'b'")),
        ("dollar quotes", fill("$'\\x61'")),
        ("globs", "rm -rf ".to_owned() + &fill("*?[a]")),
        ("patterns", "x=aaaa; echo ".to_owned() + &fill("${x//a/aa}")),
        ("substrings", "x=aaaa; echo ".to_owned() + &fill("${x:0:2}")),
        ("arithmetic", "echo ".to_owned() + &fill("$((1+2))")),
        ("substitutions side by side", "echo ".to_owned() + &fill("$(echo a)")),
        ("pipes of filters", "echo a".to_owned() + &fill(" | tr a b") + " | bash"),
        ("rev", format!("echo {} | rev | bash", fill("x "))),
        ("git aliases", fill("git -c alias.x='!git status' x\n")),
        ("ssh layers", fill("ssh h ")),
        ("options", "docker run ".to_owned() + &fill("-v a:b ") + "x"),
        ("environment", lines(&|n| format!("A{n}=b ")) + "ls"),
        ("urls", "curl ".to_owned() + &lines(&|n| format!("https://{n}.example/ "))),
        ("tests", "[[ ".to_owned() + &fill("a == b && ") + "a ]]"),
        ("redirects", "ls ".to_owned() + &lines(&|n| format!(">/x{n} "))),
        ("comments", fill("# rm -rf /\n")),
        ("newlines", fill("\n")),
        ("unicode", fill("\u{1F4A9}")),
        ("python in shell", format!("python3 -c '{}'", fill("f(a)+"))),
    ]
}

/// Programs that ask for as much work as a cap allows.
fn programs() -> Vec<(&'static str, String)> {
    vec![
        ("calls in calls", nested("f(", ")", "1", 60_000)),
        ("lists in lists", "x = ".to_owned() + &nested("[", "]", "1", 60_000)),
        ("lists side by side", "x = [".to_owned() + &fill("[1,2],") + "]"),
        ("sums", "x = ".to_owned() + &fill("'a'+") + "'a'"),
        ("doubling", "x = 'ab'\n".to_owned() + &fill("x = x + x\n") + "os.system(x)"),
        ("growing list", "x = ['a']\n".to_owned() + &fill("x = x + x\n")),
        ("chains", "x".to_owned() + &fill(".a(1)")),
        ("attributes", "x".to_owned() + &fill(".a")),
        ("indices", "x".to_owned() + &fill("[0]")),
        ("functions", fill("def f(a):\n  return f(f(a))\n")),
        ("arrows", fill("const f = (a) => f(f(a));\n")),
        ("parameters", format!("def f({}):\n  pass\n", fill("a,"))),
        ("commands", fill("os.system('rm -rf ./x')\n")),
        ("nested commands", fill("os.system(os.system(")),
        ("comprehensions", "x = ".to_owned() + &nested("[", " for a in b]", "a", 60_000)),
        ("comprehension over many", format!("x = [f(a) for a in [{}]]", fill("'a',"))),
        ("formats", fill("x = '%s{}'.format('a') % 'b'\n")),
        ("templates", fill("`${a}`;")),
        ("filled text", format!("a = 'b'\nx = f'{}'", fill("{a}"))),
        ("evals", fill("eval('eval(1)')\n")),
        (
            "evals in evals",
            (0..6).fold("os.system('ls')".to_owned(), |text, _| {
                format!("eval({text:?})\neval({text:?})")
            }),
        ),
        ("imports", fill("import a as b\n")),
        ("requires", fill("const {a:b} = require('c');")),
        ("sql", fill("cur.execute('DELETE FROM a')\n")),
        ("strings", fill("'a'")),
        ("open quotes", fill("\"")),
        ("open brackets", fill("(")),
        ("open braces", fill("{")),
        ("backticks", fill("`ls`")),
        ("numbers", fill("1,")),
        ("byte lists", format!("exec(bytes([{}]))", fill("97,"))),
    ]
}

/// The longest text that is analysed, in bytes.
const MOST: usize = 65_000;

fn shapes(times: usize) -> Vec<(&'static str, String)> {
    let pair = |name, open: &str, close: &str| {
        let bytes = (times * (open.len() + close.len())).min(60_000);
        (name, nested(open, close, "rm -rf /", bytes))
    };
    vec![
        pair("subshells", "(", ")"),
        pair("groups", "{ ", "; }"),
        pair("substitutions", "$(", ")"),
        pair("quoted substitutions", "\"$(echo ", ")\""),
        pair("backticks", "`", "`"),
        pair("parameters", "${x:-", "}"),
        pair("arithmetic", "$((", "))"),
        pair("arithmetic parentheses", "((1+(", ")))"),
        pair("conditions", "if ", "; then :; fi"),
        pair("loops", "while ", "; do :; done"),
        pair("cases", "case x in x) ", ";; esac"),
        pair("functions", "f() { ", "; }"),
        pair("process substitutions", "cat <(", ")"),
        pair("tests", "[[ ( ", " ) ]]"),
        pair("braces", "{a,", "}"),
        pair("eval", "eval ", ""),
        pair("sudo", "sudo ", ""),
        pair("env", "env -S ", ""),
        pair("negations", "! ", ""),
        pair("sh -c", "sh -c \"$(", ")\""),
        pair("mixed", "f() { (x=$(cat <(if ", "; then :; fi))); }"),
    ]
}

fn others() -> Vec<(&'static str, String)> {
    let size = 60_000;
    vec![
        ("pipes", "a | ".repeat(size / 4) + "rm -rf /"),
        ("ands", "a && ".repeat(size / 5) + "rm -rf /"),
        ("semicolons", ";".repeat(size)),
        ("heredocs", "cat <<E\n".repeat(size / 9)),
        ("redirections", "> ".repeat(size / 2)),
        ("assignments", "a=".repeat(size / 2)),
        ("brace product", "echo ".to_owned() + &"{a,b}".repeat(2_000)),
        ("stars", "rm ".to_owned() + &"*".repeat(size)),
        ("replacement", format!("x={}; echo ${{x//a/aaaa}}", "a".repeat(20_000))),
        ("doubling", "a=aaaaaaaaaa;".to_owned() + &"a=$a$a;".repeat(64) + "rm -rf /$a"),
        ("calls", "f(){ f; f; f; }; f".to_owned()),
        ("loops over loops", nested("for i in 1 2 3 4 5 6 7 8 9; do ", "; done", ":", 1_200)),
        (
            "nested sh -c",
            (0..20).fold("rm -rf /".to_owned(), |text, _| {
                format!("bash -c '{}'", text.replace('\'', "'\\''")).chars().take(60_000).collect()
            }),
        ),
        ("python", format!("python3 -c \"{}\"", nested("f(", ")", "1", 40_000))),
        ("python lists", format!("python3 -c \"x={}\"", nested("[", "]", "1", 40_000))),
        ("sql", format!("psql -c \"SELECT {}\"", "1+".repeat(20_000) + "1")),
        ("sql parentheses", format!("psql -c \"SELECT {}\"", nested("(", ")", "1", 40_000))),
    ]
}
