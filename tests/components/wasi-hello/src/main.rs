//! A plain WASI command that tries its limits: the first argument says which. It exits with 0 if it got what it wanted, else
//! with 7, and says on standard output what happened.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut words = arguments.iter().map(String::as_str);
    let (deed, rest) = (words.next().unwrap_or_default(), words.collect::<Vec<_>>());
    let subject = rest.first().copied().unwrap_or_default();
    match attempt(deed, subject, &rest) {
        Ok(answer) => {
            println!("{answer}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("refused: {error}");
            ExitCode::from(7)
        }
    }
}

fn attempt(deed: &str, subject: &str, rest: &[&str]) -> std::io::Result<String> {
    match deed {
        "echo" => Ok(rest.join(" ")),
        "environment" => {
            Ok(std::env::vars().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("\n"))
        }
        "connect" => TcpStream::connect(subject).map(|_| "connected".to_owned()),
        "listen" => TcpListener::bind("127.0.0.1:0").map(|_| "listening".to_owned()),
        "datagram" => UdpSocket::bind("127.0.0.1:0").map(|_| "bound".to_owned()),
        "list" => {
            let entries = std::fs::read_dir(subject)?;
            let mut names = entries
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect::<std::io::Result<Vec<_>>>()?;
            names.sort_unstable();
            Ok(names.join(" "))
        }
        "read" => std::fs::read_to_string(subject),
        "write" => std::fs::write(subject, "written").map(|()| "written".to_owned()),
        "append" => {
            let mut file = std::fs::OpenOptions::new().append(true).open(subject)?;
            file.write_all(b"more").map(|()| "appended".to_owned())
        }
        "remove" => std::fs::remove_file(subject).map(|()| "removed".to_owned()),
        "make" => std::fs::create_dir(subject).map(|()| "made".to_owned()),
        "input" => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            Ok(text)
        }
        "escape" => {
            let orders = "\u{1b}[31mred\u{1b}[0m\u{7}\n::set-output name=stolen::yes\n##[group]x\n##vso[task.setvariable]yes\n##teamcity[x]\n";
            eprint!("{orders}");
            Ok(orders.to_owned())
        }
        "loop" => {
            let mut turns = 0_u64;
            loop {
                turns = std::hint::black_box(turns.wrapping_add(1));
            }
        }
        "allocate" => {
            let mut taken = Vec::new();
            for _ in 0..64 {
                taken.push(std::hint::black_box(vec![1_u8; 128 << 20]));
            }
            Ok(format!("{} pieces of 128 MiB", taken.len()))
        }
        other => Err(std::io::Error::other(format!("no such deed: {other}"))),
    }
}
