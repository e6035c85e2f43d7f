//! Asking a gateway that runs, through its admin API.
//!
//! Owns the client's side: where it is, the token, and bounds of time and size. What is asked is
//! another's.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::Method;
use http::Request;
use http::StatusCode;
use http::header;
use http_body_util::BodyExt as _;
use http_body_util::Empty;
use http_body_util::Limited;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;

use crate::admin::AdminAddress;

/// A gateway answers an order once it is done, or after less than this.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of an answer.
const MOST: usize = 16 << 20;
/// Bytes of a token file.
const MOST_TOKEN: u64 = 4096;

/// What a gateway answered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its text.
    pub(crate) text: String,
}

/// Asks the gateway whose admin API is there.
///
/// # Errors
///
/// Nobody is there, or whoever is there does not answer as a gateway does.
pub(crate) fn ask(
    address: &AdminAddress,
    token_file: Option<&Path>,
    method: Method,
    path: &str,
) -> anyhow::Result<Answer> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "localhost");
    if let Some(file) = token_file {
        let token = token(file)?;
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let request = request.body(Empty::<Bytes>::new())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let nobody = || format!("cannot ask the admin API on {address}: does a gateway run there?");
    let asked = async {
        match address {
            AdminAddress::Off => anyhow::bail!("`off` is no address of an admin API"),
            AdminAddress::Tcp(to) => {
                let stream = tokio::net::TcpStream::connect(to).await;
                exchange(stream.with_context(nobody)?, request).await
            }
            AdminAddress::Unix(path) => {
                let stream = tokio::net::UnixStream::connect(path).await;
                exchange(stream.with_context(nobody)?, request).await
            }
        }
    };
    runtime.block_on(async {
        let answered = tokio::time::timeout(PATIENCE, asked).await;
        answered.with_context(|| format!("the admin API on {address} does not answer"))?
    })
}

async fn exchange<S>(stream: S, request: Request<Empty<Bytes>>) -> anyhow::Result<Answer>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let answered = async move {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MOST).collect().await;
        let body = body.map_err(|err| anyhow::anyhow!("its answer cannot be read: {err}"))?;
        let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        Ok::<_, anyhow::Error>(Answer { status, text })
    };
    // The connection moves the bytes; it ends once the sender is gone.
    let (answer, _) = tokio::join!(answered, connection);
    answer
}

fn token(file: &Path) -> anyhow::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(file)
        .and_then(|file| file.take(MOST_TOKEN).read_to_string(&mut text))
        .with_context(|| format!("cannot read the admin token file {}", file.display()))?;
    Ok(text.trim().to_owned())
}
