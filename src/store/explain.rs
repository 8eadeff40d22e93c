//! Which error an unsuccessful answer of a store is, and what to do about it.

use std::time::{Duration, SystemTime};

use reqwest::header::{self, HeaderMap};
use reqwest::{StatusCode, Url};

use super::StoreError;
use super::error::says_expired;
use super::headers::text;
use super::xml::{quoted, scrubbed, walk};

/// Longer requests to wait are taken for this.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// What an S3 error document says.
#[derive(Default)]
struct Said {
    code: String,
    message: String,
    region: String,
    endpoint: String,
}

impl Said {
    fn read(body: &[u8]) -> Option<Said> {
        let mut said = Said::default();
        let mut known = false;
        let read = walk(body, |path, text| {
            let names: Vec<&str> = path.iter().map(String::as_str).collect();
            // Some stores answer <ErrorResponse><Error>...
            let names = names.strip_prefix(&["ErrorResponse"]).unwrap_or(&names);
            let field = match names {
                ["Error", "Code"] => &mut said.code,
                ["Error", "Message"] => &mut said.message,
                ["Error", "Region"] => &mut said.region,
                ["Error", "Endpoint"] => &mut said.endpoint,
                _ => return Ok(()),
            };
            known = true;
            *field = shortened(text);
            Ok(())
        });
        (read.is_ok() && known).then_some(said)
    }
}

fn shortened(text: &str) -> String {
    let text: String = scrubbed(text.trim()).chars().take(200).collect();
    text.escape_debug()
        .to_string()
        .replace("\\'", "'")
        .replace("\\\"", "'")
}

/// An error from inside a successful answer, as CompleteMultipartUpload may send.
pub(super) fn late_error(body: &[u8], place: &str) -> Option<StoreError> {
    let said = Said::read(body)?;
    Some(StoreError::Server {
        place: place.to_owned(),
        status: 200,
        code: said.code,
        message: said.message,
    })
}

/// The error that a status, headers and the start of a body say.
pub(super) fn explain(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    place: &str,
) -> StoreError {
    let said = Said::read(body);
    let strange = said.is_none() && !body.is_empty();
    let mut said = said.unwrap_or_default();
    if said.region.is_empty() {
        said.region = text(headers, "x-amz-bucket-region")
            .map(|r| shortened(&r))
            .unwrap_or_default();
    }
    let (place, number) = (place.to_owned(), status.as_u16());
    let code = said.code.clone();
    match (number, code.as_str()) {
        (300..=399, _) => StoreError::Elsewhere {
            place,
            detail: redirected(number, headers, &said),
        },
        (
            _,
            "SlowDown"
            | "TooManyRequests"
            | "ThrottlingException"
            | "RequestLimitExceeded"
            | "Throttling",
        )
        | (429 | 503, _) => StoreError::Throttled {
            place,
            status: number,
            code,
            retry_after: retry_after(headers),
        },
        (408, _) | (400, "RequestTimeout") => StoreError::Unreachable {
            place,
            detail: format!("the store waited too long (HTTP {number})"),
        },
        (400, "BadDigest" | "XAmzContentChecksumMismatch" | "IncompleteBody") => {
            StoreError::Unreachable {
                place,
                detail: format!(
                    "the bytes that arrived are not those that were sent (HTTP 400 {code})"
                ),
            }
        }
        (412, _) => StoreError::Changed {
            place,
            detail: "its ETag is another one (HTTP 412)".to_owned(),
        },
        (416, _) => StoreError::Changed {
            place,
            detail: "it is shorter (HTTP 416)".to_owned(),
        },
        (404 | 410, _) => StoreError::NotFound { place, code },
        (500..=599, _) => StoreError::Server {
            place,
            status: number,
            code,
            message: said.message,
        },
        (401 | 403, _) | (400, _) if number != 400 || about_credentials(&code, &said.region) => {
            let hint = hint(&said);
            StoreError::Refused {
                place,
                status: number,
                code,
                message: said.message,
                hint,
            }
        }
        _ if strange => StoreError::protocol(
            &place,
            format!(
                "HTTP {number} with an answer that is not S3's: it begins {}",
                quoted(body)
            ),
        ),
        _ => {
            let (space, message) = match (code.is_empty(), said.message.is_empty()) {
                (true, true) => ("", "it does not say why"),
                (empty, _) => (if empty { "" } else { " " }, said.message.as_str()),
            };
            StoreError::protocol(
                &place,
                format!("the store cannot do this (HTTP {number}{space}{code}): {message}"),
            )
        }
    }
}

fn about_credentials(code: &str, region: &str) -> bool {
    let known = [
        "ExpiredToken",
        "InvalidToken",
        "TokenRefreshRequired",
        "InvalidAccessKeyId",
    ];
    known.contains(&code)
        || code.starts_with("Authorization")
        || (code.is_empty() && !region.is_empty())
}

fn hint(said: &Said) -> String {
    let text = match said.code.as_str() {
        "RequestTimeTooSkewed" => {
            "this machine's clock and the store's differ too much; set the clock"
        }
        "InvalidAccessKeyId" => {
            "the store does not know this access key; check the profile and the endpoint"
        }
        "SignatureDoesNotMatch" => {
            "the secret key does not fit the access key; check both, and the region and the endpoint"
        }
        "ExpiredToken" | "TokenRefreshRequired" | "InvalidToken" => {
            "the session token has expired or is not valid; get new temporary credentials"
        }
        _ if says_expired(&said.message) => {
            "the signed URL had expired when it arrived; compare this machine's clock with the \
             store's, and look for a proxy that holds requests back"
        }
        _ if !said.region.is_empty() => {
            return format!(
                "the bucket is in region {0}; give --region {0}",
                said.region
            );
        }
        _ => {
            "these credentials do not allow it; check the profile and the bucket's policy \
             (a public bucket may need --anonymous, a requester-pays bucket --requester-pays)"
        }
    };
    text.to_owned()
}

fn redirected(number: u16, headers: &HeaderMap, said: &Said) -> String {
    let target = text(headers, header::LOCATION)
        .and_then(|to| Url::parse(&to).ok())
        .and_then(|url| {
            let port = url
                .port()
                .map(|port| format!(":{port}"))
                .unwrap_or_default();
            Some(format!("{}://{}{port}", url.scheme(), url.host_str()?))
        });
    let advice = match (&said.region, &said.endpoint, target) {
        (region, _, _) if !region.is_empty() => {
            format!("the bucket is in region {region}; give --region {region}")
        }
        (_, endpoint, _) if !endpoint.is_empty() => {
            format!("the store names the endpoint {endpoint}; give it as --endpoint")
        }
        (_, _, Some(target)) => format!("it points to {target}; give the right --endpoint"),
        _ => "check the endpoint and the region".to_owned(),
    };
    format!("the store redirects (HTTP {number}), which is not followed: {advice}")
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = text(headers, header::RETRY_AFTER)?;
    let wait = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let when = httpdate::parse_http_date(&value).ok()?;
            when.duration_since(SystemTime::now()).unwrap_or_default()
        }
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ErrorKind;

    fn explained(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> StoreError {
        let headers = headers
            .iter()
            .map(|(k, v)| {
                (
                    header::HeaderName::from_static(k),
                    header::HeaderValue::from_static(v),
                )
            })
            .collect();
        explain(
            StatusCode::from_u16(status).unwrap(),
            &headers,
            body.as_bytes(),
            "s3://b/k at http://h",
        )
    }

    fn document(code: &str) -> String {
        format!("<Error><Code>{code}</Code><Message>So it is.</Message></Error>")
    }

    #[test]
    fn statuses_and_codes() {
        for (status, body, kind, says) in [
            (
                403,
                document("AccessDenied"),
                ErrorKind::Refused,
                "So it is.",
            ),
            (
                403,
                document("RequestTimeTooSkewed"),
                ErrorKind::Refused,
                "clock",
            ),
            (
                403,
                document("SignatureDoesNotMatch"),
                ErrorKind::Refused,
                "secret key",
            ),
            (403, String::new(), ErrorKind::Refused, "--anonymous"),
            (
                400,
                document("ExpiredToken"),
                ErrorKind::Refused,
                "temporary credentials",
            ),
            (
                400,
                document("InvalidArgument"),
                ErrorKind::Protocol,
                "InvalidArgument",
            ),
            (
                404,
                document("NoSuchBucket"),
                ErrorKind::NotFound,
                "NoSuchBucket",
            ),
            (
                412,
                document("PreconditionFailed"),
                ErrorKind::Changed,
                "ETag",
            ),
            (416, document("InvalidRange"), ErrorKind::Changed, "shorter"),
            (503, document("SlowDown"), ErrorKind::Throttled, "slow down"),
            (429, String::new(), ErrorKind::Throttled, "slow down"),
            (
                500,
                document("InternalError"),
                ErrorKind::Server,
                "InternalError",
            ),
            (
                502,
                "<html>Bad gateway".to_owned(),
                ErrorKind::Server,
                "502",
            ),
            (
                405,
                "<html>nginx</html>".to_owned(),
                ErrorKind::Protocol,
                "nginx",
            ),
        ] {
            let error = explained(status, &[], &body);
            assert_eq!(error.kind(), kind, "{status} {body}: {error}");
            assert!(error.to_string().contains(says), "{status} {body}: {error}");
            assert!(error.to_string().contains("s3://b/k"), "{error}");
        }
    }

    #[test]
    fn redirects_name_the_region() {
        let error = explained(301, &[("x-amz-bucket-region", "eu-west-1")], "");
        assert!(error.to_string().contains("--region eu-west-1"), "{error}");
        let error = explained(
            307,
            &[(
                "location",
                "https://other.example:8443/b/k?X-Amz-Signature=1",
            )],
            "",
        );
        assert!(
            error.to_string().contains("https://other.example:8443;"),
            "{error}"
        );
        assert!(!error.to_string().contains("X-Amz"), "{error}");
    }

    #[test]
    fn waiting_times() {
        let wait = |value| explained(503, &[("retry-after", value)], "").retry_after();
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("999999999"), Some(MAX_RETRY_AFTER));
        assert_eq!(wait("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("soon"), None);
    }
}
