//! One HTTP/1.1 message as an intercepting proxy sees it.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// How the length of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Length,
    /// In pieces of so many bytes, with an extension that nobody asked for.
    Chunked(usize),
    /// So many bytes more are announced than come.
    Missing(usize),
}

#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// The request line or the status line.
    pub(crate) start: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) framing: Framing,
}

fn odd(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

impl Message {
    /// The next one of a connection; none when it ended before.
    pub(crate) async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Self>> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match from.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) if head.is_empty() => return Ok(None),
                Err(err) => return Err(err),
            }
        }
        let head = String::from_utf8(head).map_err(|_| odd("a head that is no text"))?;
        let mut lines = head.trim_end().split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length = length.map_or(Ok(0), |(_, value)| value.parse());
        let mut body = vec![0; length.map_err(|_| odd("a length that is no number"))?];
        from.read_exact(&mut body).await?;
        Ok(Some(Self {
            start,
            headers: headers
                .into_iter()
                .filter(|(name, _)| name != "content-length")
                .collect(),
            body,
            framing: Framing::Length,
        }))
    }

    /// The last part of the path of a request.
    pub(crate) fn name(&self) -> String {
        let path = self.start.split(' ').nth(1).unwrap_or_default();
        path.rsplit('/').next().unwrap_or_default().to_owned()
    }

    pub(crate) fn status(&self) -> u16 {
        let code = self.start.split(' ').nth(1);
        code.and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{}\r\n", self.start);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut body = Vec::new();
        match self.framing {
            Framing::Length => {
                head.push_str(&format!("content-length: {}\r\n\r\n", self.body.len()));
                body.clone_from(&self.body);
            }
            Framing::Missing(more) => {
                let told = self.body.len() + more;
                head.push_str(&format!("content-length: {told}\r\n\r\n"));
                body.clone_from(&self.body);
            }
            Framing::Chunked(size) => {
                head.push_str("transfer-encoding: chunked\r\n\r\n");
                for piece in self.body.chunks(size) {
                    body.extend(format!("{:X};by=proxy\r\n", piece.len()).bytes());
                    body.extend(piece);
                    body.extend(b"\r\n");
                }
                body.extend(b"0\r\nx-trailer: 1\r\n\r\n");
            }
        }
        [head.into_bytes(), body].concat()
    }

    pub(crate) async fn write(&self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        to.write_all(&self.bytes()).await?;
        to.flush().await
    }
}
