//! The services that give credentials, as far as a client sees them. Each checks what it is asked,
//! and gives the keys that the server of these tests knows.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::front::{Request, answer, parameter};
use crate::store_common::{ACCESS, SECRET};

/// The session token that they give.
pub const TOKEN: &str = "t0ken/of+a=session";

/// A time from now on, as the services write it.
pub fn in_seconds(seconds: u64) -> String {
    let then = Timestamp::now() + Duration::from_secs(seconds);
    then.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// STS: a role for the token `token`, or for keys whose access key is `source`.
pub fn sts(request: &Request, token: &str, source: &str) -> Vec<u8> {
    let form = request.text();
    let asked = |name: &str| parameter(&form, name).unwrap_or_default();
    let action = asked("Action");
    let signed = request.header("authorization").unwrap_or_default();
    let allowed = match action.as_str() {
        "AssumeRoleWithWebIdentity" => asked("WebIdentityToken") == token && signed.is_empty(),
        "AssumeRole" => signed.contains(&format!("Credential={source}/")),
        _ => false,
    };
    if request.method() != "POST" || !allowed || asked("RoleArn") != ROLE {
        let error = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>\
                     <Message>not this one</Message></Error></ErrorResponse>";
        return answer("403 Forbidden", error);
    }
    let expires = in_seconds(3600);
    let body = format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result>\
         <Credentials><AccessKeyId>{ACCESS}</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey>\
         <SessionToken>{TOKEN}</SessionToken><Expiration>{expires}</Expiration></Credentials>\
         <AssumedRoleUser><Arn>{ROLE}/s</Arn><AssumedRoleId>id:s</AssumedRoleId></AssumedRoleUser>\
         </{action}Result><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>\
         </{action}Response>"
    );
    answer("200 OK", &body)
}

/// The role that STS knows.
pub const ROLE: &str = "arn:aws:iam::123456789012:role/reader";

fn keys() -> String {
    json!({
        "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": in_seconds(0),
        "AccessKeyId": ACCESS, "SecretAccessKey": SECRET, "Token": TOKEN,
        "Expiration": in_seconds(3600),
    })
    .to_string()
}

/// A container's service, which wants to be told `password`.
pub fn container(request: &Request, password: &str) -> Vec<u8> {
    let known = request.header("authorization") == Some(password);
    match (request.target(), known) {
        ("/get-credentials", true) => answer("200 OK", &keys()),
        _ => answer("403 Forbidden", ""),
    }
}

/// An instance's service, version 2 only.
pub fn instance(request: &Request) -> Vec<u8> {
    let token = request.header("x-aws-ec2-metadata-token");
    let roles = "/latest/meta-data/iam/security-credentials/";
    match (request.method(), request.target(), token) {
        ("PUT", "/latest/api/token", None) => {
            let body = "s3ssion";
            let length = body.len();
            format!(
                "HTTP/1.1 200 OK\r\nx-aws-ec2-metadata-token-ttl-seconds: 21600\r\n\
                 Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            )
            .into_bytes()
        }
        ("GET", path, Some("s3ssion")) if path == roles => answer("200 OK", "reader"),
        ("GET", path, Some("s3ssion")) if path == format!("{roles}reader") => {
            answer("200 OK", &keys())
        }
        _ => answer("401 Unauthorized", ""),
    }
}

/// Single sign-on: the keys of a role for whoever has signed in.
pub fn sign_on(request: &Request, signed_in: &str) -> Vec<u8> {
    let asked = |name: &str| request.parameter(name).unwrap_or_default();
    let known = request.header("x-amz-sso_bearer_token") == Some(signed_in)
        && asked("role_name") == "reader"
        && asked("account_id") == "123456789012";
    if !known {
        return answer(
            "401 Unauthorized",
            r#"{"message": "Session token not found or invalid"}"#,
        );
    }
    let expires = (Timestamp::now() + Duration::from_secs(3600)).as_millisecond();
    let body = json!({"roleCredentials": {
        "accessKeyId": ACCESS, "secretAccessKey": SECRET, "sessionToken": TOKEN,
        "expiration": expires,
    }});
    answer("200 OK", &body.to_string())
}
