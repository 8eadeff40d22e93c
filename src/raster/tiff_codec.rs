//! Unpacks the bytes of one tile or strip: compression, byte order, predictor.

use std::io::Read;

/// How the samples of a tile or strip are stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packing {
    /// TIFF's compression code.
    pub compression: u16,
    /// TIFF's predictor code: 1 none, 2 horizontal differences, 3 floating point.
    pub predictor: u16,
    /// Whether samples are stored with the least significant byte first.
    pub little_endian: bool,
    /// Bytes of a sample: 1, 2, 4 or 8.
    pub sample_bytes: usize,
    /// Samples of a pixel in the tile or strip.
    pub samples_per_pixel: usize,
}

impl Packing {
    /// Whether this compression and predictor can be unpacked here.
    pub fn is_known(&self) -> bool {
        matches!(self.compression, 1 | 5 | 8 | 32773 | 32946)
            && (matches!(self.predictor, 1 | 2) || self.predictor == 3 && self.sample_bytes > 1)
    }

    /// The `size` bytes that `packed` holds, as little-endian samples, in rows of `row` bytes.
    ///
    /// # Errors
    /// What is wrong with the data, as a sentence.
    pub fn unpack(&self, packed: &[u8], size: usize, row: usize) -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; size];
        let got = match self.compression {
            5 => lzw(packed, &mut bytes)?,
            8 | 32946 => inflate(packed, &mut bytes)?,
            32773 => pack_bits(packed, &mut bytes),
            _ => {
                let length = size.min(packed.len());
                bytes[..length].copy_from_slice(&packed[..length]);
                length
            }
        };
        if got < size {
            return Err(format!("it holds {got} bytes of {size}"));
        }
        // The floating point predictor has an order of its own.
        if self.predictor != 3 && !self.little_endian {
            for sample in bytes.chunks_exact_mut(self.sample_bytes) {
                sample.reverse();
            }
        }
        let pixel = self.sample_bytes * self.samples_per_pixel;
        for row in bytes.chunks_exact_mut(row) {
            match self.predictor {
                2 => self.add_left(row, pixel),
                3 => self.join_planes(row),
                _ => {}
            }
        }
        Ok(bytes)
    }

    /// Horizontal differences: each sample is added to the one a pixel to the left.
    fn add_left(&self, row: &mut [u8], pixel: usize) {
        macro_rules! add {
            ($type:ty) => {{
                const SIZE: usize = size_of::<$type>();
                for at in (pixel..row.len()).step_by(SIZE) {
                    let read = |row: &[u8], at: usize| {
                        let mut bytes = [0; SIZE];
                        bytes.copy_from_slice(&row[at..at + SIZE]);
                        <$type>::from_le_bytes(bytes)
                    };
                    let sum = read(row, at).wrapping_add(read(row, at - pixel));
                    row[at..at + SIZE].copy_from_slice(&sum.to_le_bytes());
                }
            }};
        }
        match self.sample_bytes {
            1 => add!(u8),
            2 => add!(u16),
            4 => add!(u32),
            _ => add!(u64),
        }
    }

    /// Floating point: differences of bytes, then all first bytes, all second bytes and so on,
    /// the most significant ones first.
    fn join_planes(&self, row: &mut [u8]) {
        for at in self.samples_per_pixel..row.len() {
            row[at] = row[at].wrapping_add(row[at - self.samples_per_pixel]);
        }
        let planes = row.to_vec();
        let samples = row.len() / self.sample_bytes;
        for (i, sample) in row.chunks_exact_mut(self.sample_bytes).enumerate() {
            for (byte, out) in sample.iter_mut().rev().enumerate() {
                *out = planes[byte * samples + i];
            }
        }
    }
}

/// Fills `out` as far as the data goes.
fn inflate(packed: &[u8], out: &mut [u8]) -> Result<usize, String> {
    let mut decoder = flate2::read::ZlibDecoder::new(packed);
    let mut got = 0;
    while got < out.len() {
        match decoder.read(&mut out[got..]) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => break,
            Err(e) => return Err(e.to_string()),
        }
    }
    Ok(got)
}

fn lzw(packed: &[u8], out: &mut [u8]) -> Result<usize, String> {
    let mut decoder = weezl::decode::Decoder::with_tiff_size_switch(weezl::BitOrder::Msb, 8);
    let (mut from, mut got) = (0, 0);
    while got < out.len() {
        let step = decoder.decode_bytes(&packed[from..], &mut out[got..]);
        from += step.consumed_in;
        got += step.consumed_out;
        let status = step.status.map_err(|e| e.to_string())?;
        if !matches!(status, weezl::LzwStatus::Ok) {
            break;
        }
    }
    Ok(got)
}

fn pack_bits(packed: &[u8], out: &mut [u8]) -> usize {
    let (mut from, mut got) = (0, 0);
    while let (Some(&head), true) = (packed.get(from), got < out.len()) {
        from += 1;
        let left = out.len() - got;
        if head < 128 {
            let wanted = (usize::from(head) + 1).min(left);
            let literal = packed.get(from..).unwrap_or_default();
            let length = wanted.min(literal.len());
            out[got..got + length].copy_from_slice(&literal[..length]);
            from += length;
            got += length;
        } else if head > 128 {
            let Some(&value) = packed.get(from) else {
                break;
            };
            let length = (257 - usize::from(head)).min(left);
            out[got..got + length].fill(value);
            from += 1;
            got += length;
        }
    }
    got
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packing(compression: u16, predictor: u16, sample_bytes: usize) -> Packing {
        Packing {
            compression,
            predictor,
            little_endian: true,
            sample_bytes,
            samples_per_pixel: 1,
        }
    }

    #[test]
    fn pack_bits_follows_the_example_of_its_publication() {
        let packed = [
            0xfe, 0xaa, 0x02, 0x80, 0x00, 0x2a, 0xfd, 0xaa, 0x03, 0x80, 0x00, 0x2a, 0x22, 0xf7,
            0xaa,
        ];
        let expected = [
            0xaa, 0xaa, 0xaa, 0x80, 0x00, 0x2a, 0xaa, 0xaa, 0xaa, 0xaa, 0x80, 0x00, 0x2a, 0x22,
            0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa,
        ];
        let got = packing(32773, 1, 1).unpack(&packed, 24, 24).unwrap();
        assert_eq!(got, expected);
    }

    #[test]
    fn predictors_and_byte_order_are_undone() {
        let differences = [1u16, 2, 0xffff].map(u16::to_le_bytes).concat();
        let got = packing(1, 2, 2).unpack(&differences, 6, 6).unwrap();
        assert_eq!(got, [1u16, 3, 2].map(u16::to_le_bytes).concat());
        let big = Packing {
            little_endian: false,
            ..packing(1, 1, 4)
        };
        assert_eq!(big.unpack(&[1, 2, 3, 4], 4, 4).unwrap(), [4, 3, 2, 1]);
        // Two floats, 1.0 and 2.0: 3f 80 00 00 and 40 00 00 00, in planes, as differences.
        let planes = [0x3f, 0x01, 0x40, 0x80, 0, 0, 0, 0];
        let got = packing(1, 3, 4).unpack(&planes, 8, 8).unwrap();
        assert_eq!(got, [1.0f32, 2.0].map(f32::to_le_bytes).concat());
    }

    #[test]
    fn lzw_and_deflate_are_unpacked_to_the_last_byte() {
        use std::io::Write;
        // Long runs and noise, of a size at which some readers lose the end of an LZW tile.
        let data: Vec<u8> = (0..16_384u32)
            .map(|i| {
                if i % 3000 < 1500 {
                    7
                } else {
                    (i.wrapping_mul(i) >> 5) as u8
                }
            })
            .collect();
        let mut lzw = weezl::encode::Encoder::with_tiff_size_switch(weezl::BitOrder::Msb, 8);
        let lzw = lzw.encode(&data).unwrap();
        assert_eq!(
            packing(5, 1, 1).unpack(&lzw, data.len(), 256).unwrap(),
            data
        );
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(6));
        zlib.write_all(&data).unwrap();
        let zlib = zlib.finish().unwrap();
        assert_eq!(
            packing(8, 1, 1).unpack(&zlib, data.len(), 256).unwrap(),
            data
        );
    }

    #[test]
    fn short_and_damaged_data_is_an_error() {
        for compression in [1, 5, 8, 32773] {
            for data in [
                &b""[..],
                b"\x05",
                b"\x80\x00\x12\xff\xff",
                b"\xff\xff\xff\xff",
            ] {
                let got = packing(compression, 1, 1).unpack(data, 4000, 40);
                assert!(got.is_err(), "{compression} {data:?}");
            }
        }
    }
}
