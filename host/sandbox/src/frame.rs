//! Messages between host and supervisor: a length in bytes (little endian, 4 bytes), then postcard.

use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

/// No request is larger: secrets and scripts are small.
const LIMIT: usize = 256 << 20;

/// Writes a message.
pub(crate) fn write(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let body = Zeroizing::new(postcard::to_stdvec(message).map_err(io::Error::other)?);
    let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= LIMIT);
    let length = length.ok_or_else(|| io::Error::other(format!("a message has {} bytes", body.len())))?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(&body)?;
    to.flush()
}

/// Reads a message.
pub(crate) fn read<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > LIMIT {
        return Err(io::Error::other(format!("a message has {length} bytes")));
    }
    let mut body = Zeroizing::new(vec![0; length]);
    from.read_exact(&mut body)?;
    postcard::from_bytes(&body).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back_as_they_went() {
        let mut wire = Vec::new();
        write(&mut wire, &("a", 7u8)).unwrap();
        write(&mut wire, &vec![1u32, 2]).unwrap();
        let mut wire = wire.as_slice();
        assert_eq!(read::<(String, u8)>(&mut wire).unwrap(), ("a".to_owned(), 7));
        assert_eq!(read::<Vec<u32>>(&mut wire).unwrap(), [1, 2]);
        assert_eq!(read::<u8>(&mut wire).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_length_is_not_trusted() {
        assert!(read::<u8>(&mut &u32::MAX.to_le_bytes()[..]).is_err());
    }
}
