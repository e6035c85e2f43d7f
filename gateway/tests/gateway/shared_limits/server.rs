//! A client of a Redis server, as far as these tests need one.

use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpStream;

/// A connection.
pub(super) struct Server {
    stream: BufReader<TcpStream>,
}

/// A reply.
#[derive(Debug)]
enum Reply {
    Text(String),
    Number(i64),
    List(Vec<Self>),
}

impl Reply {
    fn text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Number(number) => Some(number.to_string()),
            Self::List(_) => None,
        }
    }

    fn number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(_) | Self::List(_) => None,
        }
    }

    fn list(self) -> Option<Vec<Self>> {
        match self {
            Self::List(list) => Some(list),
            Self::Text(_) | Self::Number(_) => None,
        }
    }
}

impl Server {
    /// Connects, and logs in unless the password is empty.
    pub(super) fn connect(address: SocketAddr, password: &str) -> Self {
        let stream = TcpStream::connect(address).expect("Redis listens");
        let mut server = Self {
            stream: BufReader::new(stream),
        };
        if !password.is_empty() {
            assert_eq!(server.text(&["AUTH", password]), "OK");
        }
        server
    }

    /// A reply as text.
    pub(super) fn text(&mut self, words: &[&str]) -> String {
        self.run(words).text().expect("a text or a number")
    }

    /// A reply of texts.
    pub(super) fn texts(&mut self, words: &[&str]) -> Vec<String> {
        let list = self.run(words).list().expect("a list");
        let texts = list.into_iter().map(Reply::text);
        texts.collect::<Option<_>>().expect("texts")
    }

    /// A reply of lists of numbers.
    pub(super) fn answers(&mut self, words: &[&str]) -> Vec<Vec<i64>> {
        let list = self.run(words).list().expect("a list");
        let numbers = |reply: Reply| -> Option<Vec<i64>> {
            reply.list()?.into_iter().map(|it| it.number()).collect()
        };
        let answers = list.into_iter().map(numbers);
        answers.collect::<Option<_>>().expect("lists of numbers")
    }

    fn run(&mut self, words: &[&str]) -> Reply {
        let mut command = format!("*{}\r\n", words.len());
        for word in words {
            command.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        let stream = self.stream.get_mut();
        stream.write_all(command.as_bytes()).expect("Redis reads");
        self.reply()
    }

    fn reply(&mut self) -> Reply {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("Redis answers");
        let (kind, rest) = line.trim_end().split_at(1);
        let count = || rest.parse().expect("a number");
        match kind {
            ":" => Reply::Number(count()),
            "$" => {
                let mut bytes = vec![0; usize::try_from(count()).expect("a text") + 2];
                self.stream.read_exact(&mut bytes).expect("Redis answers");
                bytes.truncate(bytes.len() - 2);
                Reply::Text(String::from_utf8(bytes).expect("text"))
            }
            "*" => Reply::List((0..count()).map(|_| self.reply()).collect()),
            _ => {
                assert!(matches!(kind, "+" | "-"), "no reply: {line:?}");
                Reply::Text(rest.to_owned())
            }
        }
    }
}
