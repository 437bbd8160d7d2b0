//! `burin-hub serve`: from a folder to a listening hub.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use serde::{Deserialize, Serialize};

use crate::admin::auth;
use crate::certificate::{self, Tls};
use crate::cli::ServeArgs;
use crate::db::people::PersonRow;
use crate::db::{self, Db, accounts, audit, owner};
use crate::files::{self, Readers};
use crate::heartbeats::{Census, Heartbeats};
use crate::isos::Isos;
use crate::keys::HubKeys;
use crate::limit::Limits;
use crate::nonce::Nonces;
use crate::people::code::SeedKey;
use crate::people::guard::Guard;
use crate::people::oidc::Provider;
use crate::people::{Permission, Role, password};
use crate::refusals::Refusals;
use crate::routes::{Access, Route, Routes};
use crate::secret::{Secret, random_text};
use crate::state::{Hub, Settings};
use crate::vault::{self, Vault};
use crate::{
    admin, clock, folder, host_api, listen, lost, metrics, people, public_url, web, webhook,
};

/// Beside the database: how a client on the same machine reaches the hub, with an API key. 0600.
pub(crate) const ADMIN_FILE: &str = "admin.json";
/// The person whom the first start makes, and who always may log in with a password.
pub(crate) const ADMIN: &str = "admin";
/// How long running requests may take to end when the hub stops; a long poll takes 25 s.
const STOP_WITHIN: Duration = Duration::from_secs(3);

/// What is printed once when the hub is ready.
#[derive(Debug, Clone, Serialize)]
pub struct Ready {
    /// Where hosts reach it.
    pub url: String,
    /// Where it listens.
    pub listen: SocketAddr,
    /// The data folder, when this start made a new hub in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_hub_in: Option<PathBuf>,
    /// Only at the first start: nobody can read it again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_password: Option<Secret>,
    /// SHA-256 of the certificate of the hub's authority, hex.
    pub fingerprint: String,
    /// What hosts pin: `burin.hub.root` of user-data.
    pub root: String,
    /// The root key lies beside the database.
    pub unprotected: bool,
    /// File with the authority's certificate.
    pub ca: PathBuf,
    /// Why hosts will not reach it, perhaps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// Contents of [`ADMIN_FILE`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AdminFile {
    pub(crate) url: String,
    pub(crate) api_key: Secret,
    pub(crate) ca: String,
}

/// A hub that listens.
#[derive(Debug)]
pub struct Running {
    /// What to tell whoever started it.
    pub ready: Ready,
    handle: axum_server::Handle<SocketAddr>,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
    /// Tells the webhook; none without one.
    teller: Option<tokio::task::JoinHandle<()>>,
    db: Db,
    /// Held as long as the hub runs.
    _lock: std::fs::File,
}

impl Running {
    /// Waits until the hub ends by itself, or ends it.
    ///
    /// # Errors
    /// What the listener says.
    pub async fn until(mut self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        tokio::select! {
            ended = &mut self.task => {
                ended.context("serving")?.context("serving")?;
            }
            () = stop => {
                self.handle.graceful_shutdown(Some(STOP_WITHIN));
                self.task.await.context("stopping")?.context("stopping")?;
            }
        }
        if let Some(teller) = self.teller {
            teller.abort();
        }
        self.db.close().await;
        Ok(())
    }
}

/// Every route of the hub.
pub fn route_list() -> Vec<Route> {
    all_routes()
        .into_iter()
        .flat_map(|routes| routes.list)
        .collect()
}

fn all_routes() -> [Routes; 6] {
    let health = Routes::new(Access::Open)
        .add("GET", "/health", get(async || "ok\n"))
        .asking(Access::Api(Permission::See))
        .add("GET", "/metrics", get(metrics::show));
    [
        health,
        host_api::routes(),
        admin::open_routes(),
        admin::routes(),
        web::login_routes(),
        web::routes(),
    ]
}

fn router(hub: &Arc<Hub>) -> Router {
    let mut router = Router::new();
    let mut list = Vec::new();
    for routes in all_routes() {
        router = router.merge(routes.router);
        list.extend(routes.list);
    }
    let guard = Guard::new(hub.clone(), list);
    router
        .route_layer(from_fn_with_state(guard, people::guard::guard))
        .fallback(web::missing)
        .layer(from_fn_with_state(hub.clone(), web::frame))
        .with_state(hub.clone())
}

/// Creates what is missing, opens everything, listens.
///
/// # Errors
/// A folder that cannot be written, a damaged key, an address in use; each says which.
pub async fn start(args: &ServeArgs) -> anyhow::Result<Running> {
    let folder = &args.data;
    folder::take(folder, &args.database)?;
    let lock = lock(folder)?;
    let isos = Isos::open(&args.iso)?;
    let (listener, listen) = listen_on(args.listen)?;
    // Before the keys: keys without a database are those of a hub that lost it.
    let db = Db::open(&args.database).await?;
    let keys = HubKeys::load_or_create(folder)?;
    own(&db, &keys, folder).await?;
    let (url, warning) = public_url::decide(&db, args.public_url.as_deref(), listen).await?;
    let tls = tls(args, &url, listen)?;
    let admin_password = first_admin(&db).await?;
    write_admin_file(&db, folder, listen, &tls).await?;

    let new_secrets = admin_password.is_none() && !folder.join(vault::FILE).exists();
    let seed_key = SeedKey::load_or_create(folder)?;
    let vault = Vault::load_or_create(folder)?;
    lost::warn(&db, &seed_key, &vault, new_secrets).await?;

    let ready = Ready {
        url: url.clone(),
        listen,
        new_hub_in: admin_password.as_ref().map(|_| folder.clone()),
        admin_password,
        fingerprint: tls.fingerprint.clone(),
        root: keys.pin.clone(),
        unprotected: keys.root.unprotected,
        ca: folder.join(certificate::CA),
        warning,
    };
    let hub = Arc::new(Hub {
        db: db.clone(),
        nonces: Nonces::beside(&db, &keys)?,
        keys,
        heartbeats: Heartbeats::start(db.clone()),
        refusals: Refusals::start(db.clone()),
        census: Census::default(),
        limits: Limits::new(args.interval),
        oidc: Provider::of(&args.people.oidc, &url)?,
        settings: settings(args, url),
        ca_pem: tls.ca_pem.clone(),
        started_at: clock::now_ms(),
        changed: tokio::sync::watch::Sender::new(0),
        isos,
        seed_key,
        vault,
        matchers: tokio::sync::watch::Sender::new(0),
        hashing: tokio::sync::Semaphore::new(2),
    });
    let teller = webhook::start(&hub, args.webhook.as_deref(), folder)?;
    let handle = axum_server::Handle::new();
    let task = listen::listen(listener, tls, router(&hub), args.patience, handle.clone()).await?;
    Ok(Running {
        ready,
        handle,
        task,
        teller,
        db,
        _lock: lock,
    })
}

fn settings(args: &ServeArgs, public_url: String) -> Settings {
    Settings {
        admins_need_codes: args.people.admins_need_codes(&public_url),
        public_url,
        replace_after: args.replace_after.0,
        interval: args.interval,
        rekey_after: args.rekey_after.0,
        claims_without_number: args.claims_without_number,
        local_accounts: !args.people.oidc.no_local_accounts,
    }
}

/// A listener, and the address that it got.
fn listen_on(address: SocketAddr) -> anyhow::Result<(std::net::TcpListener, SocketAddr)> {
    let listener = std::net::TcpListener::bind(address).map_err(|err| {
        let advice = match err.kind() {
            std::io::ErrorKind::AddrInUse => {
                "; another program listens there: end it, or give another --listen"
            }
            std::io::ErrorKind::PermissionDenied => {
                "; ports below 1024 are for root: give another --listen"
            }
            std::io::ErrorKind::AddrNotAvailable => "; this machine has no such address",
            _ => "",
        };
        anyhow::anyhow!("listening on {address}: {err}{advice}")
    })?;
    listener
        .set_nonblocking(true)
        .context("preparing the listener")?;
    let listen = listener
        .local_addr()
        .context("asking for the own address")?;
    Ok((listener, listen))
}

fn tls(args: &ServeArgs, url: &str, listen: SocketAddr) -> anyhow::Result<Tls> {
    match (&args.tls_cert, &args.tls_key) {
        (Some(cert), Some(key)) => certificate::given(cert, key),
        _ => certificate::load_or_create(&args.data, &certificate::names(url, listen)?),
    }
}

/// Two hubs on one folder would each take the nonces and limits of its own for the whole truth.
fn lock(folder: &Path) -> anyhow::Result<std::fs::File> {
    let path = folder.join("lock");
    let file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(&path)
        .with_context(|| format!("opening {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            anyhow::bail!("another hub runs in {}; stop it first", folder.display())
        }
        Err(std::fs::TryLockError::Error(err)) => {
            Err(err).with_context(|| format!("locking {}", path.display()))
        }
    }
}

/// A hub whose keys the hosts of this database do not know could only confuse them.
async fn own(db: &Db, keys: &HubKeys, folder: &Path) -> anyhow::Result<()> {
    let mut tx = db.begin().await?;
    let owner = owner::claim(&mut tx, &keys.root.hub_id).await?;
    tx.commit().await?;
    anyhow::ensure!(
        owner == keys.root.hub_id,
        "the database belongs to the hub {owner}, and {} holds the keys of the hub {}; copy the \
         data folder of a hub that uses this database, or name another database",
        folder.display(),
        keys.root.hub_id
    );
    Ok(())
}

/// Makes the admin at the first start and returns the password, which is kept as a hash only.
async fn first_admin(db: &Db) -> anyhow::Result<Option<Secret>> {
    let mut tx = db.begin().await?;
    if db::people::get(&mut tx, ADMIN).await?.is_some() {
        return Ok(None);
    }
    let now = clock::now_ms();
    let first = random_text()?;
    let row = PersonRow {
        name: ADMIN.to_owned(),
        role: Role::Admin.name().to_owned(),
        password: password::hash(&first)?,
        must_change: 1,
        totp: None,
        created_at: now,
        disabled_at: None,
        issuer: None,
        subject: None,
    };
    db::people::insert(&mut tx, &row).await?;
    audit::record(&mut tx, "serve", "person.add", "admin admin", now).await?;
    tx.commit().await?;
    Ok(Some(Secret::new(first)))
}

/// Writes how a client beside the data folder reaches the hub; keeps the API key it already has.
async fn write_admin_file(
    db: &Db,
    folder: &Path,
    listen: SocketAddr,
    tls: &Tls,
) -> anyhow::Result<()> {
    let path = folder.join(ADMIN_FILE);
    let old: Option<AdminFile> = match files::read(&path)? {
        Some(bytes) => serde_json::from_slice(&bytes).ok(),
        None => None,
    };
    let api_key = match old {
        Some(old) if is_known(db, &old.api_key).await? => old.api_key,
        _ => {
            let mut tx = db.begin().await?;
            let now = clock::now_ms();
            let (id, key) = auth::new_api_key(&mut tx, ADMIN_FILE, Role::Admin, now).await?;
            let object = format!("{id} {} {ADMIN_FILE}", Role::Admin.name());
            audit::record(&mut tx, "serve", "api-key.create", &object, now).await?;
            tx.commit().await?;
            key
        }
    };
    let mut address = listen;
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let file = AdminFile {
        url: format!("https://{address}"),
        api_key,
        ca: tls.ca_pem.clone(),
    };
    files::replace(&path, &serde_json::to_vec_pretty(&file)?, Readers::Owner)
}

async fn is_known(db: &Db, key: &Secret) -> anyhow::Result<bool> {
    let hash = crate::secret::sha256(key.reveal().as_bytes());
    Ok(accounts::api_key(db, &hash).await?.is_some())
}
