//! Walks the boxes of a JP2 file, trusting none of them.

/// The boxes and sizes of a JPEG2000 file that reading a band needs.
#[derive(Debug, Default)]
pub(crate) struct Boxes<'a> {
    /// The codestream.
    pub codestream: Option<&'a [u8]>,
    /// The contents of XML boxes, GMLJP2's among them.
    pub xml: Vec<&'a [u8]>,
    /// The degenerate GeoTIFF of a GeoJP2 box.
    pub geotiff: Option<&'a [u8]>,
}

/// The uuid of a GeoJP2 box.
const GEOJP2: [u8; 16] = [
    0xb1, 0x4b, 0xf8, 0xbd, 0x08, 0x3d, 0x4b, 0x43, 0xa5, 0xae, 0x8c, 0xd7, 0xd5, 0xa6, 0xce, 0x03,
];
/// GMLJP2 needs two levels of association boxes.
const MAX_DEPTH: u32 = 4;

impl<'a> Boxes<'a> {
    /// The boxes of a whole file; a bare codestream has no other boxes.
    pub fn of(file: &'a [u8]) -> Self {
        let mut boxes = Self::default();
        if file.starts_with(b"\xff\x4f\xff\x51") {
            boxes.codestream = Some(file);
        } else {
            boxes.collect(file, 0);
        }
        boxes
    }

    fn collect(&mut self, mut rest: &'a [u8], depth: u32) {
        while let Some((kind, content, next)) = next_box(rest) {
            match &kind {
                b"jp2c" if self.codestream.is_none() => self.codestream = Some(content),
                b"xml " => self.xml.push(content),
                b"asoc" if depth < MAX_DEPTH => self.collect(content, depth + 1),
                b"uuid" => {
                    if let Some((id, tiff)) = content.split_at_checked(16)
                        && id == GEOJP2
                    {
                        self.geotiff = Some(tiff);
                    }
                }
                _ => {}
            }
            rest = next;
        }
    }
}

/// Splits the first box off: its type, its content, and what follows it. A box that claims to be
/// longer than the rest is cut to it.
fn next_box(data: &[u8]) -> Option<([u8; 4], &[u8], &[u8])> {
    let length = u64::from(be32(data, 0)?);
    let kind: [u8; 4] = data.get(4..8)?.try_into().ok()?;
    let (header, total) = match length {
        0 => (8, data.len() as u64),
        1 => (
            16,
            u64::from(be32(data, 8)?) << 32 | u64::from(be32(data, 12)?),
        ),
        n => (8, n),
    };
    if total < header {
        return None;
    }
    let end = usize::try_from(total).map_or(data.len(), |t| t.min(data.len()));
    Some((kind, data.get(header as usize..end)?, &data[end..]))
}

pub(crate) fn be16(data: &[u8], at: usize) -> Option<u16> {
    let bytes = data.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes(bytes.try_into().ok()?))
}

pub(crate) fn be32(data: &[u8], at: usize) -> Option<u32> {
    let bytes = data.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let mut out = (content.len() as u32 + 8).to_be_bytes().to_vec();
        out.extend_from_slice(kind);
        out.extend_from_slice(content);
        out
    }

    #[test]
    fn xml_is_found_inside_associations_only_so_deep() {
        let inner = boxed(b"asoc", &boxed(b"xml ", b"<a/>"));
        let boxes_found = |data: &[u8]| Boxes::of(data).xml.len();
        assert_eq!(boxes_found(&boxed(b"asoc", &inner)), 1);
        let mut deep = boxed(b"xml ", b"<a/>");
        for _ in 0..10_000 {
            deep = boxed(b"asoc", &deep);
        }
        assert_eq!(boxes_found(&deep), 0);
        assert_eq!(boxes_found(b"\0\0\0\x01xml \0\0\0\0\0\0\0\x02"), 0);
    }
}
