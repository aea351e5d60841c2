//! Events through the real layer to a socket like the journal's.

use std::io::{Read, Seek};
use std::os::unix::net::UnixDatagram;

use rustix::fs::{SealFlags, fcntl_get_seals};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tracing::{error, info};

use super::*;

/// What `body` logs to the journal.
fn journaled(outlet: &Arc<Outlet>, body: impl FnOnce()) {
    logged_to(outlet, LogLevel::Info, Form::Journal, |_| body());
}

fn outlet_to_journal(path: &Path) -> Arc<Outlet> {
    Arc::new(Outlet::start("journal", Journal::connect(path).unwrap()).unwrap())
}

/// The fields of a datagram in the journal's native protocol.
fn journal_fields(datagram: &[u8]) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    let mut rest = datagram;
    while !rest.is_empty() {
        let name_end = rest.iter().position(|byte| *byte == b'\n').unwrap();
        let name = String::from_utf8(rest[..name_end].to_vec()).unwrap();
        let length = u64::from_le_bytes(rest[name_end + 1..name_end + 9].try_into().unwrap()) as usize;
        let value = &rest[name_end + 9..name_end + 9 + length];
        assert_eq!(rest[name_end + 9 + length], b'\n');
        fields.push((name, String::from_utf8(value.to_vec()).unwrap()));
        rest = &rest[name_end + 10 + length..];
    }
    fields
}

#[test]
fn the_journal_gets_every_field_once_with_the_right_priority() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("socket");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    let journal = outlet_to_journal(&path);
    journaled(&journal, || {
        let _span = request_span("r1").entered();
        error!(
            action = "x",
            priority = 10,
            order_number = "ORD_1",
            error = &store_error() as &dyn Error,
            "a\nb"
        );
        info!(action = "y", "m");
    });
    let mut datagram = vec![0; 65_536];
    let mut next = || {
        let length = socket.recv(&mut datagram).unwrap();
        journal_fields(&datagram[..length])
    };
    assert!(next().is_empty(), "the first datagram only asks whether somebody is there");
    let fields = next();
    let value = |name: &str| {
        let values: Vec<_> =
            fields.iter().filter(|(other, _)| other == name).map(|(_, value)| &**value).collect();
        assert_eq!(values.len(), 1, "{name}");
        values[0].to_owned()
    };
    for (name, expected) in [
        ("PRIORITY", "3"),
        ("F_PRIORITY", "10"),
        ("MESSAGE", "a\nb"),
        ("ACTION", "x"),
        ("SERVICE", "order-service"),
        ("SYSLOG_IDENTIFIER", "order-service"),
        ("REQUEST_ID", "r1"),
        ("ORDER_NUMBER", "ORD_1"),
        ("ERROR_TYPE", "StoreError"),
        ("ERROR_MSG", "the order could not be stored"),
    ] {
        assert_eq!(value(name), expected, "{name}");
    }
    assert!(value("CODE_FILE").ends_with("journal.rs"));
    assert!(next().contains(&("PRIORITY".into(), "6".into())), "info is informational, not notice");
}

/// The next entry as the journal would get it: whether it came as a file, and its content.
fn next_entry(socket: &UnixDatagram) -> (bool, Vec<u8>) {
    let mut datagram = vec![0; 1_000_000];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let buffers = &mut [io::IoSliceMut::new(&mut datagram)];
    let length = recvmsg(socket, buffers, &mut control, RecvFlags::empty()).unwrap().bytes;
    datagram.truncate(length);
    let Some(RecvAncillaryMessage::ScmRights(mut files)) = control.drain().next() else {
        return (false, datagram);
    };
    assert_eq!(datagram, b"", "the journal wants nothing beside a file");
    let mut file = std::fs::File::from(files.next().unwrap());
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    assert_eq!(fcntl_get_seals(&file).unwrap(), seals, "the journal wants exactly these");
    file.rewind().unwrap();
    let mut entry = Vec::new();
    file.read_to_end(&mut entry).unwrap();
    (true, entry)
}

#[test]
fn an_entry_of_any_size_reaches_the_journal_with_all_its_fields() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("socket");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    let journal = outlet_to_journal(&path);
    assert_eq!(next_entry(&socket), (false, Vec::new()));
    // As a datagram, as a file, and as much as there may be of a value.
    for (size, is_file, logged) in
        [(10_000, false, 20_000), (100_000, true, 200_000), (500_000, true, 256 * 1024 + "…".len())]
    {
        let long = "é".repeat(size);
        journaled(&journal, || info!(action = "x", details = %long, order_number = "ORD_1", "{long}"));
        let (came_as_file, entry) = next_entry(&socket);
        assert_eq!(came_as_file, is_file, "{size}");
        let fields = journal_fields(&entry);
        let value = |name: &str| &*fields.iter().find(|(other, _)| other == name).unwrap().1;
        assert_eq!((value("ORDER_NUMBER"), value("ACTION")), ("ORD_1", "x"));
        for name in ["MESSAGE", "DETAILS"] {
            assert!(value(name).starts_with("éé") && value(name).len() == logged, "{name} of {size}");
        }
        assert!(fields.iter().all(|(name, _)| name != "LOG_DROPPED"));
    }
}

#[test]
fn what_the_journal_did_not_get_is_counted() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("socket");
    let first = UnixDatagram::bind(&path).unwrap();
    let journal = outlet_to_journal(&path);
    let log = |action| journaled(&journal, || info!(action, "m"));
    drop(first);
    std::fs::remove_file(&path).unwrap();
    log("while_it_is_away");
    log("still");
    let second = UnixDatagram::bind(&path).unwrap();
    second.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    log("it_is_back");
    let (_, entry) = next_entry(&second);
    let fields = journal_fields(&entry);
    assert!(fields.contains(&("ACTION".into(), "it_is_back".into())), "{fields:?}");
    assert!(fields.contains(&("LOG_DROPPED".into(), "2".into())), "{fields:?}");
}

#[test]
fn a_journal_that_is_not_there_is_an_error_to_fall_back_from() {
    let folder = tempfile::TempDir::new().unwrap();
    let error = Journal::connect(&folder.path().join("nothing")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}
