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
