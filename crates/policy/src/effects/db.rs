//! Database clients: the statements they are given, and the tools that drop or reset.

use crate::effect::EffectKind;
use crate::eval::{Arg, Eval, Flow, Shell};

use super::opts::{Opts, raw};
use super::sql;

// Clients and the options that hold a statement.
const SQL_CLIENTS: &[(&str, &[&str])] = &[
    ("psql", &["-c", "--command"]),
    ("mysql", &["-e", "--execute"]),
    ("mariadb", &["-e", "--execute"]),
    ("sqlite3", &["-cmd"]),
    ("sqlite", &["-cmd"]),
    ("cockroach", &["-e", "--execute"]),
    ("clickhouse-client", &["-q", "--query"]),
    ("clickhouse", &["-q", "--query"]),
    ("duckdb", &["-c", "-s"]),
    ("sqlcmd", &["-Q", "-q"]),
    ("snowsql", &["-q", "--query"]),
    ("snow", &["-q", "--query"]),
    ("cqlsh", &["-e", "--execute"]),
    ("hive", &["-e"]),
    ("beeline", &["-e"]),
    ("impala-shell", &["-q", "--query"]),
    ("presto", &["--execute"]),
    ("trino", &["--execute"]),
    ("spark-sql", &["-e"]),
    ("bq", &["--query"]),
    ("isql", &[]),
    ("usql", &["-c"]),
    ("pgcli", &["-c"]),
    ("mycli", &["-e", "--execute"]),
    ("litecli", &["-e", "--execute"]),
    ("ysqlsh", &["-c"]),
    ("vsql", &["-c"]),
    ("influx", &["-execute"]),
    ("sqlplus", &[]),
    ("turso", &[]),
    ("mysqlsh", &["-e", "--execute"]),
    ("fly", &["-c"]),
    ("osqueryi", &[]),
    ("psycopg", &["-c"]),
    ("tsql", &[]),
    ("nzsql", &["-c"]),
    ("gsql", &["-c"]),
    ("edgedb", &["-c"]),
];

pub(super) fn run(
    eval: &mut Eval<'_>,
    shell: &mut Shell,
    name: &str,
    args: &[Arg],
    stdin: &Flow,
) -> bool {
    if let Some((_, options)) = SQL_CLIENTS.iter().find(|(client, _)| *client == name) {
        client(eval, shell, name, options, args, stdin);
        return !matches!(name, "fly" | "snow" | "turso" | "bq" | "cockroach" | "influx");
    }
    match name {
        "redis-cli" | "valkey-cli" | "keydb-cli" => redis(eval, shell, args, stdin),
        "mongosh" | "mongo" => mongo(eval, args, stdin),
        "dropdb" | "dropuser" | "pg_dropcluster" => drop(eval, name, args),
        "mysqladmin" | "mariadb-admin" => {
            if raw(args, &["drop", "flush-privileges", "shutdown", "password", "reset-master"]) {
                drop(eval, name, args);
            }
        }
        "pg_restore" | "mongorestore" => {
            if raw(args, &["--clean", "-c", "--drop"]) {
                drop(eval, name, args);
            }
        }
        "pg_resetwal" | "pg_ctl" | "pg_resetxlog" => {
            if name != "pg_ctl" || raw(args, &["-m", "immediate"]) && raw(args, &["stop"]) {
                drop(eval, name, args);
            }
        }
        "rails" | "rake" | "bin/rails" => rails(eval, args),
        "prisma" | "sequelize" | "sequelize-cli" | "knex" | "typeorm" | "drizzle-kit"
        | "artisan" | "alembic" | "flyway" | "liquibase" | "dbmate" | "migrate" | "goose"
        | "sqlx" | "diesel" | "mix" | "flask" | "manage.py" | "django-admin" | "doctrine"
        | "hasura" | "atlas" | "sqitch" => {
            migrations(eval, name, args);
        }
        "memcached-tool" | "etcdctl" | "consul" | "nodetool" | "kafka-topics"
        | "kafka-topics.sh" | "rabbitmqctl" | "rabbitmqadmin" | "nats" | "pulsar-admin"
        | "zkCli.sh" | "cassandra-cli" | "curator_cli" | "hdfs" | "hadoop" | "hbase" => {
            brokers(eval, name, args, stdin);
        }
        _ => return false,
    }
    true
}

fn drop(eval: &mut Eval<'_>, name: &str, args: &[Arg]) {
    if raw(args, &["--dry-run", "--help"]) {
        return;
    }
    let target = args.last().map_or("", |a| a.text.as_str());
    eval.push(EffectKind::DbStatement, "drop", &format!("{name} {target}"));
}

fn client(
    eval: &mut Eval<'_>,
    shell: &mut Shell,
    name: &str,
    options: &[&str],
    args: &[Arg],
    stdin: &Flow,
) {
    let mut takes: Vec<&str> = options.to_vec();
    takes.extend([
        "-h",
        "-U",
        "-p",
        "-d",
        "-u",
        "-P",
        "-f",
        "--file",
        "-v",
        "-o",
        "-S",
        "-D",
        "--host",
        "--user",
        "--port",
        "--url",
        "--database",
    ]);
    if matches!(name, "mysql" | "mariadb") {
        takes.retain(|t| *t != "-p" && *t != "-v" && *t != "-f" && *t != "-U");
    }
    let opts = Opts::scan(args, &takes);
    let mut texts: Vec<Arg> = opts.all(options).cloned().collect();
    // Clients that take the statement as a word.
    if matches!(
        name,
        "sqlite3" | "sqlite" | "bq" | "duckdb" | "turso" | "snow" | "osqueryi" | "cockroach"
    ) {
        texts.extend(
            opts.words
                .iter()
                .filter(|w| w.text.contains(' ') || w.text.starts_with('.'))
                .map(|w| (*w).clone()),
        );
    }
    if name == "clickhouse" || name == "bq" {
        texts.retain(|t| t.text.contains(' '));
    }
    for text in texts {
        if super::interp::is_opaque(&text) {
            eval.push_at(EffectKind::DbStatement, "opaque", "", text.span);
        }
        eval.at(text.span, |eval| sql::statements(eval, &text.text));
    }
    let files: Vec<Arg> = opts.all(&["-f", "--file"]).cloned().collect();
    for file in files {
        let flow = super::read_file(eval, shell, &file);
        match flow.known() {
            Some(text) => {
                let text = text.to_owned();
                sql::statements(eval, &text);
            }
            None if file.text != "-" => eval.unseen(&format!("statements in {}", file.text)),
            None => {}
        }
    }
    if name == "psql" && opts.has(&["-l", "--list"]) {
        return;
    }
    match stdin.known() {
        Some(text) => {
            let text = text.to_owned();
            sql::statements(eval, &text);
        }
        None if stdin.text.is_none() => eval.unseen(&format!("statements read by {name}")),
        None => {}
    }
}

fn redis(eval: &mut Eval<'_>, shell: &mut Shell, args: &[Arg], stdin: &Flow) {
    let opts = Opts::scan(
        args,
        &[
            "-h",
            "-p",
            "-a",
            "-n",
            "-u",
            "-s",
            "-r",
            "-i",
            "--user",
            "--pass",
            "-d",
            "--sni",
            "--cacert",
            "--cert",
            "--key",
            "--pattern",
            "--eval",
            "-x-",
        ],
    );
    if let Some(script) = opts.value(&["--eval"]).cloned() {
        let flow = super::read_file(eval, shell, &script);
        let text = flow.known().unwrap_or_default().to_ascii_uppercase();
        if text.contains("FLUSHALL") || text.contains("FLUSHDB") {
            eval.push_at(EffectKind::DbStatement, "flush", "a script", script.span);
        }
    }
    let line: Vec<&str> = opts.words.iter().map(|w| w.text.as_str()).collect();
    redis_line(eval, &line.join(" "));
    if let Some(text) = stdin.known().map(str::to_owned) {
        for line in text.lines().take(64) {
            redis_line(eval, line);
        }
    }
}

fn redis_line(eval: &mut Eval<'_>, line: &str) {
    let upper = line.trim().to_ascii_uppercase();
    let words: Vec<&str> = upper.split_whitespace().collect();
    let class = match words.as_slice() {
        ["FLUSHALL" | "FLUSHDB", ..] => "flush",
        ["SHUTDOWN", ..]
        | ["DEBUG", "SEGFAULT", ..]
        | ["CLUSTER", "RESET", ..]
        | ["SCRIPT", "FLUSH", ..]
            if words.first() != Some(&"SCRIPT") =>
        {
            "flush"
        }
        ["CONFIG", "SET", ..]
        | ["MODULE", "LOAD", ..]
        | ["SLAVEOF" | "REPLICAOF", ..]
        | ["ACL", "SETUSER", ..]
        | ["CONFIG", "REWRITE"] => "admin",
        ["EVAL", rest @ ..]
            if rest.iter().any(|w| w.contains("FLUSHALL") || w.contains("FLUSHDB")) =>
        {
            "flush"
        }
        ["DEL" | "UNLINK", rest @ ..] if rest.contains(&"*") => "flush",
        ["DEL" | "UNLINK", key, ..] if crate::eval::is_unknown(key) => "opaque",
        ["DEL" | "UNLINK", ..] => "bounded",
        _ => return,
    };
    eval.push(EffectKind::DbStatement, class, line);
}

fn mongo(eval: &mut Eval<'_>, args: &[Arg], stdin: &Flow) {
    let opts = Opts::scan(
        args,
        &[
            "--eval",
            "-u",
            "-p",
            "--host",
            "--port",
            "--username",
            "--password",
            "--authenticationDatabase",
        ],
    );
    let mut texts: Vec<String> = opts.all(&["--eval"]).map(|a| a.text.clone()).collect();
    texts.extend(stdin.known().map(str::to_owned));
    for text in texts {
        mongo_text(eval, &text);
    }
}

/// What `MongoDB` shell code does.
pub(super) fn mongo_text(eval: &mut Eval<'_>, text: &str) {
    let plain: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let calls = |name: &str| plain.contains(&format!(".{name}("));
    let empty_filter = |name: &str| {
        plain.contains(&format!(".{name}({{}})"))
            || plain.contains(&format!(".{name}()"))
            || plain.contains(&format!(".{name}({{}},"))
    };
    let class = if calls("dropDatabase")
        || calls("drop")
        || calls("dropAllUsers")
        || plain.contains("dropDatabase:1")
    {
        "drop"
    } else if empty_filter("deleteMany") || empty_filter("remove") || empty_filter("updateMany") {
        "unbounded"
    } else if calls("shutdownServer")
        || calls("dropUser")
        || calls("createUser")
        || calls("grantRolesToUser")
    {
        "admin"
    } else {
        return;
    };
    eval.push(EffectKind::DbStatement, class, text);
}

fn rails(eval: &mut Eval<'_>, args: &[Arg]) {
    for arg in args.iter().skip(1) {
        if matches!(
            arg.text.as_str(),
            "db:drop"
                | "db:reset"
                | "db:purge"
                | "db:drop:all"
                | "db:migrate:reset"
                | "db:schema:load"
                | "db:setup"
                | "db:truncate_all"
                | "db:drop:_unsafe"
        ) {
            eval.push_at(EffectKind::DbStatement, "drop", &arg.text, arg.span);
        }
    }
}

fn migrations(eval: &mut Eval<'_>, name: &str, args: &[Arg]) {
    let text = |at: usize| args.get(at).map_or("", |a| a.text.as_str());
    let drops = match name {
        "prisma" => {
            text(1) == "migrate" && text(2) == "reset"
                || text(1) == "db"
                    && text(2) == "push"
                    && raw(args, &["--force-reset", "--accept-data-loss"])
        }
        "sequelize" | "sequelize-cli" => raw(args, &["db:drop", "db:migrate:undo:all"]),
        "knex" => raw(args, &["migrate:rollback"]) && raw(args, &["--all"]),
        "typeorm" => raw(args, &["schema:drop"]),
        "artisan" => raw(args, &["migrate:fresh", "migrate:reset", "migrate:refresh", "db:wipe"]),
        "alembic" => text(1) == "downgrade" && text(2) == "base",
        "flyway" => raw(args, &["clean"]),
        "liquibase" => raw(args, &["dropAll", "drop-all", "rollback"]),
        "dbmate" | "sqlx" | "diesel" | "migrate" | "goose" => {
            raw(args, &["drop", "reset"]) || text(1) == "database" && raw(args, &["drop", "reset"])
        }
        "mix" => raw(args, &["ecto.drop", "ecto.reset"]),
        "flask" => raw(args, &["downgrade"]) && raw(args, &["base"]),
        "doctrine" => raw(args, &["orm:schema-tool:drop", "doctrine:database:drop"]),
        "atlas" => text(1) == "schema" && text(2) == "clean",
        "hasura" | "drizzle-kit" => raw(args, &["drop"]),
        "sqitch" => raw(args, &["revert"]),
        "manage.py" | "django-admin" => {
            matches!(text(1), "flush" | "reset_db" | "drop_db" | "sqlreset" | "clean_db")
        }
        _ => false,
    };
    if drops {
        drop(eval, name, args);
    }
    if name == "prisma" && text(1) == "migrate" && text(2) == "deploy" {
        eval.push(EffectKind::Deploy, "apply", "prisma migrate deploy");
    }
}

fn brokers(eval: &mut Eval<'_>, name: &str, args: &[Arg], stdin: &Flow) {
    let words: Vec<&str> = args.iter().map(|a| a.text.as_str()).collect();
    let text = words.join(" ");
    let drops = match name {
        "etcdctl" => {
            raw(args, &["del"]) && raw(args, &["--prefix", "--from-key", "\"\"", ""])
                || text.contains("member remove")
        }
        "consul" => text.contains("kv delete") && raw(args, &["-recurse"]),
        "nodetool" => raw(args, &["decommission", "removenode", "clearsnapshot", "assassinate"]),
        "kafka-topics" | "kafka-topics.sh" => raw(args, &["--delete"]),
        "rabbitmqctl" => raw(
            args,
            &["reset", "force_reset", "delete_vhost", "delete_queue", "purge_queue", "stop_app"],
        ),
        "rabbitmqadmin" => raw(args, &["delete", "purge"]),
        "nats" => raw(args, &["purge", "rm", "delete"]),
        "pulsar-admin" => raw(args, &["delete", "delete-partitioned-topic"]),
        "zkCli.sh" => raw(args, &["deleteall", "rmr"]),
        "memcached-tool" => raw(args, &["flush_all"]),
        "hdfs" | "hadoop" => {
            raw(args, &["-rm", "-rmr", "-format", "-expunge"])
                && (raw(args, &["-r", "-R", "-rmr", "-format", "-skipTrash"]))
        }
        "hbase" => stdin.known().is_some_and(|t| t.contains("drop ") || t.contains("truncate")),
        "curator_cli" => raw(args, &["delete_indices"]),
        _ => false,
    };
    if drops {
        drop(eval, name, args);
    }
}
