//! Verifies passwords, and remembers which were right.
//!
//! What is remembered is a keyed hash of name and password (SipHash-2-4 with 128 bits), whose key is
//! drawn when the plugin is set up: nobody can choose two that meet, and a new configuration knows
//! nothing of what an old one remembered. For the same name and password one computation serves all
//! who wait. A name that nobody has takes the time of somebody's hash, always the same one.

use std::net::IpAddr;
use std::rc::Rc;

use siphasher::sip128::Hasher128 as _;
use siphasher::sip128::SipHasher24;
use tidegate_sdk::prelude::*;

use crate::State;
use crate::config::Config;
use crate::credentials::Password;
use crate::hash::Hash;
use crate::hash::Progress;

/// Most passwords that are remembered; those that are forgotten first go first.
const MOST: usize = 10_000;
/// How long a wrong password is remembered: a program that tries it again and again costs little.
const WRONG_FOR: Duration = Duration::from_secs(10);
/// Between slices of a computation, for the requests of others: at most a third of a worker computes.
const PAUSE: Duration = Duration::from_millis(2);

/// What comes of a name and a password.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Right,
    Wrong,
    /// Too many others are being verified.
    Busy,
}

/// Verifies a name and a password.
pub(crate) async fn verify(
    user: &str,
    password: Password,
    req: &Request,
    cx: &Cx<Config, State>,
) -> Result<Verdict> {
    let mut hasher = SipHasher24::new_with_key(&cx.state.secret.0);
    std::hash::Hasher::write(&mut hasher, user.as_bytes());
    let decoy = std::hash::Hasher::finish(&hasher);
    // Names have no colon: no two pairs are the same text.
    std::hash::Hasher::write(&mut hasher, b":");
    std::hash::Hasher::write(&mut hasher, password.bytes());
    let known = cx.config.users.hash(user);
    let index = known.unwrap_or_else(|| usize::try_from(decoy >> 32).unwrap_or_default());
    let Some(hash) = cx.config.users.at(index) else {
        return Ok(Verdict::Wrong);
    };
    let of_user = move |is_right: bool| match is_right && known.is_some() {
        true => Verdict::Right,
        false => Verdict::Wrong,
    };
    if hash.rounds() == 0
        && let Progress::Done(is_right) = hash.begin(password.bytes())
    {
        return Ok(of_user(is_right));
    }
    let key = format!("{:032x}", hasher.finish128().as_u128());
    let remembered = cx.cache::<Verdict>("verified", MOST)?;
    let compute = || {
        let (cx, client) = (cx.clone(), req.client_ip());
        async move {
            let verdict = computed(&cx, client, index, password).await.map(of_user);
            Ok(match verdict {
                Some(Verdict::Right) => (Verdict::Right, cx.config.remember),
                Some(_) => (Verdict::Wrong, WRONG_FOR),
                None => (Verdict::Busy, Duration::ZERO),
            })
        }
    };
    Ok(*remembered.get_or_fetch(&key, compute).await?)
}

/// Whether a password has the hash at this index, when its turn has come. `None` if too much waits.
async fn computed(
    cx: &Cx<Config, State>,
    client: Option<IpAddr>,
    index: usize,
    password: Password,
) -> Option<bool> {
    let hash: &Hash = cx.config.users.at(index)?;
    let turn = Rc::clone(&cx.state.turns).enter(client, hash.rounds())?;
    turn.come().await;
    let mut work = match hash.begin(password.bytes()) {
        Progress::Done(is_right) => {
            // The next one begins in a callback of its own.
            cx.sleep(PAUSE).await;
            return Some(is_right);
        }
        Progress::More(work) => work,
    };
    loop {
        let outcome = work.slice();
        cx.sleep(PAUSE).await;
        if outcome.is_some() {
            return outcome;
        }
    }
}
