//! Tokens that were read lately: a client's next request most often has the same one.
//!
//! What a text means never changes, so nothing here gets old. Whether a token is still good is decided
//! by jwt-auth, for each request.

use std::cell::RefCell;
use std::rc::Rc;

use crate::token::Token;

/// How many are kept; each has one place, by its bytes.
const PLACES: usize = 64;

/// The longest that is kept, in bytes of JSON.
const LONGEST: usize = 8 * 1024;

/// Tokens by their bytes.
#[derive(Default)]
pub(crate) struct Tokens {
    /// None of them before the first token.
    places: RefCell<Vec<Option<Kept>>>,
}

struct Kept {
    json: Vec<u8>,
    token: Rc<Token>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(..)")
    }
}

impl Tokens {
    /// Reads what jwt-auth has written; `None` if it is something else.
    pub(crate) fn read(&self, json: Vec<u8>) -> Option<Rc<Token>> {
        let place = place(&json);
        let mut places = self.places.borrow_mut();
        if let Some(Some(kept)) = places.get(place)
            && kept.json == json
        {
            return Some(Rc::clone(&kept.token));
        }
        let token = Rc::new(Token::read(&json)?);
        if json.len() <= LONGEST {
            places.resize_with(PLACES, || None);
            if let Some(kept) = places.get_mut(place) {
                let token = Rc::clone(&token);
                *kept = Some(Kept { json, token });
            }
        }
        Some(token)
    }
}

/// The place of a token: whoever finds others with the same one gains nothing but that they are read
/// again.
fn place(json: &[u8]) -> usize {
    let mut hash = u64::try_from(json.len()).unwrap_or(u64::MAX);
    for part in json.chunks(8) {
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(part) {
            *to = *from;
        }
        hash = (hash.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    usize::try_from(hash >> 58).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn token(subject: usize) -> Vec<u8> {
        json!({"iss": "i", "sub": subject.to_string(), "claims": {"n": [subject.to_string()]}})
            .to_string()
            .into_bytes()
    }

    fn number(token: &Token) -> String {
        token.claim(&["n".into()]).collect()
    }

    #[test]
    fn a_token_that_comes_again_is_not_read_again() {
        let tokens = Tokens::default();
        let first = tokens.read(token(1)).unwrap();
        let again = tokens.read(token(1)).unwrap();
        assert!(Rc::ptr_eq(&first, &again));
    }

    #[test]
    fn each_token_is_its_own_however_many_there_are() {
        let tokens = Tokens::default();
        for round in 0..3 {
            for subject in 0..500 {
                let read = tokens.read(token(subject)).unwrap();
                assert_eq!(number(&read), subject.to_string(), "{round}");
            }
        }
        assert_eq!(tokens.places.borrow().len(), PLACES);
        let used = tokens.places.borrow().iter().flatten().count();
        assert!(used > PLACES / 2, "{used}");
    }

    #[test]
    fn what_is_no_token_or_very_long_is_not_kept() {
        let tokens = Tokens::default();
        assert!(tokens.read(b"{\"iss\":".to_vec()).is_none());
        let long = json!({"iss": "i", "sub": "s", "more": "x".repeat(LONGEST)});
        assert!(tokens.read(long.to_string().into_bytes()).is_some());
        assert!(tokens.places.borrow().is_empty());
    }
}
