//! A PostgreSQL server of this test program's own, in a temporary folder behind a Unix socket: it
//! ends and its folder goes when the program ends, however that happens.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{Connection as _, Executor as _, PgConnection};

/// Whoever calls itself `person` must know the password; all others are believed.
const ACCESS: &str = "local all person scram-sha-256\nlocal all all trust\n";
/// What `person` must know.
pub(crate) const PASSWORD: &str = "canary-of-the-database";

/// Makes the server, says `ready`, and waits until the other end of its input is gone.
const LIFE: &str = r#"
trap '' INT TERM HUP
cd "$2" || exit 1
{ "$1/initdb" --pgdata=data --username=postgres --auth=trust --no-locale --encoding=UTF8 --no-sync &&
    cp pg_hba.conf data/pg_hba.conf &&
    "$1/pg_ctl" start -w -t 120 -D data -l server.log \
        -o "-k '$2' -c listen_addresses= -c fsync=off -c max_connections=400"
} >start.log 2>&1 </dev/null && echo ready || cat start.log server.log
read -r _
"$1/pg_ctl" stop -m immediate -D data >/dev/null 2>&1
rm -rf "$2"
"#;

struct Server {
    folder: PathBuf,
    /// Its input stays open as long as this program lives.
    _life: Child,
}

static SERVER: OnceLock<Server> = OnceLock::new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// Where the newest installed version keeps its programs.
pub(crate) fn programs() -> PathBuf {
    let all = std::fs::read_dir("/usr/lib/postgresql").map(|folders| {
        folders
            .filter_map(|folder| folder.ok()?.file_name().to_str()?.parse::<u32>().ok())
            .max()
    });
    match all {
        Ok(Some(newest)) => PathBuf::from(format!("/usr/lib/postgresql/{newest}/bin")),
        Ok(None) | Err(_) => panic!(
            "the tests need PostgreSQL's server: install the package `postgresql` \
             (nothing is in /usr/lib/postgresql)"
        ),
    }
}

/// The URL of a new, empty database.
pub(crate) async fn database() -> String {
    encoded("UTF8").await
}

/// One that keeps text in an encoding of one's choice.
pub(crate) async fn encoded(encoding: &str) -> String {
    let number = DATABASES.fetch_add(1, Ordering::Relaxed);
    let name = format!("hub_{number}");
    let server = SERVER.get_or_init(start);
    let mut admin = PgConnection::connect(&server.url("postgres", "postgres"))
        .await
        .unwrap();
    // The name is made of a number, so nothing needs quoting.
    let text = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}'");
    admin
        .execute(sqlx::raw_sql(sqlx::AssertSqlSafe(text)))
        .await
        .unwrap();
    server.url("postgres", &name)
}

/// The same database for somebody who needs a password.
pub(crate) async fn as_person(url: &str, password: &str) -> String {
    let mut admin = PgConnection::connect(url).await.unwrap();
    let text = format!(
        "DO $$ BEGIN CREATE ROLE person SUPERUSER LOGIN PASSWORD '{PASSWORD}'; \
         EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
    );
    admin
        .execute(sqlx::raw_sql(sqlx::AssertSqlSafe(text)))
        .await
        .unwrap();
    url.replace("//postgres@", &format!("//person:{password}@"))
}

impl Server {
    fn url(&self, user: &str, database: &str) -> String {
        let socket = self.folder.display().to_string().replace('/', "%2F");
        format!("postgres://{user}@{socket}/{database}")
    }
}

fn start() -> Server {
    let folder = tempfile::Builder::new()
        .prefix("burin-postgres-")
        .tempdir_in("/tmp")
        .unwrap()
        .keep();
    std::fs::write(folder.join("pg_hba.conf"), ACCESS).unwrap();
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", LIFE, "sh"])
        .arg(programs())
        .arg(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    if let Some((user, group)) = somebody_else() {
        chown(&folder, Some(user), Some(group)).unwrap();
        command.uid(user).gid(group);
    }
    let mut life = command.spawn().unwrap();
    let mut said = String::new();
    let mut out = BufReader::new(life.stdout.take().unwrap());
    out.read_line(&mut said).unwrap();
    if said.trim() != "ready" {
        drop(life.stdin.take());
        std::io::Read::read_to_string(&mut out, &mut said).unwrap();
        panic!("PostgreSQL did not start: {said}");
    }
    Server {
        folder,
        _life: life,
    }
}

/// The server refuses to run as root: then it runs as the user that its package made.
fn somebody_else() -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt as _;
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        return None;
    }
    let users = std::fs::read_to_string(Path::new("/etc/passwd")).unwrap();
    let line = users.lines().find(|line| line.starts_with("postgres:"));
    let mut fields = line
        .expect("the package `postgresql` makes a user postgres")
        .split(':');
    let mut number = |skip| fields.nth(skip).unwrap().parse().unwrap();
    Some((number(2), number(0)))
}
