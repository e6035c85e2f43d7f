//! A filter of the harness's own tests: it reads whole bodies, before and after their headers.

use tidegate_sdk::prelude::*;

/// The most that it reads.
const LIMIT: usize = 1024;

/// Says how long bodies are.
#[filter(needs(stop_iteration))]
pub async fn whole(mut req: Request, next: Next, _cx: &Cx) -> Result<Response> {
    match req.path().as_str() {
        "/portable" => {
            let mut body = next.pass_headers(req);
            judge(&body.body().limit(LIMIT).bytes().await?)?;
            next.run(body).await
        }
        "/replaced" => {
            let upper = req.body().limit(LIMIT).text().await?.to_uppercase();
            req.body().replace(upper.as_bytes())?;
            next.run(req).await
        }
        "/answer" => {
            let mut res = next.run(req).await?;
            let length = res.body().limit(LIMIT).bytes().await?.len();
            res.headers_mut().set("x-length", length.to_string())?;
            Ok(res)
        }
        "/rewritten" => {
            req.map_body(LIMIT, |body| Ok(body.into_iter().rev().collect()))?;
            let mut res = next.run(req).await?;
            res.map_body(LIMIT, |mut body| {
                body.extend_from_slice(b"!");
                Ok(body)
            })?;
            Ok(res)
        }
        _ => {
            let body = req.body().limit(LIMIT).bytes().await?;
            judge(&body)?;
            req.headers_mut().set("x-length", body.len().to_string())?;
            next.run(req).await
        }
    }
}

fn judge(body: &[u8]) -> Result<()> {
    let forbidden = body.windows(9).any(|it| it == b"forbidden");
    (!forbidden).or_deny(Deny::forbidden().because("forbidden_body"))
}
