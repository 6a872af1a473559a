//! Names of environment variables that hold secrets.

/// Words that make a name a secret's, wherever they stand in it.
const SECRET: &[&str] = &[
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "PASSCODE",
    "SECRET",
    "TOKEN",
    "CREDENTIAL",
    "APIKEY",
    "ACCESSKEY",
    "PRIVATEKEY",
    "CONNECTIONSTRING",
    "CONNECTION_STRING",
];

/// Parts that make a name a secret's if they end it.
const LAST: &[&str] = &[
    "KEY",
    "KEYS",
    "PASS",
    "PWD",
    "PW",
    "PAT",
    "AUTH",
    "DSN",
    "COOKIE",
    "SESSION",
    "SALT",
    "CREDS",
    "CRED",
    "JWT",
    "PEM",
    "SIGNATURE",
    "WEBHOOK",
];

/// Last parts that make it none: where a secret lies or what it is called, not the secret.
const HARMLESS: &[&str] = &[
    "PATH",
    "FILE",
    "NAME",
    "DIR",
    "TTL",
    "EXPIRY",
    "EXPIRES",
    "EXPIRATION",
    "TIMEOUT",
    "SOCK",
    "TYPE",
    "POLICY",
    "ENABLED",
    "LENGTH",
    "MAX",
    "MIN",
    "LIMIT",
    "COUNT",
    "PREFIX",
    "HEADER",
    "FIELD",
    "ARN",
    "REGION",
    "PORT",
    "HOST",
    "ALGORITHM",
    "PROVIDER",
    "ISSUER",
    "AUDIENCE",
];

/// Last two parts that make it none.
const PUBLIC: &[&str] =
    &["PUBLIC_KEY", "PUBLISHABLE_KEY", "PRIMARY_KEY", "FOREIGN_KEY", "HOST_KEY"];

/// Whether an environment variable of this name is taken for a secret: its value is then
/// masked in all output. `OLDPWD`, `PWD` and `SSH_AUTH_SOCK` are none.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase().replace(['-', '.'], "_");
    let last = name.rsplit('_').next().unwrap_or_default();
    if name == "PWD" || name == "OLDPWD" || HARMLESS.contains(&last) {
        return false;
    }
    if PUBLIC.iter().any(|public| name.ends_with(public)) {
        return false;
    }
    SECRET.iter().any(|word| name.contains(word))
        || LAST.contains(&last)
        || name.ends_with("APIKEY")
        || (last.ends_with("PASS") && !last.ends_with("BYPASS") && !last.ends_with("COMPASS"))
}
