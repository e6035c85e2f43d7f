//! A filter of the harness's own tests: each path is a corner case.

use tidegate_sdk::metrics::Counter;
use tidegate_sdk::prelude::*;
use tidegate_sdk::verify::{Algorithm, Key, verify};

/// By `Jefe`, of the text of RFC 4231 section 4.3.
const SIGNATURE: [u8; 32] = [
    0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7,
    0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43,
];

/// Does what the path says.
#[filter]
pub async fn corners(mut req: Request, next: Next, cx: &Cx) -> Result<Response> {
    let path = req.path();
    match path.as_str() {
        "/deny" => {
            cx.counter("runs").add(1);
            Err(Deny::status(418).text("no").because("test").into())
        }
        "/own" => Ok(Response::text(200, "made here").with_header("x-own", "1")),
        "/sleep" => {
            let guard = Guard(cx.counter("dropped"));
            cx.sleep(Duration::from_secs(3600)).await;
            guard.keep();
            next.run(req).await
        }
        "/nap" => {
            cx.sleep(Duration::from_millis(100)).await;
            next.run(req).await
        }
        "/deny-after" => {
            next.run(req).await?;
            Err(Deny::status(451).into())
        }
        "/next" => {
            let _guard = Guard(cx.counter("dropped"));
            let res = next.run(req).await?;
            cx.counter("resolved").add(1);
            Ok(res)
        }
        "/early" => {
            let counter = cx.counter("uploaded");
            req.map_chunks(move |part, _end| {
                counter.add(u32::try_from(part.len()).unwrap_or(u32::MAX));
                Ok(part)
            })?;
            let mut res = next.run(req).await?;
            cx.counter("resolved").add(1);
            res.headers_mut().set("x-resolved", "yes")?;
            Ok(res)
        }
        "/refuse-late" => {
            let mut res = next.run(req).await?;
            res.map_chunks(|part, _end| match part.contains(&b'#') {
                true => Err(Deny::forbidden().into()),
                false => Ok(part),
            })?;
            Ok(res)
        }
        "/panic" => {
            let none: Option<u8> = None;
            assert!(none.is_some(), "the author's mistake");
            next.run(req).await
        }
        "/fail" => Err(Error::new("what went wrong inside")),
        "/spawn" => {
            let done = cx.counter("spawned");
            let call = cx.backend("side").post("/seen").send();
            cx.spawn(async move {
                if call.await.is_ok() {
                    done.add(1);
                }
            });
            next.run(req).await
        }
        "/leak" => {
            cx.spawn(std::future::pending());
            next.run(req).await
        }
        "/unknown" => {
            let error = cx.backend("nobody").get("/").send().await;
            let why = error.err().and_then(|it| it.call_failure());
            Ok(Response::text(200, format!("{why:?}")))
        }
        "/shared" => {
            let count = cx.shared("count").update(|old| {
                let old = old.and_then(|it| std::str::from_utf8(it).ok()?.parse::<u32>().ok());
                Some((old.unwrap_or(0) + 1).to_string().into_bytes())
            })?;
            Ok(Response::text(
                200,
                String::from_utf8_lossy(&count.unwrap_or_default()),
            ))
        }
        "/property" => {
            cx.set_property(&["color"], "blue")?;
            let color = cx.property(&["color"]).unwrap_or_default();
            let tenant = cx.property(&["tenant"]).unwrap_or_default();
            let method = cx.property(&["request", "method"]).unwrap_or_default();
            Ok(Response::text(200, [color, tenant, method].join(" ")))
        }
        "/race" => {
            let quick = cx.backend("quick").get("/").send();
            let slow = cx.backend("slow").get("/").send();
            let first = match race(quick, slow).await {
                Either::First(reply) | Either::Second(reply) => reply?,
            };
            Ok(Response::text(200, first.text()))
        }
        "/join" => {
            let quick = cx.backend("quick").get("/").send();
            let slow = cx.backend("slow").get("/").send();
            let (quick, slow) = join(quick, slow).await;
            Ok(Response::text(200, [quick?.text(), slow?.text()].join("+")))
        }
        "/verify" => {
            let text = b"what do ya want for nothing?";
            let judged = [&b"Jefe"[..], b"Jeff", b""]
                .map(|secret| verify(Algorithm::Hs256, &Key::secret(secret), &SIGNATURE, text));
            Ok(Response::text(200, format!("{judged:?}")))
        }
        _ => next.run(req).await,
    }
}

/// Counts that it was dropped.
struct Guard(Counter);

impl Guard {
    fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.add(1);
    }
}
