//! The kernel's list of TCP connections, by netlink (`sock_diag(7)`).
//!
//! **Invariant:** asks only; the socket is never used for anything but dumps of this network namespace.

use super::judge::Connection;
use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{
    AF_INET, AF_INET6, IPPROTO_TCP, TCP_CLOSING, TCP_FIN_WAIT1, TCP_FIN_WAIT2, TCP_LAST_ACK,
};
use netlink_packet_sock_diag::inet::nlas::Nla;
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, Read as _};
use std::time::Duration;

/// `AF_NETLINK` and `NETLINK_SOCK_DIAG` of the kernel's interface.
const NETLINK: (i32, i32) = (16, 4);
/// The kernel answers as it is asked; it never takes this long.
const PATIENCE: Duration = Duration::from_secs(1);
/// The kernel puts as much of an answer into one message as the reader has room for, up to this.
const ROOM: usize = 32 * 1024;

/// A netlink socket.
pub struct Kernel {
    socket: Socket,
    room: Vec<u8>,
}

impl Kernel {
    /// Opens it.
    ///
    /// # Errors
    /// Netlink is forbidden here.
    pub fn open() -> io::Result<Self> {
        let (domain, protocol) = NETLINK;
        let socket = Socket::new(Domain::from(domain), Type::DGRAM, Some(Protocol::from(protocol)))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket, room: vec![0; ROOM] })
    }

    /// The connections of the local port `port` on which data may have passed.
    ///
    /// # Errors
    /// What the kernel says, or what it says is not understood.
    pub fn connections(&mut self, port: u16) -> io::Result<Vec<Connection>> {
        let mut found = Vec::new();
        for (family, socket_id) in [(AF_INET, SocketId::new_v4()), (AF_INET6, SocketId::new_v6())] {
            self.socket.send(&request(family, SocketId { source_port: port, ..socket_id }))?;
            while self.read_some(&mut found)? {}
        }
        Ok(found)
    }

    /// Whether there is more.
    fn read_some(&mut self, found: &mut Vec<Connection>) -> io::Result<bool> {
        let length = self.socket.read(&mut self.room)?;
        let mut bytes = &self.room[..length];
        while !bytes.is_empty() {
            let message = NetlinkMessage::<SockDiagMessage>::deserialize(bytes).map_err(io::Error::other)?;
            match message.payload {
                NetlinkPayload::Done(_) => return Ok(false),
                NetlinkPayload::Error(error) => return Err(error.to_io()),
                NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => found.extend(read(&response)),
                _ => {}
            }
            // Messages are aligned to four bytes.
            let end = (message.header.length as usize).next_multiple_of(4).max(4);
            bytes = bytes.get(end..).unwrap_or_default();
        }
        Ok(true)
    }
}

fn request(family: u8, socket_id: SocketId) -> Vec<u8> {
    let states = StateFlags::ESTABLISHED
        | StateFlags::CLOSE_WAIT
        | StateFlags::FIN_WAIT1
        | StateFlags::FIN_WAIT2
        | StateFlags::CLOSING
        | StateFlags::LAST_ACK;
    let request = InetRequest { family, protocol: IPPROTO_TCP, extensions: ExtensionFlags::INFO, states, socket_id };
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

fn read(response: &InetResponse) -> Option<Connection> {
    let header = &response.header;
    let info = response.nlas.iter().find_map(|nla| if let Nla::TcpInfo(info) = nla { Some(info) } else { None })?;
    Some(Connection {
        cookie: header.socket_id.cookie,
        closed_by_app: matches!(header.state, TCP_FIN_WAIT1 | TCP_FIN_WAIT2 | TCP_CLOSING | TCP_LAST_ACK),
        unread: header.recv_queue,
        unconfirmed: header.send_queue,
        segments_received: info.data_segs_in,
        bytes_confirmed: info.bytes_acked,
        sent_ago: Duration::from_millis(info.last_data_sent.into()),
        received_ago: Duration::from_millis(info.last_data_recv.into()),
    })
}
