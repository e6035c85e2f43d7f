//! Blocks of addresses as Istio reads them: by any of their addresses.

use serde_json::Value;
use tidegate_policy::Cidr;
use tidegate_policy::CidrSet;
use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::config::Problem;
use tidegate_sdk::config::Schema;

use crate::text::text_of;

/// A block of addresses; of the address that is written, the bits behind the block's do not count.
#[derive(Debug)]
pub(crate) struct Block(Cidr);

impl FilterConfig for Block {
    const SCHEMA: &'static Schema = <Cidr as FilterConfig>::SCHEMA;

    fn read(value: &Value) -> Result<Self, Problem> {
        let block = Cidr::from_any_of(text_of(value)?);
        block.map(Self).map_err(Problem::new)
    }
}

/// The addresses of all of them.
pub(crate) fn set(blocks: Vec<Block>) -> CidrSet {
    blocks.into_iter().map(|it| it.0).collect()
}
