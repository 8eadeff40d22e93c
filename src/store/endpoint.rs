//! What an endpoint allows: connections, rates, requests, bytes of a month.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::StoreError;

/// What one user may ask of an endpoint, all runs on the machine together. `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointProfile {
    /// Connections at a time.
    pub connections: Option<u32>,
    /// Bytes a second on each connection.
    pub bytes_per_connection: Option<u64>,
    /// Bytes a second on all connections together.
    pub bytes_per_second: Option<u64>,
    /// Requests in any minute.
    pub requests_per_minute: Option<u32>,
    /// Bytes in a month of the calendar, in UTC.
    pub bytes_per_month: Option<u64>,
}

/// Where a job file or flags want something else than the built-in profile: `None` leaves it, 0
/// lifts the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndpointSettings {
    /// Connections at a time, at most [`EndpointSettings::MOST_CONNECTIONS`].
    pub connections: Option<u64>,
    /// Bytes a second on each connection, at least [`EndpointSettings::LEAST_RATE`].
    pub bytes_per_connection: Option<u64>,
    /// Bytes a second on all connections together, at least [`EndpointSettings::LEAST_RATE`].
    pub bytes_per_second: Option<u64>,
    /// Requests in any minute, at most [`EndpointSettings::MOST_REQUESTS`].
    pub requests_per_minute: Option<u64>,
    /// Bytes in a month of the calendar.
    pub bytes_per_month: Option<u64>,
}

/// CDSE's free quota, as its documentation of quotas and limitations says.
const CDSE: EndpointProfile = EndpointProfile {
    connections: Some(4),
    bytes_per_connection: Some(20_000_000),
    bytes_per_second: None,
    requests_per_minute: Some(2_000),
    bytes_per_month: Some(12_000_000_000_000),
};

/// Amazon S3: 5,500 GET requests a second for a prefix, as its performance guidelines say, and no
/// more connections than help one machine.
const AWS: EndpointProfile = EndpointProfile {
    connections: Some(256),
    bytes_per_connection: None,
    bytes_per_second: None,
    requests_per_minute: Some(330_000),
    bytes_per_month: None,
};

impl EndpointProfile {
    /// The profile that is built in for a host name, without port: CDSE, AWS, or one that limits
    /// nothing.
    pub fn builtin(host: &str) -> EndpointProfile {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let is = |domain: &str| {
            host == domain
                || host
                    .strip_suffix(domain)
                    .is_some_and(|front| front.ends_with('.'))
        };
        let amazon = ["amazonaws.com", "amazonaws.com.cn"];
        let s3 = |label: &str| label == "s3" || label.starts_with("s3-");
        if is("eodata.dataspace.copernicus.eu") || is("eodata.ams.dataspace.copernicus.eu") {
            CDSE
        } else if amazon.iter().any(|domain| is(domain)) && host.split('.').any(s3) {
            AWS
        } else {
            EndpointProfile::default()
        }
    }

    /// The same with what a job file or flags say instead.
    #[must_use]
    pub fn with(self, settings: &EndpointSettings) -> EndpointProfile {
        let small = |set: Option<u64>, own: Option<u32>| match set {
            None => own,
            Some(0) => None,
            Some(n) => Some(u32::try_from(n).unwrap_or(u32::MAX)),
        };
        let large = |set: Option<u64>, own: Option<u64>| match set {
            None => own,
            Some(0) => None,
            some => some,
        };
        EndpointProfile {
            connections: small(settings.connections, self.connections),
            bytes_per_connection: large(settings.bytes_per_connection, self.bytes_per_connection),
            bytes_per_second: large(settings.bytes_per_second, self.bytes_per_second),
            requests_per_minute: small(settings.requests_per_minute, self.requests_per_minute),
            bytes_per_month: large(settings.bytes_per_month, self.bytes_per_month),
        }
    }

    /// Whether nothing is limited.
    pub fn is_unlimited(&self) -> bool {
        *self == EndpointProfile::default()
    }
}

impl EndpointSettings {
    /// Connections that can be shared among the runs of a machine.
    pub const MOST_CONNECTIONS: u64 = 1024;
    /// Requests a minute; more is no limit.
    pub const MOST_REQUESTS: u64 = 60_000_000;
    /// Bytes a second; with less, a part would take longer than any server waits.
    pub const LEAST_RATE: u64 = 65_536;

    /// These where they say something, and else the others.
    #[must_use]
    pub fn or(self, other: EndpointSettings) -> EndpointSettings {
        EndpointSettings {
            connections: self.connections.or(other.connections),
            bytes_per_connection: self.bytes_per_connection.or(other.bytes_per_connection),
            bytes_per_second: self.bytes_per_second.or(other.bytes_per_second),
            requests_per_minute: self.requests_per_minute.or(other.requests_per_minute),
            bytes_per_month: self.bytes_per_month.or(other.bytes_per_month),
        }
    }

    /// The settings these are, with the name that each has in a job file.
    pub fn fields(&self) -> [(&'static str, Option<u64>); 5] {
        [
            ("connections", self.connections),
            ("bytes_per_connection", self.bytes_per_connection),
            ("bytes_per_second", self.bytes_per_second),
            ("requests_per_minute", self.requests_per_minute),
            ("bytes_per_month", self.bytes_per_month),
        ]
    }

    /// The first setting that cannot be: its name, and in words what is allowed.
    pub fn wrong(&self) -> Option<(&'static str, String)> {
        self.fields().into_iter().find_map(|(name, value)| {
            let value = value.filter(|n| *n != 0)?;
            let (least, most, unit) = match name {
                "connections" => (1, Self::MOST_CONNECTIONS, ""),
                "requests_per_minute" => (1, Self::MOST_REQUESTS, ""),
                "bytes_per_month" => (1, i64::MAX.unsigned_abs(), " bytes"),
                _ => (Self::LEAST_RATE, i64::MAX.unsigned_abs(), " bytes a second"),
            };
            let allowed = match most {
                _ if (least..=most).contains(&value) => return None,
                most if most == i64::MAX.unsigned_abs() => format!("at least {least}{unit}"),
                most => format!("{least} to {most}"),
            };
            Some((
                name,
                format!("`{name}` is {allowed}, or 0 for no limit, and not {value}"),
            ))
        })
    }
}

/// One setting as a flag has it: `connections=4`.
impl FromStr for EndpointSettings {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<EndpointSettings, StoreError> {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let mut settings = EndpointSettings::default();
        let field = match name {
            "connections" => &mut settings.connections,
            "bytes_per_connection" => &mut settings.bytes_per_connection,
            "bytes_per_second" => &mut settings.bytes_per_second,
            "requests_per_minute" => &mut settings.requests_per_minute,
            "bytes_per_month" => &mut settings.bytes_per_month,
            other => {
                let names = settings.fields().map(|(name, _)| name).join(", ");
                return Err(StoreError::config(format!(
                    "limit `{}` is none of {names}",
                    other.escape_debug()
                )));
            }
        };
        let number = value.replace('_', "").parse().map_err(|_| {
            StoreError::config(format!(
                "`{}`: write a limit as NAME=NUMBER, such as connections=4, with 0 for no limit",
                text.escape_debug()
            ))
        })?;
        *field = Some(number);
        match settings.wrong() {
            None => Ok(settings),
            Some((_, text)) => Err(StoreError::config(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_say_what_is_allowed() {
        let set: EndpointSettings = "bytes_per_second=20_000_000".parse().unwrap();
        assert_eq!(set.bytes_per_second, Some(20_000_000));
        let both = set.or("connections=0".parse().unwrap());
        assert_eq!(
            (both.connections, both.bytes_per_second),
            (Some(0), Some(20_000_000))
        );
        for (text, says) in [
            ("connections", "NAME=NUMBER"),
            ("connections=four", "NAME=NUMBER"),
            ("connections=-1", "NAME=NUMBER"),
            ("conections=4", "none of connections, bytes_per_connection"),
            ("connections=2000", "1 to 1024"),
        ] {
            let error = text.parse::<EndpointSettings>().unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn hosts_have_their_profiles() {
        for host in [
            "eodata.dataspace.copernicus.eu",
            "EODATA.dataspace.copernicus.eu.",
            "eodata.ams.dataspace.copernicus.eu",
            "bucket.eodata.dataspace.copernicus.eu",
        ] {
            assert_eq!(EndpointProfile::builtin(host), CDSE, "{host}");
        }
        for host in [
            "s3.eu-central-1.amazonaws.com",
            "s3.amazonaws.com",
            "s3-us-west-2.amazonaws.com",
            "bucket.s3.us-west-2.amazonaws.com",
            "s3.cn-north-1.amazonaws.com.cn",
        ] {
            assert_eq!(EndpointProfile::builtin(host), AWS, "{host}");
        }
        for host in [
            "127.0.0.1",
            "localhost",
            "",
            "xeodata.dataspace.copernicus.eu",
            "ec2.amazonaws.com",
            "s3.amazonaws.com.example",
        ] {
            assert!(EndpointProfile::builtin(host).is_unlimited(), "{host}");
        }
    }

    #[test]
    fn settings_replace_and_lift() {
        let settings = EndpointSettings {
            connections: Some(8),
            requests_per_minute: Some(0),
            ..EndpointSettings::default()
        };
        let profile = CDSE.with(&settings);
        assert_eq!(profile.connections, Some(8));
        assert_eq!(profile.requests_per_minute, None);
        assert_eq!(profile.bytes_per_month, CDSE.bytes_per_month);
        assert_eq!(CDSE.with(&EndpointSettings::default()), CDSE);
    }

    #[test]
    fn what_cannot_be_is_named_with_what_is_allowed() {
        let settings = EndpointSettings {
            connections: Some(1025),
            ..EndpointSettings::default()
        };
        let (name, text) = settings.wrong().unwrap();
        assert_eq!(name, "connections");
        assert_eq!(
            text,
            "`connections` is 1 to 1024, or 0 for no limit, and not 1025"
        );
        let settings = EndpointSettings {
            bytes_per_second: Some(10),
            ..EndpointSettings::default()
        };
        assert!(
            settings
                .wrong()
                .unwrap()
                .1
                .contains("at least 65536 bytes a second")
        );
        let lifted = EndpointSettings {
            connections: Some(0),
            bytes_per_connection: Some(0),
            bytes_per_second: Some(0),
            requests_per_minute: Some(0),
            bytes_per_month: Some(0),
        };
        assert_eq!(lifted.wrong(), None);
        assert!(CDSE.with(&lifted).is_unlimited());
    }
}
