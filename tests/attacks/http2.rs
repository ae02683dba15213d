//! Attacks by HTTP/2.

use super::crowd::come;
use super::survives;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: u8 = 0x4;
const HEADERS: u8 = 0x1;
const END_STREAM_AND_HEADERS: u8 = 0x5;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// GET of `path` from authority "a", every field without a table.
fn get(stream: u32, path: &str) -> Vec<u8> {
    let length = u8::try_from(path.len()).unwrap();
    let block = [&[0x82, 0x86, 0x04, length], path.as_bytes(), &[0x01, 1, b'a']].concat();
    frame(HEADERS, END_STREAM_AND_HEADERS, stream, &block)
}

fn client(settings: &[u8], requests: u32, path: &str) -> Vec<u8> {
    let asked = (0..requests).flat_map(|n| get(2 * n + 1, path));
    [PREFACE, &frame(SETTINGS, 0, 0, settings)].concat().into_iter().chain(asked).collect()
}

/// Of `SETTINGS_INITIAL_WINDOW_SIZE`.
const WINDOW_0: [u8; 6] = [0, 4, 0, 0, 0, 0];

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_streams_without_a_window_are_given_up_for_others() {
    let attack = client(&WINDOW_0, 1_024, "/bytes/65536");
    survives("window 0 x 1,024 streams", &[], async |world| come(world.sidecar.traffic, 64, attack).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_whose_client_reads_nothing_are_given_up_for_others() {
    // The largest windows, of each stream and, by WINDOW_UPDATE, of the connection.
    let mut attack = client(&[0, 4, 0x7f, 0xff, 0xff, 0xff], 0, "");
    attack.extend(frame(0x8, 0, 0, &0x7fff_0000_u32.to_be_bytes()));
    attack.extend((0..128).flat_map(|n| get(2 * n + 1, "/bytes/1000000")));
    survives("HTTP/2 unread", &[], async |world| come(world.sidecar.traffic, 160, attack).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_thousand_clients_that_have_asked_once_the_idle_ones_make_room() {
    let once = client(&[], 1, "/");
    survives("idle HTTP/2", &[], async |world| come(world.sidecar.traffic, 2_000, once).await).await;
}
