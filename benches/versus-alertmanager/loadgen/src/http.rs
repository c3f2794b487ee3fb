//! As much of HTTP/1.1 as posting and being posted to needs.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// A request, ready to be written.
pub fn post(path: &str, body: &str) -> Vec<u8> {
    post_with(path, "User-Agent: Prometheus/2.50\r\nContent-Type: application/json\r\n", body)
}

/// The same with other headers, each with its line's end.
pub fn post_with(path: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// A client's connection that is kept open.
pub struct Connection {
    addr: String,
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// # Errors
    /// When nobody listens there.
    pub fn open(addr: &str) -> io::Result<Connection> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        Ok(Connection { addr: addr.to_owned(), stream, buffer: vec![0; 16 << 10] })
    }

    /// Sends a request and reads the answer to its end. The status.
    ///
    /// # Errors
    /// When the connection breaks; it is opened anew for the next request.
    pub fn send(&mut self, request: &[u8]) -> io::Result<u16> {
        let answer = self.stream.write_all(request).and_then(|()| self.read_answer());
        if answer.is_err() {
            *self = Connection::open(&self.addr)?;
        }
        answer
    }

    fn read_answer(&mut self) -> io::Result<u16> {
        let mut have = 0;
        let head_end = loop {
            if have == self.buffer.len() {
                return Err(io::Error::other("the answer's head is too long"));
            }
            have += self.read_some(have)?;
            if let Some(at) = self.buffer[..have].windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..head_end]).to_ascii_lowercase();
        let status = head.get(9..12).and_then(|code| code.parse().ok()).ok_or_else(|| io::Error::other("no HTTP answer"))?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let mut rest = length.and_then(|text| text.trim().parse::<usize>().ok()).unwrap_or(0).saturating_sub(have - head_end);
        while rest > 0 {
            rest = rest.saturating_sub(self.read_some(0)?);
        }
        Ok(status)
    }

    fn read_some(&mut self, at: usize) -> io::Result<usize> {
        match self.stream.read(&mut self.buffer[at..])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => Ok(count),
        }
    }
}

/// Serves one client until it goes: each request's body to `each`, 200 for an answer.
///
/// # Errors
/// When the connection breaks.
pub fn serve(stream: TcpStream, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::with_capacity(1 << 16, stream);
    while let Some(body) = read_request(&mut reader)? {
        each(&body);
        writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
    }
    Ok(())
}

/// One request's body; `None` when the client has gone.
fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let (mut length, mut is_chunked) = (0, false);
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    while line != "\r\n" {
        let lower = line.to_ascii_lowercase();
        if let Some(text) = lower.strip_prefix("content-length:") {
            length = text.trim().parse().unwrap_or(0);
        }
        is_chunked |= lower.starts_with("transfer-encoding: chunked");
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
    }
    let mut body = Vec::new();
    if is_chunked {
        while read_chunk(reader, &mut body)? {}
    } else {
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
    }
    Ok(Some(body))
}

/// Adds one chunk to the body; whether it was not the last.
fn read_chunk(reader: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<bool> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let length = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
    let from = body.len();
    body.resize(from + length, 0);
    reader.read_exact(&mut body[from..])?;
    reader.read_line(&mut line)?;
    Ok(length > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_with_a_length_and_in_chunks() {
        let requests = "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcPOST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
                        2\r\nde\r\n1\r\nf\r\n0\r\n\r\n";
        let mut reader = requests.as_bytes();
        assert_eq!(read_request(&mut reader).unwrap().unwrap(), b"abc");
        assert_eq!(read_request(&mut reader).unwrap().unwrap(), b"def");
        assert_eq!(read_request(&mut reader).unwrap(), None);
    }
}
