//! What of a stream a filter can reach now: maps of headers and trailers, bodies, metrics.

use tidegate_sdk_sys::host::PairsRef;
use tidegate_sdk_sys::{BufferType, MapType, Pairs, Result, Status};

use crate::native::state::{Metric, State, Way};

/// Whose map a type means.
enum Map {
    Headers(Way),
    Trailers(Way),
    CallHeaders,
    CallTrailers,
}

const fn map_of(map: MapType) -> Result<Map> {
    Ok(match map {
        MapType::RequestHeaders => Map::Headers(Way::Request),
        MapType::RequestTrailers => Map::Trailers(Way::Request),
        MapType::ResponseHeaders => Map::Headers(Way::Response),
        MapType::ResponseTrailers => Map::Trailers(Way::Response),
        MapType::CallHeaders => Map::CallHeaders,
        MapType::CallTrailers => Map::CallTrailers,
        MapType::GrpcInitialMetadata | MapType::GrpcTrailingMetadata => {
            return Err(Status::BAD_ARGUMENT);
        }
    })
}

impl State {
    /// A map to read; a host may have it no more once it has gone on.
    pub(super) fn map(&mut self, map: MapType) -> Result<&Pairs> {
        let missing = Status::BAD_ARGUMENT;
        match map_of(map)? {
            Map::CallHeaders => self.answer.as_ref().map(|it| &it.headers).ok_or(missing),
            Map::CallTrailers => self.answer.as_ref().map(|it| &it.trailers).ok_or(missing),
            Map::Headers(way) => {
                let stream = self.stream().ok_or(missing)?;
                let over = stream.over;
                let side = stream.side(way);
                let there = side.begun && (over || !side.forwarded);
                there.then_some(&side.headers).ok_or(missing)
            }
            Map::Trailers(way) => {
                let side = self.stream().ok_or(missing)?.side(way);
                side.trailers.as_ref().ok_or(missing)
            }
        }
    }

    /// A map to edit. Trailers can be made at the end of a body.
    pub(super) fn map_mut(&mut self, map: MapType) -> Result<&mut Pairs> {
        let refused = Status::BAD_ARGUMENT;
        let map = map_of(map)?;
        let stream = self.stream().filter(|it| !it.over).ok_or(refused)?;
        match map {
            Map::CallHeaders | Map::CallTrailers => Err(refused),
            Map::Headers(way) => {
                let side = stream.side_mut(way);
                let open = side.begun && !side.forwarded;
                open.then_some(&mut side.headers).ok_or(refused)
            }
            Map::Trailers(way) => {
                let side = stream.side_mut(way);
                if side.trailers.is_none() {
                    if !(side.body_visible && side.end_shown) {
                        return Err(refused);
                    }
                    side.made_trailers = true;
                }
                Ok(side.trailers.get_or_insert_default())
            }
        }
    }

    /// The bytes of a body that the filter can reach now.
    pub(super) fn body(&mut self, way: Way) -> Option<&mut Vec<u8>> {
        let side = self.stream()?.side_mut(way);
        side.body_visible.then_some(&mut side.body)
    }

    pub(super) fn metric(&mut self, number: u32) -> Result<&mut Metric> {
        let at = (number >> 2).checked_sub(1).ok_or(Status::NOT_FOUND)?;
        let at = usize::try_from(at).map_err(|_| Status::NOT_FOUND)?;
        self.metrics.get_mut(at).ok_or(Status::NOT_FOUND)
    }
}

/// Of which way a buffer is the body.
pub(super) const fn body_of(buffer: BufferType) -> Option<Way> {
    match buffer {
        BufferType::RequestBody | BufferType::DownstreamData => Some(Way::Request),
        BufferType::ResponseBody | BufferType::UpstreamData => Some(Way::Response),
        _ => None,
    }
}

/// A part of some bytes, as far as they go.
pub(super) fn part(bytes: &[u8], start: usize, max: usize) -> Vec<u8> {
    let rest = bytes.get(start..).unwrap_or_default();
    rest.get(..max).unwrap_or(rest).to_vec()
}

/// Pairs as a host keeps them: names in lower case.
pub(super) fn owned(pairs: PairsRef<'_>) -> Pairs {
    let lower = |name: &[u8]| name.to_ascii_lowercase();
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| (lower(name), value.to_vec()))
        .collect()
}
