//! A real identity provider: Debian's glewlwyd, in a folder of its own, set up by its API.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _};
use tokio::process::{Child, Command};

/// The hub's secret at this provider.
pub(crate) const SECRET: &str = "canary-of-the-client";
/// What the package makes its tables with.
const TABLES: &str = "/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3";

pub(crate) struct Glewlwyd {
    pub(crate) issuer: String,
    url: String,
    admin: Visitor,
    _folder: tempfile::TempDir,
    _program: Child,
}

/// Somebody's browser at the provider: one cookie.
pub(crate) struct Visitor {
    http: reqwest::Client,
    cookie: String,
}

impl Visitor {
    fn new() -> Self {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        let cookie = String::new();
        Self { http, cookie }
    }

    async fn ask(&mut self, method: &str, url: &str, body: Option<Value>) -> reqwest::Response {
        let mut request = self.http.request(method.parse().unwrap(), url);
        request = request.header("cookie", &self.cookie);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        if let Some(cookie) = answer.headers().get("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            cookie
                .split(';')
                .next()
                .unwrap()
                .clone_into(&mut self.cookie);
        }
        answer
    }

    async fn must(&mut self, method: &str, url: &str, body: Option<Value>) -> String {
        let answer = self.ask(method, url, body).await;
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{method} {url}: {status} {text}");
        text
    }
}

impl Glewlwyd {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tables = std::fs::read_to_string(TABLES)
            .unwrap_or_else(|err| panic!("the test needs the package `glewlwyd`: {TABLES}: {err}"));
        let database = folder.path().join("db");
        sqlx::any::install_default_drivers();
        let place = format!("sqlite://{}?mode=rwc", database.display());
        let mut conn = sqlx::AnyConnection::connect(&place).await.unwrap();
        conn.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(tables)))
            .await
            .unwrap();
        conn.close().await.unwrap();
        // It takes no port 0.
        let port = burin_ports::free().unwrap();
        let url = format!("http://127.0.0.1:{port}");
        let program = run(folder.path(), &url, port).await;
        let mut glewlwyd = Self {
            issuer: format!("{url}/api/oidc"),
            url,
            admin: Visitor::new(),
            _folder: folder,
            _program: program.expect("glewlwyd ended at once"),
        };
        glewlwyd.set_up().await;
        glewlwyd
    }

    async fn set_up(&mut self) {
        let api = format!("{}/api", self.url);
        let login = json!({ "username": "admin", "password": "password" });
        self.admin
            .must("POST", &format!("{api}/auth/"), Some(login))
            .await;
        let key = rcgen::KeyPair::generate().unwrap();
        let off = [
            "allow-non-oidc",
            "auth-type-client-enabled",
            "auth-type-device-enabled",
            "auth-type-implicit-enabled",
            "auth-type-none-enabled",
            "auth-type-password-enabled",
            "auth-type-refresh-enabled",
            "auth-type-token-enabled",
            "pkce-method-plain-allowed",
        ];
        let mut parameters = json!({
            "iss": self.issuer, "jwt-type": "ecdsa", "jwt-key-size": "256",
            "key": key.serialize_pem(), "cert": key.public_key_pem(),
            "access-token-duration": 600, "refresh-token-duration": 600, "code-duration": 600,
            "auth-type-code-enabled": true, "auth-type-code-revoke-replayed": true,
            "auth-type-id-token-enabled": true, "pkce-allowed": true, "pkce-required": true,
            "subject-type": "public", "scope": [], "jwks-show": true,
            "restrict-scope-client-property": "", "name-claim": "mandatory", "email-claim": "no",
            "claims": [{ "name": "groups", "user-property": "groups", "type": "string",
                         "mandatory": true, "on-demand": false, "scope": [] }],
        });
        for name in off {
            parameters[name] = json!(false);
        }
        let plugin = json!({ "module": "oidc", "name": "oidc", "display_name": "oidc",
                             "parameters": parameters });
        let url = format!("{api}/mod/plugin/");
        self.admin.must("POST", &url, Some(plugin)).await;
        let users = format!("{api}/mod/user/database");
        let text = self.admin.must("GET", &users, None).await;
        let mut module: Value = serde_json::from_str(&text).unwrap();
        module["parameters"]["data-format"]["groups"] = json!({ "multiple": true, "read": true,
            "write": true, "profile-read": true, "profile-write": false });
        self.admin.must("PUT", &users, Some(module)).await;
        self.admin
            .must("PUT", &format!("{users}/reset"), None)
            .await;
    }

    /// Makes the hub known to the provider as `hub`.
    pub(crate) async fn add_hub(&mut self, redirect: &str) {
        let client = json!({ "client_id": "hub", "name": "hub", "confidential": true,
            "password": SECRET, "enabled": true, "redirect_uri": [redirect],
            "authorization_type": ["code"], "scope": ["openid"],
            "token_endpoint_auth_method": ["client_secret_basic"] });
        let url = format!("{}/api/client/?source=database", self.url);
        self.admin.must("POST", &url, Some(client)).await;
    }

    pub(crate) async fn add_person(&mut self, name: &str, password: &str, groups: &[&str]) {
        let person = json!({ "username": name, "name": name, "password": password,
            "enabled": true, "scope": ["openid"], "groups": groups });
        let url = format!("{}/api/user/?source=database", self.url);
        self.admin.must("POST", &url, Some(person)).await;
    }

    /// Somebody who is logged in there and lets the hub know.
    pub(crate) async fn visitor(&self, name: &str, password: &str) -> Visitor {
        let mut visitor = Visitor::new();
        let login = json!({ "username": name, "password": password });
        visitor
            .must("POST", &format!("{}/api/auth/", self.url), Some(login))
            .await;
        let grant = json!({ "scope": "openid" });
        let url = format!("{}/api/auth/grant/hub", self.url);
        visitor.must("PUT", &url, Some(grant)).await;
        visitor
    }
}

impl Visitor {
    /// Opens the page that the hub led to and goes on: where the provider leads back to.
    pub(crate) async fn goes_on(&mut self, url: &str) -> String {
        let answer = self.ask("GET", &format!("{url}&g_continue"), None).await;
        let back = answer
            .headers()
            .get("location")
            .map(|to| to.to_str().unwrap().to_owned());
        back.unwrap_or_else(|| panic!("{url} led nowhere: {}", answer.status()))
    }
}

/// Starts it and waits until it answers; none when it ended, as another program has the port.
async fn run(folder: &Path, url: &str, port: u16) -> Option<Child> {
    let modules = "/usr/lib/glewlwyd";
    let text = format!(
        "port={port}\nbind_address=\"127.0.0.1\"\nexternal_url=\"{url}\"\nlogin_url=\"login.html\"\n\
         api_prefix=\"api\"\nlog_mode=\"console\"\nlog_level=\"WARNING\"\ncookie_secure=0\n\
         cookie_same_site=\"empty\"\nsession_expiration=3600\nsession_key=\"SESSION\"\n\
         admin_session_authentication=\"cookie\"\nprofile_session_authentication=\"cookie\"\n\
         admin_scope=\"g_admin\"\nprofile_scope=\"g_profile\"\nhash_algorithm=\"SHA512\"\n\
         user_module_path=\"{modules}/user\"\nuser_middleware_module_path=\"{modules}/middleware\"\n\
         client_module_path=\"{modules}/client\"\nplugin_module_path=\"{modules}/plugin\"\n\
         user_auth_scheme_module_path=\"{modules}/scheme\"\n\
         database = {{ type = \"sqlite3\"; path = \"{}\"; }};\n",
        folder.join("db").display()
    );
    let config = folder.join("conf");
    std::fs::write(&config, text).unwrap();
    let log = std::fs::File::create(folder.join("log")).unwrap();
    let mut program = Command::new("glewlwyd")
        .arg(format!("--config-file={}", config.display()))
        .stdin(Stdio::null())
        .stderr(log.try_clone().unwrap())
        .stdout(log)
        .kill_on_drop(true)
        .spawn()
        .expect("the test needs the package `glewlwyd`");
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for _ in 0..300 {
        if program.try_wait().unwrap().is_some() {
            return None;
        }
        if http.get(format!("{url}/config")).send().await.is_ok() {
            return Some(program);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let log = std::fs::read_to_string(folder.join("log")).unwrap();
    panic!("glewlwyd does not answer within 30 s:\n{log}");
}
