//! Verifies passwords, and remembers which were right.
//!
//! What is remembered is a keyed hash of name and password (SipHash-2-4 with 128 bits), whose key is
//! drawn when the plugin is set up: nobody can choose two that meet, and a new configuration knows
//! nothing of what an old one remembered. For the same name and password one computation serves all
//! who wait. A name that nobody has takes the time of somebody's hash, always the same one.

use std::hash::Hasher as _;
use std::net::IpAddr;
use std::rc::Rc;

use siphasher::sip128::Hash128;
use siphasher::sip128::Hasher128 as _;
use siphasher::sip128::SipHasher24;
use tidegate_sdk::prelude::*;

use crate::State;
use crate::config::Config;
use crate::credentials::Password;
use crate::hash::Hash;
use crate::hash::Progress;
use crate::htpasswd::MOST as MOST_USERS;

/// Most wrong passwords that are remembered. Of right ones there is at most one for each user.
const MOST_WRONG: usize = 1_000;
/// Most computations that others can wait for; there are fewer.
const MOST_RUNNING: usize = 512;
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
    hasher.write(user.as_bytes());
    let known = cx.config.users.hash(user);
    // Half of the bits: the other half of this number is nobody's.
    let decoy = usize::try_from(hasher.finish128().h1 >> 32).unwrap_or_default();
    let index = known.unwrap_or(decoy);
    let Some(hash) = cx.config.users.at(index) else {
        return Ok(Verdict::Wrong);
    };
    let verdict = move |has_hash| match has_hash && known.is_some() {
        true => Verdict::Right,
        false => Verdict::Wrong,
    };
    if hash.rounds() == 0
        && let Progress::Done(has_hash) = hash.begin(password.bytes())
    {
        return Ok(verdict(has_hash));
    }
    // Names have no colon: no two pairs are the same text.
    hasher.write(b":");
    hasher.write(password.bytes());
    let name = name_of(hasher.finish128());
    if cx.cache::<()>("right", MOST_USERS)?.get(&name).is_some() {
        return Ok(Verdict::Right);
    }
    if cx.cache::<()>("wrong", MOST_WRONG)?.get(&name).is_some() {
        return Ok(Verdict::Wrong);
    }
    let running = cx.cache::<Verdict>("running", MOST_RUNNING)?;
    let compute = || {
        let (cx, client, name) = (cx.clone(), req.client_ip(), name.clone());
        async move {
            let found = match computed(&cx, client, index, &password).await {
                Some(has_hash) => verdict(has_hash),
                None => Verdict::Busy,
            };
            remember(&cx, &name, found)?;
            // Here it is kept for those who wait alone.
            Ok((found, Duration::ZERO))
        }
    };
    Ok(*running.get_or_fetch(&name, compute).await?)
}

/// Remembers what came of a pair by its name.
fn remember(cx: &Cx<Config, State>, name: &str, verdict: Verdict) -> Result<()> {
    let (cache, most, time) = match verdict {
        Verdict::Right => ("right", MOST_USERS, cx.config.remember),
        Verdict::Wrong => ("wrong", MOST_WRONG, WRONG_FOR),
        Verdict::Busy => return Ok(()),
    };
    cx.cache(cache, most)?.put(name, (), time);
    Ok(())
}

/// Whether the password has the hash, when its turn has come. `None` if too much waits.
async fn computed(
    cx: &Cx<Config, State>,
    client: Option<IpAddr>,
    index: usize,
    password: &Password,
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

/// 128 bits as text.
fn name_of(hash: Hash128) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0'));
    let bytes = hash.as_bytes();
    let digits = bytes.iter().flat_map(|it| [digit(it >> 4), digit(it & 15)]);
    digits.collect()
}
