//! A bare TCP echo on one thread and raw `epoll`: what the machine itself allows.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, listen, recv, send, sockopt};

const LISTENER: u64 = u64::MAX;
const BUFFER: usize = 512 * 1024;

struct Connection {
    socket: TcpStream,
    /// What the socket did not take, and how much of it has gone since.
    backlog: Vec<u8>,
    sent: usize,
}

fn main() -> io::Result<()> {
    lithe_bench::net::raise_descriptor_limit();
    let listener = TcpListener::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    listen(&listener, 4096)?;
    println!("{}", listener.local_addr()?);
    io::stdout().flush()?;

    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut free = Vec::new();
    let mut buffer = vec![0; BUFFER];
    let mut events = Vec::with_capacity(1024);
    loop {
        events.clear();
        match epoll::wait(&epoll, spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            let token = event.data.u64();
            if token == LISTENER {
                accept_all(&listener, &epoll, &mut connections, &mut free)?;
                continue;
            }
            let slot = &mut connections[token as usize];
            let Some(connection) = slot else { continue };
            if connection.serve(&epoll, token, &mut buffer).is_err() {
                *slot = None;
                free.push(token as usize);
            }
        }
    }
}

fn accept_all(
    listener: &TcpListener,
    epoll: &OwnedFd,
    connections: &mut Vec<Option<Connection>>,
    free: &mut Vec<usize>,
) -> io::Result<()> {
    loop {
        let socket = match listener.accept() {
            Ok((socket, _)) => socket,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => return Err(error),
        };
        socket.set_nonblocking(true)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        let index = free.pop().unwrap_or(connections.len());
        epoll::add(epoll, &socket, EventData::new_u64(index as u64), EventFlags::IN)?;
        let connection = Some(Connection { socket, backlog: Vec::new(), sent: 0 });
        match connections.get_mut(index) {
            Some(slot) => *slot = connection,
            None => connections.push(connection),
        }
    }
}

impl Connection {
    /// Reads once and writes once, or goes on with the backlog. An error ends the connection.
    fn serve(&mut self, epoll: &OwnedFd, token: u64, buffer: &mut [u8]) -> Result<(), Errno> {
        if !self.backlog.is_empty() {
            self.sent += send(&self.socket, &self.backlog[self.sent..], SendFlags::NOSIGNAL)?;
            if self.sent == self.backlog.len() {
                (self.backlog, self.sent) = (Vec::new(), 0);
                epoll::modify(epoll, &self.socket, EventData::new_u64(token), EventFlags::IN)?;
            }
            return Ok(());
        }
        let received = match recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
            Ok((0, _)) => return Err(Errno::PIPE),
            Ok((received, _)) => received,
            Err(Errno::AGAIN) => return Ok(()),
            Err(error) => return Err(error),
        };
        let sent = match send(&self.socket, &buffer[..received], SendFlags::NOSIGNAL) {
            Ok(sent) => sent,
            Err(Errno::AGAIN) => 0,
            Err(error) => return Err(error),
        };
        if sent < received {
            self.backlog = buffer[sent..received].to_vec();
            epoll::modify(epoll, &self.socket, EventData::new_u64(token), EventFlags::OUT)?;
        }
        Ok(())
    }
}
