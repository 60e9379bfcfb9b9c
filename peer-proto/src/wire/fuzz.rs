//! Bodies of the fuzz targets for frames; ordinary tests run them on seeded bytes.
//!
//! Knows: what must hold for any bytes whatever. Does not know: who makes them up.

use bytes::Bytes;

use super::block::{BLOCK_HEADER_LEN, BlockHeader};
use super::codec::{FRAME_HEADER_LEN, decode_body, decode_header, encode};

/// Any bytes are a frame or an error; a frame is valid, and its own bytes give it back.
///
/// # Panics
/// If one of these does not hold.
pub fn fuzz_frame(bytes: &[u8]) {
    if let Some((header, _)) = bytes.split_first_chunk::<BLOCK_HEADER_LEN>()
        && let Ok(block) = BlockHeader::decode(header)
    {
        assert_eq!(&block.encode(), header, "a block header reads back what it writes");
    }
    let Some((header, body)) = bytes.split_first_chunk::<FRAME_HEADER_LEN>() else { return };
    // The length is taken from the input, so that a fuzzer need not guess it.
    let len = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
    let Ok(header) = decode_header(&[header[0], len[1], len[2], len[3]]) else { return };
    let Ok(frame) = decode_body(header, Bytes::copy_from_slice(body)) else { return };
    assert_eq!(frame.check(), Ok(()), "what was decoded is valid");
    let written = encode(&frame).expect("a valid frame can be written");
    let (header, body) = written.split_first_chunk::<FRAME_HEADER_LEN>().expect("every frame has a header");
    let header = decode_header(header).expect("what was written is within the caps");
    let again = decode_body(header, Bytes::copy_from_slice(body)).expect("what was written can be read");
    assert_eq!(again, frame, "a frame reads back what it writes");
}
