//! Temporal's own settings (`TEMPORAL_*`, `temporal.toml`), checked before they are used.
//!
//! The official loader accepts a few settings that it then ignores. Ignoring them would talk to the
//! wrong server or write plain text where an operator asked for encryption, so they are refused.

use std::path::Path;

use temporalio_client::envconfig::{
    ClientConfigProfile, ConfigError, DataSource, LoadClientConfigProfileOptions,
};
use temporalio_client::{ConnectionOptions, Url};
use temporalio_common::envconfig::load_client_config_profile;

use crate::connect::ConnectOptions;
use crate::error::Error;

const DEFAULT_NAMESPACE: &str = "default";
/// Variables that name files.
const FILES: [&str; 4] = [
    "TEMPORAL_CONFIG_FILE",
    "TEMPORAL_TLS_CLIENT_CERT_PATH",
    "TEMPORAL_TLS_CLIENT_KEY_PATH",
    "TEMPORAL_TLS_SERVER_CA_CERT_PATH",
];
/// A file or its content, not both.
const EXCLUSIVE: [&str; 3] =
    ["TEMPORAL_TLS_CLIENT_CERT", "TEMPORAL_TLS_CLIENT_KEY", "TEMPORAL_TLS_SERVER_CA_CERT"];

/// Where to connect, and the namespace.
pub(crate) fn load(options: &ConnectOptions) -> Result<(ConnectionOptions, String), Error> {
    check_variables(options)?;
    let source = options.config_file.as_ref().map(|path| {
        readable("the configuration file", path)?;
        Ok(DataSource::Path(path.display().to_string()))
    });
    let load = LoadClientConfigProfileOptions::builder()
        .maybe_config_source(source.transpose()?)
        .maybe_config_file_profile(options.profile.clone())
        .config_file_strict(true)
        .build();
    let mut profile =
        load_client_config_profile(load, Some(&options.env)).map_err(|e| of_loader(&e))?;
    if let Some(address) = &options.address {
        profile.address = Some(address.clone());
    }
    if let Some(namespace) = &options.namespace {
        profile.namespace = Some(namespace.clone());
    }
    let namespace = check_profile(&profile)?;
    let target = ConnectionOptions::try_from(profile).map_err(|e| of_loader(&e))?;
    Ok((target, namespace))
}

fn config(variable: &str, problem: impl Into<String>) -> Error {
    Error::Config { variable: variable.to_owned(), problem: problem.into() }
}

fn check_variables(options: &ConnectOptions) -> Result<(), Error> {
    let set = |name: &str| options.env.get(name).map(String::as_str).filter(|v| !v.is_empty());
    for name in ["TEMPORAL_TLS", "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION"] {
        if let Some(value) = set(name)
            && !matches!(value.to_ascii_lowercase().as_str(), "true" | "false" | "1" | "0")
        {
            return Err(config(name, format!("must be true or false, not {value:?}")));
        }
    }
    for name in FILES {
        if let Some(path) = set(name) {
            readable(name, Path::new(path))?;
        }
    }
    for name in EXCLUSIVE {
        let (path, data) = (format!("{name}_PATH"), format!("{name}_DATA"));
        if set(&path).is_some() && set(&data).is_some() {
            return Err(config(&path, format!("and {data} exclude each other; set one")));
        }
    }
    Ok(())
}

fn readable(name: &str, path: &Path) -> Result<(), Error> {
    std::fs::File::open(path)
        .map(drop)
        .map_err(|error| config(name, format!("cannot read {}: {}", path.display(), error.kind())))
}

/// Holds the merged profile to what is supported; gives the namespace.
fn check_profile(profile: &ClientConfigProfile) -> Result<String, Error> {
    if let Some(address) = &profile.address {
        check_address(address)?;
    }
    let namespace = profile.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
    if namespace.is_empty() {
        return Err(config("TEMPORAL_NAMESPACE", "must not be empty"));
    }
    if profile.codec.is_some() {
        let problem = "a remote codec is not supported, and without it payloads would be stored \
                       as plain text; unset it";
        return Err(config("TEMPORAL_CODEC_ENDPOINT", problem));
    }
    if let Some(tls) = &profile.tls {
        if tls.disable_host_verification {
            let problem = "is not supported; give the server's authority in \
                           TEMPORAL_TLS_SERVER_CA_CERT_PATH and its name in TEMPORAL_TLS_SERVER_NAME";
            return Err(config("TEMPORAL_TLS_DISABLE_HOST_VERIFICATION", problem));
        }
        let (certificate, key) = (tls.client_cert.is_some(), tls.client_key.is_some());
        let missing = match (certificate, key) {
            (true, false) => Some("TEMPORAL_TLS_CLIENT_KEY_PATH"),
            (false, true) => Some("TEMPORAL_TLS_CLIENT_CERT_PATH"),
            _ => None,
        };
        if let Some(missing) = missing {
            return Err(config(missing, "is required: a certificate and its key go together"));
        }
    }
    Ok(namespace.to_owned())
}

fn check_address(address: &str) -> Result<(), Error> {
    let direct = Url::parse(address).ok().filter(|url| url.host().is_some());
    let url = direct.or_else(|| Url::parse(&format!("http://{address}")).ok());
    let usable = url.is_some_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.host_str().is_some_and(|host| !host.is_empty())
            && url.username().is_empty()
            && matches!(url.path(), "" | "/")
    });
    if usable {
        Ok(())
    } else {
        Err(config(
            "TEMPORAL_ADDRESS",
            "is not an address; write host:port, such as localhost:7233",
        ))
    }
}

/// What the loader itself found. Its texts name keys and files, never values.
fn of_loader(error: &ConfigError) -> Error {
    match error {
        ConfigError::ProfileNotFound(name) => {
            config("TEMPORAL_PROFILE", format!("there is no profile {name:?} in the file"))
        }
        ConfigError::InvalidConfig(problem) if problem.contains("address") => {
            config("TEMPORAL_ADDRESS", problem.clone())
        }
        ConfigError::InvalidConfig(problem) => config("TEMPORAL_CONFIG_FILE", problem.clone()),
        ConfigError::LoadError(source) => {
            // A parser shows the line it stumbled over, which may hold a key: keep its first line.
            let text = source.to_string();
            config("TEMPORAL_CONFIG_FILE", text.lines().next().unwrap_or_default().to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(env: &[(&str, &str)]) -> ConnectOptions {
        let mut env: std::collections::HashMap<String, String> =
            env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        // No file of the machine's user takes part.
        env.entry("TEMPORAL_CONFIG_FILE".to_owned()).or_insert_with(|| "/dev/null".to_owned());
        ConnectOptions { env, ..ConnectOptions::default() }
    }

    #[test]
    fn a_bad_setting_names_its_variable() {
        let table: [(&[(&str, &str)], &str); 9] = [
            (&[("TEMPORAL_ADDRESS", "not an address")], "TEMPORAL_ADDRESS"),
            (&[("TEMPORAL_ADDRESS", "ftp://host:1")], "TEMPORAL_ADDRESS"),
            (&[("TEMPORAL_NAMESPACE", "")], "TEMPORAL_NAMESPACE"),
            (&[("TEMPORAL_TLS", "maybe")], "TEMPORAL_TLS"),
            (&[("TEMPORAL_PROFILE", "nope")], "TEMPORAL_PROFILE"),
            (&[("TEMPORAL_CONFIG_FILE", "/does/not/exist")], "TEMPORAL_CONFIG_FILE"),
            (&[("TEMPORAL_TLS_CLIENT_CERT_DATA", "x")], "TEMPORAL_TLS_CLIENT_KEY_PATH"),
            (&[("TEMPORAL_CODEC_ENDPOINT", "http://c")], "TEMPORAL_CODEC_ENDPOINT"),
            (
                &[("TEMPORAL_TLS_DISABLE_HOST_VERIFICATION", "true")],
                "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION",
            ),
        ];
        for (env, expected) in table {
            match load(&options(env)) {
                Err(Error::Config { variable, .. }) => assert_eq!(variable, expected, "{env:?}"),
                other => panic!("{env:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn variables_and_arguments_say_where_to_connect() {
        let env = [("TEMPORAL_ADDRESS", "one:1"), ("TEMPORAL_NAMESPACE", "n")];
        let (target, namespace) = load(&options(&env)).unwrap();
        assert_eq!((target.target.as_str(), namespace.as_str()), ("http://one:1/", "n"));
        let given = ConnectOptions { address: Some("two:2".into()), ..options(&env) };
        assert_eq!(load(&given).unwrap().0.target.as_str(), "http://two:2/");
        let (target, namespace) = load(&options(&[])).unwrap();
        assert_eq!(
            (target.target.as_str(), namespace.as_str()),
            ("http://localhost:7233/", "default")
        );
        let (target, _) =
            load(&options(&[("TEMPORAL_API_KEY", "k"), ("TEMPORAL_ADDRESS", "c:7233")])).unwrap();
        assert_eq!(target.target.scheme(), "https");
    }

    #[test]
    fn options_do_not_show_the_values_of_variables() {
        let shown = format!("{:?}", options(&[("TEMPORAL_API_KEY", "hush")]));
        assert!(shown.contains("TEMPORAL_API_KEY") && !shown.contains("hush"), "{shown}");
    }
}
