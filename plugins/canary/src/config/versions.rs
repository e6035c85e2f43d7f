//! The versions there are, and their shares.

use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::config::Problem;

use crate::share::BackendRef;
use crate::share::Share;
use crate::split::BUCKETS;

/// A version.
#[derive(FilterConfig, Debug)]
pub(super) struct VersionFields {
    /// What headers and metrics call it.
    #[config(pattern = "^[a-z0-9][a-z0-9.-]{0,62}$")]
    name: String,
    /// Its share in percent, with up to two decimals. The first version gets what the others leave.
    weight: Option<Share>,
    /// The backendRef that it is, by the name of its backend: `shop-v2`, `shop/shop-v2:8080`. Without it, the
    /// one at the same place.
    backend: Option<BackendRef>,
}

/// A version, made ready.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) name: String,
    pub(crate) target: Target,
}

/// Which backendRef a version is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Place(u32),
    Last,
    Named(String),
}

/// Versions and their shares.
pub(super) type Shared = (Vec<Version>, Vec<u16>);

pub(super) fn two_versions(weight: Share) -> Shared {
    let version = |name: &str, target| Version {
        name: name.to_owned(),
        target,
    };
    let versions = vec![
        version("stable", Target::Place(0)),
        version("canary", Target::Last),
    ];
    (versions, vec![BUCKETS - weight.buckets(), weight.buckets()])
}

pub(super) fn several(fields: Vec<VersionFields>) -> Result<Shared, Problem> {
    if fields.len() < 2 {
        return Err(Problem::new(
            "expected two versions at least: the first, and one that takes over",
        ));
    }
    let shares = shares(&fields)?;
    let mut versions: Vec<Version> = Vec::with_capacity(fields.len());
    for (place, one) in (0..).zip(fields) {
        let metric = metric_name(&one.name);
        let before = versions
            .iter()
            .position(|it| metric_name(&it.name) == metric);
        if let Some(before) = before {
            let message = format!("metrics would call [{before}] {metric:?} too: choose another");
            return Err(Problem::new(message).under("name").at(versions.len()));
        }
        versions.push(Version {
            name: one.name,
            target: one
                .backend
                .map_or(Target::Place(place), |it| Target::Named(it.0)),
        });
    }
    Ok((versions, shares))
}

/// The shares of versions, which come to all there are.
fn shares(fields: &[VersionFields]) -> Result<Vec<u16>, Problem> {
    let mut shares = Vec::with_capacity(fields.len());
    let mut sum: u32 = 0;
    for (index, one) in fields.iter().enumerate() {
        let share = match one.weight {
            Some(share) => share.buckets(),
            None if index == 0 => 0,
            None => {
                let message = "expected a weight: only the first version gets what others leave";
                return Err(Problem::new(message).under("weight").at(index));
            }
        };
        sum += u32::from(share);
        shares.push(share);
    }
    let all = u32::from(BUCKETS);
    let first = fields.first().and_then(|it| it.weight);
    let percent = |buckets: u32| format!("{}.{:02}", buckets / 100, buckets % 100);
    if sum > all || first.is_some() && sum < all {
        let message = format!(
            "the weights come to {} and not to 100: the first version can leave its own out, and gets the \
             rest",
            percent(sum)
        );
        return Err(Problem::new(message));
    }
    if let (None, Some(own)) = (first, shares.first_mut()) {
        *own = u16::try_from(all - sum).unwrap_or(0);
    }
    Ok(shares)
}

/// What metrics call a version.
pub(crate) fn metric_name(version: &str) -> String {
    version.replace(['-', '.'], "_")
}
