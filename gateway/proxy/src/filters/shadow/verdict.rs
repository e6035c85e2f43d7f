//! What a shadow would have done, said and counted.
//!
//! Owns what of the copy is compared: heads and trailers by field, bodies by byte. Names are told, values
//! never.

use http::HeaderMap;
use tidegate_core::rollout::shadow::Class;
use tidegate_core::rollout::shadow::Difference;
use tidegate_core::rollout::shadow::Edited;
use tidegate_core::rollout::shadow::Edits;
use tidegate_core::rollout::shadow::Would;
use tidegate_core::rollout::shadow::compare;
use tidegate_host_abi::Side;

use crate::exchange::state::State;
use crate::filters::fields;
use crate::filters::fields::Fields;
use crate::filters::shadow::course::Course;
use crate::filters::shadow::feed::Outcome;
use crate::filters::shadow::gate::Gate;

/// Names and values, copied.
type Own = Vec<(String, Vec<u8>)>;

impl Course {
    /// What would have been different.
    pub(super) fn compare(&self, would: Would, outcome: &Outcome) -> Difference {
        if would != Would::Pass {
            return compare(would, outcome.happened, &Edits::default());
        }
        let state = self.copy.stream.state();
        let trailers = &self.message(Side::Request).trailers;
        let request = [
            (&self.request_head as &dyn Fields, trailers.as_ref()),
            (&state.request, state.request_trailers.as_deref()),
        ];
        let request = unlike(request);
        let response = self.response_head.as_ref().map(|head| {
            let trailers = &self.message(Side::Response).trailers;
            unlike([
                (head, trailers.as_ref()),
                (&state.response, state.response_trailers.as_deref()),
            ])
        });
        let edits = Edits {
            request: Some(self.edited(&request, Side::Request)),
            response: response.as_ref().map(|it| self.edited(it, Side::Response)),
            route: has_chosen(&state),
        };
        compare(would, outcome.happened, &edits)
    }

    fn edited<'a>(&self, [before, after]: &'a [Own; 2], side: Side) -> Edited<'a> {
        Edited {
            before,
            after,
            body: self.message(side).has_other_body(),
        }
    }

    /// Counts it, and says it if it is not what happened.
    pub(super) fn report(&self, gate: &Gate, difference: &Difference, outcome: &Outcome) {
        let plugin = gate.plugin();
        let counters = &self.copy.worker.counters;
        counters.shadow(plugin, |counts| counts.add(difference));
        let filter = self.copy.chain.filters.first();
        let is_news = difference.class != Class::Agreed;
        if !is_news || !filter.is_some_and(|it| it.vm.may_tell_difference(plugin)) {
            return;
        }
        let id = outcome.request_id.as_ref();
        tracing::info!(
            target: "shadow",
            plugin,
            request_id = %id.map_or(&b""[..], |id| id.as_bytes()).escape_ascii(),
            method = outcome.method.as_str(),
            path = %outcome.path.as_bytes().escape_ascii(),
            "shadow {}: {}",
            difference.class.name(),
            difference.words.join("; "),
        );
    }
}

/// Whether the filter has chosen where the request goes, or made attempts fail.
fn has_chosen(state: &State) -> bool {
    state.chosen_share.is_some() || state.chosen_endpoint.is_some() || !state.faults.is_empty()
}

/// The fields of a message before and after the filter, or nothing of both if they are the same.
fn unlike(both: [(&dyn Fields, Option<&HeaderMap>); 2]) -> [Own; 2] {
    let [(before, had), (after, has)] = both;
    let trailers_are_same = match (had, has) {
        (Some(had), Some(has)) => had == has,
        (one, other) => one.or(other).is_none_or(HeaderMap::is_empty),
    };
    if trailers_are_same && before.map() == after.map() && pseudo(before) == pseudo(after) {
        return Default::default();
    }
    [all(before, had), all(after, has)]
}

fn pseudo(head: &dyn Fields) -> Own {
    let mut all = Own::new();
    head.visit_pseudo(&mut |name, value| {
        let name = String::from_utf8_lossy(name).into_owned();
        all.push((name, value.to_vec()));
    });
    all
}

/// All fields of a message.
fn all(head: &dyn Fields, trailers: Option<&HeaderMap>) -> Own {
    let mut all = Own::new();
    let mut add = |name: &[u8], value: &[u8]| {
        let name = String::from_utf8_lossy(name).into_owned();
        all.push((name, value.to_vec()));
    };
    fields::visit(head, &mut add);
    for (name, value) in trailers.into_iter().flatten() {
        add(name.as_str().as_bytes(), value.as_bytes());
    }
    all
}
