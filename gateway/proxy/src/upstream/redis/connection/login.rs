//! The beginning of a connection: who we are, and which database is meant.

use tidegate_core::resp;

use super::Link;
use super::wire::push;
use crate::upstream::redis::Login;

impl Link {
    /// Logs in, before any command is sent.
    pub(super) async fn log_in(&mut self, login: &Login) -> Result<(), String> {
        let mut words: Vec<Vec<&[u8]>> = Vec::new();
        match (login.username.is_empty(), login.password.is_empty()) {
            (true, true) => {}
            (true, false) => words.push(vec![b"AUTH", &login.password]),
            (false, _) => words.push(vec![b"AUTH", &login.username, &login.password]),
        }
        let database = login.database.to_string();
        if login.database != 0 {
            words.push(vec![b"SELECT", database.as_bytes()]);
        }
        for words in words {
            let mut query = Vec::new();
            resp::encode(&mut query, &words);
            self.out.extend_from_slice(&query);
            self.unflushed = true;
            while self.unflushed {
                let sent = push(&mut self.write, &self.out).await;
                self.note_sent(sent)?;
            }
            let reply = loop {
                if let Some(reply) = self.reply()? {
                    break reply;
                }
                self.receive().await?;
            };
            if !reply.starts_with(b"+") {
                let said = reply.get(..128).unwrap_or(&reply).escape_ascii();
                return Err(format!("the server refuses the login: {said}"));
            }
        }
        Ok(())
    }
}
