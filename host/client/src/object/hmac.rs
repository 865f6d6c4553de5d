//! HMAC with SHA-256 (RFC 2104), by the library that TLS uses.

use ring::hmac::{HMAC_SHA256, Key, sign};

/// The code of a message.
pub(super) fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let code = sign(&Key::new(HMAC_SHA256, key), message);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(code.as_ref());
    bytes
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_rfc_4231() {
        for (key, message, code) in [
            (vec![0x0b; 20], &b"Hi There"[..], "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe".to_vec(),
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                vec![0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ] {
            assert_eq!(hex(&hmac(&key, message)), code);
        }
    }
}
