//! One page of a ListObjectsV2 answer.
//!
//! Keys are asked for in `encoding-type=url`, which stores do in three ways: as a form (Amazon: a
//! space is `+`, a plus `%2B`), as a URL's path (a space is `%20`, a plus may stay), or not at all
//! while saying so. A page's own text tells which: see [`Encoding::of`].

use percent_encoding::percent_decode_str;

use super::headers::unquoted;
use super::xml::{quoted, walk};
use super::{ObjectInfo, Page};

/// The page in `body`, keys decoded.
///
/// # Errors
/// A sentence on what is wrong with it, with the start of the answer where it is no listing.
pub(super) fn parse(body: &[u8]) -> Result<Page, String> {
    let mut raw = Raw::default();
    walk(body, |path, text| raw.leaf(path, text)).map_err(|what| {
        format!(
            "the answer is no listing: {what}, and it begins {}",
            quoted(body)
        )
    })?;
    raw.finish()
}

#[derive(Default)]
struct Raw {
    page: Page,
    object: Partial,
    truncated: bool,
    encoded: bool,
}

#[derive(Default)]
struct Partial {
    key: Option<String>,
    size: Option<u64>,
    etag: Option<String>,
    last_modified: Option<String>,
}

impl Raw {
    fn leaf(&mut self, path: &[String], text: &str) -> Result<(), String> {
        let names: Vec<&str> = path.iter().map(String::as_str).collect();
        let Some(("ListBucketResult", below)) =
            names.split_first().map(|(root, below)| (*root, below))
        else {
            return Err("the root element is another one".to_owned());
        };
        match below {
            ["IsTruncated"] => self.truncated = text.trim() == "true",
            ["NextContinuationToken"] if !text.is_empty() => self.page.next = Some(text.to_owned()),
            ["EncodingType"] => self.encoded = text.trim().eq_ignore_ascii_case("url"),
            ["CommonPrefixes", "Prefix"] => self.page.prefixes.push(text.to_owned()),
            ["Contents", "Key"] => self.object.key = Some(text.to_owned()),
            ["Contents", "LastModified"] => {
                self.object.last_modified = Some(text.trim().to_owned())
            }
            ["Contents", "ETag"] => {
                self.object.etag =
                    Some(unquoted(text.trim()).to_owned()).filter(|etag| !etag.is_empty());
            }
            ["Contents", "Size"] => {
                let size = text
                    .trim()
                    .parse()
                    .map_err(|_| format!("`{}` is no size", text.escape_debug()))?;
                self.object.size = Some(size);
            }
            ["Contents"] => {
                let object = std::mem::take(&mut self.object);
                let key = object.key.ok_or("an entry has no Key")?;
                let size = object
                    .size
                    .ok_or_else(|| format!("key `{}` has no Size", key.escape_debug()))?;
                let (etag, last_modified) = (object.etag, object.last_modified);
                self.page.objects.push(ObjectInfo {
                    key,
                    size,
                    etag,
                    last_modified,
                });
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Page, String> {
        if !self.truncated {
            self.page.next = None;
        } else if self.page.next.is_none() {
            return Err(
                "the listing says that there is more but has no NextContinuationToken; \
                        the store may only know ListObjects version 1"
                    .to_owned(),
            );
        }
        if self.encoded {
            let keys = self.page.objects.iter().map(|o| o.key.as_str());
            let encoding = Encoding::of(keys.chain(self.page.prefixes.iter().map(String::as_str)));
            for object in &mut self.page.objects {
                object.key = encoding.decode(&object.key)?;
            }
            for prefix in &mut self.page.prefixes {
                *prefix = encoding.decode(prefix)?;
            }
        }
        Ok(self.page)
    }
}

/// How a store that says `url` really encoded the keys of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Encoding {
    /// `+` is a space.
    Form,
    /// `+` is a plus.
    Path,
    /// Nothing was encoded.
    None,
}

impl Encoding {
    /// Encoded text has no space, no control character, nothing beyond ASCII, and two digits after
    /// each `%`; and only what writes a space as `%20` leaves a plus as it is.
    fn of<'a>(keys: impl Iterator<Item = &'a str> + Clone) -> Encoding {
        if keys.clone().any(|key| !is_encoded(key)) {
            Encoding::None
        } else if keys.clone().any(|key| key.contains("%20")) {
            Encoding::Path
        } else {
            Encoding::Form
        }
    }

    fn decode(self, text: &str) -> Result<String, String> {
        let plus;
        let text = match self {
            Encoding::None => return Ok(text.to_owned()),
            Encoding::Path => text,
            Encoding::Form => {
                plus = text.replace('+', " ");
                &plus
            }
        };
        match percent_decode_str(text).decode_utf8() {
            Ok(key) => Ok(key.into_owned()),
            Err(_) => Err(format!(
                "key `{text}` is not UTF-8; such a key cannot be processed"
            )),
        }
    }
}

fn is_encoded(key: &str) -> bool {
    let bytes = key.as_bytes();
    bytes.iter().enumerate().all(|(at, byte)| match byte {
        b'%' => bytes
            .get(at + 1..at + 3)
            .is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit)),
        _ => byte.is_ascii_graphic(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(inner: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <Name>b</Name>{inner}</ListBucketResult>"
        )
    }

    fn keys(encoding: &str, keys: &[&str]) -> Vec<String> {
        let entries: String = keys
            .iter()
            .map(|key| format!("<Contents><Key>{key}</Key><Size>1</Size></Contents>"))
            .collect();
        let page = parse(listing(&format!("{encoding}{entries}")).as_bytes()).unwrap();
        page.objects.into_iter().map(|o| o.key).collect()
    }

    #[test]
    fn a_page_in_full() {
        let page = parse(
            listing(
                "<IsTruncated>true</IsTruncated><NextContinuationToken>t=/+</NextContinuationToken>\
                 <Contents><Key>a.txt</Key><LastModified>2020-12-01T20:43:11.794Z</LastModified>\
                 <ETag>&quot;bfd5&quot;</ETag><Size>4274</Size><Owner><ID>x</ID></Owner></Contents>\
                 <CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes>",
            )
            .as_bytes(),
        )
        .unwrap();
        assert_eq!(page.next.as_deref(), Some("t=/+"));
        assert_eq!(page.prefixes, ["b/"]);
        assert_eq!(
            page.objects,
            [ObjectInfo {
                key: "a.txt".to_owned(),
                size: 4274,
                etag: Some("bfd5".to_owned()),
                last_modified: Some("2020-12-01T20:43:11.794Z".to_owned()),
            }]
        );
    }

    #[test]
    fn the_three_encodings() {
        let url = "<EncodingType>url</EncodingType>";
        assert_eq!(keys(url, &["a%2Bb+c", "d%25"]), ["a+b c", "d%"]);
        assert_eq!(keys(url, &["a+b%20c", "d+e"]), ["a+b c", "d+e"]);
        assert_eq!(keys(url, &["a+b c", "d%20e"]), ["a+b c", "d%20e"]);
        assert_eq!(keys(url, &["a+b", "100%"]), ["a+b", "100%"]);
        assert_eq!(keys(url, &["a+b", "ü"]), ["a+b", "ü"]);
        assert_eq!(keys("", &["a+b%20c"]), ["a+b%20c"]);
        assert_eq!(keys("", &["a&amp;b &lt;c&gt;"]), ["a&b <c>"]);
    }

    #[test]
    fn what_is_no_listing() {
        let error = |text: &str| parse(text.as_bytes()).unwrap_err();
        assert!(error("<html><body>Sign in</body></html>").contains("Sign in"));
        assert!(
            error(&listing("<IsTruncated>true</IsTruncated>")).contains("NextContinuationToken")
        );
        assert!(
            error(&listing("<Contents><Key>a</Key><Size>-1</Size></Contents>"))
                .contains("`-1` is no size")
        );
        assert!(error(&listing("<Contents><Size>1</Size></Contents>")).contains("no Key"));
        assert!(error(&listing("<Contents><Key>a</Key></Contents>")).contains("no Size"));
        let whole = listing("<Contents><Key>a</Key><Size>1</Size></Contents>");
        for cut in 0..whole.len() {
            assert!(parse(&whole.as_bytes()[..cut]).is_err(), "cut at {cut}");
        }
        let ended = listing(
            "<IsTruncated>false</IsTruncated><NextContinuationToken>x</NextContinuationToken>",
        );
        assert_eq!(parse(ended.as_bytes()).unwrap().next, None);
    }
}
