//! One destructive command in every syntactic position, and the same text where it is only text.

use airlock_policy::{Gate, Outcome, Request};

const DANGER: &str = "rm -rf /etc";

#[test]
#[expect(clippy::too_many_lines, reason = "a table of positions")]
fn danger_is_found_in_every_position() {
    let gate = Gate::builtin();
    for frame in [
        "@",
        "true; @",
        "true && @",
        "false || @",
        "@ &",
        "! @",
        "(@)",
        "{ @; }",
        "time @",
        "if @; then :; fi",
        "if true; then @; fi",
        "if false; then :; else @; fi",
        "if a; then :; elif @; then :; fi",
        "while @; do :; done",
        "until true; do @; done",
        "for i in 1; do @; done",
        "for ((i=0;i<1;i++)); do @; done",
        "case a in a) @;; esac",
        "select x in a; do @; done",
        "f() { @; }; f",
        "function f { @; }; f",
        "coproc @",
        "echo $(@)",
        "echo `@`",
        "echo \"$(@)\"",
        "x=$(@)",
        "a=($(@))",
        "declare x=$(@)",
        "export X=$(@)",
        "cat <(@)",
        "ls > >(@)",
        "[[ -n $(@) ]]",
        "((x = $(@)))",
        "echo $((1 + $(@)))",
        "echo ${x:-$(@)}",
        "cat <<< $(@)",
        "cat <<E\n$(@)\nE",
        "@ > out 2>&1",
        "< in @",
        "2>&1 @",
        "A=1 @",
        "A=1 B=2 @",
        "eval '@'",
        "bash -c '@'",
        "sh -ec '@'",
        "bash <<'E'\n@\nE",
        "bash <<< '@'",
        "echo '@' | sh",
        "printf '%s' '@' | bash",
        "sudo @",
        "env @",
        "nohup @ &",
        "timeout 5 @",
        "nice -n 5 @",
        "xargs @ < list",
        "find . -exec @ \\;",
        "ssh host '@'",
        "docker exec c @",
        "kubectl exec p -- @",
        "su -c '@'",
        "trap '@' EXIT",
        "watch '@'",
        "flock f @",
        "parallel ::: '@'",
        "tmux new -d '@'",
        "alias a='@'; a",
        "echo '@' > s; bash s",
        "python3 -c 'import os; os.system(\"@\")'",
        "perl -e 'system(\"@\")'",
        "ruby -e '`@`'",
        "node -e 'require(\"child_process\").execSync(\"@\")'",
        "awk 'BEGIN{system(\"@\")}'",
        "php -r 'exec_not(1); system(\"@\");'",
        "# comment\n@",
        "echo a \\\n; @",
        "git -c alias.a='!@' a",
    ] {
        let command = frame.replace('@', DANGER);
        let decision = gate.decide(&Request::command(&command));
        assert_eq!(decision.outcome, Outcome::Deny, "{command:?}: {}", decision.reason);
    }
}

#[test]
fn the_same_text_as_text_is_allowed() {
    let gate = Gate::builtin();
    for frame in [
        "echo '@'",
        "echo @",
        "printf '%s\\n' '@'",
        "# @",
        "ls # @",
        ": '@'",
        "grep '@' f",
        "rg '@'",
        "cat > n.md <<'E'\n@\nE",
        "git commit -m '@'",
        "X='@'",
        "python3 -c 'print(\"@\")'",
        "[[ $x == '@' ]]",
        "case $x in '@') echo;; esac",
        "echo '@' | wc -c",
        "echo '@' > notes.txt",
        "f() { @; }",
        "psql -c \"SELECT '@'\"",
        "jq '.a=\"@\"' f",
        "bash -c 'echo \"@\"'",
        "man '@'",
        "alias a='@'",
    ] {
        let command = frame.replace('@', DANGER);
        let decision = gate.decide(&Request::command(&command));
        assert_eq!(decision.outcome, Outcome::Allow, "{command:?}: {}", decision.reason);
    }
}

#[test]
fn spans_point_at_the_command() {
    let gate = Gate::builtin();
    let command = "echo ä; rm -rf /etc";
    let decision = gate.decide(&Request::command(command));
    let effect = decision.effects.first().expect("an effect");
    assert_eq!(command.get(effect.span.0..effect.span.1), Some("rm -rf /etc"));
    assert_eq!(effect.target, "/etc");
}
