//! The listener: TLS, and what one caller may hold of it. A connection costs an open file; whoever opens
//! many and says nothing must not take them from the hosts.

use std::collections::HashMap;
use std::future::{Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use hyper_util::rt::TokioTimer;
use nix::sys::resource::{Resource, getrlimit};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::certificate::Tls;
use crate::limit;

/// Longer than a host that syncs every minute is silent on its connection (its client gives one up
/// after 90 s): otherwise every sync would cost a TLS handshake.
const IDLE: Duration = Duration::from_secs(100);
/// Far above what the hosts of one site behind one address need.
const OF_ONE_ADDRESS: usize = 20_000;

/// What a caller may hold.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// A connection ends on which no whole request head came for so long.
    pub idle: Duration,
    /// Connections of one address (IPv6: a /64) at once; further ones are closed.
    pub of_one_address: usize,
}

impl Patience {
    /// For the open files that this process may have: one address gets half of them at most.
    ///
    /// # Errors
    /// When the kernel does not tell the limit.
    pub fn of_this_process() -> anyhow::Result<Self> {
        let (files, _) =
            getrlimit(Resource::RLIMIT_NOFILE).context("reading the limit of open files")?;
        let half = usize::try_from(files / 2).unwrap_or(usize::MAX);
        Ok(Self {
            idle: IDLE,
            of_one_address: half.min(OF_ONE_ADDRESS),
        })
    }
}

/// Answers with the routes until the handle ends it.
///
/// # Errors
/// A certificate or key that cannot be used.
pub(crate) async fn listen(
    listener: std::net::TcpListener,
    tls: Tls,
    router: Router,
    patience: Patience,
    handle: axum_server::Handle<SocketAddr>,
) -> anyhow::Result<tokio::task::JoinHandle<io::Result<()>>> {
    let chain = tls.chain_pem.into_bytes();
    let key = tls.key_pem.reveal().as_bytes().to_vec();
    let config = RustlsConfig::from_pem(chain, key)
        .await
        .context("reading the hub's certificate and key")?;
    let counting = Counting {
        open: Arc::default(),
        limit: patience.of_one_address,
    };
    let mut server = axum_server::from_tcp(listener)
        .context("listening with TLS")?
        .acceptor(RustlsAcceptor::new(one_protocol(&config)).acceptor(counting))
        .http1_only()
        .handle(handle);
    server
        .http_builder()
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.idle);
    let server = server.serve(router.into_make_service_with_connect_info::<SocketAddr>());
    Ok(tokio::spawn(server))
}

/// HTTP/1.1 and nothing else: while the server still waits for the first bytes, to find out which one
/// it is, no time limit holds. One connection a host gains nothing by streams.
fn one_protocol(config: &RustlsConfig) -> RustlsConfig {
    let mut tls = (*config.get_inner()).clone();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    RustlsConfig::from_config(Arc::new(tls))
}

type Open = Arc<Mutex<HashMap<String, usize>>>;

/// Counts the connections of each caller.
#[derive(Debug, Clone)]
struct Counting {
    open: Open,
    limit: usize,
}

impl<S> Accept<TcpStream, S> for Counting {
    type Stream = Counted;
    type Service = S;
    type Future = Ready<io::Result<(Counted, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let counted = stream.peer_addr().and_then(|from| {
            let place = Place::take(&self.open, limit::caller(from.ip()), self.limit);
            place.ok_or_else(|| io::Error::other(format!("{from} has too many connections")))
        });
        ready(counted.map(|place| {
            let counted = Counted {
                stream,
                _place: place,
            };
            (counted, service)
        }))
    }
}

/// One connection in the count of its caller; given back when it ends.
#[derive(Debug)]
struct Place {
    open: Open,
    caller: String,
}

impl Place {
    fn take(open: &Open, caller: String, limit: usize) -> Option<Self> {
        let mut all = open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(caller.clone()).or_default();
        if *count >= limit {
            return None;
        }
        *count += 1;
        Some(Self {
            open: open.clone(),
            caller,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&self.caller) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.caller);
            }
        }
    }
}

/// A connection that is counted.
#[derive(Debug)]
struct Counted {
    stream: TcpStream,
    _place: Place,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_gets_its_places_back_and_leaves_no_trace() {
        let open = Open::default();
        let take = |caller: &str| Place::take(&open, caller.to_owned(), 2);
        let (first, second) = (take("a").unwrap(), take("a").unwrap());
        assert!(take("a").is_none());
        assert!(take("b").is_some());
        drop(first);
        let third = take("a").unwrap();
        assert!(take("a").is_none());
        drop((second, third));
        assert!(open.lock().unwrap().is_empty());
    }
}
