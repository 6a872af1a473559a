//! What goes live: deployments and publications, as a table of command beginnings.

use crate::effect::EffectKind;
use crate::eval::{Arg, Eval};

use super::cloud::is_dry;
use super::opts::raw;

enum Goes {
    Deploy,
    Publish,
    Image,
    Billing,
}

use Goes::{Billing, Deploy, Image, Publish};

/// A command's name, the words that follow it, and what that does.
const TABLE: &[(&str, &[&str], Goes)] = &[
    ("terraform", &["apply"], Deploy),
    ("tofu", &["apply"], Deploy),
    ("terragrunt", &["apply"], Deploy),
    ("terragrunt", &["run-all"], Deploy),
    ("pulumi", &["up"], Deploy),
    ("pulumi", &["update"], Deploy),
    ("cdk", &["deploy"], Deploy),
    ("cdktf", &["deploy"], Deploy),
    ("sls", &["deploy"], Deploy),
    ("serverless", &["deploy"], Deploy),
    ("sam", &["deploy"], Deploy),
    ("sam", &["sync"], Deploy),
    ("vercel", &["deploy"], Deploy),
    ("vercel", &["promote"], Deploy),
    ("vercel", &["rollback"], Deploy),
    ("vc", &["deploy"], Deploy),
    ("netlify", &["deploy"], Deploy),
    ("fly", &["deploy"], Deploy),
    ("flyctl", &["deploy"], Deploy),
    ("fly", &["launch"], Deploy),
    ("flyctl", &["launch"], Deploy),
    ("railway", &["up"], Deploy),
    ("render", &["deploy"], Deploy),
    ("render", &["deploys"], Deploy),
    ("firebase", &["deploy"], Deploy),
    ("wrangler", &["deploy"], Deploy),
    ("wrangler", &["publish"], Deploy),
    ("wrangler", &["pages", "deploy"], Deploy),
    ("wrangler", &["secret", "put"], Deploy),
    ("heroku", &["container:release"], Deploy),
    ("heroku", &["container:push"], Deploy),
    ("heroku", &["releases:rollback"], Deploy),
    ("heroku", &["run"], Deploy),
    ("heroku", &["pipelines:promote"], Deploy),
    ("heroku", &["config:set"], Deploy),
    ("heroku", &["ps:scale"], Billing),
    ("heroku", &["addons:create"], Billing),
    ("heroku", &["create"], Billing),
    ("heroku", &["maintenance:on"], Deploy),
    ("eb", &["deploy"], Deploy),
    ("copilot", &["deploy"], Deploy),
    ("copilot", &["svc", "deploy"], Deploy),
    ("amplify", &["push"], Deploy),
    ("amplify", &["publish"], Deploy),
    ("azd", &["up"], Deploy),
    ("azd", &["deploy"], Deploy),
    ("azd", &["provision"], Deploy),
    ("func", &["azure"], Deploy),
    ("cf", &["push"], Deploy),
    ("cap", &["production"], Deploy),
    ("cap", &["staging"], Deploy),
    ("fab", &["deploy"], Deploy),
    ("mina", &["deploy"], Deploy),
    ("skaffold", &["run"], Deploy),
    ("skaffold", &["deploy"], Deploy),
    ("argocd", &["app", "sync"], Deploy),
    ("flux", &["reconcile"], Deploy),
    ("helmfile", &["apply"], Deploy),
    ("helmfile", &["sync"], Deploy),
    ("kamal", &["deploy"], Deploy),
    ("kamal", &["setup"], Deploy),
    ("kamal", &["redeploy"], Deploy),
    ("waypoint", &["up"], Deploy),
    ("ansible-playbook", &[], Deploy),
    ("nomad", &["job", "run"], Deploy),
    ("nomad", &["run"], Deploy),
    ("docker", &["stack", "deploy"], Deploy),
    ("docker", &["service", "update"], Deploy),
    ("docker", &["service", "create"], Deploy),
    ("docker", &["service", "scale"], Deploy),
    ("supabase", &["db", "push"], Deploy),
    ("supabase", &["functions", "deploy"], Deploy),
    ("eas", &["submit"], Deploy),
    ("eas", &["update"], Deploy),
    ("expo", &["publish"], Deploy),
    ("fastlane", &["release"], Deploy),
    ("fastlane", &["deploy"], Deploy),
    ("fastlane", &["deliver"], Deploy),
    ("fastlane", &["pilot"], Deploy),
    ("fastlane", &["supply"], Deploy),
    ("fastlane", &["beta"], Deploy),
    ("fastlane", &["upload_to_app_store"], Deploy),
    ("dokku", &["ps:rebuild"], Deploy),
    ("shopify", &["theme", "push"], Deploy),
    ("shopify", &["theme", "publish"], Deploy),
    ("shopify", &["app", "deploy"], Deploy),
    ("clasp", &["deploy"], Deploy),
    ("clasp", &["push"], Deploy),
    ("gcloud", &["app", "deploy"], Deploy),
    ("gcloud", &["run", "deploy"], Deploy),
    ("gcloud", &["functions", "deploy"], Deploy),
    ("gcloud", &["builds", "submit"], Deploy),
    ("modal", &["deploy"], Deploy),
    ("prefect", &["deploy"], Deploy),
    ("dagster-cloud", &["deploy"], Deploy),
    ("databricks", &["bundle", "deploy"], Deploy),
    ("surge", &[], Deploy),
    ("now", &[], Deploy),
    ("gh-pages", &[], Deploy),
    ("firebase", &["hosting:channel:deploy"], Deploy),
    ("deployctl", &["deploy"], Deploy),
    ("sst", &["deploy"], Deploy),
    ("zappa", &["deploy"], Deploy),
    ("zappa", &["update"], Deploy),
    ("chalice", &["deploy"], Deploy),
    ("up", &["deploy"], Deploy),
    ("claudia", &["update"], Deploy),
    ("apex", &["deploy"], Deploy),
    ("architect", &["deploy"], Deploy),
    ("arc", &["deploy"], Deploy),
    ("encore", &["deploy"], Deploy),
    ("pm2", &["deploy"], Deploy),
    ("mkdocs", &["gh-deploy"], Deploy),
    ("mike", &["deploy"], Deploy),
    ("octo", &["create-release"], Deploy),
    ("spin", &["deploy"], Deploy),
    ("kubectl-argo-rollouts", &["promote"], Deploy),
    ("werf", &["converge"], Deploy),
    ("okteto", &["deploy"], Deploy),
    ("dapr", &["run"], Deploy),
    ("kapp", &["deploy"], Deploy),
    ("kpt", &["live", "apply"], Deploy),
    ("tanka", &["apply"], Deploy),
    ("tk", &["apply"], Deploy),
    ("hasura", &["deploy"], Deploy),
    ("hasura", &["migrate", "apply"], Deploy),
    ("convex", &["deploy"], Deploy),
    ("appcenter", &["codepush"], Deploy),
    ("code-push", &["release"], Deploy),
    ("npm", &["publish"], Publish),
    ("npm", &["dist-tag", "add"], Publish),
    ("npm", &["deprecate"], Publish),
    ("npm", &["access"], Publish),
    ("npm", &["owner", "add"], Publish),
    ("yarn", &["publish"], Publish),
    ("yarn", &["npm", "publish"], Publish),
    ("pnpm", &["publish"], Publish),
    ("bun", &["publish"], Publish),
    ("pnpm", &["-r", "publish"], Publish),
    ("lerna", &["publish"], Publish),
    ("np", &[], Publish),
    ("release-it", &[], Publish),
    ("semantic-release", &[], Publish),
    ("changeset", &["publish"], Publish),
    ("rush", &["publish"], Publish),
    ("nx", &["release"], Publish),
    ("cargo", &["publish"], Publish),
    ("cargo", &["yank"], Publish),
    ("cargo", &["owner"], Publish),
    ("cargo", &["release"], Publish),
    ("twine", &["upload"], Publish),
    ("poetry", &["publish"], Publish),
    ("flit", &["publish"], Publish),
    ("hatch", &["publish"], Publish),
    ("uv", &["publish"], Publish),
    ("pdm", &["publish"], Publish),
    ("maturin", &["publish"], Publish),
    ("maturin", &["upload"], Publish),
    ("rye", &["publish"], Publish),
    ("gem", &["push"], Publish),
    ("gem", &["yank"], Publish),
    ("gem", &["release"], Publish),
    ("rake", &["release"], Publish),
    ("bundle", &["release"], Publish),
    ("mvn", &["deploy"], Publish),
    ("mvn", &["release:perform"], Publish),
    ("mvnw", &["deploy"], Publish),
    ("gradle", &["publish"], Publish),
    ("gradlew", &["publish"], Publish),
    ("gradle", &["publishPlugins"], Publish),
    ("sbt", &["publish"], Publish),
    ("sbt", &["publishSigned"], Publish),
    ("lein", &["deploy"], Publish),
    ("dotnet", &["nuget", "push"], Publish),
    ("nuget", &["push"], Publish),
    ("pod", &["trunk", "push"], Publish),
    ("helm", &["push"], Publish),
    ("goreleaser", &["release"], Publish),
    ("vsce", &["publish"], Publish),
    ("ovsx", &["publish"], Publish),
    ("dart", &["pub", "publish"], Publish),
    ("flutter", &["pub", "publish"], Publish),
    ("mix", &["hex.publish"], Publish),
    ("jsr", &["publish"], Publish),
    ("deno", &["publish"], Publish),
    ("conan", &["upload"], Publish),
    ("anaconda", &["upload"], Publish),
    ("huggingface-cli", &["upload"], Publish),
    ("hf", &["upload"], Publish),
    ("snapcraft", &["upload"], Publish),
    ("snapcraft", &["release"], Publish),
    ("choco", &["push"], Publish),
    ("luarocks", &["upload"], Publish),
    ("cpan-upload", &[], Publish),
    ("cabal", &["upload"], Publish),
    ("stack", &["upload"], Publish),
    ("web-ext", &["sign"], Publish),
    ("opam", &["publish"], Publish),
    ("dput", &[], Publish),
    ("composer", &["publish"], Publish),
    ("nimble", &["publish"], Publish),
    ("setup.py", &["upload"], Publish),
    ("wasm-pack", &["publish"], Publish),
    ("ansible-galaxy", &["publish"], Publish),
    ("tfx", &["extension", "publish"], Publish),
    ("chart-releaser", &["upload"], Publish),
    ("cr", &["upload"], Publish),
    ("flatpak-builder", &["--publish"], Publish),
    ("auto", &["shipit"], Publish),
    ("bumpp", &[], Publish),
    ("standard-version", &["--publish"], Publish),
    ("docker", &["push"], Image),
    ("podman", &["push"], Image),
    ("docker", &["image", "push"], Image),
    ("docker", &["compose", "push"], Image),
    ("nerdctl", &["push"], Image),
    ("buildah", &["push"], Image),
    ("skopeo", &["copy"], Image),
    ("crane", &["push"], Image),
    ("crane", &["copy"], Image),
    ("oras", &["push"], Image),
    ("ko", &["publish"], Image),
    ("ko", &["build"], Image),
    ("cosign", &["sign"], Image),
    ("jib", &["build"], Image),
    ("packer", &["build"], Billing),
    ("docker", &["manifest", "push"], Image),
    ("eksctl", &["create"], Billing),
    ("kops", &["create"], Billing),
    ("kops", &["update"], Deploy),
    ("rosa", &["create"], Billing),
    ("vastai", &["create"], Billing),
    ("runpodctl", &["create"], Billing),
    ("sky", &["launch"], Billing),
    ("fly", &["scale"], Billing),
    ("flyctl", &["scale"], Billing),
    ("fly", &["postgres", "create"], Billing),
    ("fly", &["volumes", "create"], Billing),
    ("fly", &["machine", "run"], Billing),
    ("linode-cli", &["linodes", "create"], Billing),
    ("aws", &["route53domains", "register-domain"], Billing),
    ("terraform", &["import"], Deploy),
    ("juju", &["deploy"], Billing),
    ("docker-machine", &["create"], Billing),
];

/// Records deployments, publications and what costs money.
pub(super) fn run(eval: &mut Eval<'_>, name: &str, args: &[Arg]) {
    if is_dry(name, args)
        || raw(
            args,
            &[
                "--snapshot",
                "--skip-publish",
                "--skip=publish",
                "--no-push",
                "--list",
                "--list-tasks",
                "--list-hosts",
                "--syntax-check",
            ],
        )
        || is_check(name, args)
    {
        return;
    }
    bare(eval, name, args);
    let words: Vec<&str> =
        args.iter().skip(1).map(|a| a.text.as_str()).filter(|t| !t.starts_with('-')).collect();
    for (command, begin, goes) in TABLE {
        if *command != name || !follows(&words, begin) {
            continue;
        }
        let target =
            format!("{name} {}", words.iter().take(3).copied().collect::<Vec<_>>().join(" "));
        match goes {
            Deploy => eval.push(EffectKind::Deploy, "apply", &target),
            Publish => eval.push(EffectKind::Publish, "package", &target),
            Image => eval.push(EffectKind::Publish, "image", &target),
            Billing => eval.push(EffectKind::Billing, "machine", &target),
        }
        return;
    }
}

fn is_check(name: &str, args: &[Arg]) -> bool {
    match name {
        "ansible-playbook" => raw(args, &["--check", "-C", "--syntax-check"]),
        "cargo" => raw(args, &["-n"]),
        "surge" | "np" | "release-it" | "semantic-release" => {
            raw(args, &["--preview", "-d", "list", "whoami", "login", "--ci=false"])
                || name == "surge" && args.len() < 2
        }
        _ => false,
    }
}

// The words in order, with at most a flag's value in between.
fn follows(words: &[&str], begin: &[&str]) -> bool {
    let mut rest = words.iter().take(begin.len() + 3);
    begin.iter().all(|wanted| {
        rest.any(|word| {
            word == wanted
                || word
                    .rsplit_once(':')
                    .is_some_and(|(_, tail)| tail == *wanted && tail.starts_with("publish"))
        })
    })
}

// Tools that deploy when they are given nothing, and builds that push.
fn bare(eval: &mut Eval<'_>, name: &str, args: &[Arg]) {
    let alone = args.iter().skip(1).all(|a| a.text.starts_with('-'));
    if matches!(name, "vercel" | "vc" | "now")
        && alone
        && !raw(args, &["--version", "-v", "--help"])
        || matches!(name, "vercel" | "vc" | "netlify") && raw(args, &["--prod", "--production"])
    {
        eval.push(EffectKind::Deploy, "apply", name);
    }
    if matches!(name, "docker" | "buildctl" | "nerdctl" | "podman") && raw(args, &["--push"]) {
        eval.push(EffectKind::Publish, "image", name);
    }
    if matches!(name, "pytest" | "python3" | "python")
        && raw(args, &["setup.py"])
        && raw(args, &["upload"])
    {
        eval.push(EffectKind::Publish, "package", "setup.py upload");
    }
    if name == "helm"
        && raw(args, &["install", "upgrade", "rollback", "uninstall", "delete"])
        && raw(args, &["template"])
    {
        eval.unseen("helm chart".into());
    }
}
