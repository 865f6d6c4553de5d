//! Real connections on loopback.

use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;

use super::*;

/// A proxy with these rules.
fn proxy(rules: &[&str]) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    serve(listener, rules.iter().map(|rule| (*rule).to_owned()).collect()).expect("rules");
    address
}

/// A server that says what it got, until an empty line, and goes on with an echo.
fn server() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut reader = BufReader::new(stream.try_clone().expect("a descriptor"));
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|length| length > 0) {
            stream.write_all(line.as_bytes()).expect("a reader");
            line.clear();
        }
    });
    address
}

fn ask(proxy: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(proxy).expect("the proxy");
    stream.write_all(request.as_bytes()).expect("written");
    stream.shutdown(Shutdown::Write).expect("open");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn allowed_hosts_are_reached() {
    let server = server();
    let answer = ask(proxy(&["127.0.0.1"]), &format!("CONNECT {server} HTTP/1.1\r\nA: b\r\n\r\nearly and then\nmore"));
    assert_eq!(answer, "HTTP/1.1 200 Connection established\r\n\r\nearly and then\nmore");
}

#[test]
fn whole_urls_are_forwarded() {
    let server = server();
    let answer = ask(proxy(&["127.0.0.1"]), &format!("POST http://{server}/x HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi"));
    assert_eq!(
        answer,
        format!("POST /x HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi")
    );
}

#[test]
fn other_hosts_are_refused_with_the_flag() {
    for target in ["evil.example:443", "a.org.evil.example:443"] {
        let answer = ask(proxy(&["*.a.org", "a.org"]), &format!("CONNECT {target} HTTP/1.1\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        assert!(answer.contains(&format!("--allow-net {}", target.trim_end_matches(":443"))), "{answer}");
    }
}

#[test]
fn names_do_not_lead_inside() {
    let server = server();
    let answer = ask(proxy(&["localhost"]), &format!("CONNECT localhost:{} HTTP/1.1\r\n\r\n", server.port()));
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("an address of the host"), "{answer}");
    for target in ["169.254.169.254:80", "0x7f000001:80", "2130706433:80", "127.1:80"] {
        let answer = ask(proxy(&["127.0.0.1"]), &format!("CONNECT {target} HTTP/1.1\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    }
    // A rule may name the number, which is a name to us, not an address.
    let answer = ask(proxy(&["2130706433"]), "CONNECT 2130706433:80 HTTP/1.1\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
}

#[test]
fn rules_with_a_port_open_only_it() {
    let server = server();
    let answer = ask(proxy(&["127.0.0.1:1"]), &format!("CONNECT {server} HTTP/1.1\r\n\r\n"));
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    let answer = ask(proxy(&[&server.to_string()]), &format!("CONNECT {server} HTTP/1.1\r\n\r\n"));
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn failures_are_told() {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port").local_addr().expect("bound");
    let answer = ask(proxy(&["127.0.0.1"]), &format!("CONNECT {free} HTTP/1.1\r\n\r\n"));
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert!(ask(proxy(&[]), "GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400 "));
    assert!(serve(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port"), vec!["*".into()]).is_err());
}

#[test]
fn connections_are_bounded() {
    let proxy = proxy(&["127.0.0.1"]);
    let _held: Vec<_> = (0..MOST_CONNECTIONS).map(|_| TcpStream::connect(proxy).expect("the proxy")).collect();
    let answer = ask(proxy, "CONNECT 127.0.0.1:1 HTTP/1.1\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
}
