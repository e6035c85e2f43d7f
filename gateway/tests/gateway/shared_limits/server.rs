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
    List(Vec<Reply>),
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
        match self.run(words) {
            Reply::Text(text) => text,
            Reply::Number(number) => number.to_string(),
            Reply::List(list) => panic!("a list: {list:?}"),
        }
    }

    /// A reply of texts.
    pub(super) fn texts(&mut self, words: &[&str]) -> Vec<String> {
        let Reply::List(list) = self.run(words) else {
            panic!("no list");
        };
        let text = |reply| match reply {
            Reply::Text(text) => text,
            other => panic!("no text: {other:?}"),
        };
        list.into_iter().map(text).collect()
    }

    /// A reply of lists of numbers.
    pub(super) fn answers(&mut self, words: &[&str]) -> Vec<Vec<i64>> {
        let reply = self.run(words);
        let Reply::List(list) = reply else {
            panic!("no list: {reply:?}");
        };
        let numbers = |reply| match reply {
            Reply::List(list) => list.into_iter().map(number).collect(),
            other => panic!("no list: {other:?}"),
        };
        list.into_iter().map(numbers).collect()
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
            "+" | "-" => Reply::Text(rest.to_owned()),
            _ => panic!("no reply: {line:?}"),
        }
    }
}

fn number(reply: Reply) -> i64 {
    match reply {
        Reply::Number(number) => number,
        other => panic!("no number: {other:?}"),
    }
}
