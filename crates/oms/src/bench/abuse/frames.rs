//! HTTP/2 by hand: what no client library sends.

/// What every connection begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
const CANCEL: u32 = 8;
/// `:method POST` and `:scheme http` of the static table.
const POST_HTTP: [u8; 2] = [0x83, 0x86];
/// A literal `:path` follows.
const PATH: u8 = 0x04;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    // Payloads here are some hundred bytes at most.
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The begin of a connection.
pub(super) fn greeting() -> Vec<u8> {
    let mut bytes = PREFACE.to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    bytes
}

/// Headers that do not end: a path of eight thousand bytes of which none is there yet.
pub(super) fn endless_headers() -> Vec<u8> {
    let mut block = POST_HTTP.to_vec();
    block.extend([PATH, 0x7f, 0x81, 0x3f]);
    frame(HEADERS, 0, 1, &block)
}

/// One more byte of them.
pub(super) fn endless_headers_byte() -> Vec<u8> {
    frame(CONTINUATION, 0, 1, b"a")
}

/// Streams that are opened and reset at once.
pub(super) fn resets(streams: u32) -> Vec<u8> {
    let path = b"/oms.order.v1.ChannelService/ListChannels";
    let mut block = POST_HTTP.to_vec();
    block.push(PATH);
    block.extend(u8::try_from(path.len()));
    block.extend(path);
    let mut bytes = Vec::new();
    for stream in 0..streams {
        let id = 2 * stream + 1;
        bytes.extend(frame(HEADERS, END_HEADERS, id, &block));
        bytes.extend(frame(RST_STREAM, 0, id, &CANCEL.to_be_bytes()));
    }
    bytes
}
