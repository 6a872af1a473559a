//! Policy documents: what they refuse, how environments build on each other.

use std::collections::BTreeMap;

use airlock_policy::{
    Action, Code, DEFAULT_POLICY, Gate, LoadError, Mode, Outcome, Package, Request, Severity,
};

#[test]
fn the_embedded_policy_loads_in_every_environment() {
    for env in ["base", "development", "staging", "production"] {
        let gate = Gate::load(DEFAULT_POLICY, Some(env)).expect(env);
        assert_eq!(gate.env(), env);
        assert_eq!(gate.digest().len(), 64);
        let decision = gate.decide(&Request::command("rm -rf /"));
        assert_eq!(decision.outcome, Outcome::Deny, "{env}");
        assert_eq!(decision.policy_digest, gate.digest());
    }
}

#[test]
fn a_wrong_key_names_its_line_and_the_nearest() {
    let text =
        "[env.base]\ndefault = \"allow\"\n[[env.base.rule]]\nid = \"a\"\nefect = \"fs.delete\"\n";
    let error = Gate::load(text, None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 5: unknown key `env.base.rule.efect`; did you mean `effect`?"
    );
    let error = Gate::load("[envs.base]\n", None).unwrap_err();
    assert_eq!(error.to_string(), "line 1: unknown key `envs`; did you mean `env`?");
}

#[test]
fn wrong_values_are_refused() {
    for (text, expected) in [
        (
            "[env.base]\ndefault = \"alow\"",
            "line 2: `env.base.default`: `alow` is not known; did you mean `allow`?",
        ),
        (
            "[env.base.network]\nallow = [\"group:git-host\"]",
            "no group `git-host`; did you mean `git-hosts`?",
        ),
        ("[[env.base.rule]]\nid=\"a\"\neffect=\"fs.delete\"", "needs a `decision`"),
        ("[[env.base.rule]]\nid=\"a\"\ndecision=\"deny\"", "needs an `effect` or an `action`"),
        (
            "[[env.base.rule]]\nid=\"a\"\neffect=\"fs.delete\"\nclass=\"sytem\"\ndecision=\"deny\"",
            "did you mean `system`?",
        ),
        ("[env.base]\nextends=\"other\"", "no environment `other`"),
        ("[env.a]\nextends=\"b\"\n[env.b]\nextends=\"a\"", "circle"),
        ("a = ", "not TOML"),
    ] {
        let error = Gate::load(text, None).unwrap_err().to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
}

#[test]
fn examples_run_when_the_policy_loads() {
    let rule = |key: &str| {
        format!(
            "[env.base]\n[[env.base.rule]]\nid=\"a\"\neffect=\"fs.delete\"\nclass=\"project\"\ndecision=\"deny\"\n{key} = [\"rm -rf dist\"]\n"
        )
    };
    Gate::load(&rule("match"), None).expect("the example matches");
    let error = Gate::load(&rule("not_match"), None).unwrap_err();
    assert!(matches!(error, LoadError::Example { line: Some(2), key: "not_match", .. }), "{error}");
}

#[test]
fn an_environment_tightens_unless_it_overrides_and_never_relaxes_the_floor() {
    let text = r#"
[env.strict]
extends = "base"
[[env.strict.rule]]
id = "fs.outside-delete"
effect = "fs.delete"
class = ["workspace-contents"]
decision = "allow"
[env.loose]
extends = "base"
override = true
[[env.loose.rule]]
id = "fs.outside-delete"
effect = "fs.delete"
class = ["workspace-contents"]
decision = "allow"
[[env.loose.rule]]
id = "fs.system-delete"
effect = "fs.delete"
decision = "allow"
"#;
    let outcome = |env, command| {
        Gate::load(text, Some(env)).unwrap().decide(&Request::command(command)).outcome
    };
    assert_eq!(outcome("strict", "rm -rf *"), Outcome::RequireApproval);
    assert_eq!(outcome("loose", "rm -rf *"), Outcome::Allow);
    assert_eq!(outcome("loose", "rm -rf /etc"), Outcome::Deny);
}

#[test]
fn the_network_table_decides_about_hosts() {
    let text = r#"
[env.base]
[env.base.network]
allow = ["*.example.com", "10.0.0.0/8", "api.example.org:443"]
otherwise = "deny"
"#;
    let gate = Gate::load(text, None).unwrap();
    for (command, expected) in [
        ("curl https://a.example.com", Outcome::Allow),
        ("curl https://example.com", Outcome::Deny),
        ("curl http://10.1.2.3:8080", Outcome::Allow),
        ("curl http://0x0a010203/", Outcome::Allow),
        ("curl https://api.example.org:443/x", Outcome::Allow),
        ("curl http://localhost:1", Outcome::Allow),
    ] {
        assert_eq!(gate.decide(&Request::command(command)).outcome, expected, "{command}");
    }
    assert_eq!(gate.network().outcome("b.example.com"), Outcome::Allow);
}

#[test]
fn action_types_can_be_switched_per_environment() {
    let text = "[env.base]\n[env.base.actions]\ndeploy = \"off\"\nnetwork_access = \"approval\"\n";
    let gate = Gate::load(text, None).unwrap();
    let decide = |action| gate.decide(&Request::new(action)).outcome;
    assert_eq!(decide(Action::Deploy), Outcome::Deny);
    assert_eq!(decide(Action::NetworkAccess), Outcome::RequireApproval);
    assert_eq!(decide(Action::ExecuteCode), Outcome::Allow);
    let decision = gate.decide(&Request::command("terraform apply"));
    assert_eq!(decision.outcome, Outcome::Deny);
}

#[test]
fn where_nobody_can_approve_an_approval_is_a_denial() {
    let gate =
        Gate::load("approvals = \"deny\"\n[env.prod]\nextends = \"base\"\n", Some("prod")).unwrap();
    let decision = gate.decide(&Request::command("terraform apply"));
    assert_eq!(decision.outcome, Outcome::Deny);
    assert!(decision.reason.contains("nobody can approve"), "{}", decision.reason);
}

#[test]
fn shadow_mode_records_and_blocks_nothing() {
    let gate = Gate::load(
        "[env.shadow]\nextends = \"base\"\noverride = true\nmode = \"shadow\"\n",
        Some("shadow"),
    )
    .unwrap();
    let decision = gate.decide(&Request::command("rm -rf /"));
    assert_eq!(
        (decision.outcome, decision.mode, decision.blocks()),
        (Outcome::Deny, Mode::Shadow, false)
    );
}

#[test]
fn a_table_loads_like_its_text() {
    let text = "[env.prod]\nextends = \"production\"\n";
    let table: toml::Table = text.parse().unwrap();
    let (a, b) =
        (Gate::load(text, Some("prod")).unwrap(), Gate::from_value(table, Some("prod")).unwrap());
    assert_eq!(a.digest(), b.digest());
    let other = Gate::load(text, Some("production")).unwrap();
    assert_ne!(a.digest(), other.digest());
    let error = Gate::load(text, Some("prd")).unwrap_err();
    assert_eq!(error.to_string(), "no environment `prd`; did you mean `prod`?");
}

#[test]
fn every_field_of_a_request_is_judged() {
    let gate = Gate::builtin();
    let env = BTreeMap::new();
    let paths = ["/etc".to_owned()];
    let hosts = ["169.254.169.254".to_owned()];
    let base = |action| Request { env: &env, ..Request::new(action) };
    let delete = Request { paths: &paths, ..base(Action::DeleteFiles) };
    assert_eq!(gate.decide(&delete).outcome, Outcome::Deny);
    let reach = Request { hosts: &hosts, ..base(Action::NetworkAccess) };
    assert_eq!(gate.decide(&reach).outcome, Outcome::Deny);
    let bill = Request { service: Some("plan"), amount: Some("10"), ..base(Action::CreateBilling) };
    assert_eq!(gate.decide(&bill).outcome, Outcome::RequireApproval);
    let packages = [Package { manager: "pip", name: "git+https://evil.example/x" }];
    let install = Request { packages: &packages, command: Some("ls"), ..base(Action::ExecuteCode) };
    assert_eq!(gate.decide(&install).outcome, Outcome::RequireApproval);
    let stdin = Request { stdin: Some("rm -rf /etc"), ..Request::command("bash") };
    assert_eq!(gate.decide(&stdin).outcome, Outcome::Deny);
    let inside = Request { cwd: Some("/srv/app"), ..Request::command("rm -rf /srv/app/lib/x") };
    assert_eq!(gate.decide(&inside).outcome, Outcome::Allow);
}

#[test]
fn code_is_judged_in_its_own_language() {
    let gate = Gate::builtin();
    for (language, source, expected) in [
        ("python", "import shutil\nshutil.rmtree('/etc')", Outcome::Deny),
        ("python", "from os import system as s\ns('rm -rf /usr')", Outcome::Deny),
        ("python", "p = '/etc'\nimport shutil as s\ns.rmtree(p)", Outcome::Deny),
        ("python", "print('rm -rf /')", Outcome::Allow),
        ("python", "open('out.txt', 'w').write('x')", Outcome::Allow),
        ("python", "import requests\nrequests.get('https://a.example')", Outcome::RequireApproval),
        (
            "javascript",
            "const { execSync: run } = require('child_process'); run('rm -rf /etc')",
            Outcome::Deny,
        ),
        (
            "javascript",
            "import fs from 'node:fs';\nfs.rmSync('/usr', { recursive: true })",
            Outcome::Deny,
        ),
        ("javascript", "console.log(1)", Outcome::Allow),
        ("typescript", "import { rmSync } from 'fs';\nrmSync('/etc')", Outcome::Deny),
        ("bash", "for d in /etc; do rm -rf $d; done", Outcome::Deny),
        ("ruby", "FileUtils.rm_rf('/usr')", Outcome::Deny),
        (
            "go",
            "package main\nimport \"os\"\nfunc main() { os.RemoveAll(\"/etc\") }",
            Outcome::Deny,
        ),
        ("go", "package main\nfunc main() { println(1) }", Outcome::Allow),
        ("r", "system('rm -rf /etc')", Outcome::Deny),
        ("cobol", "DISPLAY 'x'", Outcome::RequireApproval),
    ] {
        let request =
            Request { code: Some(Code { language, source }), ..Request::new(Action::ExecuteCode) };
        let decision = gate.decide(&request);
        assert_eq!(decision.outcome, expected, "{language}: {source:?}: {}", decision.reason);
    }
}

#[test]
fn a_decision_explains_itself() {
    let decision = Gate::builtin().decide(&Request::command("rm -rf /etc && terraform apply"));
    assert_eq!(decision.outcome, Outcome::Deny);
    assert_eq!(decision.severity, Severity::Critical);
    assert_eq!(decision.rule_ids, ["fs.system-delete", "deploy", "action.deploy"]);
    assert_eq!(decision.reason, "System and home paths are outside the workspace: /etc");
    assert!(decision.remedy.is_some());
    let seen = Gate::builtin().decide(&Request::command("./deploy.sh"));
    assert_eq!(seen.unseen, ["script ./deploy.sh"]);
}

#[test]
fn the_example_of_the_guide_works_as_it_reads() {
    let text = r#"
[env.base]
default = "allow"                            # allow | require_approval | deny
[[env.base.rule]]
id = "fs.system-delete"
effect = "fs.delete"
path = ["/", "/etc/**", "~"]                   # judged after the command's own directory
decision = "deny"
reason = "System and home paths are outside the workspace"
instead = "Delete a path under the workspace"
match = ["rm -rf /etc", "find / -delete"]     # run when the policy loads
not_match = ["rm -rf ./build"]

[env.production]
extends = "base"          # tightens only, unless override = true
[[env.production.rule]]
id = "deploy"
action = "deploy"
decision = "require_approval"
expires = "15m"
[env.production.network]
allow = ["group:package-registries", "*.example.com"]
otherwise = "require_approval"
"#;
    let gate = Gate::load(text, Some("production")).expect("it loads");
    assert!(gate.warnings().is_empty(), "{:?}", gate.warnings());
    for (command, expected) in [
        ("rm -rf /etc/nginx", Outcome::Deny),
        ("kubectl apply -f k8s/", Outcome::RequireApproval),
        ("curl https://api.example.com/", Outcome::Allow),
        ("pip download requests", Outcome::Allow),
        ("curl https://elsewhere.test/", Outcome::RequireApproval),
        ("cargo test", Outcome::Allow),
    ] {
        assert_eq!(gate.decide(&Request::command(command)).outcome, expected, "{command}");
    }
    let decision = gate.decide(&Request::command("kubectl apply -f k8s/"));
    assert_eq!(decision.approval_expires, Some(std::time::Duration::from_secs(900)));
}

#[test]
fn rules_that_contradict_each_other_are_refused_with_both_lines() {
    let rule = |id: &str, class: &str, decision: &str| {
        format!(
            "[[env.base.rule]]\nid=\"{id}\"\neffect=\"fs.delete\"\nclass={class}\ndecision=\"{decision}\"\n"
        )
    };
    let (a, b) = ("[\"temp\", \"cache\"]", "[\"cache\", \"temp\"]");
    let load = |text: String| Gate::load(&text, None).map(|_| ()).map_err(|e| e.to_string());
    assert_eq!(
        load(rule("one", a, "deny") + &rule("two", b, "allow")).unwrap_err(),
        "line 6: rule `two` contradicts the one at line 1: `one` says deny and this one allow of \
         the same effects; keep one, or narrow one of them"
    );
    assert_eq!(
        load(rule("one", a, "deny") + &rule("one", "[\"system\"]", "deny")).unwrap_err(),
        "line 6: rule `one` contradicts the one at line 1: both have this id; give each rule an \
         id of its own"
    );
    load(rule("one", a, "deny") + &rule("two", "[\"temp\"]", "allow")).expect("one is narrower");
}

#[test]
fn what_is_written_in_vain_is_said_with_its_line() {
    let text = r#"[env.tight]
extends = "base"
default = "deny"
[env.tight.network]
allow = ["example.com", "10.0.0.0/8"]
[env.child]
extends = "tight"
default = "allow"
[env.child.actions]
deploy = "on"
[env.child.network]
allow = ["10.1.0.0/16", "other.example", "example.com:443"]
[[env.child.rule]]
id = "deploy"
effect = "deploy"
decision = "allow"
[[env.child.rule]]
id = "fs.system-delete"
effect = "fs.delete"
decision = "allow"
"#;
    let gate = Gate::load(text, Some("child")).expect("it loads");
    let said: Vec<String> = gate.warnings().iter().map(ToString::to_string).collect();
    let expected = [
        (8, "`env.child.default`: allow is looser than deny"),
        (10, "`env.child.actions.deploy`: on is looser than approval"),
        (12, "`other.example` is outside of"),
        (13, "`env.child.rule deploy`: allow is looser than require_approval"),
        (17, "rule `fs.system-delete` is looser than the floor's"),
    ];
    assert_eq!(said.len(), expected.len(), "{said:#?}");
    for (line, part) in expected {
        let found =
            said.iter().any(|s| s.starts_with(&format!("line {line}: ")) && s.contains(part));
        assert!(found, "line {line}, {part}: {said:#?}");
    }
    assert_eq!(gate.network().entries(), ["10.1.0.0/16", "example.com:443"]);
    assert_eq!(gate.decide(&Request::command("rm -rf /etc")).outcome, Outcome::Deny);
    assert_eq!(gate.network().outcome("example.com"), Outcome::RequireApproval);
}

#[test]
fn a_port_of_the_list_is_met_by_what_the_address_implies() {
    let text =
        "[env.base]\n[env.base.network]\nallow = [\"api.example:443\"]\notherwise = \"deny\"\n";
    let gate = Gate::load(text, None).unwrap();
    for (command, expected) in [
        ("curl https://api.example/x", Outcome::Allow),
        ("curl http://api.example/x", Outcome::Deny),
        ("curl https://api.example:8443/x", Outcome::Deny),
        ("git clone ssh://git@api.example/x", Outcome::Deny),
    ] {
        assert_eq!(gate.decide(&Request::command(command)).outcome, expected, "{command}");
    }
}

#[test]
fn bytes_that_a_shell_drops_hide_nothing() {
    let decision = Gate::builtin().decide(&Request::command("ls; r\0m -r\0f /etc"));
    assert_eq!(decision.outcome, Outcome::Deny);
    assert!(decision.rule_ids.contains(&"unanalysed.nul".to_owned()), "{:?}", decision.rule_ids);
    let effect = decision.effects.iter().find(|e| e.target == "/etc").expect("the deletion");
    assert_eq!(effect.span, (4, 17));
    let harmless = Gate::builtin().decide(&Request::command("ec\0ho hi"));
    assert_eq!(harmless.outcome, Outcome::RequireApproval);
}

#[test]
fn a_flood_of_small_effects_hides_no_great_one() {
    let flood = |last: &str| {
        let mut lines: Vec<String> = (0..2000).map(|n| format!("rm -f ./d{n}")).collect();
        lines.push(last.to_owned());
        Gate::builtin().decide(&Request::command(&lines.join("\n"))).outcome
    };
    assert_eq!(flood("rm -rf /etc"), Outcome::Deny);
    assert_eq!(flood("curl https://elsewhere.test"), Outcome::RequireApproval);
    let mut lines: Vec<String> =
        (0..600).map(|n| format!("curl https://h{n}.github.com/")).collect();
    lines.push("curl https://elsewhere.test/".to_owned());
    let decision = Gate::builtin().decide(&Request::command(&lines.join("\n")));
    assert_eq!(decision.outcome, Outcome::RequireApproval);
    let big = "rm -rf /etc\n".to_owned() + &" ".repeat(70_000);
    let request = Request { stdin: Some(&big), ..Request::command("bash") };
    assert_eq!(Gate::builtin().decide(&request).outcome, Outcome::RequireApproval);
}
