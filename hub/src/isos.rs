//! ISOs for people: the hub's own address, root and perhaps a token in one of the ISOs that it was
//! started with. Only the user-data is kept, sealed; the rest is read from the base when it is sent.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use burin_api::token::Token;
use burin_core::userdata;
use burin_iso::custom::{Base, Filling};

use crate::admin::problem::Problem;
use crate::admin::types::{IsoBase, IsoMade, IsoRequest};
use crate::admin::{hub as about, tokens};
use crate::client::user_data;
use crate::clock;
use crate::db::audit;
use crate::db::isos::{self, MadeRow};
use crate::people::Actor;
use crate::secret::random;
use crate::state::Hub;

/// How long a made ISO can be fetched, milliseconds.
const KEPT: i64 = 24 * 3600 * 1000;
/// Most that are kept at once.
const MOST: i64 = 100;

/// The ISOs that the hub was started with, one of each architecture.
#[derive(Debug, Default)]
pub(crate) struct Isos(Vec<Arc<Base>>);

impl Isos {
    /// Opens and checks every file.
    ///
    /// # Errors
    /// A file that is no whole burin ISO, or two of one architecture.
    pub(crate) fn open(paths: &[PathBuf]) -> anyhow::Result<Self> {
        let mut found: Vec<Arc<Base>> = Vec::new();
        for path in paths {
            let base =
                Base::open(path).with_context(|| format!("taking {} for --iso", path.display()))?;
            anyhow::ensure!(
                found.iter().all(|other| other.arch != base.arch),
                "--iso was given two ISOs for {}; name one of each architecture",
                base.arch
            );
            found.push(Arc::new(base));
        }
        Ok(Self(found))
    }

    pub(crate) fn bases(&self) -> Vec<IsoBase> {
        let base = |base: &Arc<Base>| IsoBase {
            arch: base.arch.to_owned(),
            version: base.manifest.version.clone(),
            kernel: base.manifest.kernel.clone(),
            bytes: base.bytes(),
            area: base.area,
        };
        self.0.iter().map(base).collect()
    }

    fn of(&self, arch: Option<&str>) -> Result<&Arc<Base>, Problem> {
        let known: Vec<&str> = self.0.iter().map(|base| base.arch).collect();
        let found = match arch {
            None if known.len() > 1 => {
                let detail = format!("say for which architecture: {}", known.join(", "));
                return Err(Problem::bad_input(detail));
            }
            None => self.0.first(),
            Some(arch) => self.0.iter().find(|base| base.arch == arch),
        };
        found.ok_or_else(|| {
            let detail = match arch {
                Some(arch) if !known.is_empty() => {
                    format!("no ISO for `{arch}`; there is one for {}", known.join(", "))
                }
                _ => "this hub has no ISO to give; start it with --iso FILE, or build one from \
                      its user-data with `burin-iso build`"
                    .to_owned(),
            };
            Problem::not_found(detail)
        })
    }
}

/// Makes an ISO for `actor` and says how to fetch it.
pub(crate) async fn make(hub: &Hub, actor: &Actor, asked: IsoRequest) -> Result<IsoMade, Problem> {
    let base = hub.isos.of(asked.arch.as_deref())?;
    let more = further(asked.user_data.as_deref().unwrap_or_default())?;
    // Whether it fits does not depend on which token it is; a token is made when all else is well.
    let sample = Token::from_seed([0; 16]).reveal();
    fill(base, &whole(hub, Some(&sample), &more))?;
    let token = match (asked.token, asked.new_token) {
        (Some(_), Some(_)) => {
            let detail = "give `token` or `new_token`, not both";
            return Err(Problem::bad_input(detail));
        }
        (Some(text), None) => Some(tokens::usable(hub, actor, text.reveal()).await?),
        (None, Some(request)) => {
            let made = tokens::make(hub, actor, request).await?;
            Some(Token::parse(made.token.reveal()).map_err(anyhow::Error::from)?)
        }
        (None, None) => None,
    };
    let text = whole(hub, token.as_ref().map(Token::reveal).as_deref(), &more);
    let filling = fill(base, &text)?;
    let (file, id) = (base.clone(), hex::encode(random::<16>()?));
    let sum = tokio::task::spawn_blocking(move || file.digest_of(&filling)).await;
    let sha256 = sum.map_err(anyhow::Error::from)?.map_err(unreadable)?;
    let now = clock::now_ms();
    let row = MadeRow {
        sealed: hub.vault.isos.seal(&id, text.as_bytes())?,
        id,
        maker: actor.name.clone(),
        arch: base.arch.to_owned(),
        base: base.sha256.clone(),
        sha256,
        token_id: token.map(|token| token.id().to_owned()),
        created_at: now,
        expires_at: now + KEPT,
    };
    keep(hub, actor, &row).await?;
    Ok(made(&row, base))
}

async fn keep(hub: &Hub, actor: &Actor, row: &MadeRow) -> Result<(), Problem> {
    let mut tx = hub.db.begin().await?;
    if isos::clear(&mut tx, row.created_at).await? >= MOST {
        let detail = format!("{MOST} ISOs wait to be fetched already; each is kept for a day");
        return Err(Problem::refused(detail));
    }
    isos::insert(&mut tx, row).await?;
    let token = row.token_id.as_deref().unwrap_or("none");
    let object = format!("{} {} token {token}", row.id, row.arch);
    audit::record(&mut tx, &actor.name, "iso.make", &object, row.created_at).await?;
    tx.commit().await?;
    Ok(())
}

/// What somebody adds of his own. The hub's part is the hub's to write.
fn further(text: &str) -> Result<String, Problem> {
    // Browsers end lines with CR LF.
    let text = text.replace("\r\n", "\n");
    if text.trim().is_empty() {
        return Ok(String::new());
    }
    let lines = |problems: Vec<burin_core::yaml::Problem>| {
        problems.iter().map(ToString::to_string).collect()
    };
    let data = userdata::parse(&text).map_err(|problems| {
        Problem::bad_input("the further user-data has mistakes").with_errors(lines(problems))
    })?;
    if data.hub.is_some() || data.token.is_some() {
        let detail = "the further user-data names a hub or a token; this hub writes both itself";
        return Err(Problem::bad_input(detail));
    }
    Ok(text)
}

fn whole(hub: &Hub, token: Option<&str>, more: &str) -> String {
    let own = user_data::document(&about::info(hub), token);
    match more {
        "" => own,
        more => format!("{own}---\n{more}"),
    }
}

fn fill(base: &Base, text: &str) -> Result<Filling, Problem> {
    if let Err(problems) = userdata::parse(text) {
        let lines = problems.iter().map(ToString::to_string).collect();
        let detail = "the further user-data does not go with what the hub writes";
        return Err(Problem::bad_input(detail).with_errors(lines));
    }
    base.fill(text)
        .map_err(|err| match err.downcast::<burin_iso::Refused>() {
            Ok(refused) => Problem::bad_input(refused.to_string()),
            Err(err) => err.into(),
        })
}

fn unreadable(err: std::io::Error) -> Problem {
    anyhow::Error::from(err).context("reading the ISO").into()
}

fn made(row: &MadeRow, base: &Base) -> IsoMade {
    IsoMade {
        id: row.id.clone(),
        file: format!("burin-{}.iso", row.arch),
        arch: row.arch.clone(),
        bytes: base.bytes(),
        sha256: row.sha256.clone(),
        token_id: row.token_id.clone(),
        expires_at: row.expires_at,
    }
}

/// A made ISO with everything that is needed to send it.
pub(crate) struct Ready {
    pub(crate) about: IsoMade,
    pub(crate) base: Arc<Base>,
    pub(crate) filling: Filling,
}

/// Finds what `actor` had made. To everybody else it is not there.
pub(crate) async fn find(hub: &Hub, actor: &Actor, id: &str) -> Result<Ready, Problem> {
    let row = isos::get(&hub.db, id, clock::now_ms()).await?;
    let row = row.filter(|row| row.maker == actor.name).ok_or_else(|| {
        Problem::not_found("this ISO is not there: it is over after a day, and for its maker alone")
    })?;
    let base = hub.isos.of(Some(&row.arch))?;
    if base.sha256 != row.base {
        let detail = "the hub gives another ISO since this one was made; make it again";
        return Err(Problem::refused(detail));
    }
    let text = hub.vault.isos.open(&row.id, &row.sealed).ok_or_else(|| {
        let detail = "secrets.key is not the one that this ISO was made with; make it again";
        Problem::refused(detail)
    })?;
    let text = String::from_utf8(text).map_err(|_| anyhow!("sealed user-data is no text"))?;
    Ok(Ready {
        about: made(&row, base),
        filling: fill(base, &text)?,
        base: base.clone(),
    })
}

/// Notes that sending begins.
pub(crate) async fn note(hub: &Hub, actor: &Actor, id: &str) -> Result<(), Problem> {
    let mut tx = hub.db.begin().await?;
    audit::record(&mut tx, &actor.name, "iso.download", id, clock::now_ms()).await?;
    tx.commit().await?;
    Ok(())
}
