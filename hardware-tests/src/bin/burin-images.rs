//! `burin-images`: makes the images of the scenarios and pushes them, for a person at a shell.
use std::path::PathBuf;

use anyhow::{Context, Result};
use burin_hardware_tests::images::{Images, KubernetesBinary, Layout, Target, TreeFile, push};
use clap::{Parser, ValueEnum};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Debian with systemd and kernel
    Os,
    /// k3s-standin, or the binary that BURIN_K3S names
    Kubernetes,
    /// Manifests that give the node a network
    Network,
    /// One small file more
    Extra,
}

/// Makes images and pushes them to a registry
#[derive(Debug, Parser)]
struct Arguments {
    /// Which images; all when none is named
    kinds: Vec<Kind>,
    /// Registry to push to, as host:port; without it the folders are printed
    #[arg(long)]
    registry: Option<String>,
    /// Folder with the registry's ca.crt; without it the registry is spoken to without TLS checks
    #[arg(long)]
    certificates: Option<PathBuf>,
    /// The k3s-standin binary; the one beside this program when not given
    #[arg(long)]
    standin: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let images = Images::of_this_user()?;
    let standin = match &arguments.standin {
        Some(path) => path.clone(),
        None => std::env::current_exe()
            .context("finding this program")?
            .with_file_name("k3s-standin"),
    };
    for kind in Kind::value_variants() {
        if !arguments.kinds.is_empty() && !arguments.kinds.contains(kind) {
            continue;
        }
        let (name, layout) = make(&images, *kind, &standin)?;
        match &arguments.registry {
            None => println!("{name} {} {}", layout.digest, layout.path.display()),
            Some(registry) => {
                let certificates = arguments.certificates.as_deref();
                push(
                    &layout,
                    Target {
                        registry,
                        certificates,
                        auth_file: None,
                    },
                    name,
                    "1",
                )?;
                println!("{registry}/{name}:1 {}", layout.digest);
            }
        }
    }
    Ok(())
}

fn make(images: &Images, kind: Kind, standin: &std::path::Path) -> Result<(&'static str, Layout)> {
    Ok(match kind {
        Kind::Os => ("os/debian", images.os()?),
        Kind::Kubernetes => (
            "kubernetes/k3s",
            images.kubernetes(&KubernetesBinary::chosen(standin))?,
        ),
        Kind::Network => ("network/test", images.network()?),
        Kind::Extra => {
            let file = TreeFile::plain("/usr/share/burin-test/extra", *b"an extra layer\n");
            ("extra/test", images.extra(&[file])?)
        }
    })
}
