//! All forms of all secrets, searched for at once.

use std::{fs::File, io::Read, path::Path};

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use anyhow::{Context, Result};

use super::{Form, Kind, Secret, forms};

/// More in one place are not told one by one.
const HITS: usize = 1000;

/// Finds any form of any of its secrets.
#[derive(Debug)]
pub(super) struct Searcher {
    /// None when there is no secret.
    automaton: Option<AhoCorasick>,
    needles: Vec<(Kind, Form)>,
}

/// A secret was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) kind: Kind,
    pub(super) form: Form,
    /// Bytes before it.
    pub(super) at: u64,
}

impl Searcher {
    pub(super) fn new(secrets: &[Secret]) -> Result<Self> {
        let mut needles = Vec::new();
        let mut texts = Vec::new();
        for secret in secrets {
            for (form, text) in forms(&secret.bytes) {
                needles.push((secret.kind, form));
                texts.push(text);
            }
        }
        let automaton = if texts.is_empty() {
            None
        } else {
            let mut builder = AhoCorasick::builder();
            let built = builder.kind(Some(AhoCorasickKind::DFA)).build(&texts);
            Some(built.context("making an automaton of the secrets")?)
        };
        Ok(Self { automaton, needles })
    }

    /// Every place where a secret stands in `bytes`; the first thousand.
    pub(super) fn read(&self, bytes: impl Read) -> Result<Vec<Hit>> {
        let Some(automaton) = &self.automaton else {
            return Ok(Vec::new());
        };
        let found = automaton.stream_find_iter(bytes).take(HITS);
        let hits = found.map(|hit| {
            let hit = hit.context("reading what is searched")?;
            let (kind, form) = self.needles[hit.pattern().as_usize()];
            let at = hit.start() as u64;
            Ok(Hit { kind, form, at })
        });
        hits.collect()
    }

    /// As [`Self::read`], in a file.
    pub(super) fn file(&self, path: &Path) -> Result<Vec<Hit>> {
        let doing = || format!("searching {}", path.display());
        self.read(File::open(path).with_context(doing)?)
            .with_context(doing)
    }
}
