//! AWS Signature Version 4 of requests without a body and without a query ("Authenticating Requests: Using the Authorization Header" in the API reference
//! of Amazon S3).

use std::collections::BTreeMap;
use std::time::SystemTime;

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest as _, Sha256};

use super::hmac::{hex, hmac};
use crate::Secret;
use crate::transport::authority;

/// What is signed before the rest.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// Of no bytes.
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";

/// A key of AWS.
#[derive(Clone, Debug)]
pub(super) struct Login {
    /// Not secret: it stands in each request.
    pub(super) id: String,
    pub(super) secret: Secret,
    /// Of a key that holds for a while.
    pub(super) token: Option<Secret>,
}

/// Adds the headers of a signed GET. Those that are there are signed, too.
pub(super) fn sign(login: &Login, region: &str, url: &Url, headers: &mut HeaderMap, now: SystemTime) {
    let time = timestamp(now);
    let mut set = |name: &'static str, value: &str, sensitive: bool| {
        // What no header can hold was no credential: the request goes without it and is refused.
        if let Ok(mut value) = HeaderValue::from_str(value) {
            value.set_sensitive(sensitive);
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    set("x-amz-date", &time, false);
    set("x-amz-content-sha256", EMPTY_SHA256, false);
    if let Some(token) = &login.token {
        set("x-amz-security-token", token.expose(), true);
    }
    let authorization = authorization(login, region, url, headers, &time);
    if let Ok(mut value) = HeaderValue::from_str(&authorization) {
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
}

fn authorization(login: &Login, region: &str, url: &Url, headers: &HeaderMap, time: &str) -> String {
    let mut signed = BTreeMap::from([("host", authority(url))]);
    let text = |value: &HeaderValue| value.to_str().map(str::trim).unwrap_or_default().to_owned();
    signed.extend(headers.iter().map(|(name, value)| (name.as_str(), text(value))));
    let names = signed.keys().copied().collect::<Vec<_>>().join(";");
    let lines: String = signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let request = format!("GET\n{}\n\n{lines}\n{names}\n{EMPTY_SHA256}", url.path());
    let date = &time[..8];
    let scope = format!("{date}/{region}/s3/aws4_request");
    let message = format!("{ALGORITHM}\n{time}\n{scope}\n{}", hex(&Sha256::digest(request)));
    let key = key(login.secret.expose(), date, region, "s3");
    let signature = hex(&hmac(&key, message.as_bytes()));
    format!("{ALGORITHM} Credential={}/{scope},SignedHeaders={names},Signature={signature}", login.id)
}

/// The key of a day, a region and a service.
fn key(secret: &str, date: &str, region: &str, service: &str) -> [u8; 32] {
    let key = hmac(format!("AWS4{secret}").as_bytes(), date.as_bytes());
    [region, service, "aws4_request"].into_iter().fold(key, |key, word| hmac(&key, word.as_bytes()))
}

/// `20130524T000000Z`, from HTTP's form of a time: `Fri, 24 May 2013 00:00:00 GMT`.
fn timestamp(time: SystemTime) -> String {
    let text = httpdate::fmt_http_date(time);
    let month = MONTHS.find(&text[8..11]).map_or(0, |at| at / 3 + 1);
    let clock = text[17..25].replace(':', "");
    format!("{}{month:02}{}T{clock}Z", &text[12..16], &text[5..7])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// 24 May 2013.
    fn day() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_369_353_600)
    }

    fn login(token: Option<&str>) -> Login {
        Login {
            id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret: Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            token: token.map(Secret::new),
        }
    }

    /// The example "GET Object" of AWS's document.
    #[test]
    fn vector_of_a_request() {
        let url = "https://examplebucket.s3.amazonaws.com/test.txt".parse().unwrap();
        let mut headers = HeaderMap::from_iter([(reqwest::header::RANGE, HeaderValue::from_static("bytes=0-9"))]);
        sign(&login(None), "us-east-1", &url, &mut headers, day());
        assert_eq!(
            headers[AUTHORIZATION],
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
             SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,\
             Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
        assert_eq!(headers["x-amz-date"], "20130524T000000Z");
    }

    /// The example of AWS's document on deriving a key.
    #[test]
    fn vector_of_a_key() {
        let key = key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20150830", "us-east-1", "iam");
        assert_eq!(hex(&key), "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9");
    }

    #[test]
    fn a_token_is_signed_and_not_printed() {
        let url = "http://127.0.0.1:9000/b/k".parse().unwrap();
        let mut headers = HeaderMap::new();
        sign(&login(Some("t0ken")), "us-east-1", &url, &mut headers, day());
        assert_eq!(headers["x-amz-security-token"], "t0ken");
        let signed = headers[AUTHORIZATION].to_str().unwrap();
        assert!(signed.contains("SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token"), "{signed}");
        let shown = format!("{headers:?}");
        assert!(!shown.contains("t0ken") && !shown.contains("Signature="), "{shown}");
    }

    #[test]
    fn times_of_all_months() {
        for (days, wanted) in [(0, "19700101T000000Z"), (59, "19700301T000000Z"), (364, "19701231T000000Z")] {
            assert_eq!(timestamp(SystemTime::UNIX_EPOCH + Duration::from_secs(days * 86_400)), wanted);
        }
    }
}
