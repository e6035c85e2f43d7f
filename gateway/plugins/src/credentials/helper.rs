//! Credential helpers: docker's programs that keep credentials elsewhere.
//!
//! Owns running them: for a limited time, with limited output, which is printed nowhere, in a process
//! group of their own that ends with the wait.

use std::path::Path;
use std::process::ExitStatus;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Pid;
use rustix::process::Signal;
use serde::Deserialize;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Child;
use tokio::process::Command;

use crate::credentials::Credential;
use crate::credentials::CredentialError;
use crate::credentials::Found;
use crate::credentials::Secret;

/// How long a helper may take; some ask a person, and nobody is there.
pub(super) const LIMIT: Duration = Duration::from_secs(10);
/// Most bytes of what a helper prints.
const MAX_OUTPUT: u64 = 64 << 10;
/// What the names of helpers begin with.
const PREFIX: &str = "docker-credential-";
/// The user of a helper that has an identity token.
const TOKEN_USER: &str = "<token>";
/// How helpers say that they have none: by their text, which is why it is looked at.
const NOT_FOUND: &str = "credentials not found";

/// A question to a helper.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    pub(super) name: &'a str,
    /// The file that names it.
    pub(super) named_by: &'a Path,
    pub(super) server: &'a str,
    pub(super) limit: Duration,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// Ends a helper with all that it started.
struct Group {
    child: Child,
    id: Option<Pid>,
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            // It fails if all of it has ended.
            rustix::process::kill_process_group(id, Signal::KILL).ok();
        }
    }
}

impl Ask<'_> {
    /// The answer; `None` if it has nothing for that server.
    pub(super) async fn run(&self) -> Result<Option<Found>, CredentialError> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.name.is_empty() || !self.name.chars().all(is_name) {
            return Err(CredentialError::HelperName {
                path: self.named_by.to_owned(),
                name: crate::quote::short(self.name),
            });
        }
        let program = format!("{PREFIX}{}", self.name);
        let finished = tokio::time::timeout(self.limit, self.exchange(&program));
        let (status, output) = finished.await.map_err(|_| CredentialError::HelperSlow {
            program: program.clone(),
            limit: self.limit,
        })??;
        let failed = |reason: String| CredentialError::Helper {
            program: program.clone(),
            server: self.server.to_owned(),
            reason,
        };
        if output.len() as u64 > MAX_OUTPUT {
            return Err(failed(format!("it printed more than {MAX_OUTPUT} bytes")));
        }
        if !status.success() {
            let text = String::from_utf8_lossy(&output);
            return if text.contains(NOT_FOUND) {
                Ok(None)
            } else {
                Err(failed(format!("it ended with {status}")))
            };
        }
        let answer: Answer = serde_json::from_slice(&output)
            .map_err(|_| failed("it did not print the JSON of credentials".to_owned()))?;
        let credential = match answer.username.as_str() {
            // Both empty is a way to have none.
            "" if answer.secret.is_empty() => return Ok(None),
            TOKEN_USER => Credential::IdentityToken(Secret::new(answer.secret)),
            _ => Credential::Basic {
                user: answer.username,
                password: Secret::new(answer.secret),
            },
        };
        Ok(Some(Found {
            credential,
            origin: format!("the credential helper {program}"),
        }))
    }

    async fn exchange(&self, program: &str) -> Result<(ExitStatus, Vec<u8>), CredentialError> {
        let failed = |source| CredentialError::HelperStart {
            program: program.to_owned(),
            path: self.named_by.to_owned(),
            source,
        };
        let mut child = Command::new(program)
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let input = child.stdin.take();
        let output = child.stdout.take();
        let id = child
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let mut group = Group { child, id };
        if let Some(mut input) = input {
            // It may know the answer without reading the question.
            input.write_all(self.server.as_bytes()).await.ok();
            input.shutdown().await.ok();
        }
        let printed = match output {
            Some(output) => read(output).await.map_err(failed)?,
            None => Vec::new(),
        };
        if printed.len() as u64 > MAX_OUTPUT {
            // It waits for somebody to read the rest.
            group.child.start_kill().ok();
        }
        let status = group.child.wait().await.map_err(failed)?;
        // It has ended by itself; an agent that it started for the next time may stay.
        group.id = None;
        Ok((status, printed))
    }
}

async fn read(output: impl AsyncRead + Unpin) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    output.take(MAX_OUTPUT + 1).read_to_end(&mut bytes).await?;
    Ok(bytes)
}
