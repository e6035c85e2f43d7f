//! The issuers of RequestAuthentications.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::kinds::text::DurationText;
use crate::kinds::text::FieldName;
use crate::kinds::text::Ignored;
use crate::place::At;

/// An issuer of tokens, and what is wanted of its tokens.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JwtRule {
    /// Who has issued the tokens: their claim `iss`.
    #[schemars(length(min = 1, max = 2048))]
    pub issuer: At<String>,
    /// Whom they may be for: one of these must be in their claim `aud`. Anybody if empty.
    #[serde(default)]
    #[schemars(length(max = 64), inner(length(min = 1)))]
    pub audiences: Vec<String>,
    /// Where the issuer's keys are: `https://HOST[:PORT]/PATH`, or `http://…`. With TLS, the machine's authorities are
    /// believed. Either this or `jwks`.
    #[schemars(length(min = 1, max = 2048))]
    pub jwks_uri: Option<At<String>>,
    /// The same, as older files write it.
    #[serde(rename = "jwks_uri")]
    #[schemars(length(min = 1, max = 2048))]
    pub jwks_uri_old: Option<At<String>>,
    /// The issuer's keys themselves, as the text of a JWK Set.
    #[schemars(length(min = 1))]
    pub jwks: Option<At<String>>,
    /// Headers that have the token. With neither these nor `fromParams` nor `fromCookies` it is in `Authorization:
    /// Bearer …`, or in the parameter `access_token`.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub from_headers: Vec<JwtHeader>,
    /// Parameters of the query that have the token.
    #[serde(default)]
    #[schemars(length(max = 16), inner(length(min = 1)))]
    pub from_params: Vec<String>,
    /// Cookies that have the token.
    #[serde(default)]
    #[schemars(length(max = 16), inner(length(min = 1)))]
    pub from_cookies: Vec<String>,
    /// A header that gets the payload of the token, in base64url.
    pub output_payload_to_header: Option<FieldName>,
    /// Whether the token stays in the request.
    #[schemars(extend("default" = false))]
    pub forward_original_token: Option<bool>,
    /// Headers that get claims.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub output_claim_to_headers: Vec<ClaimToHeader>,
    /// How long fetching the keys may take.
    #[schemars(extend("default" = "5s"))]
    pub timeout: Option<At<DurationText>>,
    /// Claims that are lists with spaces between their items.
    #[schemars(extend("x-tidegate-unsupported" = "claims are compared as they are"))]
    pub space_delimited_claims: Option<Ignored>,
}

/// A header that has a token.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JwtHeader {
    /// Its name.
    #[schemars(length(min = 1))]
    pub name: FieldName,
    /// What stands before the token, such as `"Bearer "`.
    #[schemars(length(max = 256))]
    pub prefix: Option<String>,
}

/// A claim that becomes a header.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimToHeader {
    /// The header.
    #[schemars(length(min = 1))]
    pub header: FieldName,
    /// The claim, or the names on the way to it with dots between them.
    #[schemars(length(min = 1, max = 256))]
    pub claim: String,
}
