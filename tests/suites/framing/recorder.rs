//! The app behind each proxy: keeps every byte it is sent, connection by connection, and answers what it understands.

use super::cases::ANSWERS;
use super::exchanges;
use super::reader::{Kind, TOLERANT};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What each connection has carried.
type Connections = Arc<Mutex<Vec<Arc<Mutex<Vec<u8>>>>>>;

pub struct Recorder {
    pub address: SocketAddr,
    connections: Connections,
}

impl Recorder {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Connections::default();
        let all = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let bytes = Arc::default();
                all.lock().unwrap().push(Arc::clone(&bytes));
                tokio::spawn(serve(stream, bytes));
            }
        });
        Self { address, connections }
    }

    /// What the connections carried that mention `path`.
    pub fn about(&self, path: &str) -> Vec<Vec<u8>> {
        let word = path.as_bytes();
        let all = self.connections.lock().unwrap();
        let all = all.iter().map(|bytes| bytes.lock().unwrap().clone());
        all.filter(|bytes| bytes.windows(word.len()).any(|part| part == word)).collect()
    }
}

async fn serve(mut stream: TcpStream, bytes: Arc<Mutex<Vec<u8>>>) {
    let (mut piece, mut answered) = ([0; 16_384], 0);
    while let Ok(count @ 1..) = stream.read(&mut piece).await {
        let messages = {
            let mut bytes = bytes.lock().unwrap();
            bytes.extend(&piece[..count]);
            TOLERANT.read(Kind::Requests, &bytes)
        };
        let whole = messages.iter().filter(|message| message.whole).count();
        for message in &messages[answered.min(whole)..whole] {
            let (answer, closes) = answer(&message.line);
            if stream.write_all(&answer).await.is_err() || closes {
                return;
            }
        }
        answered = whole;
    }
}

/// The bytes of the answer to a request line, and whether the connection ends with it.
fn answer(line: &str) -> (Vec<u8>, bool) {
    let path = line.split(' ').nth(1).unwrap_or_default();
    if let Some(ordinary) = exchanges::answer(path, line.starts_with("HEAD ")) {
        return ordinary;
    }
    let number = path.strip_prefix("/r").and_then(|rest| rest.split('-').next()?.parse::<usize>().ok());
    match number.and_then(|number| ANSWERS.get(number)) {
        Some(case) if !path.ends_with("-second") => (case.bytes.as_bytes().to_vec(), case.closes),
        Some(_) => (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond".to_vec(), false),
        None if line.starts_with("HEAD ") => (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n".to_vec(), false),
        None if line.starts_with("CONNECT ") => (b"HTTP/1.1 405 No\r\nContent-Length: 2\r\n\r\nno".to_vec(), false),
        None => (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec(), false),
    }
}
